//! The one thread that writes: takes what is waiting as a group, commits it once, answers.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::apply::Apply;
use super::mark::{BootId, Mark, MarkFile};
use super::queue::{Answer, Next, Request, Work};
use super::rooms::RoomCache;
use super::schema::{State, StoreError};
use super::shared::Shared;
use crate::{AppendError, Durability, Entry, Epoch, Health, Position, Refusal};

/// While the log refuses, it tries by itself this often whether it can write again.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// A probe writes so many bytes: more than the pages a small record needs.
const PROBE_BYTES: i64 = 64 << 10;

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Connection,
    pub(super) mark_file: MarkFile,
    pub(super) mark: Mark,
    pub(super) state: State,
    pub(super) rooms: RoomCache,
    pub(super) boot: BootId,
    /// Entries that were committed but could not be synced or marked; nobody has seen them. They
    /// are shown once they are safe.
    pub(super) unpublished: Vec<Arc<Entry>>,
    /// Whether something was written whose safety is in doubt.
    pub(super) in_doubt: Option<Refusal>,
}

/// A group whose transaction was committed.
struct Committed {
    entries: Vec<Arc<Entry>>,
    answers: Vec<Answer>,
    /// A request of which a part is left.
    rest: Option<Request>,
}

impl Writer {
    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let guard = Abandon(Arc::clone(&self.shared));
        loop {
            let ready = self.in_doubt.is_none() && self.shared.health() == Health::Ready;
            let next = self.shared.queue.next((!ready).then_some(PROBE_INTERVAL));
            self.mark_journal();
            match next {
                Next::Group(group) => self.group(group),
                Next::Nothing => self.probe(),
                Next::Closed => break,
            }
        }
        drop(guard);
        self.finish();
    }

    /// Commits a group and answers it.
    fn group(&mut self, group: Vec<Request>) {
        let asked = group.iter().map(|request| match request.work {
            Work::Append(_, durability) => durability,
            _ => Durability::Os,
        });
        let durability = asked.max().max(Some(self.shared.settings.durability));
        let durable = durability == Some(Durability::Disk);
        if let Err(refusal) = self.settle().and_then(|()| self.announce(durable)) {
            self.shared.refuse(&refusal);
            let answers: Vec<Answer> = group.into_iter().map(|request| request.answer).collect();
            return self.fail(answers, &refusal, false);
        }
        let is_reset = group.iter().any(|request| matches!(request.work, Work::Reset));
        let is_trim = group.iter().all(|request| matches!(request.work, Work::Trim { .. }));
        let shared = Arc::clone(&self.shared);
        // Held over the commit of a reset: no reader takes a new epoch's snapshot for the old one.
        let held = is_reset.then(|| shared.tail.write().unwrap_or_else(PoisonError::into_inner));
        let committed = match self.transact(group) {
            Ok(committed) => committed,
            Err((answers, refusal, unknown)) => {
                drop(held);
                if unknown {
                    self.in_doubt = Some(refusal.clone());
                }
                // A damaged entry that cannot be trimmed does not keep others from being appended.
                if !(is_trim && matches!(refusal, Refusal::Damaged(_))) {
                    self.shared.refuse(&refusal);
                }
                return self.fail(answers, &refusal, unknown);
            }
        };
        self.unpublished.extend(committed.entries);
        let safe = self.secure(durable);
        if let Err(refusal) = safe {
            drop(held);
            self.in_doubt = Some(refusal.clone());
            self.shared.refuse(&refusal);
            return self.fail(committed.answers, &refusal, true);
        }
        if let Some(mut tail) = held {
            tail.publish(std::mem::take(&mut self.unpublished), self.head(), self.state.first);
        }
        self.shared.recovered();
        self.publish();
        committed.answers.into_iter().for_each(|answer| answer.give(Ok(())));
        if let Some(rest) = committed.rest {
            self.shared.queue.push_back(rest);
        }
    }

    /// Answers what failed; before, the mark says so if changes of sessions are among it.
    fn fail(&mut self, answers: Vec<Answer>, refusal: &Refusal, unknown: bool) {
        let journal = |answer: &&Answer| matches!(answer, Answer::Put(..) | Answer::Remove(..));
        let faults = answers.iter().filter(journal).count() as u64;
        self.shared.journal_faults.fetch_add(faults, Ordering::AcqRel);
        self.mark_journal();
        answer_all(answers.into_iter(), refusal, unknown);
    }

    /// Lets the mark say whether the journal lacks changes: sessions are not brought back from it
    /// after a restart then. The mark is written in place, also when the disk is full.
    fn mark_journal(&mut self) {
        let faults = self.shared.journal_faults.load(Ordering::Acquire);
        let whole = self.shared.journal_whole.load(Ordering::Acquire);
        let stale = faults > whole;
        if stale == self.mark.stale {
            return;
        }
        let mark = Mark { stale, ..self.mark };
        let written = self.mark_file.write(&mark).and_then(|()| self.mark_file.sync());
        if let Err(error) = written {
            tracing::error!(%error, "the event log's mark could not be written");
            return;
        }
        self.mark = mark;
    }

    fn head(&self) -> Position {
        Position { epoch: self.state.epoch, sequence: self.state.head }
    }

    /// Makes what is safe readable.
    fn publish(&mut self) {
        let entries = std::mem::take(&mut self.unpublished);
        let mut tail = self.shared.tail.write().unwrap_or_else(PoisonError::into_inner);
        tail.publish(entries, self.head(), self.state.first);
        drop(tail);
        *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = self.state.stats();
        if self.shared.shown(self.head()) {
            self.shared.watchers.call(self.head());
        }
    }

    /// Before the first answer without a sync, the mark must say, durably, that there may be some.
    fn announce(&mut self, durable: bool) -> Result<(), Refusal> {
        if durable || self.mark.unsynced {
            return Ok(());
        }
        let mark = Mark { unsynced: true, boot: self.boot, ..self.mark };
        self.mark_file
            .write(&mark)
            .and_then(|()| self.mark_file.sync())
            .map_err(|error| Refusal::Sync(error.to_string()))?;
        self.mark = mark;
        Ok(())
    }

    /// After a commit: the mark follows, and the disk if it was asked for.
    fn secure(&mut self, durable: bool) -> Result<(), Refusal> {
        if durable {
            self.shared.wal.sync().map_err(|error| Refusal::Sync(error.to_string()))?;
        } else {
            self.shared.keeper.note_commit();
        }
        let (epoch, head) = (self.state.epoch, self.state.head);
        let mark = Mark { epoch, commits: self.state.commits, head, ..self.mark };
        self.mark_file.write(&mark).map_err(|error| Refusal::Store(error.to_string()))?;
        self.mark = mark;
        Ok(())
    }

    /// The transaction of a group: all of it or, on an error, nothing. The error says whether it
    /// is unknown which.
    fn transact(&mut self, group: Vec<Request>) -> Result<Committed, (Vec<Answer>, Refusal, bool)> {
        let mut answers = Vec::with_capacity(group.len());
        let mut rest = None;
        let before = self.state;
        let outcome = self.try_transact(group, &mut answers, &mut rest);
        let fault = match outcome {
            Ok(entries) => return Ok(Committed { entries, answers, rest }),
            Err(fault) => fault,
        };
        self.rooms.clear();
        answers.extend(rest.map(|request| request.answer));
        tracing::warn!(%fault, "the event log could not commit");
        // Whether a failed commit took place is asked of the store itself.
        let unknown = !State::load(&self.connection).is_ok_and(|state| state == before);
        Err((answers, fault.refusal(), unknown))
    }

    fn try_transact(
        &mut self,
        group: Vec<Request>,
        answers: &mut Vec<Answer>,
        rest: &mut Option<Request>,
    ) -> Result<Vec<Arc<Entry>>, StoreError> {
        let mut requests = group.into_iter();
        let transaction =
            match self.connection.transaction_with_behavior(TransactionBehavior::Immediate) {
                Ok(transaction) => transaction,
                Err(fault) => {
                    answers.extend(requests.map(|request| request.answer));
                    return Err(fault.into());
                }
            };
        let settings = &self.shared.settings.log;
        let mut apply = Apply::new(&transaction, settings, self.state, &mut self.rooms);
        while let Some(mut request) = requests.next() {
            let result = perform(&mut apply, &mut request);
            match result {
                Ok(true) => answers.push(request.answer),
                Ok(false) => *rest = Some(request),
                Err(fault) => {
                    answers.push(request.answer);
                    answers.extend(requests.map(|request| request.answer));
                    return Err(fault);
                }
            }
        }
        let (state, entries) = apply.finish()?;
        transaction.commit()?;
        self.state = state;
        Ok(entries)
    }

    /// If something is in doubt, makes it safe: moves the write-ahead log into the store, with
    /// syncs, and shows what was held back.
    fn settle(&mut self) -> Result<(), Refusal> {
        if let Some(failure) = self.shared.keeper.take_failure() {
            self.in_doubt = Some(Refusal::Sync(failure));
        }
        let Some(refusal) = self.in_doubt.clone() else { return Ok(()) };
        // A sync that failed once may succeed for nothing: the kernel forgets what it could not
        // write. So everything is written again, into the store.
        let still = |reason: String| match &refusal {
            Refusal::Sync(_) => Refusal::Sync(reason),
            _ => Refusal::Store(reason),
        };
        self.shared.wal.sync().map_err(|error| still(error.to_string()))?;
        self.state = State::load(&self.connection).map_err(|fault| still(fault.to_string()))?;
        checkpoint(&self.connection).map_err(|fault| still(fault.to_string()))?;
        let (epoch, head) = (self.state.epoch, self.state.head);
        let mark = Mark { epoch, commits: self.state.commits, head, ..self.mark };
        let marked = self.mark_file.write(&mark).and_then(|()| self.mark_file.sync());
        marked.map_err(|error| still(error.to_string()))?;
        self.mark = mark;
        self.in_doubt = None;
        self.publish();
        Ok(())
    }

    /// Tries whether the log can write again.
    fn probe(&mut self) {
        let tried = self.settle().and_then(|()| self.probe_store().map_err(|f| f.refusal()));
        match tried {
            Ok(()) => self.shared.recovered(),
            Err(refusal) => self.shared.refuse(&refusal),
        }
    }

    fn probe_store(&mut self) -> Result<(), StoreError> {
        let fill = "INSERT OR REPLACE INTO probe (id, filler) VALUES (1, zeroblob(?1))";
        self.connection.execute(fill, [PROBE_BYTES])?;
        self.connection.execute("DELETE FROM probe", [])?;
        Ok(())
    }

    /// The clean end: everything synced, and the mark says so.
    fn finish(mut self) {
        let settled = self.settle().and_then(|()| {
            self.shared.wal.sync().map_err(|error| Refusal::Sync(error.to_string()))?;
            checkpoint(&self.connection).map_err(|fault| fault.refusal())
        });
        if let Err(refusal) = settled {
            tracing::warn!(%refusal, "the event log was not closed cleanly");
            return;
        }
        let mark = Mark { unsynced: false, ..self.mark };
        if let Err(error) = self.mark_file.write(&mark).and_then(|()| self.mark_file.sync()) {
            tracing::warn!(%error, "the event log's mark could not be written at its end");
        }
    }
}

