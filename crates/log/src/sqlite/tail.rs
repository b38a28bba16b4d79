//! What can be read, and the last entries of it in memory.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::query::PageFill;
use crate::{Entry, Epoch, Order, Page, Position, Query, ReadError, Scope};

/// The published end of the log: a reader sees nothing beyond its head.
pub(super) struct Tail {
    pub(super) epoch: Epoch,
    pub(super) head: u64,
    /// The first sequence that is kept in the log, not in this tail.
    pub(super) first: u64,
    entries: VecDeque<Arc<Entry>>,
    bytes: u64,
    max_entries: usize,
    max_bytes: u64,
}

impl Tail {
    pub(super) fn new(head: Position, first: u64, (max_entries, max_bytes): (usize, u64)) -> Self {
        let (epoch, head) = (head.epoch, head.sequence);
        Self { epoch, head, first, entries: VecDeque::new(), bytes: 0, max_entries, max_bytes }
    }

    /// Makes entries readable, and forgets what was trimmed.
    pub(super) fn publish(&mut self, entries: Vec<Arc<Entry>>, head: Position, first: u64) {
        if self.epoch != head.epoch {
            self.clear();
        }
        for entry in entries {
            let sequence = entry.position.sequence;
            if self.entries.back().is_some_and(|last| last.position.sequence + 1 != sequence) {
                self.clear();
            }
            self.bytes += entry.record.cost_bytes();
            self.entries.push_back(entry);
        }
        (self.epoch, self.head, self.first) = (head.epoch, head.sequence, first);
        if self.entries.back().is_some_and(|last| last.position.sequence != head.sequence) {
            self.clear(); // what is missing here is in the store, and read from there
        }
        while let Some(oldest) = self.entries.front() {
            let over = self.entries.len() > self.max_entries || self.bytes > self.max_bytes;
            if !over && oldest.position.sequence >= first {
                break;
            }
            self.bytes = self.bytes.saturating_sub(oldest.record.cost_bytes());
            self.entries.pop_front();
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    pub(super) fn position(&self) -> Position {
        Position { epoch: self.epoch, sequence: self.head }
    }

    /// The page, if all that came after its `after` is here.
    pub(super) fn read(&self, query: &Query<'_>) -> Result<Option<Page>, ReadError> {
        let bounds = query.bounds(self.epoch, self.head)?;
        let oldest = self.entries.front().map_or(self.head + 1, |entry| entry.position.sequence);
        if bounds.after.saturating_add(1) < oldest {
            return Ok(None);
        }
        let offset = |sequence: u64| {
            let at = usize::try_from(sequence.saturating_sub(oldest)).unwrap_or(usize::MAX);
            at.min(self.entries.len())
        };
        let from = offset(bounds.after.saturating_add(1));
        let to = offset(bounds.last.saturating_add(1)).max(from);
        let mut fill = PageFill::new(&bounds);
        let wanted = Wanted::new(query);
        let mut push = |entry: &Arc<Entry>| !wanted.has(entry) || fill.push(Arc::clone(entry));
        let mut found = self.entries.range(from..to);
        match query.order {
            Order::OldestFirst => while found.next().is_some_and(&mut push) {},
            Order::NewestFirst => while found.next_back().is_some_and(&mut push) {},
        }
        let head = self.position();
        // Whatever was trimmed stood before the oldest entry here.
        Ok(Some(Page { entries: fill.entries, more: fill.more, complete: true, head }))
    }
}

/// [`Query::wants`] for many entries: many rooms are looked up rather than compared in turn.
struct Wanted<'a> {
    query: &'a Query<'a>,
    rooms: Option<HashSet<&'a str>>,
}

/// From so many rooms on, a set is quicker than comparing.
const MANY_ROOMS: usize = 8;

impl<'a> Wanted<'a> {
    fn new(query: &'a Query<'a>) -> Self {
        let rooms = match query.scope {
            Scope::Rooms { rooms, .. } if rooms.len() >= MANY_ROOMS => {
                Some(rooms.iter().map(|room| &**room).collect())
            }
            _ => None,
        };
        Self { query, rooms }
    }

    fn has(&self, entry: &Entry) -> bool {
        let (Scope::Rooms { namespace, everyone, .. }, Some(rooms)) =
            (self.query.scope, &self.rooms)
        else {
            return self.query.wants(entry);
        };
        let named = &entry.record.rooms;
        *entry.record.namespace == *namespace
            && ((everyone && named.is_empty()) || named.iter().any(|room| rooms.contains(&**room)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    fn position(sequence: u64) -> Position {
        Position { epoch: Epoch(1), sequence }
    }

    fn entries(sequences: &[u64]) -> Vec<Arc<Entry>> {
        let entry = |sequence: &u64| Entry {
            position: position(*sequence),
            record: record(&["a"], &sequence.to_string()),
        };
        sequences.iter().map(|sequence| Arc::new(entry(sequence))).collect()
    }

    fn read(tail: &Tail, after: u64) -> Option<Vec<u64>> {
        let page = tail.read(&Query::after(Scope::All, position(after))).unwrap()?;
        Some(page.entries.iter().map(|entry| entry.position.sequence).collect())
    }

    /// After a commit of which nobody knew whether it took place, the tail has a hole: it answers
    /// from behind it or not at all.
    #[test]
    fn a_tail_with_a_hole_is_not_read_across_it() {
        let mut tail = Tail::new(position(0), 1, (100, 1000));
        tail.publish(entries(&[1, 2]), position(2), 1);
        assert_eq!(read(&tail, 1), Some(vec![2]));
        tail.publish(Vec::new(), position(4), 1);
        assert_eq!((read(&tail, 1), read(&tail, 4)), (None, Some(vec![])));
        tail.publish(entries(&[5, 7, 8]), position(8), 1);
        assert_eq!((read(&tail, 4), read(&tail, 6)), (None, Some(vec![7, 8])));
    }

    #[test]
    fn a_tail_is_bounded_and_forgets_what_was_trimmed() {
        let mut tail = Tail::new(position(0), 1, (3, 1000));
        tail.publish(entries(&[1, 2, 3, 4]), position(4), 1);
        assert_eq!((read(&tail, 0), read(&tail, 1)), (None, Some(vec![2, 3, 4])));
        tail.publish(Vec::new(), position(4), 4);
        assert_eq!((read(&tail, 2), read(&tail, 3)), (None, Some(vec![4])));
        tail.publish(Vec::new(), Position { epoch: Epoch(2), sequence: 0 }, 1);
        assert!(tail.entries.is_empty() && tail.bytes == 0);
    }
}
