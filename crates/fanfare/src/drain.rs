//! The end of a server that is watched by a load balancer and has thousands of clients.
//!
//! Who only ends a server has all its clients come back at the same moment, and those that a load
//! balancer still sends to it are turned away. So it says first that it is about to end, and then
//! lets the clients go in batches.

use crate::Io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How a server takes leave of its clients before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// How long the server goes on as before, while [`Io::is_draining`] says that it is about to end, so
    /// that load balancers send it no new clients. Default: none; a single server has nobody to tell.
    pub notice: Duration,
    /// How many clients are told to leave per second, in batches at uneven intervals. 0 tells all at
    /// once. Default: 1000; another server takes so many in without delay.
    pub clients_per_second: u32,
    /// Within which time all have been told: where there are more clients than that rate allows, it is
    /// raised. Default: 10 s, so that notice, this and the grace stay below the half minute that
    /// supervisors wait.
    pub within: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Drain { notice: Duration::ZERO, clients_per_second: 1_000, within: Duration::from_secs(10) }
    }
}

/// The time from one batch to the next, on the average.
const STEP: Duration = Duration::from_millis(100);

impl Drain {
    /// In how many batches so many clients leave.
    fn batches(&self, clients: usize) -> usize {
        if self.clients_per_second == 0 {
            return 1;
        }
        let millis = clients as u128 * 1_000 / u128::from(self.clients_per_second);
        let millis = millis.min(self.within.as_millis());
        usize::try_from(millis.div_ceil(STEP.as_millis())).unwrap_or(usize::MAX).max(1)
    }
}

/// How far the end of a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// It serves.
    Serving,
    /// It serves, and says that it is about to end.
    Announced,
    /// Clients are told to leave, new ones are refused.
    Leaving,
    /// Everything is closed.
    Closing,
}

/// The stage, which only goes on.
#[derive(Debug)]
pub(crate) struct End(AtomicU8);

impl Default for End {
    fn default() -> Self {
        End(AtomicU8::new(Stage::Serving as u8))
    }
}

impl End {
    /// Goes on to a stage: whether it was not reached before.
    pub(crate) fn begin(&self, stage: Stage) -> bool {
        self.0.fetch_max(stage as u8, Ordering::AcqRel) < stage as u8
    }

    pub(crate) fn has_begun(&self, stage: Stage) -> bool {
        self.0.load(Ordering::Acquire) >= stage as u8
    }
}

impl Io {
    /// Whether [`drain`](Self::drain) or [`close`](Self::close) was called: load balancers should send
    /// no clients here.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner().end.has_begun(Stage::Announced)
    }

    /// Whether clients are told to leave: new ones are refused.
    pub(crate) fn is_leaving(&self) -> bool {
        self.inner().end.has_begun(Stage::Leaving)
    }

    /// Takes leave of all clients as `drain` says, and then [closes](Self::close) the server.
    ///
    /// Until the last client was told to leave, what is published is taken, and shown to those who are
    /// still here; new sessions are refused as soon as the first is told. A second call, and one of
    /// `close`, do not wait for that: `close` ends the leave-taking.
    pub async fn drain(&self, drain: Drain, grace: Duration) {
        if self.inner().end.begin(Stage::Announced) {
            tokio::select! {
                () = self.take_leave(drain) => {}
                () = self.inner().closed.cancelled() => {}
            }
        } else if !self.is_closing() {
            return self.inner().closed.cancelled().await; // somebody else does it
        }
        self.close(grace).await;
    }

    async fn take_leave(&self, drain: Drain) {
        tokio::time::sleep(drain.notice).await;
        self.inner().end.begin(Stage::Leaving);
        self.show_all().await;
        let clients = self.inner().sessions.load(Ordering::Acquire);
        let (batches, begin, mut dice) = (drain.batches(clients), Instant::now(), Dice::new());
        tracing::info!(clients, batches, "clients are told to leave");
        for batch in (1..=batches).rev() {
            let seed = dice.roll();
            self.run_on_all(|| move |shard| shard.close_part(batch, Dice(seed))).await;
            if batch == 1 || self.is_closing() {
                break;
            }
            let gone = u32::try_from(batches - batch).unwrap_or(u32::MAX);
            let step = u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
            let jitter = Duration::from_millis(dice.below(step));
            sleep_until(begin + STEP * gone + STEP / 2 + jitter).await;
        }
    }
}

/// Random enough for who leaves when.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Dice(u64);

impl Dice {
    fn new() -> Dice {
        Dice(getrandom::u64().unwrap_or(0))
    }

    /// The next number. Spec: `SplitMix64`.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    /// A part of some things, chosen at random: one of `parts`. What is left over is in it as often as not
    /// to make it even over all parts, and all are in the last.
    pub(crate) fn part<T>(&mut self, mut of: Vec<T>, parts: usize) -> Vec<T> {
        let parts = parts.max(1);
        let over = self.below(u64::try_from(parts).unwrap_or(u64::MAX));
        let is_more = usize::try_from(over).is_ok_and(|over| over < of.len() % parts);
        let count = of.len() / parts + usize::from(is_more);
        for at in 0..count {
            let left = u64::try_from(of.len() - at).unwrap_or(1);
            let other = at + usize::try_from(self.below(left)).unwrap_or(0);
            of.swap(at, other);
        }
        of.truncate(count);
        of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_clients_leave_at_once_and_many_within_the_time() {
        let drain = Drain::default();
        for (clients, batches) in
            [(0, 1), (1, 1), (100, 1), (101, 2), (1_000, 10), (5_000, 50), (1_000_000, 100)]
        {
            assert_eq!(drain.batches(clients), batches, "{clients}");
        }
        let at_once = Drain { clients_per_second: 0, ..drain };
        assert_eq!(at_once.batches(1_000_000), 1);
        assert_eq!(Drain { within: Duration::ZERO, ..drain }.batches(1_000_000), 1);
    }

    #[test]
    fn in_the_last_batch_is_everybody_and_nobody_twice() {
        let mut left: Vec<u32> = (0..1_003).collect();
        let mut dice = Dice(7);
        for parts in (1..=10).rev() {
            let went = dice.part(left.clone(), parts);
            assert!(went.len() >= 100 && went.len() <= 101, "{}", went.len());
            left.retain(|it| !went.contains(it));
        }
        assert!(left.is_empty());
        let few: usize = (0..1_000).map(|seed| Dice(seed).part(vec![(); 3], 30).len()).sum();
        assert!((50..150).contains(&few), "three of thirty, a thousand times: {few}");
        let first = Dice(7).part((0..1_000).collect(), 10);
        assert!(first.iter().any(|it| *it > 500), "not the oldest only: {first:?}");
    }

    #[test]
    fn an_end_goes_on_only() {
        let end = End::default();
        assert!(end.begin(Stage::Announced) && end.begin(Stage::Closing));
        assert!(!end.begin(Stage::Leaving) && end.has_begun(Stage::Leaving));
    }
}
