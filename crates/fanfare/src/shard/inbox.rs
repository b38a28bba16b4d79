//! What a shard is asked to do, from any thread.

use super::ops::Op;
use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// More than this waiting refuses further broadcasts: the shard cannot keep up.
const MAX_WAITING: usize = 1 << 18;

/// The queue in front of a shard. What is pushed is done in order.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    waiting: AtomicUsize,
    /// Set while the shard knows that it has something to do: only the first push wakes it.
    awake: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    ops: Vec<Op>,
    /// The shard has ended: nothing will be done any more.
    closed: bool,
}

impl Inbox {
    /// Adds an operation and wakes the shard. After the shard's end it is dropped, by which whoever
    /// waits for its answer learns.
    pub(crate) fn push(&self, op: Op) {
        if self.add(op) {
            self.wake();
        }
    }

    /// Adds an operation; the shard is woken later, for many of them. Says whether it was taken.
    pub(crate) fn add(&self, op: Op) -> bool {
        let mut queue = self.queue();
        if queue.closed {
            drop(queue); // dropping an operation may push another one
            drop(op);
            return false;
        }
        queue.ops.push(op);
        self.waiting.store(queue.ops.len(), Ordering::Relaxed);
        true
    }

    /// The shard has ended. What was not done is dropped.
    pub(crate) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        let left = std::mem::take(&mut queue.ops);
        self.waiting.store(0, Ordering::Relaxed);
        drop(queue); // dropping an operation may push another one
        drop(left);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the shard keeps up.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < MAX_WAITING
    }

    /// Makes the shard look at its inbox and flush what is dirty.
    pub(crate) fn wake(&self) {
        if !self.awake.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// To be called by the shard before it looks: later pushes wake it again.
    pub(crate) fn listen(&self, waker: &Waker) {
        self.waker.register(waker);
        self.awake.store(false, Ordering::Release);
    }

    /// Takes everything, leaving `empty` (whose capacity is used again) in its place.
    pub(crate) fn take(&self, empty: Vec<Op>) -> Vec<Op> {
        let mut queue = self.queue();
        self.waiting.store(0, Ordering::Relaxed);
        std::mem::replace(&mut queue.ops, empty)
    }
}
