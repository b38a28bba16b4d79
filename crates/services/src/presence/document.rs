//! Who looks at which document, and where their cursors are. Pure: time comes in, what is to be told
//! comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use fanfare::SocketId;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::colour;
use crate::caller::Author;
use crate::whereabouts::Whereabouts;

/// A document of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) document: String,
}

/// A user as others see it in a document.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Present {
    /// The user's id.
    pub id: String,
    /// The name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user's colour, everywhere the same: `#rrggbb`.
    pub color: String,
    /// On how many devices.
    pub devices: usize,
    /// What the user last said of itself: cursor, selection, anything.
    #[schema(value_type = Object)]
    pub state: Map<String, Value>,
}

/// What is to be told to those who look at a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Joined(Present),
    /// Users who have said something after a while, or who say nothing more: told for sure, so that what
    /// everybody sees in the end is the latest.
    Settled(Vec<Present>),
    /// Users who go on moving: who cannot take it at once sees the next.
    Moving(Vec<Present>),
    Left(String),
    /// In a crowd only this.
    Count(usize),
}

/// How it is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// How long somebody may be away without having left.
    pub(super) grace: Duration,
    /// The time between two updates of a document.
    pub(super) interval: Duration,
    /// In documents with more users than this only the count is told.
    pub(super) crowd: usize,
    /// The largest state of a user, in bytes of JSON.
    pub(super) max_state_bytes: usize,
}

/// Who has said nothing for so long moves no more.
const QUIET: Duration = Duration::from_millis(500);

/// Why an update changes nothing. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotUpdated {
    /// The user does not look at the document.
    Absent,
    /// The state would be larger than it may be.
    TooLarge,
}

#[derive(Debug)]
struct User {
    name: Option<String>,
    devices: Vec<SocketId>,
    state: Map<String, Value>,
    changed: bool,
    /// When it was last told where the user is.
    told: Option<Instant>,
    /// That was said in passing, and is told again.
    in_passing: bool,
    leaves: Option<Instant>,
}

#[derive(Debug, Default)]
struct Document {
    users: BTreeMap<String, User>,
    /// When updates were last told.
    told: Option<Instant>,
    /// When they are told next, if something changed.
    due: Option<Instant>,
    /// When those who move no more are told again.
    settles: Option<Instant>,
    count_changed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Flush(Key),
    Settle(Key),
    Leave(Key, String),
}

/// All documents that somebody looks at, on this node.
#[derive(Debug)]
pub(super) struct Documents {
    rules: Rules,
    documents: HashMap<Key, Document>,
    /// What each device looks at. Not asked of its socket, whose rooms may be left in other ways.
    devices: Whereabouts<Key>,
    timers: BTreeSet<(Instant, Timer)>,
}

impl Documents {
    pub(super) fn new(rules: Rules) -> Self {
        Documents {
            rules,
            documents: HashMap::new(),
            devices: Whereabouts::default(),
            timers: BTreeSet::new(),
        }
    }

    /// A device looks at a document: what the others are told.
    pub(super) fn enter(
        &mut self,
        key: &Key,
        who: &Author,
        device: SocketId,
        now: Instant,
    ) -> Option<Told> {
        let document = self.documents.entry(key.clone()).or_default();
        let fresh = !document.users.contains_key(&who.id);
        self.devices.enter(device, key);
        let user = document.users.entry(who.id.clone()).or_insert_with(|| User {
            name: who.name.clone(),
            devices: Vec::new(),
            state: Map::new(),
            changed: false,
            told: None,
            in_passing: false,
            leaves: None,
        });
        if !user.devices.contains(&device) {
            user.devices.push(device);
        }
        if let Some(at) = user.leaves.take() {
            self.timers.remove(&(at, Timer::Leave(key.clone(), who.id.clone())));
        }
        if !fresh {
            return None;
        }
        let told = present(&who.id, user);
        if document.users.len() > self.rules.crowd {
            document.count_changed = true;
            self.schedule(key, now);
            return None;
        }
        Some(Told::Joined(told))
    }

    /// A device looks away on purpose: what the others are told.
    pub(super) fn leave(
        &mut self,
        key: &Key,
        who: &str,
        device: SocketId,
        now: Instant,
    ) -> Option<Told> {
        self.devices.leave(device, key);
        let user = self.documents.get_mut(key)?.users.get_mut(who)?;
        let was_here = user.devices.contains(&device);
        user.devices.retain(|other| *other != device);
        if was_here && user.devices.is_empty() { self.remove(key, who, now) } else { None }
    }

