//! Results that move quickly, told at a rate: always the newest, and always a last one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::domain::PollId;

/// Which polls have results that were not told yet. Bounded by the polls that are voted on.
#[derive(Debug)]
pub(crate) struct Conflation {
    interval: Duration,
    polls: HashMap<PollId, Telling>,
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
        Conflation { interval, polls: HashMap::new() }
    }

    /// The results of a poll have changed.
    pub(crate) fn mark(&mut self, poll: PollId) {
        // If they were told a moment ago, their time comes anyway.
        let telling = self.polls.entry(poll).or_insert(Telling { last: None, changed: true });
        telling.changed = true;
    }

    /// Some polls whose results are to be told now, `max` at most. They count as told: what changes from
    /// here on is told next time.
    pub(crate) fn due(&mut self, now: Instant, max: usize) -> Vec<PollId> {
        let interval = self.interval;
        let rests = |it: &Telling| it.last.is_some_and(|last| now < last + interval);
        self.polls.retain(|_, telling| telling.changed || rests(telling));
        let due = self.polls.iter_mut().filter(|(_, it)| it.changed && !rests(it)).take(max);
        due.map(|(poll, telling)| {
            *telling = Telling { last: Some(now), changed: false };
            poll.clone()
        })
        .collect()
    }

    /// Results that were due were not told after all.
    pub(crate) fn untold(&mut self, polls: impl IntoIterator<Item = PollId>) {
        for poll in polls {
            self.polls.insert(poll, Telling { last: None, changed: true });
        }
    }

    /// When the next results are to be told; nothing while none have changed.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let changed = self.polls.values().filter(|telling| telling.changed);
        changed.map(|it| it.last.map_or(now, |last| last + self.interval)).min()
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
        let (mut it, begin) = (Conflation::new(INTERVAL), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        assert_eq!((it.due(at(0), 9), it.next(at(0))), (vec![], None));
        it.mark(poll(1));
        assert_eq!(it.due(at(0), 9), [poll(1)]);
        assert_eq!((it.due(at(1), 9), it.next(at(1))), (vec![], None));
        it.mark(poll(1));
        it.mark(poll(1));
        assert_eq!((it.due(at(199), 9), it.next(at(199))), (vec![], Some(at(200))));
        assert_eq!(it.due(at(200), 9), [poll(1)]);
        assert_eq!((it.due(at(1_000), 9), it.next(at(1_000))), (vec![], None));
        assert!(it.polls.is_empty(), "what rests is forgotten");
    }

    #[test]
    fn what_was_not_told_is_told_at_once_and_not_too_much_together() {
        let (mut it, now) = (Conflation::new(INTERVAL), Instant::now());
        (0..9).for_each(|number| it.mark(poll(number)));
        let (first, second) = (it.due(now, 5), it.due(now, 5));
        assert_eq!((first.len(), second.len(), it.next(now)), (5, 4, None));
        it.untold(first.clone());
        assert_eq!(it.next(now), Some(now));
        let mut again = it.due(now, 9);
        again.sort();
        assert_eq!(again, {
            let mut first = first;
            first.sort();
            first
        });
    }

    proptest! {
        /// Whenever votes come in: never two tellings of a poll within the interval, and after its last
        /// vote one more.
        #[test]
        fn it_keeps_the_rate_and_tells_the_last(votes in proptest::collection::vec((0_u64..3_000, 0_u8..3), 0..80)) {
            let (mut it, begin) = (Conflation::new(INTERVAL), Instant::now());
            let mut votes = votes;
            votes.sort_unstable();
            let mut told: HashMap<PollId, Vec<Instant>> = HashMap::new();
            let mut note = |due: Vec<PollId>, now| {
                due.into_iter().for_each(|poll| told.entry(poll).or_default().push(now));
            };
            for ms in (0..4_000).step_by(7) {
                let now = begin + Duration::from_millis(ms);
                for (_, number) in votes.iter().filter(|(at, _)| (ms..ms + 7).contains(at)) {
                    it.mark(poll(*number));
                }
                note(it.due(now, 9), now);
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
