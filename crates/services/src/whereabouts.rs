//! Where each device is. Not asked of its socket: who is taken out of a room, or leaves while it still
//! joins, must not stay anywhere for ever.

use std::collections::{BTreeMap, HashMap};

use fanfare::SocketId;

/// The places of devices, each with the number of the coming that brought the device there: whoever has
/// waited for something sees by it whether the device has left and come again meanwhile.
#[derive(Debug)]
pub(crate) struct Whereabouts<K> {
    places: HashMap<SocketId, BTreeMap<K, u64>>,
    comings: u64,
}

impl<K> Default for Whereabouts<K> {
    fn default() -> Self {
        Whereabouts { places: HashMap::new(), comings: 0 }
    }
}

impl<K: Ord + Clone> Whereabouts<K> {
    /// A device comes, perhaps again.
    pub(crate) fn enter(&mut self, device: SocketId, place: &K) {
        self.comings += 1;
        self.places.entry(device).or_default().insert(place.clone(), self.comings);
    }

    /// A device leaves.
    pub(crate) fn leave(&mut self, device: SocketId, place: &K) {
        let Some(places) = self.places.get_mut(&device) else { return };
        places.remove(place);
        if places.is_empty() {
            self.places.remove(&device);
        }
    }

    /// Where a device is.
    pub(crate) fn of(&self, device: SocketId) -> Vec<K> {
        self.places.get(&device).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// The coming that brought a device to a place, if it is there.
    pub(crate) fn coming(&self, device: SocketId, place: &K) -> Option<u64> {
        self.places.get(&device)?.get(place).copied()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_coming_is_another_and_nothing_is_left_behind() {
        let mut whereabouts = Whereabouts::default();
        let (phone, laptop) = (device(1), device(2));
        whereabouts.enter(phone, &"a");
        whereabouts.enter(laptop, &"a");
        let first = whereabouts.coming(phone, &"a");
        assert!(first.is_some() && first != whereabouts.coming(laptop, &"a"));
        assert_eq!(whereabouts.coming(phone, &"b"), None);
        whereabouts.leave(phone, &"a");
        assert_eq!(whereabouts.coming(phone, &"a"), None);
        whereabouts.enter(phone, &"a");
        whereabouts.enter(phone, &"b");
        assert!(whereabouts.coming(phone, &"a") > first);
        assert_eq!(whereabouts.of(phone), ["a", "b"]);
        for place in ["a", "b", "c"] {
            whereabouts.leave(phone, &place);
            whereabouts.leave(laptop, &place);
        }
        assert!(whereabouts.is_empty());
    }

    fn device(number: u32) -> SocketId {
        SocketId::parse(&format!("{number:020}")).unwrap()
    }
}
