//! What was sent to rooms: read again, page by page.

use crate::emit::IntoRooms;
use crate::namespace::{Event, Namespace};
use crate::recorder::{Recorder, event_of};
use crate::waiting::Waiter;
use eventlog::{Entry, Order, Page, Position, Query, ReadError, Scope};
use hub::{Room, RoomNameError};
use smallvec::SmallVec;
use socketio::{Args, EventName};
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

/// Events of one page unless told otherwise: a screen or two of a chat.
pub const DEFAULT_HISTORY_EVENTS: usize = 100;

/// The most events of one page, whatever is asked: a page is held in memory as a whole.
pub const MAX_HISTORY_EVENTS: usize = 1_000;

/// The most bytes of one page, names and payloads, whatever is asked: 1 MiB. A page has at least one
/// event, if there is one.
pub const MAX_HISTORY_BYTES: u64 = 1 << 20;

/// Which part of the history is asked for. By default the last [`DEFAULT_HISTORY_EVENTS`] events,
/// newest first.
///
/// ```
/// # use fanfare::HistoryQuery;
/// # fn asks(last_seen: fanfare::eventlog::Position) {
/// let last_ten = HistoryQuery { limit: 10, ..HistoryQuery::default() };
/// let what_came_since = HistoryQuery::after(last_seen);
/// # let _ = (last_ten, what_came_since);
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only events after this position. Default: `None`, from the oldest that is kept.
    pub after: Option<Position>,
    /// Only events before this position. Default: `None`, up to the newest.
    pub before: Option<Position>,
    /// The most events of the page; at most [`MAX_HISTORY_EVENTS`] count. Default:
    /// [`DEFAULT_HISTORY_EVENTS`].
    pub limit: usize,
    /// Whether the page is filled from the newest event back. Default: yes.
    pub newest_first: bool,
}

impl Default for HistoryQuery {
    fn default() -> Self {
        let limit = DEFAULT_HISTORY_EVENTS;
        HistoryQuery { after: None, before: None, limit, newest_first: true }
    }
}

impl HistoryQuery {
    /// What came after a position, oldest first.
    #[must_use]
    pub fn after(position: Position) -> Self {
        HistoryQuery { after: Some(position), newest_first: false, ..HistoryQuery::default() }
    }
}

/// A page of what was sent to rooms.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct History {
    /// The events, in the order asked for.
    pub events: Vec<RecordedEvent>,
    /// Whether there are more beyond this page, in its direction.
    pub more: bool,
    /// Whether nothing of these rooms was trimmed after `after` (after the beginning, if none was
    /// given). Only then do the pages hold all that was sent.
    pub complete: bool,
    /// The end of the log when the page was read: all that these rooms had up to here was looked
    /// at. What comes later is after it.
    pub head: Position,
}

/// An event as it was recorded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RecordedEvent {
    /// Where it stands in the log.
    pub position: Position,
    /// Its name.
    pub name: EventName,
    /// Its arguments, undecoded.
    pub args: Args,
    /// When it was published, in milliseconds since the Unix epoch, by the server's clock.
    pub time_ms: u64,
    /// The rooms it was sent to; none at all means everyone in the namespace.
    pub rooms: Arc<[Arc<str>]>,
}

impl RecordedEvent {
    /// `None`, and a line in the log, if the entry was not made by this program.
    pub(crate) fn of(entry: &Entry) -> Option<RecordedEvent> {
        let Some(Event { name, args }) = event_of(entry) else {
            tracing::error!(position = %entry.position, "a recorded event cannot be read");
            return None;
        };
        let (time_ms, rooms) = (entry.record.time_ms, entry.record.rooms.clone());
        Some(RecordedEvent { position: entry.position, name, args, time_ms, rooms })
    }
}

/// Why there is no page of the history.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The server records nothing. The application's choice.
    #[error("the server records nothing")]
    NotRecorded,
    /// The caller's fault: a room's name is not valid.
    #[error(transparent)]
    Room(#[from] RoomNameError),
    /// The caller's fault: the list of rooms is empty.
    #[error("the list of rooms is empty")]
    NoRooms,
    /// What came after the position cannot be told: it is not one of this log's life.
    #[error("{why}; the log's head is {head}")]
    Gone {
        /// What is wrong with it.
        why: Gap,
        /// The end of the log.
        head: Position,
    },
    /// As many wait already as may: [`MAX_WAITING`](crate::MAX_WAITING).
    #[error("too many wait for new events; try again later")]
    Busy,
    /// The log could not be read.
    #[error("the log could not be read: {0}")]
    Log(ReadError),
}

