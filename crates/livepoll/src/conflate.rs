//! Results that move quickly, told at a rate: always the newest, and always a last one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::domain::PollId;

/// Which polls have results that were not told yet. Bounded by the polls that are voted on.
#[derive(Debug)]
pub(crate) struct Conflation {
    interval: Duration,
    polls: Mutex<HashMap<PollId, Telling>>,
    /// Says that there is a poll more.
    marked: Notify,
}

/// What is known of a poll's results.
#[derive(Debug, Clone, Copy)]
struct Telling {
    /// When they were last told.
    last: Option<Instant>,
    /// Whether they have changed since.
    changed: bool,
}

impl Conflation {
    /// Tells the results of a poll once per interval at most.
    pub(crate) fn new(interval: Duration) -> Self {
        Conflation { interval, polls: Mutex::default(), marked: Notify::new() }
    }

    /// The results of a poll have changed.
    pub(crate) fn mark(&self, poll: &PollId) {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        match polls.get_mut(poll) {
            // Its time comes anyway.
            Some(telling) => telling.changed = true,
            None => drop(polls.insert(poll.clone(), Telling { last: None, changed: true })),
        }
        drop(polls);
        self.marked.notify_one();
    }

    /// The polls whose results are to be told now. They count as told: what changes from here on is
    /// told next time.
    fn due(&self, now: Instant) -> Vec<PollId> {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = self.interval;
        let rests = |it: &Telling| it.last.is_some_and(|last| now < last + interval);
        polls.retain(|_, telling| telling.changed || rests(telling));
        let mut due = Vec::new();
        for (poll, telling) in &mut *polls {
            if telling.changed && !rests(telling) {
                *telling = Telling { last: Some(now), changed: false };
                due.push(poll.clone());
            }
        }
        due
    }

    /// When the next results are to be told; nothing while none have changed.
    fn next(&self, now: Instant) -> Option<Instant> {
        let polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = polls.values().filter(|telling| telling.changed);
        changed.map(|it| it.last.map_or(now, |last| last + self.interval)).min()
    }

    /// Waits for the polls whose results are to be told.
    pub(crate) async fn wait(&self) -> Vec<PollId> {
        loop {
            let now = Instant::now();
            let due = self.due(now);
            if !due.is_empty() {
                return due;
            }
            match self.next(now) {
                Some(at) => {
                    // One more poll may be due before this one.
                    let _ = tokio::time::timeout_at(at.into(), self.marked.notified()).await;
                }
                None => self.marked.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);

    fn poll(number: u8) -> PollId {
        PollId::from_random([number; 10])
    }

    #[test]
    fn the_first_is_told_at_once_and_the_last_in_the_end() {
        let (it, begin) = (Conflation::new(INTERVAL), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        assert_eq!((it.due(at(0)), it.next(at(0))), (vec![], None));
        it.mark(&poll(1));
        assert_eq!(it.due(at(0)), [poll(1)]);
        assert_eq!((it.due(at(1)), it.next(at(1))), (vec![], None));
        it.mark(&poll(1));
        it.mark(&poll(1));
        assert_eq!((it.due(at(199)), it.next(at(199))), (vec![], Some(at(200))));
        assert_eq!(it.due(at(200)), [poll(1)]);
        assert_eq!((it.due(at(1_000)), it.next(at(1_000))), (vec![], None));
        assert!(it.polls.lock().unwrap().is_empty(), "what rests is forgotten");
    }

    proptest! {
        /// Whenever votes come in: never two tellings of a poll within the interval, and after its last
        /// vote one more.
        #[test]
        fn it_keeps_the_rate_and_tells_the_last(votes in proptest::collection::vec((0_u64..3_000, 0_u8..3), 0..80)) {
            let (it, begin) = (Conflation::new(INTERVAL), Instant::now());
            let mut votes = votes;
            votes.sort_unstable();
            let mut told: HashMap<PollId, Vec<Instant>> = HashMap::new();
            let mut note = |due: Vec<PollId>, now| {
                due.into_iter().for_each(|poll| told.entry(poll).or_default().push(now));
            };
            for ms in (0..4_000).step_by(7) {
                let now = begin + Duration::from_millis(ms);
                for (_, number) in votes.iter().filter(|(at, _)| (ms..ms + 7).contains(at)) {
                    it.mark(&poll(*number));
                }
                note(it.due(now), now);
            }
            for number in 0..3 {
                let last = votes.iter().filter(|(_, other)| *other == number).map(|(at, _)| *at).max();
                let told = told.get(&poll(number)).cloned().unwrap_or_default();
                prop_assert!(told.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL));
                if let Some(last) = last {
                    let last = begin + Duration::from_millis(last / 7 * 7);
                    prop_assert!(told.iter().any(|at| *at >= last));
                }
            }
        }
    }
}
