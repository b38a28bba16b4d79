//! What is asked of the log, and one page of the answer.

use std::sync::Arc;

use crate::record::EVERYONE;
use crate::{Entry, Epoch, Position};

/// The most entries of one page, whatever is asked.
pub const MAX_PAGE_ENTRIES: usize = 10_000;

/// The most bytes of one page, whatever is asked: 32 MiB. A page has at least one entry, if there
/// is one.
pub const MAX_PAGE_BYTES: u64 = 32 << 20;

/// The most rooms one query may name.
pub const MAX_QUERY_ROOMS: usize = 4096;

/// Which entries are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Each entry of the log.
    All,
    /// The entries of one namespace that name one of these rooms.
    Rooms {
        /// The namespace.
        namespace: &'a str,
        /// The rooms. An entry that names several of them is found once.
        rooms: &'a [Arc<str>],
        /// Whether entries for everyone in the namespace (those without a room) are meant too.
        everyone: bool,
    },
}

/// In which order, and so from which end, a page is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// From `after` on.
    #[default]
    OldestFirst,
    /// From `before` back. The last value of a room is one entry of this order.
    NewestFirst,
}

/// What is asked of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// Which entries.
    pub scope: Scope<'a>,
    /// Only entries after this position.
    pub after: Option<Position>,
    /// Only entries before this position.
    pub before: Option<Position>,
    /// From which end.
    pub order: Order,
    /// The most entries of the page; at most [`MAX_PAGE_ENTRIES`] count.
    pub limit: usize,
    /// The most bytes of the page, as [`Record::cost_bytes`](crate::Record::cost_bytes) counts
    /// them; at most [`MAX_PAGE_BYTES`] count.
    pub max_bytes: u64,
}

impl<'a> Query<'a> {
    /// All of a scope, oldest first, with pages as large as allowed.
    #[must_use]
    pub fn new(scope: Scope<'a>) -> Self {
        Self {
            scope,
            after: None,
            before: None,
            order: Order::OldestFirst,
            limit: MAX_PAGE_ENTRIES,
            max_bytes: MAX_PAGE_BYTES,
        }
    }

    /// What came after a position, oldest first.
    #[must_use]
    pub fn after(scope: Scope<'a>, after: Position) -> Self {
        Self { after: Some(after), ..Self::new(scope) }
    }

    /// The last `count` entries, newest first.
    #[must_use]
    pub fn last(scope: Scope<'a>, count: usize) -> Self {
        Self { order: Order::NewestFirst, limit: count, ..Self::new(scope) }
    }

    /// Checks the positions against the log's life and turns them into bounds.
    pub(crate) fn bounds(&self, epoch: Epoch, head: u64) -> Result<Bounds, ReadError> {
        if let Scope::Rooms { rooms, .. } = self.scope
            && rooms.len() > MAX_QUERY_ROOMS
        {
            return Err(ReadError::TooManyRooms(rooms.len()));
        }
        let sequence = |position: Position| {
            if position.epoch != epoch {
                return Err(ReadError::Epoch { asked: position.epoch, current: epoch });
            }
            Ok(position.sequence)
        };
        let after = self.after.map(sequence).transpose()?;
        let before = self.before.map(sequence).transpose()?;
        if after.is_some_and(|after| after > head) {
            return Err(ReadError::Ahead);
        }
        let before = before.map_or(head, |before| before.saturating_sub(1)).min(head);
        Ok(Bounds {
            after: after.unwrap_or(0),
            last: before,
            limit: self.limit.min(MAX_PAGE_ENTRIES),
            max_bytes: self.max_bytes.min(MAX_PAGE_BYTES),
        })
    }

    /// The names under which the entries of the scope are indexed; `None` for all entries.
    pub(crate) fn index_rooms(&self) -> Option<(&'a str, impl Iterator<Item = &'a str>)> {
        match self.scope {
            Scope::All => None,
            Scope::Rooms { namespace, rooms, everyone } => {
                let everyone = everyone.then_some(EVERYONE);
                Some((namespace, rooms.iter().map(|room| &**room).chain(everyone)))
            }
        }
    }

    /// Whether an entry is in the scope.
    pub(crate) fn wants(&self, entry: &Entry) -> bool {
        let Scope::Rooms { namespace, rooms, everyone } = self.scope else { return true };
        let named = &entry.record.rooms;
        *entry.record.namespace == *namespace
            && ((everyone && named.is_empty()) || named.iter().any(|room| rooms.contains(room)))
    }
}

/// The checked bounds of a query: sequences in `after + 1 ..= last`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) after: u64,
    pub(crate) last: u64,
    pub(crate) limit: usize,
    pub(crate) max_bytes: u64,
}

/// One page of the answer, and what a caller must know to trust it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries, in the order asked for.
    pub entries: Vec<Arc<Entry>>,
    /// Whether the scope has more entries beyond this page, in its direction and bounds.
    pub more: bool,
    /// Whether nothing of the scope was trimmed after `after` (after the beginning, if none was
    /// given). Only then do the pages hold all that a client missed.
    pub complete: bool,
    /// The last position of the log when the page was read.
    pub head: Position,
}

/// Why a page could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The position belongs to another life of the log: nothing can be said about what came after
    /// it. The client is told that it was not recovered.
    #[error("the position is of another epoch ({asked:?}, the log's is {current:?})")]
    Epoch {
        /// The epoch of the position.
        asked: Epoch,
        /// The epoch of the log.
        current: Epoch,
    },
    /// The position is after the head: this log never gave it out.
    #[error("the position is after the end of the log")]
    Ahead,
    /// More than [`MAX_QUERY_ROOMS`]. The caller's fault.
    #[error("a query names {0} rooms, the limit is {MAX_QUERY_ROOMS}")]
    TooManyRooms(usize),
    /// A record is not what was written. Only a repair helps.
    #[error("the log is damaged at sequence {0}; verify and repair it")]
    Damaged(u64),
    /// The store could not be read.
    #[error("the log could not be read: {0}")]
    Store(String),
}

/// Fills a page from entries that are in order, in the scope and in the bounds.
pub(crate) struct PageFill {
    limit: usize,
    left_bytes: u64,
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) more: bool,
}

impl PageFill {
    pub(crate) fn new(bounds: &Bounds) -> Self {
        Self { limit: bounds.limit, left_bytes: bounds.max_bytes, entries: Vec::new(), more: false }
    }

    /// Takes an entry; `false` when the page is full and this entry is beyond it.
    pub(crate) fn push(&mut self, entry: Arc<Entry>) -> bool {
        let cost = entry.record.cost_bytes();
        let fits = self.entries.is_empty() || cost <= self.left_bytes;
        if self.entries.len() >= self.limit || !fits {
            self.more = true;
            return false;
        }
        self.left_bytes = self.left_bytes.saturating_sub(cost);
        self.entries.push(entry);
        true
    }
}

/// Merges the sequences of several rooms: each once, in order, `limit` and one more at most, so
/// that a page knows whether there is more.
pub(crate) fn merge(mut sequences: Vec<u64>, order: Order, limit: usize) -> Vec<u64> {
    sequences.sort_unstable();
    sequences.dedup();
    if order == Order::NewestFirst {
        sequences.reverse();
    }
    sequences.truncate(limit.saturating_add(1));
    sequences
}