    /// A device lost its connection: its user leaves after a while, unless it is back.
    pub(super) fn lose(&mut self, key: &Key, who: &str, device: SocketId, now: Instant) {
        self.devices.leave(device, key);
        let Some(document) = self.documents.get_mut(key) else { return };
        let Some(user) = document.users.get_mut(who) else { return };
        user.devices.retain(|other| *other != device);
        if user.devices.is_empty() && user.leaves.is_none() {
            let at = now + self.rules.grace;
            user.leaves = Some(at);
            self.timers.insert((at, Timer::Leave(key.clone(), who.to_owned())));
        }
    }

    /// What a device looks at.
    pub(super) fn seen_by(&self, device: SocketId) -> Vec<Key> {
        self.devices.of(device)
    }

    /// The coming that brought a device to a document, if it looks at it.
    pub(super) fn coming(&self, key: &Key, device: SocketId) -> Option<u64> {
        self.devices.coming(device, key)
    }

    /// A user says something of itself: it is told with the next update of the document, the latest
    /// word only. What is `null` is taken out. It counts what the state becomes: many small updates make a
    /// large one too.
    pub(super) fn update(
        &mut self,
        key: &Key,
        who: &str,
        state: Map<String, Value>,
        now: Instant,
    ) -> Result<(), NotUpdated> {
        let user = self.documents.get_mut(key).and_then(|it| it.users.get_mut(who));
        let user = user.ok_or(NotUpdated::Absent)?;
        let mut merged = user.state.clone();
        for (field, value) in state {
            if value.is_null() {
                merged.remove(&field);
            } else {
                merged.insert(field, value);
            }
        }
        let size = serde_json::to_string(&merged).map_or(usize::MAX, |text| text.len());
        if size > self.rules.max_state_bytes {
            return Err(NotUpdated::TooLarge);
        }
        user.state = merged;
        user.changed = true;
        self.schedule(key, now);
        Ok(())
    }

    /// Who looks at a document; in a crowd nobody is named.
    pub(super) fn state(&self, key: &Key) -> (Vec<Present>, usize) {
        let Some(document) = self.documents.get(key) else { return (Vec::new(), 0) };
        let count = document.users.len();
        let named = document.users.iter().filter(|_| count <= self.rules.crowd);
        (named.map(|(id, user)| present(id, user)).collect(), count)
    }

    /// When something is to be done next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What is to be told by now.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(Key, Told)> {
        let mut told = Vec::new();
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, timer)) = self.timers.pop_first() else { break };
            match timer {
                Timer::Leave(key, who) => {
                    let left = self.remove(&key, &who, now);
                    told.extend(left.map(|left| (key, left)));
                }
                Timer::Flush(key) => {
                    let flushed = self.flush(&key, now);
                    told.extend(flushed.into_iter().map(|it| (key.clone(), it)));
                }
                Timer::Settle(key) => {
                    let settled = self.settle(&key, now);
                    told.extend(settled.map(|it| (key, it)));
                }
            }
        }
        told
    }

    fn flush(&mut self, key: &Key, now: Instant) -> Vec<Told> {
        let Some(document) = self.documents.get_mut(key) else { return Vec::new() };
        (document.due, document.told) = (None, Some(now));
        let count = document.users.len();
        let mut told = Vec::new();
        if std::mem::take(&mut document.count_changed) {
            told.push(Told::Count(count));
        }
        let crowd = count > self.rules.crowd;
        let changed = document.users.iter_mut().filter(|(_, user)| user.changed);
        let (mut settled, mut moving) = (Vec::new(), Vec::new());
        for (id, user) in changed {
            user.changed = false;
            if crowd {
                continue;
            }
            user.in_passing = user.told.replace(now).is_some_and(|told| now < told + QUIET);
            let to = if user.in_passing { &mut moving } else { &mut settled };
            to.push(present(id, user));
        }
        if !moving.is_empty() && document.settles.is_none() {
            document.settles = Some(now + QUIET);
            self.timers.insert((now + QUIET, Timer::Settle(key.clone())));
        }
        told.extend((!settled.is_empty()).then_some(Told::Settled(settled)));
        told.extend((!moving.is_empty()).then_some(Told::Moving(moving)));
        told
    }

    /// Those who move no more; of the others again later.
    fn settle(&mut self, key: &Key, now: Instant) -> Option<Told> {
        let document = self.documents.get_mut(key)?;
        document.settles = None;
        let crowd = document.users.len() > self.rules.crowd;
        let (mut settled, mut next) = (Vec::new(), None);
        for (id, user) in document.users.iter_mut().filter(|(_, user)| user.in_passing) {
            let at = user.told.unwrap_or(now) + QUIET;
            if at > now && !crowd {
                next = next.map_or(Some(at), |next: Instant| Some(next.min(at)));
                continue;
            }
            user.in_passing = false;
            if !crowd {
                settled.push(present(id, user));
            }
        }
        if let Some(at) = next {
            document.settles = Some(at);
            self.timers.insert((at, Timer::Settle(key.clone())));
        }
        (!settled.is_empty()).then_some(Told::Settled(settled))
    }

    /// The first update is told at once, the next ones an interval apart.
    fn schedule(&mut self, key: &Key, now: Instant) {
        let Some(document) = self.documents.get_mut(key).filter(|it| it.due.is_none()) else {
            return;
        };
        let at = document.told.map_or(now, |told| (told + self.rules.interval).max(now));
        document.due = Some(at);
        self.timers.insert((at, Timer::Flush(key.clone())));
    }

    fn remove(&mut self, key: &Key, who: &str, now: Instant) -> Option<Told> {
        let document = self.documents.get_mut(key)?;
        document.users.remove(who)?;
        if document.users.is_empty() {
            if let Some(at) = document.due {
                self.timers.remove(&(at, Timer::Flush(key.clone())));
            }
            if let Some(at) = document.settles {
                self.timers.remove(&(at, Timer::Settle(key.clone())));
            }
            self.documents.remove(key);
            return None;
        }
        if document.users.len() >= self.rules.crowd {
            document.count_changed = true;
            self.schedule(key, now);
            // When the last of a crowd has gone, those who are left do not know each other by name.
            return None;
        }
        Some(Told::Left(who.to_owned()))
    }
}

