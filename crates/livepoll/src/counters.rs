//! What is counted, for operators.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What has happened since the start of the process, and what waits now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Sessions opened.
    pub sessions: u64,
    /// Participants who joined.
    pub joins: u64,
    /// Votes that were taken, changes included.
    pub votes: u64,
    /// Requests refused, by code.
    pub refused: BTreeMap<&'static str, u64>,
    /// Participants connected to this node now.
    pub connected: u64,
    /// Events published, results aside.
    pub events: u64,
    /// Results told.
    pub results: u64,
    /// Events that could not be published yet when it was last tried.
    pub waiting: u64,
}

/// Counts as it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sessions: AtomicU64,
    pub(crate) joins: AtomicU64,
    pub(crate) votes: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) results: AtomicU64,
    pub(crate) waiting: AtomicU64,
    /// Bounded by the codes there are.
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// A request was refused.
    pub(crate) fn refused(&self, code: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(code).or_default() += 1;
    }

    /// All of them.
    pub(crate) fn counts(&self, connected: usize) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            sessions: read(&self.sessions),
            joins: read(&self.joins),
            votes: read(&self.votes),
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            connected: u64::try_from(connected).unwrap_or(u64::MAX),
            events: read(&self.events),
            results: read(&self.results),
            waiting: read(&self.waiting),
        }
    }
}
