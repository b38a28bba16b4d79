//! Who is connected to this node, and who has just lost its connection.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::ParticipantId;

/// The participants with a connection, and those who had one a moment ago. Bounded by the connections
/// that the server lets in.
#[derive(Debug, Default)]
pub(crate) struct Presence(Mutex<HashMap<ParticipantId, Here>>);

#[derive(Debug, Clone, Copy)]
struct Here {
    sockets: u32,
    /// Since when it has none.
    gone: Option<Instant>,
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, HashMap<ParticipantId, Here>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket of a participant connected: whether that is news.
    pub(crate) fn arrive(&self, id: &ParticipantId) -> bool {
        let mut all = self.lock();
        let known = all.contains_key(id);
        let here = all.entry(id.clone()).or_insert(Here { sockets: 0, gone: None });
        (here.sockets, here.gone) = (here.sockets + 1, None);
        !known
    }

    /// A socket of a participant is gone.
    pub(crate) fn leave(&self, id: &ParticipantId, now: Instant) {
        if let Some(here) = self.lock().get_mut(id) {
            here.sockets = here.sockets.saturating_sub(1);
            if here.sockets == 0 {
                here.gone = Some(now);
            }
        }
    }

    /// Those whose last connection was lost so long ago that they count as away. They are forgotten.
    pub(crate) fn away(&self, now: Instant, after: Duration) -> Vec<ParticipantId> {
        let mut away = Vec::new();
        self.lock().retain(|id, here| {
            let is_away =
                here.gone.is_some_and(|gone| now.saturating_duration_since(gone) >= after);
            if is_away {
                away.push(id.clone());
            }
            !is_away
        });
        away
    }

    /// Whether a participant has a connection.
    pub(crate) fn has(&self, id: &ParticipantId) -> bool {
        self.lock().get(id).is_some_and(|here| here.sockets > 0)
    }

    /// How many have one.
    pub(crate) fn count(&self) -> usize {
        self.lock().values().filter(|here| here.sockets > 0).count()
    }

    /// All who have one.
    pub(crate) fn all(&self) -> Vec<ParticipantId> {
        let all = self.lock();
        all.iter().filter(|(_, here)| here.sockets > 0).map(|(id, _)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_away_when_all_its_connections_are_gone_for_long_enough() {
        let (it, id) = (Presence::default(), ParticipantId::from_random([1; 10]));
        let (begin, after) = (Instant::now(), Duration::from_secs(10));
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(it.arrive(&id));
        assert!(!it.arrive(&id), "the second device");
        it.leave(&id, at(0));
        assert!(it.has(&id) && it.away(at(100), after).is_empty());
        it.leave(&id, at(100));
        assert!(!it.has(&id) && it.all().is_empty() && it.away(at(109), after).is_empty());
        assert!(!it.arrive(&id), "it came back in time");
        assert_eq!((it.count(), it.all()), (1, vec![id.clone()]));
        it.leave(&id, at(200));
        assert_eq!(it.away(at(210), after), vec![id.clone()]);
        assert!(it.away(at(1_000), after).is_empty());
        assert!(it.arrive(&id), "it came back too late");
        it.leave(&ParticipantId::from_random([2; 10]), at(300));
    }
}
