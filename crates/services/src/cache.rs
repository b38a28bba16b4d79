//! A table that forgets: entries have an end, and there are only so many.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bounded table of answers that hold for a time. When it is full of what still holds, a new answer
/// is not kept: it is asked for again, which costs time and opens nothing.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    table: Mutex<Table<K, V>>,
    max: usize,
}

#[derive(Debug)]
struct Table<K, V> {
    entries: HashMap<K, (Instant, V)>,
    swept: Option<Instant>,
}

/// How often a full table is searched for what has ended.
const SWEEP: Duration = Duration::from_secs(1);

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        let table = Table { entries: HashMap::new(), swept: None };
        Cache { table: Mutex::new(table), max }
    }

    /// The answer, if it is kept and still holds.
    pub(crate) fn find(&self, key: &K) -> Option<V> {
        let table = self.table();
        let (end, value) = table.entries.get(key)?;
        (*end > Instant::now()).then(|| value.clone())
    }

    /// Keeps an answer for a time.
    pub(crate) fn keep(&self, key: K, value: V, time: Duration) {
        let now = Instant::now();
        let mut table = self.table();
        if table.entries.len() >= self.max && !table.entries.contains_key(&key) {
            if table.swept.is_some_and(|swept| now < swept + SWEEP) {
                return;
            }
            table.swept = Some(now);
            table.entries.retain(|_, (end, _)| *end > now);
            if table.entries.len() >= self.max {
                return;
            }
        }
        table.entries.insert(key, (now + time, value));
    }

    /// Forgets what is meant.
    pub(crate) fn forget(&self, meant: impl Fn(&K, &V) -> bool) {
        let mut table = self.table();
        table.entries.retain(|key, (_, value)| !meant(key, value));
        table.swept = None;
    }

    fn table(&self) -> MutexGuard<'_, Table<K, V>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_in_time_and_holds_no_more_than_it_may() {
        let cache = Cache::new(2);
        let hour = Duration::from_secs(3_600);
        cache.keep("gone", 0, Duration::from_nanos(1));
        cache.keep("never", 0, Duration::ZERO);
        cache.keep("a", 1, hour);
        assert_eq!(
            (cache.find(&"gone"), cache.find(&"never"), cache.find(&"a")),
            (None, None, Some(1))
        );
        cache.keep("b", 2, hour);
        cache.keep("c", 3, hour);
        assert_eq!((cache.find(&"b"), cache.find(&"c")), (Some(2), None));
        cache.keep("b", 4, hour);
        cache.forget(|_, value| *value == 1);
        cache.keep("c", 3, hour);
        assert_eq!(
            (cache.find(&"a"), cache.find(&"b"), cache.find(&"c")),
            (None, Some(4), Some(3))
        );
    }
}
