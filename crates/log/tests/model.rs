//! Random operations on both forms of the log, against a plain list: whatever is done, each
//! answer and each page is what the list says. The log on disk is also closed and opened again.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eventlog::{
    Durability, EventLog, MemoryLog, Order, Position, Query, Record, Retention, Scope, Session,
    SessionError, SessionKey, SessionRoom, Settings, SqliteLog, SqliteSettings, append_wait, wait,
};
use proptest::prelude::*;

const ROOMS: [&str; 4] = ["a", "b", "c", "d"];
const NAMESPACES: [&str; 2] = ["/", "/admin"];
const MAX_KEYS: usize = 3;
const KEY_AGE_MS: u64 = 40;
const MAX_SESSIONS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(Record, bool)>),
    Trim(u64),
    Read {
        rooms: Option<(usize, Vec<usize>, bool)>,
        after: u64,
        before: u64,
        newest: bool,
        limit: usize,
        max_bytes: u64,
    },
    Put {
        key: u8,
        fence: u64,
        time_ms: u64,
    },
    Remove {
        key: u8,
        fence: u64,
    },
    Reset,
    Reopen,
}

fn records() -> impl Strategy<Value = Record> {
    let rooms = prop::collection::vec(0..ROOMS.len(), 0..3);
    let key = prop::option::weighted(0.4, 0..5_u8);
    (0..2_usize, rooms, 0..100_u64, key, 0..30_usize).prop_map(
        |(namespace, rooms, time_ms, key, size)| Record {
            namespace: NAMESPACES[namespace].into(),
            rooms: rooms.into_iter().map(|room| Arc::from(ROOMS[room])).collect(),
            except: Arc::default(),
            name: "n".into(),
            payload: vec![b'x'; size].into(),
            time_ms,
            key: key.map(|key| format!("key-{key}").into()),
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let rooms = (0..2_usize, prop::collection::vec(0..ROOMS.len(), 0..4), any::<bool>());
    let read = (
        prop::option::weighted(0.8, rooms),
        0..40_u64,
        0..40_u64,
        any::<bool>(),
        0..8_usize,
        0..200_u64,
    );
    prop_oneof![
        6 => prop::collection::vec((records(), any::<bool>()), 0..6).prop_map(Step::Append),
        2 => (0..200_u64).prop_map(Step::Trim),
        6 => read.prop_map(|(rooms, after, before, newest, limit, max_bytes)| {
            Step::Read { rooms, after, before, newest, limit, max_bytes }
        }),
        2 => (0..3_u8, 0..4_u64, any::<u32>())
            .prop_map(|(key, fence, time)| Step::Put { key, fence, time_ms: time.into() }),
        1 => (0..3_u8, 0..4_u64).prop_map(|(key, fence)| Step::Remove { key, fence }),
        1 => Just(Step::Reopen),
        1 => prop::bool::weighted(0.2)
            .prop_map(|reset| if reset { Step::Reset } else { Step::Reopen }),
    ]
}

fn settings() -> Settings {
    Settings {
        retention: Retention {
            max_age: Duration::from_millis(50),
            max_entries: 12,
            max_bytes: 400,
        },
        key_age: Duration::from_millis(KEY_AGE_MS),
        max_keys: MAX_KEYS as u64,
        max_sessions: MAX_SESSIONS as u64,
        ..Settings::default()
    }
}

/// The log as a plain list of everything that was ever appended in this life.
#[derive(Default)]
struct Model {
    all: Vec<Record>,
    /// How many of them were trimmed.
    trimmed: usize,
    /// Namespace, key, sequence, time; in the order of their sequences.
    keys: Vec<(Arc<str>, Arc<str>, u64, u64)>,
    sessions: BTreeMap<SessionKey, Session>,
}

/// Where an entry is in the list.
fn index(sequence: u64) -> usize {
    usize::try_from(sequence).unwrap() - 1
}

fn named(record: &Record, room: &str) -> bool {
    if room.is_empty() {
        record.rooms.is_empty()
    } else {
        record.rooms.iter().any(|r| **r == *room)
    }
}

impl Model {
    fn append(&mut self, record: &Record) -> (u64, bool) {
        if let Some(key) = &record.key {
            let at = self.keys.iter().position(|k| k.0 == record.namespace && k.1 == *key);
            if let Some(at) = at {
                let (.., sequence, time_ms) = self.keys[at];
                if record.time_ms.saturating_sub(time_ms) <= KEY_AGE_MS {
                    return (sequence, true);
                }
                self.keys.remove(at);
            }
        }
        self.all.push(record.clone());
        let sequence = self.all.len() as u64;
        if let Some(key) = &record.key {
            self.keys.push((record.namespace.clone(), key.clone(), sequence, record.time_ms));
            if self.keys.len() > MAX_KEYS {
                self.keys.remove(0);
            }
        }
        (sequence, false)
    }

    fn trim(&mut self, now_ms: u64) -> u64 {
        let mut count = 0;
        while let Some(oldest) = self.all.get(self.trimmed) {
            let kept = &self.all[self.trimmed..];
            let bytes: u64 = kept.iter().map(Record::cost_bytes).sum();
            if kept.len() <= 12 && bytes <= 400 && now_ms.saturating_sub(oldest.time_ms) <= 50 {
                break;
            }
            self.trimmed += 1;
            count += 1;
        }
        while self.keys.first().is_some_and(|key| now_ms.saturating_sub(key.3) > KEY_AGE_MS) {
            self.keys.remove(0);
        }
        count
    }

    fn watermark(&self, namespace: &str, room: &str) -> u64 {
        let trimmed = &self.all[..self.trimmed];
        let last = trimmed.iter().rposition(|r| *r.namespace == *namespace && named(r, room));
        last.map_or(0, |at| at as u64 + 1)
    }

    /// The sequences of a page, whether there is more, and whether it is complete.
    fn read(&self, query: &Query<'_>) -> (Vec<u64>, bool, bool) {
        let after = query.after.map_or(0, |p| p.sequence);
        let last = query.before.map_or(u64::MAX, |p| p.sequence.saturating_sub(1));
        let (mut wanted, complete): (Vec<u64>, bool) = match query.scope {
            Scope::All => ((1..=self.all.len() as u64).collect(), after >= self.trimmed as u64),
            Scope::Rooms { namespace, rooms, everyone } => {
                let mut names: Vec<&str> = rooms.iter().map(|r| &**r).collect();
                names.extend(everyone.then_some(""));
                let wants =
                    |r: &Record| *r.namespace == *namespace && names.iter().any(|n| named(r, n));
                let all = self.all.iter().enumerate().filter(|(_, r)| wants(r));
                let complete = names.iter().all(|n| self.watermark(namespace, n) <= after);
                (all.map(|(at, _)| at as u64 + 1).collect(), complete)
            }
        };
        wanted.retain(|s| *s > self.trimmed as u64 && *s > after && *s <= last);
        if query.order == Order::NewestFirst {
            wanted.reverse();
        }
        let (mut page, mut bytes) = (Vec::new(), 0);
        for sequence in &wanted {
            bytes += self.all[index(*sequence)].cost_bytes();
            if page.len() == query.limit || (!page.is_empty() && bytes > query.max_bytes) {
                break;
            }
            page.push(*sequence);
        }
        let more = page.len() < wanted.len();
        (page, more, complete)
    }

    fn put(&mut self, session: &Session) -> Result<(), SessionError> {
        match self.sessions.get(&session.key) {
            Some(known) if known.fence > session.fence => Err(SessionError::Fenced(known.fence)),
            None if self.sessions.len() == MAX_SESSIONS => {
                Err(SessionError::Full(MAX_SESSIONS as u64))
            }
            _ => {
                self.sessions.insert(session.key, session.clone());
                Ok(())
            }
        }
    }

    fn remove(&mut self, key: SessionKey, fence: u64) -> Result<bool, SessionError> {
        match self.sessions.get(&key) {
            Some(known) if known.fence > fence => Err(SessionError::Fenced(known.fence)),
            _ => Ok(self.sessions.remove(&key).is_some()),
        }
    }
}

/// Does the steps on a log and on the list; `reopen` gives the log anew.
fn compare(
    steps: &[Step],
    mut log: Box<dyn EventLog>,
    mut reopen: impl FnMut(Box<dyn EventLog>) -> Box<dyn EventLog>,
) {
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append(batch) => {
                let records: Vec<Record> = batch.iter().map(|(record, _)| record.clone()).collect();
                let want: Vec<_> = records.iter().map(|record| model.append(record)).collect();
                let got = append_wait(&*log, records, Durability::Memory).unwrap();
                let got: Vec<_> = got.iter().map(|a| (a.position.sequence, a.known)).collect();
                assert_eq!(got, want);
            }
            Step::Trim(now_ms) => {
                let got = wait(|done| log.trim(*now_ms, done)).unwrap().unwrap();
                assert_eq!(got, model.trim(*now_ms));
            }
            Step::Read { .. } => read(step, &*log, &model),
            Step::Put { key, fence, time_ms } => {
                let session = session(&*log, *key, *fence, *time_ms);
                let want = model.put(&session);
                assert_eq!(wait(|done| log.put_session(session, done)).unwrap(), want);
            }
            Step::Remove { key, fence } => {
                let key = SessionKey([*key; 32]);
                let got = wait(|done| log.remove_session(key, *fence, done)).unwrap();
                assert_eq!(got, model.remove(key, *fence));
            }
            Step::Reset => {
                wait(|done| log.reset(done)).unwrap().unwrap();
                model = Model::default();
            }
            Step::Reopen => log = reopen(log),
        }
        let head = model.all.len() as u64;
        assert_eq!((log.first(), log.head().sequence), (model.trimmed as u64 + 1, head));
    }
    for (namespace, room) in NAMESPACES.iter().flat_map(|n| ROOMS.iter().map(move |r| (n, r))) {
        assert_eq!(log.watermark(namespace, room), Ok(model.watermark(namespace, room)));
    }
    let kept = &model.all[model.trimmed..];
    let stats = log.stats();
    let bytes = kept.iter().map(Record::cost_bytes).sum();
    assert_eq!((stats.entries, stats.bytes), (kept.len() as u64, bytes));
    let counts = (model.sessions.len() as u64, model.keys.len() as u64);
    assert_eq!((stats.sessions, stats.keys), counts);
    let sessions: Vec<Session> = model.sessions.values().cloned().collect();
    assert_eq!(log.sessions(None, 10), Ok(sessions));
}

