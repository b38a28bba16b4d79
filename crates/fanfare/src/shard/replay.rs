//! Sending again what is in the log.

use super::run::Run;
use super::{Broadcasting, SessionKey, State};
use crate::namespace::Namespace;
use crate::recorder::event_of;
use eventlog::Entry;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// Runs that were replayed lately: those who were away together share them.
#[derive(Default)]
pub(super) struct Replays(VecDeque<Replay>);

struct Replay {
    namespace: u32,
    sequences: Vec<u64>,
    run: Rc<Run>,
}

/// How many are kept: 16 of 256 KiB at most.
const MAX_REPLAYS: usize = 16;

impl Replays {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// A run that ends like the beginning of what is missed: it, and from where.
    fn find(&self, namespace: u32, missed: &[u64]) -> Option<(Rc<Run>, usize, usize)> {
        self.0.iter().find_map(|replay| {
            let from = replay.sequences.binary_search(missed.first()?).ok()?;
            let rest = replay.sequences.get(from..)?;
            let same = replay.namespace == namespace && missed.get(..rest.len()) == Some(rest);
            same.then(|| (replay.run.clone(), from, rest.len()))
        })
    }

    /// The runs that hold what was missed in a namespace, and from which event on each does.
    pub(super) fn runs(
        &mut self,
        namespace: &Namespace,
        missed: &[Arc<Entry>],
    ) -> Vec<(Rc<Run>, u32)> {
        let id = namespace.core().id;
        let sequences: Vec<u64> = missed.iter().map(|entry| entry.position.sequence).collect();
        let (mut runs, mut at) = (Vec::new(), 0);
        while let Some(rest) = sequences.get(at..).filter(|rest| !rest.is_empty()) {
            let (run, from, count) = match self.find(id, rest) {
                Some(found) => found,
                None => {
                    let (run, count) = run_of(namespace, missed.get(at..).unwrap_or(&[]));
                    let Some(run) = run else {
                        at += count;
                        continue;
                    };
                    self.add(id, rest.get(..count).unwrap_or_default().to_vec(), run.clone());
                    (run, 0, count)
                }
            };
            runs.push((run, u32::try_from(from).unwrap_or(0)));
            at += count;
        }
        runs
    }

    fn add(&mut self, namespace: u32, sequences: Vec<u64>, run: Rc<Run>) {
        self.0.push_front(Replay { namespace, sequences, run });
        self.0.truncate(MAX_REPLAYS);
    }
}

impl State {
    /// Queues what a session missed in a namespace.
    pub(super) fn replay(&mut self, namespace: &Namespace, key: SessionKey, missed: &[Arc<Entry>]) {
        let runs = self.replays.runs(namespace, missed);
        if let Some(session) = self.sessions.get_mut(key) {
            runs.iter().for_each(|(run, from)| session.outbox.push_replay(run, *from));
        }
        self.mark(key);
    }
}

/// A run of the first of these entries, and how many it has; how many to pass over if there is
/// nothing to send.
fn run_of(namespace: &Namespace, entries: &[Arc<Entry>]) -> (Option<Rc<Run>>, usize) {
    let event = |entry: &Entry| {
        let (event, position) = (event_of(entry)?, entry.position);
        let offset = position.to_string().into();
        Some(Arc::new(Broadcasting::recorded(namespace, event, position.sequence, offset)))
    };
    let mut run: Option<Run> = None;
    let mut count = 0;
    for entry in entries {
        let Some(event) = event(entry) else {
            tracing::error!(position = %entry.position, "a recorded event cannot be read");
            if run.is_none() {
                return (None, 1);
            }
            break;
        };
        match &run {
            Some(open) if !open.has_room(&event) => break,
            Some(open) => open.append(event),
            None => run = Some(Run::new(event)),
        }
        count += 1;
    }
    (run.map(Rc::new), count.max(1))
}
