//! What waits to be sent to one session.

use super::form::{self, Form, OwnedPiece};
use super::ops::Broadcasting;
use super::run::Run;
use crate::settings::OutboxLimits;
use bytes::{Bytes, BytesMut};
use engineio::Revision;
use engineio::payload::{self, Payload};
use socketio::Encoded;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;

/// A run that is still open ends here: at whatever its last event will be.
const OPEN: u32 = u32::MAX;

/// One thing in an outbox. Entries are written in order.
#[derive(Debug)]
enum Entry {
    /// Events `from..to` of a run that other sessions hold too.
    Run { run: Rc<Run>, from: u32, to: u32 },
    /// Frames for this WebSocket alone, of so many pushes.
    Frames { bytes: Vec<u8>, count: usize },
    /// A packet for this session alone, not yet bound to a transport.
    Packet(Box<Encoded>),
    /// An Engine.IO packet of this session, not yet bound to a transport.
    Control(Box<str>),
}

/// Where a range ends, once the run is known not to grow.
fn range(run: &Run, from: u32, to: u32) -> (usize, usize) {
    (from as usize, if to == OPEN { run.len() } else { to as usize })
}

impl Entry {
    /// The frames, for a session on a WebSocket.
    fn frames(&self, form: Form) -> &[u8] {
        match self {
            Entry::Run { run, from, to } => {
                let (from, to) = range(run, *from, *to);
                run.frames(form, from, to)
            }
            Entry::Frames { bytes, .. } => bytes,
            // Bound to frames when the session moved to its WebSocket.
            Entry::Packet(_) | Entry::Control(_) => &[],
        }
    }

    /// The events of a run, to be shown outside of it.
    fn shared_events(&self) -> Vec<Arc<Broadcasting>> {
        match self {
            Entry::Run { run, from, to } => {
                let (from, to) = range(run, *from, *to);
                run.events(from, to)
            }
            Entry::Frames { .. } | Entry::Packet(_) | Entry::Control(_) => Vec::new(),
        }
    }

    fn events(&self) -> usize {
        match self {
            Entry::Run { run, from, to } => {
                let (from, to) = range(run, *from, *to);
                to.saturating_sub(from)
            }
            Entry::Frames { count, .. } => *count,
            Entry::Packet(_) | Entry::Control(_) => 1,
        }
    }

    fn size(&self) -> usize {
        match self {
            Entry::Run { run, from, to } => {
                let (from, to) = range(run, *from, *to);
                run.size(from, to)
            }
            Entry::Frames { bytes, .. } => bytes.len(),
            Entry::Packet(packet) => form::size_of(packet),
            Entry::Control(text) => text.len(),
        }
    }
}