fn read(step: &Step, log: &dyn EventLog, model: &Model) {
    let Step::Read { rooms, after, before, newest, limit, max_bytes } = step else { return };
    let head = log.head();
    let names: Vec<Arc<str>> =
        rooms.iter().flat_map(|(_, rooms, _)| rooms.iter().map(|r| Arc::from(ROOMS[*r]))).collect();
    let scope = match rooms {
        None => Scope::All,
        Some((namespace, _, everyone)) => {
            Scope::Rooms { namespace: NAMESPACES[*namespace], rooms: &names, everyone: *everyone }
        }
    };
    let at = |sequence: u64| Some(Position { sequence, ..head });
    let query = Query {
        scope,
        after: if *after <= head.sequence { at(*after) } else { None },
        before: if *before > 0 { at(*before) } else { None },
        order: if *newest { Order::NewestFirst } else { Order::OldestFirst },
        limit: *limit,
        max_bytes: *max_bytes,
    };
    let page = log.read(&query).unwrap();
    let (want, more, complete) = model.read(&query);
    let got: Vec<u64> = page.entries.iter().map(|entry| entry.position.sequence).collect();
    assert_eq!((got, page.more, page.complete), (want, more, complete), "{query:?}");
    for entry in &page.entries {
        assert_eq!(entry.record, model.all[index(entry.position.sequence)]);
        assert_eq!(entry.position.epoch, head.epoch);
    }
}

fn session(log: &dyn EventLog, key: u8, fence: u64, time_ms: u64) -> Session {
    Session {
        key: SessionKey([key; 32]),
        socket: "socket".into(),
        subject: None,
        namespace: "/".into(),
        rooms: vec![SessionRoom { name: "a".into(), since: time_ms }],
        start: log.head(),
        fence,
        time_ms,
        state: vec![key; 3].into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_log_in_memory_is_a_list(steps in prop::collection::vec(steps(), 0..60)) {
        compare(&steps, Box::new(MemoryLog::new(settings()).unwrap()), |log| log);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_log_on_disk_is_a_list(
        steps in prop::collection::vec(steps(), 0..60), recent_entries in 0..20_usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let open = || {
            let defaults = SqliteSettings::new(&path);
            let settings = SqliteSettings { log: settings(), recent_entries, ..defaults };
            SqliteLog::open(settings).unwrap()
        };
        compare(&steps, Box::new(open()), |log| {
            let epoch = log.epoch();
            drop(log);
            let log = open();
            assert_eq!((log.epoch(), &log.report().change), (epoch, &None));
            Box::new(log)
        });
    }
}