/// Why the events after a position cannot all be given. Nothing is given then, rather than a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Gap {
    /// The position is of another life of the log: what came after it is not known any more.
    #[error("the position is of another epoch")]
    Epoch,
    /// The log never gave the position out.
    #[error("the position is after the end of the log")]
    Ahead,
    /// Something after it is no longer kept.
    #[error("something after the position is no longer kept")]
    Trimmed,
    /// The server records nothing.
    #[error("the server records nothing")]
    NotRecorded,
    /// There is more after it than is sent at once.
    #[error("there is more after the position than is sent at once")]
    TooMuch,
    /// The log could not be read.
    #[error("the log could not be read")]
    Log,
}

impl Gap {
    /// A word for it, for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Gap::Epoch => "epoch_changed",
            Gap::Ahead => "ahead",
            Gap::NotRecorded => "not_recorded",
            Gap::Trimmed => "trimmed",
            Gap::TooMuch => "too_much",
            Gap::Log => "log_failed",
        }
    }
}

impl HistoryError {
    fn of(error: ReadError, recorder: &Recorder) -> Self {
        let gone = |why| HistoryError::Gone { why, head: recorder.log.head() };
        match error {
            ReadError::Epoch { .. } => gone(Gap::Epoch),
            ReadError::Ahead => gone(Gap::Ahead),
            error => HistoryError::Log(error),
        }
    }
}

impl Namespace {
    /// What was sent to rooms, as far as it was recorded and is still kept: a page of the events
    /// that name at least one of them, each once.
    ///
    /// It is about the rooms and not about a receiver: an event is there whomever it excepted, and
    /// one for everyone in the namespace is no room's. Whether somebody may read it is for the
    /// caller to decide. What is not in memory is read from the disk, a few at a time.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    ///
    /// # Panics
    ///
    /// If the future is not polled in a Tokio runtime.
    pub fn history<R: IntoRooms>(
        &self,
        rooms: R,
        query: HistoryQuery,
    ) -> impl Future<Output = Result<History, HistoryError>> + Send + use<R> {
        let asked = names(rooms).map(|rooms| Asked {
            namespace: self.core().log_name.clone(),
            rooms: rooms.iter().map(Room::shared).collect(),
            query,
        });
        let recorder = self.io().inner().recorder.clone();
        async move {
            let (asked, recorder) = (asked?, recorder.ok_or(HistoryError::NotRecorded)?);
            let recent = recorder.log.read_recent(&asked.query());
            let page = match recent {
                Ok(None) => recorder.read(move |log| log.read(&asked.query())).await,
                Ok(Some(page)) => Ok(page),
                Err(error) => Err(error),
            };
            let page = page.map_err(|error| HistoryError::of(error, &recorder))?;
            Ok(History::of(&page))
        }
    }

    /// Waits until something was sent to one of these rooms after a position: true at once if that
    /// is so already, false when the deadline has passed or the server closes.
    ///
    /// # Errors
    ///
    /// [`HistoryError`].
    ///
    /// # Panics
    ///
    /// If the future is not polled in a Tokio runtime.
    pub fn wait_beyond<R: IntoRooms>(
        &self,
        rooms: R,
        position: Position,
        deadline: Instant,
    ) -> impl Future<Output = Result<bool, HistoryError>> + Send + use<R> {
        let (rooms, namespace) = (names(rooms), self.clone());
        async move {
            let (rooms, io) = (rooms?, namespace.io());
            // From here on it is told of what comes; what is there already is looked for behind it.
            let mut waiter =
                Waiter::of(io, &namespace.core().log_name, &rooms).ok_or(HistoryError::Busy)?;
            let query = HistoryQuery { limit: 1, ..HistoryQuery::after(position) };
            let page = namespace.history(rooms.into_vec(), query).await?;
            if !page.events.is_empty() || !page.complete {
                return Ok(true);
            }
            let came = tokio::time::timeout_at(deadline.into(), waiter.came()).await;
            Ok(came.unwrap_or(false))
        }
    }
}

fn names(rooms: impl IntoRooms) -> Result<SmallVec<[Room; 1]>, HistoryError> {
    let rooms = rooms.into_rooms()?;
    if rooms.is_empty() { Err(HistoryError::NoRooms) } else { Ok(rooms) }
}

/// A query that owns what it names.
struct Asked {
    namespace: Arc<str>,
    rooms: Vec<Arc<str>>,
    query: HistoryQuery,
}

impl Asked {
    fn query(&self) -> Query<'_> {
        let HistoryQuery { after, before, limit, newest_first } = self.query;
        Query {
            scope: Scope::Rooms { namespace: &self.namespace, rooms: &self.rooms, everyone: false },
            after,
            before,
            order: if newest_first { Order::NewestFirst } else { Order::OldestFirst },
            limit: limit.min(MAX_HISTORY_EVENTS),
            max_bytes: MAX_HISTORY_BYTES,
        }
    }
}

impl History {
    fn of(page: &Page) -> History {
        let events = page.entries.iter().filter_map(|entry| RecordedEvent::of(entry));
        let (more, complete, head) = (page.more, page.complete, page.head);
        History { events: events.collect(), more, complete, head }
    }
}
