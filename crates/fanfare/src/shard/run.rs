//! A run: consecutive events with the same receivers, joined once for all of them.

use super::form::Form;
use super::ops::Broadcasting;
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;

/// Consecutive broadcasts of one tick that go to the same sockets.
///
/// Each receiver holds one reference to the run, however many events it has. While the run is the
/// shard's open one, events are appended; once sealed it is immutable, and each form is joined
/// into one buffer by the first receiver that is written to.
#[derive(Debug)]
pub(crate) struct Run {
    events: RefCell<Vec<Arc<Broadcasting>>>,
    bytes: Cell<usize>,
    joined: [OnceCell<Joined>; Form::COUNT],
}

/// The frames of a run in one form, end to end.
#[derive(Debug)]
struct Joined {
    bytes: Bytes,
    /// Where each event ends in `bytes`. Empty for a run of one event.
    ends: Vec<usize>,
}

impl Run {
    /// Events a run may have. More than this in one tick starts another run, so that a joined
    /// buffer stays small enough to be written with one call.
    pub(crate) const MAX_EVENTS: usize = 512;

    /// Bytes after which nothing is joined any more: large events gain nothing by being copied, and
    /// a slow client that waits for one event of a run keeps the whole run.
    pub(crate) const MAX_BYTES: usize = 256 * 1024;

    pub(crate) fn new(first: Arc<Broadcasting>) -> Self {
        let bytes = Cell::new(first.packet.size());
        Run { events: RefCell::new(vec![first]), bytes, joined: Default::default() }
    }

    /// Whether another event may be joined.
    pub(crate) fn has_room(&self, event: &Broadcasting) -> bool {
        self.len() < Self::MAX_EVENTS && self.bytes.get() + event.packet.size() <= Self::MAX_BYTES
    }

    pub(crate) fn len(&self) -> usize {
        self.events.borrow().len()
    }

    /// Adds an event. Only the shard's open run is appended to, and it was never joined yet.
    pub(crate) fn append(&self, event: Arc<Broadcasting>) {
        self.bytes.set(self.bytes.get() + event.packet.size());
        self.events.borrow_mut().push(event);
    }

    /// The frames of events `from..to` in this form.
    pub(crate) fn frames(&self, form: Form, from: usize, to: usize) -> &[u8] {
        let Some(cell) = self.joined.get(form as usize) else { return &[] };
        let joined = cell.get_or_init(|| self.join(form));
        let start = if from == 0 { 0 } else { joined.end_of(from - 1) };
        joined.bytes.get(start..joined.end_of(to.saturating_sub(1))).unwrap_or_default()
    }

    /// The same, to be kept beyond the run.
    pub(crate) fn shared(&self, form: Form, from: usize, to: usize) -> Bytes {
        let Some(cell) = self.joined.get(form as usize) else { return Bytes::new() };
        let joined = cell.get_or_init(|| self.join(form));
        let start = if from == 0 { 0 } else { joined.end_of(from - 1) };
        joined.bytes.slice(start..joined.end_of(to.saturating_sub(1)).max(start))
    }

    /// About how many bytes events `from..to` have.
    pub(crate) fn size(&self, from: usize, to: usize) -> usize {
        let events = self.events.borrow();
        events.get(from..to).unwrap_or_default().iter().map(|event| event.packet.size()).sum()
    }

    /// Events `from..to`.
    pub(crate) fn events(&self, from: usize, to: usize) -> Vec<Arc<Broadcasting>> {
        self.events.borrow().get(from..to).unwrap_or_default().to_vec()
    }

    fn join(&self, form: Form) -> Joined {
        let events = self.events.borrow();
        if let [only] = events.as_slice() {
            return Joined { bytes: only.packet.frames(form), ends: Vec::new() };
        }
        let pieces: Vec<Bytes> = events.iter().map(|event| event.packet.frames(form)).collect();
        let mut bytes = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        let mut ends = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            bytes.extend_from_slice(piece);
            ends.push(bytes.len());
        }
        Joined { bytes: bytes.freeze(), ends }
    }
}

impl Joined {
    fn end_of(&self, event: usize) -> usize {
        self.ends.get(event).copied().unwrap_or(self.bytes.len())
    }
}
