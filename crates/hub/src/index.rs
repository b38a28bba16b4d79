//! A hash index from a name to the key of the record that owns the name.

use hashbrown::HashTable;

/// Tables smaller than this are not worth giving back.
const SHRINK_ABOVE: usize = 64;

/// Keys of records, found by the hash of a name that only the record stores: five bytes an entry.
#[derive(Debug, Default)]
pub(crate) struct Index {
    keys: HashTable<u32>,
}

impl Index {
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.keys.find(hash, |&key| is_it(key)).copied()
    }

    /// Adds a key whose name is not in the index. `rehash` gives the hash of a key's name.
    pub(crate) fn insert(&mut self, hash: u64, key: u32, rehash: impl Fn(u32) -> u64) {
        self.keys.insert_unique(hash, key, |&key| rehash(key));
    }

    pub(crate) fn remove(&mut self, hash: u64, key: u32, rehash: impl Fn(u32) -> u64) {
        if let Ok(entry) = self.keys.find_entry(hash, |&other| other == key) {
            entry.remove();
        }
        if self.keys.capacity() > SHRINK_ABOVE && self.keys.len() < self.keys.capacity() / 4 {
            self.keys.shrink_to(self.keys.len() * 2, |&key| rehash(key));
        }
    }
}