/// What waits to be sent to one session: references to shared runs, and what is its own.
///
/// An empty outbox owns no memory. Order is the order of pushing.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    first: Option<Entry>,
    rest: VecDeque<Entry>,
    /// Bytes of `first` already handed to the WebSocket.
    written: usize,
    /// How many entries, from the first, are in `backlog`.
    counted: usize,
    backlog: Backlog,
    /// What was sent again to a client that came back, until all of it is written.
    replayed: Backlog,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds the open run, from its event `from` on.
    pub(crate) fn push_run(&mut self, run: &Rc<Run>, from: u32) {
        self.push(Entry::Run { run: Rc::clone(run), from, to: OPEN });
    }

    /// Adds a run of what a client missed, from its event `from` on. It may wait beyond the limits:
    /// how much is sent again has a limit of its own, and a client that was cut because it was slow
    /// would otherwise be cut again.
    pub(crate) fn push_replay(&mut self, run: &Rc<Run>, from: u32) {
        let (from_index, to) = range(run, from, OPEN);
        self.replayed.events += to.saturating_sub(from_index);
        self.replayed.bytes += run.size(from_index, to);
        self.push_run(run, from);
    }

    /// Adds a packet for this session alone. `form` is given when the transport is a WebSocket,
    /// which never changes again: the frames are then built at once, behind those already there.
    pub(crate) fn push_packet(
        &mut self,
        packet: Encoded,
        compress: Option<usize>,
        form: Option<Form>,
    ) {
        let Some(form) = form else { return self.push(Entry::Packet(Box::new(packet))) };
        let mut out = BytesMut::with_capacity(form::size_of(&packet) + 16);
        form.write(&packet, compress, &mut out);
        self.push_frames(&out);
    }

    /// Adds an Engine.IO packet other than a message.
    pub(crate) fn push_control(&mut self, text: &str, on_websocket: bool) {
        if on_websocket {
            self.push_frames(&websocket::frame::text(text));
        } else {
            self.push(Entry::Control(text.into()));
        }
    }

    /// Adds bytes of a WebSocket, joined to the session's own bytes if those come last.
    pub(crate) fn push_frames(&mut self, bytes: &[u8]) {
        // What is counted already must not grow.
        let counted = self.counted > self.rest.len();
        let last = self.rest.back_mut().or(self.first.as_mut());
        match last {
            Some(Entry::Frames { bytes: own, count }) if !counted => {
                own.extend_from_slice(bytes);
                *count += 1;
            }
            _ => self.push(Entry::Frames { bytes: bytes.to_vec(), count: 1 }),
        }
    }

    fn push(&mut self, entry: Entry) {
        if self.first.is_none() {
            self.first = Some(entry);
        } else {
            self.rest.push_back(entry);
        }
    }

    /// If the last entry is this open run, ends it at the events it has now. Says whether it was.
    ///
    /// Something else follows for this session, so later events of the run must come behind it.
    pub(crate) fn close_run(&mut self, open: &Rc<Run>) -> bool {
        match self.rest.back_mut().or(self.first.as_mut()) {
            Some(Entry::Run { run, to, .. }) if *to == OPEN && Rc::ptr_eq(run, open) => {
                *to = u32::try_from(open.len()).unwrap_or(OPEN);
                true
            }
            _ => false,
        }
    }

    /// Builds the frames of what was queued before the session had its WebSocket.
    pub(crate) fn bind(&mut self, form: Form) {
        for entry in self.first.iter_mut().chain(self.rest.iter_mut()) {
            match entry {
                Entry::Packet(packet) => {
                    let mut out = BytesMut::with_capacity(form::size_of(packet) + 16);
                    form.write(packet, None, &mut out);
                    *entry = Entry::Frames { bytes: out.to_vec(), count: 1 };
                }
                Entry::Control(text) => {
                    let bytes = websocket::frame::text(text).to_vec();
                    *entry = Entry::Frames { bytes, count: 1 };
                }
                Entry::Run { .. } | Entry::Frames { .. } => {}
            }
        }
    }

    /// The bytes to write, if one thing is all that waits: what most flushes find.
    pub(crate) fn only(&self, form: Form) -> Option<&[u8]> {
        let first = self.first.as_ref().filter(|_| self.rest.is_empty())?;
        Some(first.frames(form).get(self.written..).unwrap_or_default())
    }

    /// The bytes to write next, as slices; at most as many as `slices` has places.
    pub(crate) fn fill<'a>(&'a self, form: Form, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut skip = self.written;
        for (slot, entry) in slices.iter_mut().zip(self.first.iter().chain(&self.rest)) {
            *slot = IoSlice::new(entry.frames(form).get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        count
    }

    /// Takes note that `count` bytes were written, and drops what is done with.
    pub(crate) fn advance(&mut self, form: Form, count: usize) {
        let mut left = count;
        while let Some(first) = &self.first {
            let open = first.frames(form).len().saturating_sub(self.written);
            if left < open {
                self.written += left;
                return;
            }
            left -= open;
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(first) = self.first.take().filter(|_| self.counted > 0) {
            self.counted -= 1;
            self.backlog.events = self.backlog.events.saturating_sub(first.events());
            self.backlog.bytes = self.backlog.bytes.saturating_sub(first.size());
        }
        self.written = 0;
        self.first = self.rest.pop_front();
        if self.first.is_none() {
            self.backlog = Backlog::default(); // sizes may have changed when frames were built
            self.replayed = Backlog::default();
        }
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
    }

    /// Takes the first thing there is, for a stream.
    pub(crate) fn take_chunk(&mut self) -> Option<Bytes> {
        let chunk = match self.first.as_mut()? {
            Entry::Run { run, from, to } => {
                let (from, to) = range(run, *from, *to);
                run.shared(Form::Sse, from, to)
            }
            Entry::Frames { bytes, .. } => std::mem::take(bytes).into(),
            Entry::Packet(_) | Entry::Control(_) => Bytes::new(), // a stream has none
        };
        self.pop();
        Some(chunk)
    }

    /// Takes everything as one polling payload.
    pub(crate) fn take_payload(&mut self, revision: Revision, base64: bool) -> Payload {
        let taken = std::mem::take(self);
        let entries = taken.first.iter().chain(&taken.rest);
        let runs: Vec<_> = entries.clone().map(Entry::shared_events).collect();
        let mut pieces = Vec::new();
        for (entry, events) in entries.zip(&runs) {
            match entry {
                Entry::Run { .. } => {
                    for event in events {
                        event.packet.collect(revision, &mut pieces);
                    }
                }
                Entry::Packet(packet) => form::collect(packet, &mut pieces),
                Entry::Control(text) => pieces.push(OwnedPiece::Encoded(text)),
                Entry::Frames { .. } => {}
            }
        }
        let pieces: Vec<payload::Piece<'_>> = pieces.iter().map(OwnedPiece::as_piece).collect();
        payload::encode(revision, !base64, &pieces)
    }

    /// Whether more waits than may. To be asked when [`backlog`](Self::backlog) may be.
    pub(crate) fn exceeds(&mut self, limits: OutboxLimits) -> bool {
        let Backlog { events, bytes } = self.backlog();
        let max_events = limits.max_events.saturating_add(self.replayed.events);
        let max_bytes = limits.max_bytes.saturating_add(self.replayed.bytes);
        events > max_events || (bytes > max_bytes && events > 1)
    }

    /// How much waits. Looks only at what came since it was asked last; asked only when the
    /// transport did not take everything, and after the open run was sealed.
    pub(crate) fn backlog(&mut self) -> Backlog {
        let seen = self.counted.saturating_sub(1).min(self.rest.len());
        let first = self.first.as_ref().filter(|_| self.counted == 0);
        for entry in first.into_iter().chain(self.rest.range(seen..)) {
            self.counted += 1;
            self.backlog.events += entry.events();
            self.backlog.bytes += entry.size();
        }
        self.backlog
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Outbox::default();
    }
}

#[cfg(test)]
mod tests;
