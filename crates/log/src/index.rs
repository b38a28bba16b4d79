//! Which entries name which room, and up to where each room was trimmed. In memory.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::Order;
use crate::record::Record;

/// A room in its namespace.
type Name = (Arc<str>, Arc<str>);

#[derive(Debug, Default)]
struct RoomIndex {
    sequences: VecDeque<u64>,
    trimmed: u64,
}

/// The index of all rooms.
#[derive(Debug, Default)]
pub(crate) struct Index {
    rooms: HashMap<Arc<str>, HashMap<Arc<str>, RoomIndex>>,
    /// Rooms without an entry, by watermark: the oldest lose theirs first.
    idle: BTreeSet<(u64, Name)>,
    /// The watermark of every room that is not here.
    floor: u64,
}

impl Index {
    pub(crate) fn insert(&mut self, record: &Record, sequence: u64) {
        let floor = self.floor;
        let rooms = match self.rooms.get_mut(&record.namespace) {
            Some(rooms) => rooms,
            None => self.rooms.entry(Arc::clone(&record.namespace)).or_default(),
        };
        for room in record.index_rooms() {
            if let Some(index) = rooms.get_mut(room) {
                if index.sequences.is_empty() {
                    let name = (Arc::clone(&record.namespace), Arc::from(room));
                    self.idle.remove(&(index.trimmed, name));
                }
                index.sequences.push_back(sequence);
            } else {
                let index = RoomIndex { sequences: [sequence].into(), trimmed: floor };
                rooms.insert(room.into(), index);
            }
        }
    }

    /// Notes that the oldest entry of the log went.
    pub(crate) fn trim(&mut self, record: &Record, sequence: u64) {
        let Some(rooms) = self.rooms.get_mut(&record.namespace) else { return };
        for room in record.index_rooms() {
            let Some(index) = rooms.get_mut(room) else { continue };
            index.sequences.pop_front();
            index.trimmed = sequence;
            if index.sequences.is_empty() {
                index.sequences.shrink_to_fit();
                self.idle.insert((sequence, (Arc::clone(&record.namespace), room.into())));
            }
        }
    }

    /// Forgets the oldest rooms without entries, down to `max`.
    pub(crate) fn forget_idle(&mut self, max: u64) {
        while self.idle.len() as u64 > max {
            let Some((trimmed, (namespace, room))) = self.idle.pop_first() else { return };
            self.floor = self.floor.max(trimmed);
            if let Some(rooms) = self.rooms.get_mut(&namespace) {
                rooms.remove(&room);
                if rooms.is_empty() {
                    self.rooms.remove(&namespace);
                }
            }
        }
    }

    pub(crate) fn watermark(&self, namespace: &str, room: &str) -> u64 {
        let index = self.rooms.get(namespace).and_then(|rooms| rooms.get(room));
        index.map_or(self.floor, |index| index.trimmed)
    }

    /// Up to `limit` sequences of a room in `first..=last`, from the end that the order begins at.
    pub(crate) fn sequences(
        &self,
        (namespace, room): (&str, &str),
        (first, last): (u64, u64),
        order: Order,
        limit: usize,
    ) -> Vec<u64> {
        let index = self.rooms.get(namespace).and_then(|rooms| rooms.get(room));
        let Some(index) = index else { return Vec::new() };
        let from = index.sequences.partition_point(|sequence| *sequence < first);
        let to = index.sequences.partition_point(|sequence| *sequence <= last).max(from);
        let found = index.sequences.range(from..to).copied();
        match order {
            Order::OldestFirst => found.take(limit).collect(),
            Order::NewestFirst => found.rev().take(limit).collect(),
        }
    }
}
