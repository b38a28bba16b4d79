//! Where a stream's bytes go from its shard to the body of its answer.

use crate::shard::StreamKey;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// How much is handed over before the connection has taken some of it; the rest waits in the
/// outbox, where it is counted. What was begun is handed over whole.
const MAX_BYTES: usize = 64 * 1024;

/// How a connection is cut that does not take what is written to it.
type Cut = Box<dyn FnOnce() + Send>;

/// The place between the two, of which each has a reference.
#[derive(Default)]
pub(crate) struct Handover(Mutex<Held>);

#[derive(Default)]
struct Held {
    /// Where the stream is on its shard, once it is there.
    key: Option<StreamKey>,
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// There is more than was handed over.
    more: bool,
    stage: Stage,
    /// The body found nothing and waits.
    parked: bool,
    waker: Option<Waker>,
    cut: Option<Cut>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// Nothing comes any more.
    Finished,
    /// What is there is not to be sent.
    Cut,
    /// Nobody takes it.
    Left,
}

/// What the body finds.
#[derive(Debug)]
pub(super) enum Taken {
    Chunk(Bytes),
    End,
    Cut,
    /// Nothing at the moment. The shard is to be asked for more, if it has some.
    Nothing {
        ask: Option<StreamKey>,
    },
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held();
        f.debug_struct("Handover").field("bytes", &held.bytes).field("stage", &held.stage).finish()
    }
}

impl Handover {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream is on its shard. Says whether anybody still wants it.
    pub(crate) fn register(&self, key: StreamKey) -> bool {
        let mut held = self.held();
        held.key = Some(key);
        held.stage == Stage::Open
    }

    /// Whether everything that was handed over was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.held().chunks.is_empty()
    }

    /// Hands over as much as there is room for. Says whether that is all.
    pub(crate) fn fill(&self, mut next: impl FnMut() -> Option<Bytes>) -> bool {
        let mut held = self.held();
        let mut all = false;
        while held.bytes < MAX_BYTES {
            let Some(chunk) = next() else {
                all = true;
                break;
            };
            held.bytes += chunk.len();
            held.chunks.push_back(chunk);
        }
        held.more = !all;
        wake(held);
        all
    }

    /// Nothing more comes.
    pub(crate) fn finish(&self) {
        let mut held = self.held();
        if held.stage == Stage::Open {
            held.stage = Stage::Finished;
        }
        held.more = false;
        wake(held);
    }

    /// Ends the stream without what is still to be sent, and its connection if that is stuck.
    pub(crate) fn cut(&self) {
        let mut held = self.held();
        if held.stage == Stage::Open {
            held.stage = Stage::Cut;
        }
        held.chunks = VecDeque::new();
        let (cut, waker) = (held.cut.take(), held.waker.take());
        drop(held);
        if let Some(cut) = cut {
            cut();
        }
        // It may wait for the network, not for the body.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How the connection of this stream is cut.
    pub(crate) fn set_cut(&self, cut: impl FnOnce() + Send + 'static) {
        self.held().cut = Some(Box::new(cut));
    }

    /// The next thing to be sent.
    pub(super) fn take(&self, cx: &mut Context<'_>) -> Taken {
        let mut held = self.held();
        if !held.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            held.waker = Some(cx.waker().clone());
        }
        if held.stage == Stage::Cut {
            return Taken::Cut;
        }
        if let Some(chunk) = held.chunks.pop_front() {
            held.bytes = held.bytes.saturating_sub(chunk.len());
            return Taken::Chunk(chunk);
        }
        if held.stage != Stage::Open {
            return Taken::End;
        }
        held.parked = true;
        let more = std::mem::take(&mut held.more);
        Taken::Nothing { ask: held.key.filter(|_| more) }
    }

    /// Whether nothing comes any more and all was taken.
    pub(super) fn is_over(&self) -> bool {
        let held = self.held();
        held.stage == Stage::Finished && held.chunks.is_empty()
    }

    /// Nobody wants the stream any more: where it is to be removed, if it is anywhere.
    pub(super) fn leave(&self) -> Option<StreamKey> {
        let mut held = self.held();
        held.waker = None;
        held.cut = None;
        let stage = std::mem::replace(&mut held.stage, Stage::Left);
        held.key.filter(|_| stage == Stage::Open)
    }
}

/// Wakes the body, if it waits; outside of the lock, whatever that brings about.
fn wake(mut held: MutexGuard<'_, Held>) {
    if !std::mem::take(&mut held.parked) {
        return;
    }
    let waker = held.waker.clone();
    drop(held);
    if let Some(waker) = waker {
        waker.wake();
    }
}
