//! Reading what a receiver missed, until nothing more came meanwhile: for clients that come back,
//! and for those that begin in the past.

use super::Shard;
use crate::recorder::Recorder;
use crate::recovery::{self, NotRecovered, Span};
use eventlog::{Entry, EventLog, MAX_QUERY_ROOMS, Position, Query, ReadError, Scope, Session};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// How often what was missed is read again because more came meanwhile.
const MAX_READS: usize = 16;

/// How much is sent again at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_events: usize,
    pub(super) max_bytes: u64,
}

impl Limits {
    /// Those of the recovery.
    pub(super) fn of(recorder: &Recorder) -> Self {
        let recovery = &recorder.recovery;
        Limits { max_events: recovery.max_events, max_bytes: recovery.max_bytes as u64 }
    }
}

/// What was found so far.
struct Found {
    /// Everything up to here was looked at.
    reached: Position,
    entries: Vec<Arc<Entry>>,
    limits: Limits,
}

impl Found {
    /// Goes on to here; the limits are for what is left.
    fn extend(&mut self, until: Position, entries: Vec<Arc<Entry>>) {
        let bytes: u64 = entries.iter().map(|entry| entry.record.cost_bytes()).sum();
        self.limits.max_events = self.limits.max_events.saturating_sub(entries.len());
        self.limits.max_bytes = self.limits.max_bytes.saturating_sub(bytes);
        self.entries.extend(entries);
        self.reached = until;
    }
}

impl Shard {
    /// What a session missed of all that this shard has shown, if its client has seen everything up
    /// to `after`; oldest first. All of it or nothing.
    ///
    /// Between the last look and the end of this nothing is awaited: who registers the session
    /// before its own next await has all that was shown, and is shown what comes later.
    pub(super) async fn missed(
        self: &Rc<Self>,
        recorder: &Arc<Recorder>,
        session: &Session,
        after: Position,
        limits: Limits,
    ) -> Result<Vec<Arc<Entry>>, NotRecovered> {
        self.turn().await;
        let mut found = Found { reached: after, entries: Vec::new(), limits };
        for _ in 0..MAX_READS {
            self.catch_up();
            let shown = self.state.borrow().shown;
            if shown < after.sequence {
                // The client knows of more than this shard has shown: that is on its way.
                recorder.settled().await;
                continue;
            }
            let until = Position { sequence: shown, ..after };
            if let Some(entries) = read_recent(&*recorder.log, session, &found, until)? {
                found.extend(until, entries);
                return Ok(found.entries);
            }
            found = read_old(recorder, session, found, until).await?;
        }
        Err(NotRecovered::TooMuch)
    }
}

/// What was missed behind what was found, until here, if memory alone can tell: with one query,
/// however many rooms were joined when.
fn read_recent(
    log: &dyn EventLog,
    session: &Session,
    found: &Found,
    until: Position,
) -> Result<Option<Vec<Arc<Entry>>>, NotRecovered> {
    let after = found.reached.sequence;
    let spans = recovery::spans(session, after).into_iter();
    let Some(all) = spans.filter(|span| span.from < until.sequence).reduce(Span::joined) else {
        return Ok(Some(Vec::new()));
    };
    if all.rooms.len() > MAX_QUERY_ROOMS {
        return Ok(None);
    }
    let page = log.read_recent(&query(session, &all, &all.rooms, (found, until)));
    let Some(page) = page.map_err(failed)?.filter(|page| page.complete && !page.more) else {
        return Ok(None);
    };
    let missed = page.entries.into_iter().filter(|it| recovery::missed(session, after, it));
    Ok(Some(missed.collect()))
}

/// The same from the disk, each room from where it was joined: only there it must be kept, and only
/// from there it counts.
fn read_whole(
    log: &dyn EventLog,
    session: &Session,
    found: &Found,
    until: Position,
) -> Result<Vec<Arc<Entry>>, NotRecovered> {
    let Limits { max_events, max_bytes } = found.limits;
    let after = found.reached.sequence;
    let (mut missed, mut bytes) = (BTreeMap::new(), 0);
    let spans = recovery::spans(session, after);
    for span in spans.iter().filter(|span| span.from < until.sequence) {
        for rooms in span.rooms.chunks(MAX_QUERY_ROOMS) {
            let page = log.read(&query(session, span, rooms, (found, until))).map_err(failed)?;
            if !page.complete {
                return Err(NotRecovered::Trimmed);
            }
            for entry in page.entries {
                let sequence = entry.position.sequence;
                // One that names rooms of several spans is found several times.
                if recovery::missed(session, after, &entry) && !missed.contains_key(&sequence) {
                    bytes += entry.record.cost_bytes();
                    missed.insert(sequence, entry);
                }
            }
            if page.more || missed.len() > max_events || bytes > max_bytes {
                return Err(NotRecovered::TooMuch);
            }
        }
    }
    Ok(missed.into_values().collect())
}

fn query<'a>(
    session: &'a Session,
    span: &Span,
    rooms: &'a [Arc<str>],
    (found, until): (&Found, Position),
) -> Query<'a> {
    let scope = Scope::Rooms { namespace: &session.namespace, rooms, everyone: span.everyone };
    Query {
        before: Some(Position { sequence: until.sequence + 1, ..until }),
        limit: found.limits.max_events,
        max_bytes: found.limits.max_bytes,
        ..Query::after(scope, Position { sequence: span.from, ..until })
    }
}

/// Reads it on a thread that may wait for the disk.
async fn read_old(
    recorder: &Arc<Recorder>,
    session: &Session,
    mut found: Found,
    until: Position,
) -> Result<Found, NotRecovered> {
    let session = session.clone();
    let read = recorder.read(move |log| {
        Ok(read_whole(log, &session, &found, until).map(|entries| {
            found.extend(until, entries);
            found
        }))
    });
    read.await.map_err(failed)?
}

/// Why a client is not recovered when the log cannot be read.
pub(super) fn failed(error: ReadError) -> NotRecovered {
    match error {
        ReadError::Epoch { .. } | ReadError::Ahead => NotRecovered::Epoch,
        error => {
            tracing::warn!(%error, "the event log could not be read for a client that came back");
            NotRecovered::Log
        }
    }
}
