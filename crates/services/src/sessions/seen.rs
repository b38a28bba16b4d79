//! Who takes part, and when each has shown itself last. Pure: time comes in.

use std::collections::{BTreeMap, HashMap};

use fanfare::SocketId;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::time::json;

/// How long somebody who left is remembered.
const REMEMBERED_MS: u64 = 3_600_000;

/// How many who left are remembered on this node.
const MAX_REMEMBERED: usize = 100_000;

/// Somebody who takes part in a session, or lately has.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// The id it gave, or the user's.
    pub participant_id: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// Its sockets.
    pub sockets: Vec<String>,
    /// When it has shown itself last.
    #[schema(value_type = String)]
    pub last_seen: Value,
}

/// A session of a namespace.
pub(super) type SessionKey = (String, String);

/// Participants by session.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sessions: HashMap<SessionKey, BTreeMap<String, One>>,
    /// How many have left and are remembered.
    gone: usize,
}

#[derive(Debug, Default)]
struct One {
    sockets: Vec<SocketId>,
    last_ms: u64,
}

impl Seen {
    /// Somebody has shown itself.
    pub(super) fn saw(
        &mut self,
        key: SessionKey,
        participant: &str,
        socket: SocketId,
        now_ms: u64,
    ) {
        let session = self.sessions.entry(key).or_default();
        let known = session.contains_key(participant);
        let one = session.entry(participant.to_owned()).or_default();
        if known && one.sockets.is_empty() {
            self.gone = self.gone.saturating_sub(1);
        }
        if !one.sockets.contains(&socket) {
            one.sockets.push(socket);
        }
        one.last_ms = now_ms;
    }

    /// A socket of somebody is gone.
    pub(super) fn left(
        &mut self,
        key: &SessionKey,
        participant: &str,
        socket: SocketId,
        now_ms: u64,
    ) {
        let Some(one) = self.sessions.get_mut(key).and_then(|all| all.get_mut(participant)) else {
            return;
        };
        let was_here = !one.sockets.is_empty();
        one.sockets.retain(|other| *other != socket);
        if was_here && one.sockets.is_empty() {
            one.last_ms = now_ms;
            self.gone += 1;
            if self.gone > MAX_REMEMBERED {
                self.forget_before(u64::MAX);
            }
        }
    }

    /// Forgets who left long ago.
    pub(super) fn forget(&mut self, now_ms: u64) {
        self.forget_before(now_ms.saturating_sub(REMEMBERED_MS));
    }

    fn forget_before(&mut self, oldest_ms: u64) {
        let mut gone = 0;
        self.sessions.retain(|_, session| {
            session.retain(|_, one| !one.sockets.is_empty() || one.last_ms >= oldest_ms);
            gone += session.values().filter(|one| one.sockets.is_empty()).count();
            !session.is_empty()
        });
        self.gone = gone;
    }

    pub(super) fn participants(&self, namespace: &str, session: &str) -> Vec<Participant> {
        let key = (namespace.to_owned(), session.to_owned());
        let session = self.sessions.get(&key).into_iter().flatten();
        let told = |(id, one): (&String, &One)| Participant {
            participant_id: id.clone(),
            connected: !one.sockets.is_empty(),
            sockets: one.sockets.iter().map(ToString::to_string).collect(),
            last_seen: json(one.last_ms),
        };
        session.map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_is_remembered_for_a_while() {
        let (mut seen, one) = (Seen::default(), SocketId::parse("00000000000000000001").unwrap());
        let other = SocketId::parse("00000000000000000002").unwrap();
        let key = ("/".to_owned(), "s".to_owned());
        seen.saw(key.clone(), "ada", one, 1);
        seen.saw(key.clone(), "ada", other, 2);
        seen.left(&key, "ada", one, 3);
        seen.forget(u64::MAX);
        assert_eq!(seen.participants("/", "s")[0].sockets, [other.to_string()]);
        seen.left(&key, "ada", other, 4);
        seen.left(&key, "ada", other, 5);
        assert!(!seen.participants("/", "s")[0].connected);
        assert_eq!(seen.gone, 1);
        seen.forget(4 + REMEMBERED_MS);
        assert_eq!(seen.participants("/", "s").len(), 1);
        seen.saw(key.clone(), "ada", one, 6);
        assert_eq!(seen.gone, 0);
        seen.left(&key, "ada", one, 7);
        seen.forget(8 + REMEMBERED_MS);
        assert!(seen.sessions.is_empty() && seen.gone == 0);
    }
}
