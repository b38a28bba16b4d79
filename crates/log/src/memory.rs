//! The log in memory: gone with its process, and a new epoch each time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::append::check_batch;
use crate::index::Index;
use crate::query::{Bounds, PageFill, merge};
use crate::settings::millis;
use crate::watch::Watchers;
use crate::{
    AppendError, Appended, Done, Durability, Entry, Epoch, EventLog, Health, Order, Page, Position,
    Query, ReadError, Record, Session, SessionError, SessionKey, Settings, Stats, Watcher,
};

/// The log in memory. It offers [`Durability::Memory`] alone and refuses a stronger one rather
/// than to pretend. For tests, for development, and where nothing must survive the process.
pub struct MemoryLog {
    settings: Settings,
    state: Mutex<State>,
    watchers: Watchers,
    /// Held while something is changed and answered: answers come in the order of the changes,
    /// as from a log with one writer.
    turn: Mutex<()>,
}

struct State {
    epoch: Epoch,
    head: u64,
    entries: VecDeque<Arc<Entry>>,
    bytes: u64,
    index: Index,
    keys: Keys,
    sessions: BTreeMap<SessionKey, Session>,
}

/// An idempotency key in its namespace.
type Key = (Arc<str>, Arc<str>);

#[derive(Default)]
struct Keys {
    known: HashMap<Key, (u64, u64)>,
    by_sequence: BTreeMap<u64, Key>,
}

impl MemoryLog {
    /// An empty log.
    ///
    /// # Errors
    ///
    /// When the system has no randomness for the epoch.
    pub fn new(settings: Settings) -> Result<Self, getrandom::Error> {
        let state = Mutex::new(State::new(Epoch::random()?));
        Ok(Self { settings, state, watchers: Watchers::default(), turn: Mutex::new(()) })
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is completed before anything that could panic, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            head: 0,
            entries: VecDeque::new(),
            bytes: 0,
            index: Index::default(),
            keys: Keys::default(),
            sessions: BTreeMap::new(),
        }
    }

    fn position(&self, sequence: u64) -> Position {
        Position { epoch: self.epoch, sequence }
    }

    fn first(&self) -> u64 {
        self.entries.front().map_or(self.head + 1, |entry| entry.position.sequence)
    }

    fn append(&mut self, record: Record, settings: &Settings) -> Appended {
        if let Some(sequence) = self.keys.known(&record, settings) {
            return Appended { position: self.position(sequence), known: true };
        }
        self.head += 1;
        let position = self.position(self.head);
        self.keys.remember(&record, self.head, settings.max_keys);
        self.bytes += record.cost_bytes();
        self.index.insert(&record, self.head);
        self.entries.push_back(Arc::new(Entry { position, record }));
        Appended { position, known: false }
    }

    fn trim(&mut self, settings: &Settings, now_ms: u64) -> u64 {
        let mut trimmed = 0;
        while let Some(entry) = self.entries.front() {
            let kept = self.entries.len() as u64;
            if !settings.retention.drops(entry.record.time_ms, now_ms, kept, self.bytes) {
                break;
            }
            self.bytes = self.bytes.saturating_sub(entry.record.cost_bytes());
            self.index.trim(&entry.record, entry.position.sequence);
            self.entries.pop_front();
            trimmed += 1;
        }
        self.index.forget_idle(settings.max_idle_rooms);
        self.keys.expire(now_ms, millis(settings.key_age));
        trimmed
    }

    fn entry(&self, sequence: u64) -> Option<&Arc<Entry>> {
        let at = sequence.checked_sub(self.first())?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, ReadError> {
        let bounds = query.bounds(self.epoch, self.head)?;
        let first = self.first().max(bounds.after.saturating_add(1));
        let mut fill = PageFill::new(&bounds);
        let complete = match query.index_rooms() {
            None => {
                self.fill_all(&mut fill, first, &bounds, query.order);
                bounds.after + 1 >= self.first()
            }
            Some((namespace, rooms)) => {
                let mut sequences = Vec::new();
                let mut complete = true;
                for room in rooms {
                    complete &= self.index.watermark(namespace, room) <= bounds.after;
                    let (name, span) = ((namespace, room), (first, bounds.last));
                    let limit = bounds.limit.saturating_add(1);
                    sequences.extend(self.index.sequences(name, span, query.order, limit));
                }
                for sequence in merge(sequences, query.order, bounds.limit) {
                    let Some(entry) = self.entry(sequence) else { continue };
                    if !fill.push(Arc::clone(entry)) {
                        break;
                    }
                }
                complete
            }
        };
        let head = self.position(self.head);
        Ok(Page { entries: fill.entries, more: fill.more, complete, head })
    }

    fn fill_all(&self, fill: &mut PageFill, first: u64, bounds: &Bounds, order: Order) {
        let offset = |sequence: u64| {
            let at = sequence.saturating_sub(self.first());
            usize::try_from(at).unwrap_or(usize::MAX).min(self.entries.len())
        };
        let (from, to) = (offset(first), offset(bounds.last.saturating_add(1)));
        let mut found = self.entries.range(from.min(to)..to).cloned();
        match order {
            Order::OldestFirst => while found.next().is_some_and(|entry| fill.push(entry)) {},
            Order::NewestFirst => while found.next_back().is_some_and(|entry| fill.push(entry)) {},
        }
    }
}

