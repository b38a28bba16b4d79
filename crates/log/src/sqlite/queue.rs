//! What the writer has to do, in the order it was asked for.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::watch::answer;
use crate::{
    AppendError, Appended, Done, Durability, Epoch, Record, Session, SessionError, SessionKey,
};

/// The most bytes that wait for the writer: 128 MiB, a second or more of the fastest publishing.
pub(super) const MAX_QUEUED_BYTES: u64 = 128 << 20;
/// The most requests that wait for the writer.
pub(super) const MAX_QUEUED_REQUESTS: usize = 262_144;
/// Counted for each request beside its records' bytes.
const REQUEST_BYTES: u64 = 128;

/// After so many bytes a group is committed, though more is waiting: the first of them would wait
/// too long.
const MAX_GROUP_BYTES: u64 = 4 << 20;
const MAX_GROUP_RECORDS: usize = 4096;

/// What is to be done.
pub(super) enum Work {
    Append(Vec<Record>, Durability),
    Put(Box<Session>),
    Remove(SessionKey, u64),
    Trim { now_ms: u64, trimmed: u64 },
    Reset,
}

/// Who is to be told, and what, if the transaction succeeds.
pub(super) enum Answer {
    Append(Done<Result<Vec<Appended>, AppendError>>, Vec<Appended>),
    Put(Done<Result<(), SessionError>>, Result<(), SessionError>),
    Remove(Done<Result<bool, SessionError>>, Result<bool, SessionError>),
    Trim(Done<Result<u64, AppendError>>, u64),
    Reset(Done<Result<Epoch, AppendError>>, Option<Epoch>),
}

/// One request.
pub(super) struct Request {
    pub(super) work: Work,
    pub(super) answer: Answer,
    /// What its records weigh in the queue.
    pub(super) bytes: u64,
}

impl Request {
    fn records(&self) -> usize {
        if let Work::Append(records, _) = &self.work { records.len() } else { 1 }
    }

    /// Whether it has a transaction to itself.
    fn is_alone(&self) -> bool {
        matches!(self.work, Work::Trim { .. } | Work::Reset)
    }

    fn cost(&self) -> u64 {
        self.bytes + REQUEST_BYTES
    }
}

impl Answer {
    /// Tells how it went.
    pub(super) fn give(self, outcome: Result<(), AppendError>) {
        match self {
            Self::Append(done, appended) => answer(done, outcome.map(|()| appended)),
            Self::Put(done, result) => answer(done, outcome.map_err(Into::into).and(result)),
            Self::Remove(done, result) => answer(done, outcome.map_err(Into::into).and(result)),
            Self::Trim(done, trimmed) => answer(done, outcome.map(|()| trimmed)),
            Self::Reset(done, epoch) => {
                answer(done, outcome.and_then(|()| epoch.ok_or(AppendError::Closed)));
            }
        }
    }
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: u64,
    closed: bool,
    woken: bool,
}

/// What the writer finds when it looks.
pub(super) enum Next {
    Group(Vec<Request>),
    /// Nothing came for as long as it wanted to wait, or it was woken to look around.
    Nothing,
    Closed,
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request at the end; answers it at once if there is no room or the log is closed. Says
    /// whether it was added.
    pub(super) fn push(&self, request: Request) -> bool {
        let mut waiting = self.waiting();
        let refusal = if waiting.closed {
            AppendError::Closed
        } else if waiting.bytes + request.cost() > MAX_QUEUED_BYTES
            || waiting.requests.len() >= MAX_QUEUED_REQUESTS
        {
            AppendError::Busy
        } else {
            waiting.bytes += request.cost();
            waiting.requests.push_back(request);
            drop(waiting);
            self.came.notify_one();
            return true;
        };
        drop(waiting);
        request.answer.give(Err(refusal));
        false
    }

    /// Puts the rest of a long request back, behind what came meanwhile.
    pub(super) fn push_back(&self, request: Request) {
        let mut waiting = self.waiting();
        if waiting.closed {
            drop(waiting);
            return request.answer.give(Ok(()));
        }
        waiting.bytes += request.cost();
        waiting.requests.push_back(request);
    }

    /// Waits for something to do; what is waiting is given even when the queue is closed.
    pub(super) fn next(&self, patience: Option<Duration>) -> Next {
        let mut waiting = self.waiting();
        loop {
            if !waiting.requests.is_empty() {
                return Next::Group(waiting.group());
            }
            if waiting.closed {
                return Next::Closed;
            }
            if std::mem::take(&mut waiting.woken) {
                return Next::Nothing;
            }
            let Some(patience) = patience else {
                waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let result = self.came.wait_timeout(waiting, patience);
            let (guard, timeout) = result.unwrap_or_else(PoisonError::into_inner);
            waiting = guard;
            if timeout.timed_out() && waiting.requests.is_empty() && !waiting.closed {
                return Next::Nothing;
            }
        }
    }

    /// How many requests wait, and about how many bytes.
    pub(super) fn waits(&self) -> (u64, u64) {
        let waiting = self.waiting();
        (waiting.requests.len() as u64, waiting.bytes)
    }

    /// Lets the writer look around although nothing came.
    pub(super) fn wake(&self) {
        self.waiting().woken = true;
        self.came.notify_one();
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.came.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.waiting().closed
    }

    /// Takes nothing more and answers what is waiting: the writer is gone.
    pub(super) fn abandon(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        let requests = std::mem::take(&mut waiting.requests);
        drop(waiting);
        requests.into_iter().for_each(|request| request.answer.give(Err(AppendError::Closed)));
    }
}

impl Waiting {
    fn group(&mut self) -> Vec<Request> {
        let mut group: Vec<Request> = Vec::new();
        let (mut bytes, mut records) = (0, 0);
        while let Some(request) = self.requests.pop_front() {
            let full = bytes + request.bytes > MAX_GROUP_BYTES
                || records + request.records() > MAX_GROUP_RECORDS;
            if !group.is_empty() && (full || request.is_alone()) {
                self.requests.push_front(request);
                break;
            }
            bytes += request.bytes;
            records += request.records();
            self.bytes = self.bytes.saturating_sub(request.cost());
            let alone = request.is_alone();
            group.push(request);
            if alone {
                break;
            }
        }
        group
    }
}
