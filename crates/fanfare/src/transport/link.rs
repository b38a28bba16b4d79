//! A WebSocket connection, shared by the task that reads it and the shard that writes it.

use super::Stream;
use crate::shard::{Form, Outbox};
use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::task::{Context, Poll, Waker};

/// How many entries of an outbox one system call may write.
const SLICES: usize = 32;

/// How writing an outbox went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Everything was taken.
    All,
    /// The rest waits until the client has read.
    Blocked,
    /// The connection is broken.
    Failed,
}

/// How far the end of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Our close frame is sent, or on its way; what still comes is thrown away.
    Closing,
    /// To be dropped at once.
    Gone,
}

/// A WebSocket connection.
pub(crate) struct Link {
    pub(super) stream: Stream,
    form: Form,
    /// Of the task that reads.
    waker: RefCell<Waker>,
    /// The socket did not take everything: the reading task writes on when it is woken.
    blocked: Cell<bool>,
    phase: Cell<Phase>,
    /// The session has not moved to this connection yet.
    probing: Cell<bool>,
    /// What is sent beside a session.
    own: RefCell<Vec<u8>>,
}

impl Link {
    pub(crate) fn new(stream: Stream, form: Form, probing: bool) -> Self {
        Link {
            stream,
            form,
            waker: RefCell::new(Waker::noop().clone()),
            blocked: Cell::new(false),
            phase: Cell::new(Phase::Open),
            probing: Cell::new(probing),
            own: RefCell::default(),
        }
    }

    /// What the frames on this connection look like.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    pub(super) fn unblock(&self) -> bool {
        self.blocked.replace(false)
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(crate) fn is_probing(&self) -> bool {
        self.probing.get()
    }

    /// The session has moved here.
    pub(crate) fn promote(&self) {
        self.probing.set(false);
    }

    pub(super) fn remember(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.will_wake(waker) {
            known.clone_from(waker);
        }
    }

    /// Makes the reading task look again.
    pub(crate) fn wake_reader(&self) {
        self.waker.borrow().wake_by_ref();
    }

    /// Writes as much of the outbox as is taken.
    pub(crate) fn write(&self, outbox: &mut Outbox) -> Written {
        if self.blocked.get() || !self.write_own() {
            return Written::Blocked;
        }
        let waker = self.waker.borrow();
        let mut cx = Context::from_waker(&waker);
        while !outbox.is_empty() {
            let written = if let Some(bytes) = outbox.only(self.form) {
                self.stream.poll_write(&mut cx, &[IoSlice::new(bytes)])
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = outbox.fill(self.form, &mut slices);
                self.stream.poll_write(&mut cx, slices.get(..count).unwrap_or_default())
            };
            match written {
                Poll::Ready(Ok(written)) => outbox.advance(self.form, written),
                Poll::Ready(Err(_)) => return Written::Failed,
                Poll::Pending => {
                    self.blocked.set(true);
                    return Written::Blocked;
                }
            }
        }
        match self.stream.poll_flush(&mut cx) {
            Poll::Ready(Ok(())) => Written::All,
            Poll::Ready(Err(_)) => Written::Failed,
            // The layer below has it, and goes on when the task is woken.
            Poll::Pending => {
                self.blocked.set(true);
                Written::Blocked
            }
        }
    }

    /// Sends bytes that are not a session's: on a probe, or after the session has ended. They are
    /// few, and wait if the connection does not take them yet.
    pub(crate) fn send(&self, frames: &[u8]) {
        self.own.borrow_mut().extend_from_slice(frames);
        self.write_own();
    }

    /// Writes what [`send`](Self::send) left. Says whether nothing is left.
    pub(super) fn write_own(&self) -> bool {
        let mut own = self.own.borrow_mut();
        if own.capacity() == 0 {
            return true;
        }
        let waker = self.waker.borrow();
        let mut cx = Context::from_waker(&waker);
        while !own.is_empty() {
            match self.stream.poll_write(&mut cx, &[IoSlice::new(&own)]) {
                Poll::Ready(Ok(written)) => drop(own.drain(..written)),
                Poll::Ready(Err(_)) => {
                    self.phase.set(Phase::Gone);
                    waker.wake_by_ref();
                    return false;
                }
                Poll::Pending => {
                    self.blocked.set(true);
                    return false;
                }
            }
        }
        *own = Vec::new();
        // A layer in between goes on by itself with what it keeps back.
        let _ = self.stream.poll_flush(&mut cx);
        true
    }

    /// Sends a close frame and waits for the client to go.
    pub(crate) fn close(&self, frame: &[u8]) {
        if self.phase.get() != Phase::Open {
            return;
        }
        self.phase.set(Phase::Closing);
        if self.blocked.get() {
            // A close frame cannot come in the middle of another.
            return self.drop_now();
        }
        self.send(frame);
        self.wake_reader();
    }

    /// Ends the connection without another word.
    pub(crate) fn drop_now(&self) {
        self.phase.set(Phase::Gone);
        // The borrow may be held by `send`; waking needs no more than reading.
        self.waker.borrow().wake_by_ref();
    }
}
