//! A shared piece of UTF-8 text.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A piece of text inside a shared allocation.
///
/// The name and the arguments of one event stand in the same packet, so both are slices of one
/// allocation: cloning and slicing only count references. An empty text owns nothing. A slice
/// keeps the whole packet alive.
#[derive(Clone, Default)]
pub struct SharedStr {
    owner: Option<Arc<str>>,
    // 32 bits: a packet is limited to far less than 4 GiB, and every event carries two of these.
    start: u32,
    end: u32,
}

impl SharedStr {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let whole = self.owner.as_deref().unwrap_or_default();
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The part of this text in `range`, in bytes, sharing the allocation.
    ///
    /// A range that is out of bounds or cuts a character gives the empty text.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        if self.as_str().get(range.clone()).is_none_or(str::is_empty) {
            return Self::default();
        }
        let (Ok(from), Ok(to)) = (u32::try_from(range.start), u32::try_from(range.end)) else {
            return Self::default();
        };
        Self { owner: self.owner.clone(), start: self.start + from, end: self.start + to }
    }
}

impl From<&str> for SharedStr {
    /// Copies `text` once. Text of 4 GiB and more does not fit and gives the empty text.
    fn from(text: &str) -> Self {
        match u32::try_from(text.len()) {
            Ok(end) if end > 0 => Self { owner: Some(Arc::from(text)), start: 0, end },
            _ => Self::default(),
        }
    }
}

impl Deref for SharedStr {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for SharedStr {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for SharedStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for SharedStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for SharedStr {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for SharedStr {}

impl Hash for SharedStr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialEq<str> for SharedStr {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for SharedStr {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slices share one allocation and never panic, whatever the range.
    #[test]
    fn slices_share_and_stay_inside() {
        let whole = SharedStr::from("héllo world");
        assert_eq!(whole.slice(0..6), "héllo");
        assert_eq!(whole.slice(7..12).slice(1..3), "or");
        assert_eq!(whole.slice(2..3), "", "cuts a character");
        assert_eq!(whole.slice(5..99), "");
        assert_eq!(SharedStr::default().slice(0..0), "");
        assert_eq!(size_of::<SharedStr>(), 24);
    }
}
