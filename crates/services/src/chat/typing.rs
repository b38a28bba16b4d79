//! Who is typing where: told at once, not too often, and over by itself. Pure: time comes in.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use fanfare::SocketId;

use crate::caller::Author;

/// A socket that is typing in a room of its namespace.
pub(super) type Typist = (String, String, SocketId);

/// How often one that goes on typing is told anew.
pub(super) const REMIND: Duration = Duration::from_secs(2);

/// How many may be typing on this node; of more nothing is told.
const MAX_TYPISTS: usize = 100_000;

/// Those who are typing.
#[derive(Debug, Default)]
pub(super) struct Typing {
    typists: HashMap<Typist, State>,
    ends: BTreeSet<(Instant, Typist)>,
}

#[derive(Debug)]
struct State {
    who: Author,
    told: Instant,
    ends: Instant,
}

impl Typing {
    /// Somebody types: whether the others are to be told.
    pub(super) fn begin(
        &mut self,
        who: Typist,
        author: &Author,
        now: Instant,
        lasts: Duration,
    ) -> bool {
        let ends = now + lasts;
        if let Some(state) = self.typists.get_mut(&who) {
            self.ends.remove(&(state.ends, who.clone()));
            state.ends = ends;
            let tell = now >= state.told + REMIND;
            if tell {
                state.told = now;
            }
            self.ends.insert((ends, who));
            return tell;
        }
        if self.typists.len() >= MAX_TYPISTS {
            return false;
        }
        self.typists.insert(who.clone(), State { who: author.clone(), told: now, ends });
        self.ends.insert((ends, who));
        true
    }

    /// Somebody types no longer: whether the others are to be told.
    pub(super) fn end(&mut self, who: &Typist) -> bool {
        let Some(state) = self.typists.remove(who) else { return false };
        self.ends.remove(&(state.ends, who.clone()));
        true
    }

    /// Those who have not said anything for too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(Typist, Author)> {
        let mut over = Vec::new();
        while self.ends.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, who)) = self.ends.pop_first() else { break };
            if let Some(state) = self.typists.remove(&who) {
                over.push((who, state.who));
            }
        }
        over
    }

    /// When somebody is over next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_once_then_seldom_and_ends_by_itself() {
        let (mut typing, now) = (Typing::default(), Instant::now());
        let id = SocketId::parse("00000000000000000001").unwrap();
        let who = ("/".to_owned(), "a".to_owned(), id);
        let ada = Author { id: "ada".to_owned(), name: None };
        let (lasts, second) = (Duration::from_secs(5), Duration::from_secs(1));
        assert!(typing.begin(who.clone(), &ada, now, lasts));
        assert!(!typing.begin(who.clone(), &ada, now + second, lasts));
        assert!(typing.begin(who.clone(), &ada, now + second * 2, lasts));
        assert!(typing.expire(now + second * 6).is_empty());
        assert_eq!(typing.next(), Some(now + second * 7));
        assert_eq!(typing.expire(now + second * 7), [(who.clone(), ada.clone())]);
        assert!(!typing.end(&who));
        assert!(typing.begin(who.clone(), &ada, now + second * 8, lasts));
        assert!(typing.end(&who));
        assert!(typing.typists.is_empty() && typing.ends.is_empty());
    }
}
