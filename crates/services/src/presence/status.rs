//! Whether users are there: online, away, offline. Pure: time comes in.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use fanfare::SocketId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether a user is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// On at least one device.
    Online,
    /// Connected, and on no device at it.
    Away,
    /// On none.
    Offline,
}

/// A user of a namespace.
pub(super) type UserKey = (String, String);

#[derive(Debug)]
struct User {
    /// The devices, and whether the user is away from each.
    devices: HashMap<SocketId, bool>,
    status: Status,
    leaves: Option<Instant>,
}

/// The users that are connected to this node.
#[derive(Debug)]
pub(super) struct Statuses {
    grace: Duration,
    users: HashMap<UserKey, User>,
    leaving: BTreeSet<(Instant, UserKey)>,
}

impl Statuses {
    pub(super) fn new(grace: Duration) -> Self {
        Statuses { grace, users: HashMap::new(), leaving: BTreeSet::new() }
    }

    /// A device is there, or says that its user is away from it: the user's status, if it changed.
    pub(super) fn set(&mut self, key: &UserKey, device: SocketId, away: bool) -> Option<Status> {
        let user = self.users.entry(key.clone()).or_insert_with(|| User {
            devices: HashMap::new(),
            status: Status::Offline,
            leaves: None,
        });
        if let Some(at) = user.leaves.take() {
            self.leaving.remove(&(at, key.clone()));
        }
        user.devices.insert(device, away);
        user.changed()
    }

    /// A device is gone: the user's status, if it changed at once.
    pub(super) fn lose(&mut self, key: &UserKey, device: SocketId, now: Instant) -> Option<Status> {
        let user = self.users.get_mut(key)?;
        user.devices.remove(&device)?;
        if user.devices.is_empty() {
            let at = now + self.grace;
            user.leaves = Some(at);
            self.leaving.insert((at, key.clone()));
            return None;
        }
        user.changed()
    }

    /// Those who are offline by now.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<UserKey> {
        let mut gone = Vec::new();
        while self.leaving.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.leaving.pop_first() else { break };
            self.users.remove(&key);
            gone.push(key);
        }
        gone
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.leaving.first().map(|(at, _)| *at)
    }

    pub(super) fn of(&self, key: &UserKey) -> Status {
        self.users.get(key).map_or(Status::Offline, |user| user.status)
    }
}

impl User {
    fn changed(&mut self) -> Option<Status> {
        let at_one = self.devices.values().any(|away| !away);
        let status = if at_one { Status::Online } else { Status::Away };
        (status != std::mem::replace(&mut self.status, status)).then_some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_where_one_device_is() {
        let grace = Duration::from_secs(10);
        let (mut statuses, now) = (Statuses::new(grace), Instant::now());
        let key = ("/".to_owned(), "ada".to_owned());
        let device = |number: u32| SocketId::parse(&format!("{number:020}")).unwrap();
        assert_eq!(statuses.of(&key), Status::Offline);
        assert_eq!(statuses.set(&key, device(1), false), Some(Status::Online));
        assert_eq!(statuses.set(&key, device(2), true), None);
        assert_eq!(statuses.set(&key, device(1), true), Some(Status::Away));
        assert_eq!(statuses.set(&key, device(2), false), Some(Status::Online));
        assert_eq!(statuses.lose(&key, device(2), now), Some(Status::Away));
        assert_eq!(statuses.lose(&key, device(1), now), None);
        assert_eq!(statuses.lose(&key, device(1), now), None);
        assert!(statuses.expire(now).is_empty());
        assert_eq!(statuses.set(&key, device(1), true), None); // back in time
        statuses.lose(&key, device(1), now);
        assert_eq!(statuses.expire(now + grace), std::slice::from_ref(&key));
        assert!(statuses.users.is_empty() && statuses.leaving.is_empty());
        assert_eq!(statuses.set(&key, device(1), true), Some(Status::Away));
    }
}
