//! A look at who is there, for people who look after a server: the largest rooms, a sample of sockets.
//! Bounded, however many there are.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::Shard;
use crate::namespace::{Namespace, NamespaceCore};
use crate::socket::{Description, RemoteSocket};
use hub::Room;

/// How many rooms or sockets are told at most, whatever is asked.
const MAX_TOLD: usize = 1_000;

/// The rooms of a namespace that have the most sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Busiest {
    /// The rooms with the number of their sockets, the largest first. Rooms in which a socket is alone
    /// by its id are not among them.
    pub rooms: Vec<(Room, usize)>,
    /// How many rooms match on all shards together. A room that has sockets on several shards is counted
    /// on each.
    pub matching: usize,
}

/// Some of the sockets of a namespace.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Sample {
    /// Sockets, in no particular order.
    pub sockets: Vec<RemoteSocket>,
    /// How many sockets there are in all.
    pub total: usize,
}

impl Namespace {
    /// The rooms with the most sockets, among those whose names contain a text: at most `limit`, and
    /// never more than 1 000. Each shard tells the largest of its own, so that the number of a room
    /// that is small on one of them may miss those there.
    pub async fn busiest_rooms(&self, part: &str, limit: usize) -> Busiest {
        let limit = limit.min(MAX_TOLD);
        let part: Arc<str> = part.into();
        let found = Arc::new(Mutex::new((HashMap::<Room, usize>::new(), 0)));
        self.io()
            .run_on_all(|| {
                let (found, core, part) = (found.clone(), self.core().clone(), part.clone());
                move |shard: &Rc<Shard>| {
                    let (rooms, matching) = shard.busiest_rooms(&core, &part);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.1 += matching;
                    for (room, sockets) in rooms {
                        *found.0.entry(room).or_default() += sockets;
                    }
                }
            })
            .await;
        let (rooms, matching) =
            std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        let mut rooms: Vec<(Room, usize)> = rooms.into_iter().collect();
        rooms.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.as_str().cmp(b.0.as_str())));
        rooms.truncate(limit);
        Busiest { rooms, matching }
    }

    /// Some of the sockets, from every shard: at most `limit`, and never more than 1 000.
    pub async fn sample(&self, limit: usize) -> Sample {
        let limit = limit.min(MAX_TOLD);
        let each = limit.div_ceil(self.io().shard_indices().count().max(1));
        let found = Arc::new(Mutex::new((Vec::new(), 0)));
        self.io()
            .run_on_all(|| {
                let (found, core) = (found.clone(), self.core().clone());
                move |shard: &Rc<Shard>| {
                    let (sockets, total) = shard.sample(&core, each);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.0.extend(sockets);
                    found.1 += total;
                }
            })
            .await;
        let (mut sockets, total): (Vec<Description>, usize) =
            std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        sockets.truncate(limit);
        let sockets = sockets.into_iter().map(|it| RemoteSocket::new(self.clone(), it)).collect();
        Sample { sockets, total }
    }
}

impl Shard {
    /// The largest rooms of this shard whose names contain a text, and how many those are.
    fn busiest_rooms(&self, core: &NamespaceCore, part: &str) -> (Vec<(Room, usize)>, usize) {
        let state = self.state.borrow();
        let Some(hub) = state.hubs.get(&core.id) else { return Default::default() };
        let mut matching = 0;
        let mut largest: BinaryHeap<Reverse<(usize, &str)>> = BinaryHeap::new();
        for (room, sockets) in hub.rooms().filter(|(room, _)| room.as_str().contains(part)) {
            matching += 1;
            largest.push(Reverse((sockets, room.as_str())));
            if largest.len() > MAX_TOLD {
                largest.pop();
            }
        }
        let named = largest.into_iter().filter_map(|Reverse((sockets, name))| {
            // Its name was a room's a moment ago.
            Some((Room::new(name).ok()?, sockets))
        });
        (named.collect(), matching)
    }

    /// The first of the sockets of this shard, and how many there are.
    fn sample(&self, core: &NamespaceCore, limit: usize) -> (Vec<Description>, usize) {
        let (keys, total) = {
            let state = self.state.borrow();
            let Some(hub) = state.hubs.get(&core.id) else { return Default::default() };
            let keys: Vec<_> =
                hub.everyone().filter_map(|(_, seat)| seat.socket()).take(limit).collect();
            (keys, hub.len())
        };
        let sockets = keys.into_iter().filter_map(|key| self.describe_one(key)).collect();
        (sockets, total)
    }
}