impl Keys {
    fn known(&self, record: &Record, settings: &Settings) -> Option<u64> {
        let key = (Arc::clone(&record.namespace), Arc::clone(record.key.as_ref()?));
        let (sequence, time_ms) = self.known.get(&key)?;
        let age_ms = record.time_ms.saturating_sub(*time_ms);
        (age_ms <= millis(settings.key_age)).then_some(*sequence)
    }

    fn remember(&mut self, record: &Record, sequence: u64, max: u64) {
        let Some(key) = &record.key else { return };
        let key = (Arc::clone(&record.namespace), Arc::clone(key));
        if let Some((old, _)) = self.known.insert(key.clone(), (sequence, record.time_ms)) {
            self.by_sequence.remove(&old);
        }
        self.by_sequence.insert(sequence, key);
        while self.known.len() as u64 > max {
            let Some((_, key)) = self.by_sequence.pop_first() else { return };
            self.known.remove(&key);
        }
    }

    fn expire(&mut self, now_ms: u64, age_ms: u64) {
        while let Some(oldest) = self.by_sequence.first_entry() {
            let time_ms = self.known.get(oldest.get()).map_or(0, |(_, time_ms)| *time_ms);
            if now_ms.saturating_sub(time_ms) <= age_ms {
                return;
            }
            self.known.remove(&oldest.remove());
        }
    }
}

impl EventLog for MemoryLog {
    fn append(
        &self,
        records: Vec<Record>,
        durability: Durability,
        done: Done<Result<Vec<Appended>, AppendError>>,
    ) {
        if let Err(fault) = check_batch(&records, durability, self.strongest()) {
            return done(Err(fault));
        }
        let _turn = self.turn();
        let mut state = self.state();
        let before = state.head;
        let appended = records.into_iter().map(|record| state.append(record, &self.settings));
        let appended = appended.collect();
        let head = state.position(state.head);
        drop(state);
        if head.sequence > before {
            self.watchers.call(head);
        }
        done(Ok(appended));
    }

    fn read(&self, query: &Query<'_>) -> Result<Page, ReadError> {
        self.state().read(query)
    }

    fn read_recent(&self, query: &Query<'_>) -> Result<Option<Page>, ReadError> {
        self.read(query).map(Some)
    }

    fn head(&self) -> Position {
        let state = self.state();
        state.position(state.head)
    }

    fn first(&self) -> u64 {
        self.state().first()
    }

    fn watch(&self, watcher: Watcher) -> bool {
        self.watchers.add(watcher)
    }

    fn watermark(&self, namespace: &str, room: &str) -> Result<u64, ReadError> {
        Ok(self.state().index.watermark(namespace, room))
    }

    fn trim(&self, now_ms: u64, done: Done<Result<u64, AppendError>>) {
        let _turn = self.turn();
        let trimmed = self.state().trim(&self.settings, now_ms);
        done(Ok(trimmed));
    }

    fn reset(&self, done: Done<Result<Epoch, AppendError>>) {
        let epoch = match Epoch::random() {
            Ok(epoch) => epoch,
            Err(fault) => {
                return done(Err(AppendError::Refused(crate::Refusal::Store(fault.to_string()))));
            }
        };
        let _turn = self.turn();
        *self.state() = State::new(epoch);
        self.watchers.call(Position { epoch, sequence: 0 });
        done(Ok(epoch));
    }

    fn put_session(&self, session: Session, done: Done<Result<(), SessionError>>) {
        let _turn = self.turn();
        let answer = session.check().and_then(|()| {
            let mut state = self.state();
            match state.sessions.get(&session.key) {
                Some(known) if known.fence > session.fence => {
                    return Err(SessionError::Fenced(known.fence));
                }
                None if state.sessions.len() as u64 >= self.settings.max_sessions => {
                    return Err(SessionError::Full(self.settings.max_sessions));
                }
                _ => {}
            }
            state.sessions.insert(session.key, session);
            Ok(())
        });
        done(answer);
    }

    fn remove_session(&self, key: SessionKey, fence: u64, done: Done<Result<bool, SessionError>>) {
        let _turn = self.turn();
        let mut state = self.state();
        let answer = match state.sessions.get(&key) {
            None => Ok(false),
            Some(known) if known.fence > fence => Err(SessionError::Fenced(known.fence)),
            Some(_) => Ok(state.sessions.remove(&key).is_some()),
        };
        drop(state);
        done(answer);
    }

    fn session(&self, key: SessionKey) -> Result<Option<Session>, ReadError> {
        Ok(self.state().sessions.get(&key).cloned())
    }

    fn sessions(&self, after: Option<SessionKey>, limit: usize) -> Result<Vec<Session>, ReadError> {
        use std::ops::Bound;
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state();
        let found = state.sessions.range((after, Bound::Unbounded));
        Ok(found.take(limit).map(|(_, session)| session.clone()).collect())
    }

    fn strongest(&self) -> Durability {
        Durability::Memory
    }

    fn health(&self) -> Health {
        Health::Ready
    }

    fn journal_faults(&self) -> u64 {
        0 // it takes everything within its limits, and nothing is opened again
    }

    fn journal_is_whole(&self, _faults: u64) {}

    fn close(&self) {
        // Nothing waits, and nothing stays.
    }

    fn stats(&self) -> Stats {
        let state = self.state();
        Stats {
            entries: state.entries.len() as u64,
            bytes: state.bytes,
            sessions: state.sessions.len() as u64,
            keys: state.keys.known.len() as u64,
            ..Stats::default()
        }
    }
}