/// Does one request; false if a part of it is left.
fn perform(apply: &mut Apply<'_>, request: &mut Request) -> Result<bool, StoreError> {
    match (&mut request.work, &mut request.answer) {
        (Work::Append(records, _), Answer::Append(_, appended)) => {
            *appended = apply.append(std::mem::take(records))?;
        }
        (Work::Put(session), Answer::Put(_, result)) => *result = apply.put_session(session)?,
        (Work::Remove(key, fence), Answer::Remove(_, result)) => {
            *result = apply.remove_session(*key, *fence)?;
        }
        (Work::Trim { now_ms, trimmed }, Answer::Trim(_, total)) => {
            let step = apply.trim(*now_ms)?;
            *trimmed += step.entries;
            *total = *trimmed;
            return Ok(step.finished);
        }
        (Work::Reset, Answer::Reset(_, answer)) => {
            let epoch = Epoch::random().map_err(|_| StoreError::Damaged("the randomness"))?;
            apply.reset(epoch)?;
            *answer = Some(epoch);
        }
        // Work and answer are made as a pair; another pair would be answered as it is.
        _ => debug_assert!(false, "a request with another's answer"),
    }
    Ok(true)
}

fn answer_all(answers: impl Iterator<Item = Answer>, refusal: &Refusal, unknown: bool) {
    for answer in answers {
        let refusal = refusal.clone();
        answer.give(Err(if unknown {
            AppendError::Unknown(refusal)
        } else {
            AppendError::Refused(refusal)
        }));
    }
}

/// Moves the whole write-ahead log into the store, synced.
pub(super) fn checkpoint(connection: &Connection) -> Result<(), StoreError> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 { Ok(()) } else { Err(StoreError::Busy) }
}

/// When the writer ends, for whatever reason, nobody waits for it in vain.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.queue.abandon();
    }
}
