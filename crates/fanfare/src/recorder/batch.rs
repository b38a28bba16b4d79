//! What one shard's thread gives to the log in a tick: one request, one wake-up, one commit.

use super::Recorder;
use crate::shard::Inbox;
use eventlog::{AppendError, Appended, Durability, MAX_BATCH_RECORDS, Record};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes of records after which a batch is handed over before the tick ends.
const MAX_BATCH_BYTES: u64 = 1 << 20;

/// More than this on its way to the log refuses further events: half of what its queue takes, so
/// that whoever publishes hears of it at once.
const MAX_PENDING_BYTES: u64 = 64 << 20;

/// Counted for each event on its way, beside what its record has.
const PENDING_BYTES: u64 = 512;

/// Which recorder's shard this thread is: the recorder's number, and the shard's, counted from 1.
#[derive(Debug, Clone, Copy, Default)]
struct Origin {
    recorder: u64,
    shard: usize,
}

thread_local! {
    static ORIGIN: Cell<Origin> = const { Cell::new(Origin { recorder: 0, shard: 0 }) };
    static BATCH: RefCell<Batch> = RefCell::default();
}

/// Is told what became of a record.
pub(super) type Told = Box<dyn FnOnce(Result<Appended, AppendError>) + Send>;

/// Is done when all before it is.
pub(super) type Act = Box<dyn FnOnce() + Send>;

/// In the order in which they were given.
enum Item {
    Record(Told),
    Act(Act),
}

#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    bytes: u64,
    durability: Option<Durability>,
    items: Vec<Item>,
}

/// Something given to the log that is not shown yet.
pub(super) struct Pending {
    recorder: Arc<Recorder>,
    shard: usize,
    bytes: u64,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(count) = self.recorder.pending.get(self.shard) {
            count.fetch_sub(1, Ordering::Release);
        }
        self.recorder.pending_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Recorder {
    /// To be called on a shard's thread when it starts.
    pub(crate) fn settle_on(&self, shard: u8) {
        ORIGIN.set(Origin { recorder: self.number, shard: usize::from(shard) + 1 });
    }

    /// Which of this server's shards this thread is, counted from 1; 0 for any other thread.
    fn origin(&self) -> usize {
        let origin = ORIGIN.get();
        if origin.recorder == self.number { origin.shard } else { 0 }
    }

    /// Whether something this thread published before is not shown yet.
    pub(crate) fn is_behind(&self) -> bool {
        let count = self.pending.get(self.origin());
        count.is_some_and(|count| count.load(Ordering::Acquire) > 0)
    }

    /// Whether nothing at all waits to be shown.
    pub(crate) fn is_quiet(&self) -> bool {
        self.pending.iter().all(|count| count.load(Ordering::Acquire) == 0)
    }

    /// Whether the log keeps up with what it is given.
    pub(crate) fn has_room(&self) -> bool {
        self.pending_bytes.load(Ordering::Relaxed) < MAX_PENDING_BYTES
    }

    pub(super) fn begin(self: &Arc<Self>, bytes: u64) -> Pending {
        let shard = self.origin();
        if let Some(count) = self.pending.get(shard) {
            count.fetch_add(1, Ordering::AcqRel);
        }
        let bytes = bytes + PENDING_BYTES;
        self.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        Pending { recorder: self.clone(), shard, bytes }
    }

    /// Gives a record to the log: on a shard's thread with what else the tick has for it.
    pub(super) fn give(&self, record: Record, durability: Durability, told: Told) {
        let bytes = record.cost_bytes();
        self.add(|batch| {
            batch.records.push(record);
            batch.bytes += bytes;
            batch.durability = batch.durability.max(Some(durability));
            batch.items.push(Item::Record(told));
        });
    }

    /// Lets something be done when all that was given before is.
    pub(super) fn give_act(&self, act: Act) {
        self.add(|batch| batch.items.push(Item::Act(act)));
    }

    fn add(&self, add: impl FnOnce(&mut Batch)) {
        let Some(inbox) = self.origin().checked_sub(1).and_then(|at| self.inboxes.get(at)) else {
            let mut alone = Batch::default();
            add(&mut alone);
            return self.append_batch(alone);
        };
        let full = BATCH.with_borrow_mut(|batch| {
            add(batch);
            batch.bytes > MAX_BATCH_BYTES || batch.items.len() >= MAX_BATCH_RECORDS
        });
        if full {
            self.hand_over();
        } else {
            Inbox::wake(inbox);
        }
    }

    /// Hands over what this shard's thread has for the log.
    pub(crate) fn hand_over(&self) {
        let batch = BATCH.take();
        if !batch.items.is_empty() {
            self.append_batch(batch);
        }
    }

    fn append_batch(&self, Batch { records, durability, items, .. }: Batch) {
        let durability = durability.unwrap_or(self.durability);
        let inboxes = self.inboxes.clone();
        let tell = move |answer: Result<Vec<Appended>, AppendError>| {
            let mut answers = answer.map(Vec::into_iter);
            for item in items {
                match (item, &mut answers) {
                    // A log that takes nothing still has an order.
                    (Item::Act(act), _) => act(),
                    (Item::Record(told), Ok(all)) => told(all.next().ok_or(AppendError::Closed)),
                    (Item::Record(told), Err(error)) => told(Err(error.clone())),
                }
            }
            inboxes.iter().for_each(|inbox| inbox.wake());
        };
        self.log.append(records, durability, Box::new(tell));
    }
}
