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
            self.entries.clear();
            self.bytes = 0;
        }
        for entry in entries {
            self.bytes += entry.record.cost_bytes();
            self.entries.push_back(entry);
        }
        (self.epoch, self.head, self.first) = (head.epoch, head.sequence, first);
        while let Some(oldest) = self.entries.front() {
            let over = self.entries.len() > self.max_entries || self.bytes > self.max_bytes;
            if !over && oldest.position.sequence >= first {
                break;
            }
            self.bytes = self.bytes.saturating_sub(oldest.record.cost_bytes());
            self.entries.pop_front();
        }
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