fn present(id: &str, user: &User) -> Present {
    Present {
        id: id.to_owned(),
        name: user.name.clone(),
        color: colour::of(id),
        devices: user.devices.len(),
        state: user.state.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const RULES: Rules = Rules {
        grace: Duration::from_secs(10),
        interval: Duration::from_millis(50),
        crowd: 3,
        max_state_bytes: 1_000,
    };

    fn key() -> Key {
        Key { namespace: "/".to_owned(), document: "d".to_owned() }
    }

    fn author(id: &str) -> Author {
        Author { id: id.to_owned(), name: None }
    }

    fn device(number: u32) -> SocketId {
        SocketId::parse(&format!("{number:020}")).unwrap()
    }

    fn cursor(at: u32) -> Map<String, Value> {
        json!({ "cursor": at }).as_object().unwrap().clone()
    }

    #[test]
    fn updates_are_conflated_and_the_last_one_is_told() {
        let (mut documents, now) = (Documents::new(RULES), Instant::now());
        assert!(matches!(
            documents.enter(&key(), &author("a"), device(1), now),
            Some(Told::Joined(_))
        ));
        assert_eq!(documents.update(&key(), "b", cursor(1), now), Err(NotUpdated::Absent));
        let mut told = Vec::new();
        for step in 0..100 {
            let now = now + Duration::from_millis(step);
            let cursor = cursor(u32::try_from(step).unwrap());
            assert_eq!(documents.update(&key(), "a", cursor, now), Ok(()));
            told.extend(documents.expire(now));
        }
        told.extend(documents.expire(now + Duration::from_secs(1)));
        assert!(documents.deadline().is_none());
        let cursors: Vec<_> = told
            .iter()
            .map(|(_, told)| match told {
                Told::Moving(users) => (users[0].state["cursor"].as_u64().unwrap(), "moving"),
                Told::Settled(users) => (users[0].state["cursor"].as_u64().unwrap(), "settled"),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(cursors, [(0, "settled"), (50, "moving"), (99, "settled")]);
    }

    #[test]
    fn the_last_place_is_told_for_sure_once() {
        let (mut documents, begin) = (Documents::new(RULES), Instant::now());
        documents.enter(&key(), &author("a"), device(1), begin);
        let mut told = Vec::new();
        for step in 0..200_u32 {
            let now = begin + Duration::from_millis(10) * step;
            if step < 100 {
                assert_eq!(documents.update(&key(), "a", cursor(step), now), Ok(()));
            }
            told.extend(documents.expire(now).into_iter().map(|(_, told)| told));
        }
        let settled = |told: &Told| match told {
            Told::Settled(users) => Some(users[0].state["cursor"].as_u64().unwrap()),
            _ => None,
        };
        let sure: Vec<u64> = told.iter().filter_map(settled).collect();
        assert_eq!(sure, [0, 99], "{told:?}");
        assert!((20..25).contains(&told.len()), "{}", told.len());
        assert!(documents.deadline().is_none());
        documents.leave(&key(), "a", device(1), begin);
        assert!(documents.timers.is_empty());
    }

    #[test]
    fn many_small_updates_make_no_large_state() {
        let (mut documents, now) = (Documents::new(RULES), Instant::now());
        documents.enter(&key(), &author("a"), device(1), now);
        let field = |name: &str, value: Value| Map::from_iter([(name.to_owned(), value)]);
        let taken = (0..100)
            .take_while(|number| {
                let update = field(&format!("f{number}"), json!("x".repeat(50)));
                documents.update(&key(), "a", update, now).is_ok()
            })
            .count();
        assert!((8..20).contains(&taken), "{taken}");
        let size = serde_json::to_string(&documents.state(&key()).0[0].state).unwrap().len();
        assert!(size <= RULES.max_state_bytes, "{size}");
        assert_eq!(documents.update(&key(), "a", field("f0", Value::Null), now), Ok(()));
        let again = field("g", json!("x".repeat(50)));
        assert_eq!(documents.update(&key(), "a", again, now), Ok(()));
    }

    #[test]
    fn a_reconnect_does_not_flicker() {
        let (mut documents, now) = (Documents::new(RULES), Instant::now());
        documents.enter(&key(), &author("b"), device(2), now);
        documents.enter(&key(), &author("a"), device(1), now);
        documents.lose(&key(), "a", device(1), now);
        assert!(documents.expire(now + RULES.grace - Duration::from_millis(1)).is_empty());
        assert_eq!(documents.enter(&key(), &author("a"), device(3), now), None);
        assert!(documents.expire(now + RULES.grace).is_empty());
        documents.lose(&key(), "a", device(3), now);
        assert_eq!(documents.expire(now + RULES.grace), [(key(), Told::Left("a".to_owned()))]);
        assert_eq!(documents.leave(&key(), "b", device(2), now), None);
        assert!(documents.documents.is_empty() && documents.timers.is_empty());
        assert!(documents.devices.is_empty());
    }

    #[test]
    fn a_crowd_is_counted() {
        let (mut documents, now) = (Documents::new(RULES), Instant::now());
        for number in 0..3 {
            assert!(
                documents
                    .enter(&key(), &author(&number.to_string()), device(number), now)
                    .is_some()
            );
        }
        assert_eq!(documents.enter(&key(), &author("3"), device(3), now), None);
        assert_eq!(documents.expire(now), [(key(), Told::Count(4))]);
        assert_eq!(documents.state(&key()), (Vec::new(), 4));
        assert_eq!(documents.update(&key(), "0", cursor(1), now), Ok(()));
        assert!(documents.expire(now + RULES.interval).is_empty());
    }

    proptest! {
        /// What is told adds up to who is there: an observer that hears everything knows the users.
        #[test]
        fn what_is_told_adds_up(steps in prop::collection::vec((0..5u8, 0..3u8), 0..150)) {
            let rules = Rules { crowd: 10, ..RULES };
            let (mut documents, mut now) = (Documents::new(rules), Instant::now());
            // Somebody who is always there, so that the document stays.
            documents.enter(&key(), &author("z"), device(99), now);
            let mut heard: BTreeSet<String> = BTreeSet::new();
            for (step, user) in steps {
                let (id, own) = (user.to_string(), device(u32::from(user)));
                let told = match step {
                    0 => documents.enter(&key(), &author(&id), own, now),
                    1 => documents.leave(&key(), &id, own, now),
                    2 => { documents.lose(&key(), &id, own, now); None }
                    3 => { documents.update(&key(), &id, cursor(1), now).ok(); None }
                    _ => { now += Duration::from_secs(4); None }
                };
                let expired = documents.expire(now).into_iter().map(|(_, told)| told);
                for told in told.into_iter().chain(expired) {
                    match told {
                        Told::Joined(user) => prop_assert!(heard.insert(user.id)),
                        Told::Left(id) => prop_assert!(heard.remove(&id)),
                        Told::Moving(users) | Told::Settled(users) => {
                            prop_assert!(users.iter().all(|user| heard.contains(&user.id)));
                        }
                        Told::Count(_) => prop_assert!(false, "no crowd here"),
                    }
                }
                let there = documents.state(&key()).0.into_iter().map(|user| user.id);
                let there: BTreeSet<String> = there.filter(|id| id != "z").collect();
                prop_assert_eq!(&heard, &there);
            }
        }
    }
}
