//! How much per second: a token bucket that is one number.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How fast something may go on, and how much of it may come at once after a time of quiet.
///
/// Spec: the generic cell rate algorithm, which is the token bucket without a count of tokens:
/// when the bucket would be full again says how many are missing.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    per_second: u64,
    /// How long an empty bucket takes to be full, in nanoseconds.
    window: u64,
    /// Times are told from here.
    epoch: Instant,
}

/// What one source has taken lately: when its bucket is full again, in nanoseconds since the
/// [`Rate`]'s epoch. The default is a full one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket(u64);

/// A [`Bucket`] that several threads take from.
#[derive(Debug, Default)]
pub struct SharedBucket(AtomicU64);

impl Rate {
    /// `burst` at once, and `per_second` in the long run. `None`, no limit, if that is 0.
    #[must_use]
    pub fn new(per_second: u64, burst: u64) -> Option<Rate> {
        let rate = Rate { per_second, window: 0, epoch: Instant::now() };
        (per_second > 0).then(|| Rate { window: rate.nanos(burst), ..rate })
    }

    /// Takes `units`, whether they are there or not: what is missing has to be waited for.
    pub fn charge(&self, bucket: &mut Bucket, units: u64, now: Instant) {
        bucket.0 = bucket.0.max(self.at(now)).saturating_add(self.nanos(units));
    }

    /// How long nothing more may be taken. `None` if something may be taken now.
    #[must_use]
    pub fn wait(&self, bucket: Bucket, now: Instant) -> Option<Duration> {
        let missing = bucket.0.saturating_sub(self.at(now)).saturating_sub(self.window);
        (missing > 0).then(|| Duration::from_nanos(missing))
    }

    /// Takes one, if there is one.
    pub fn take(&self, bucket: &mut Bucket, now: Instant) -> bool {
        let mut after = *bucket;
        self.charge(&mut after, 1, now);
        let there = self.wait(after, now).is_none();
        if there {
            *bucket = after;
        }
        there
    }

    /// Takes `units` from a bucket that others take from at this moment, if one is there: a large piece
    /// may take more than there is, and what is missing has to be waited for.
    ///
    /// # Errors
    ///
    /// How long to wait.
    pub fn charge_shared(
        &self,
        bucket: &SharedBucket,
        units: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        let charge = |full_at| {
            let mut bucket = Bucket(full_at);
            self.charge(&mut bucket, 1, now);
            if self.wait(bucket, now).is_some() {
                return None;
            }
            self.charge(&mut bucket, units.saturating_sub(1), now);
            Some(bucket.0)
        };
        match bucket.0.fetch_update(Relaxed, Relaxed, charge) {
            Ok(_) => Ok(()),
            Err(full_at) => {
                let mut after = Bucket(full_at);
                self.charge(&mut after, 1, now);
                Err(self.wait(after, now).unwrap_or_default())
            }
        }
    }

    /// The same, from a bucket that others take from at this moment.
    pub fn take_shared(&self, bucket: &SharedBucket, now: Instant) -> bool {
        let take = |full_at| {
            let mut bucket = Bucket(full_at);
            self.take(&mut bucket, now).then_some(bucket.0)
        };
        bucket.0.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    fn nanos(&self, units: u64) -> u64 {
        units.saturating_mul(1_000_000_000) / self.per_second.max(1)
    }

    fn at(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.epoch).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes one at each of these moments, in milliseconds; gives which of them were there.
    fn taken(per_second: u64, burst: u64, moments: &[u64]) -> Vec<bool> {
        let rate = Rate::new(per_second, burst).unwrap();
        let mut bucket = Bucket::default();
        let at = |millis| rate.epoch + Duration::from_millis(millis);
        moments.iter().map(|millis| rate.take(&mut bucket, at(*millis))).collect()
    }

    /// A burst at once, then one for each part of a second, and never more than a burst saved up.
    #[test]
    fn takes_what_there_is() {
        assert_eq!(taken(10, 2, &[0, 0, 0, 99, 100, 100]), [true, true, false, false, true, false]);
        assert_eq!(taken(10, 2, &[0, 0, 60_000, 60_000, 60_000]), [true, true, true, true, false]);
        assert_eq!(taken(3, 3, &[7, 7, 7, 7]), [true, true, true, false]);
        assert_eq!(taken(1, 1, &[0, 999, 1_000]), [true, false, true]);
    }

    /// What is taken in excess is waited for, to the nanosecond, and no longer.
    #[test]
    fn excess_is_waited_for() {
        let rate = Rate::new(1_000, 4_000).unwrap();
        let mut bucket = Bucket::default();
        let start = rate.epoch + Duration::from_secs(5);
        rate.charge(&mut bucket, 4_000, start);
        assert_eq!(rate.wait(bucket, start), None);
        rate.charge(&mut bucket, 500, start);
        assert_eq!(rate.wait(bucket, start), Some(Duration::from_millis(500)));
        let later = start + Duration::from_millis(499);
        assert_eq!(rate.wait(bucket, later), Some(Duration::from_millis(1)));
        assert_eq!(rate.wait(bucket, start + Duration::from_millis(500)), None);
    }

    /// No rate is no limit; the largest figures neither panic nor wrap round.
    #[test]
    fn extremes() {
        assert!(Rate::new(0, 10).is_none());
        let rate = Rate::new(1, u64::MAX).unwrap();
        let mut bucket = Bucket::default();
        rate.charge(&mut bucket, u64::MAX, rate.epoch);
        rate.charge(&mut bucket, u64::MAX, rate.epoch);
        assert_eq!(bucket, Bucket(u64::MAX));
        let rate = Rate::new(u64::MAX, 0).unwrap();
        assert_eq!(rate.wait(bucket, rate.epoch), Some(Duration::from_nanos(u64::MAX)));
    }

    /// Threads that take at once get together what one would have got.
    #[test]
    fn shared() {
        let rate = Rate::new(1, 1_000).unwrap();
        let bucket = SharedBucket::default();
        let now = rate.epoch;
        let got = || (0..1_000).filter(|_| rate.take_shared(&bucket, now)).count();
        let all: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(got)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(all, 1_000);
    }

    proptest! {
        /// Whatever comes when: in no stretch of time more is taken than the burst and what that
        /// time brings, but for the one piece that began it.
        #[test]
        fn holds_over_any_stretch(
            per_second in 1u64..10_000_000,
            burst in 0u64..10_000_000,
            pieces in proptest::collection::vec((1u64..100_000, 0u64..1_000_000_000), 1..50),
        ) {
            let rate = Rate::new(per_second, burst).unwrap();
            let mut bucket = Bucket::default();
            let (mut now, mut taken, mut largest) = (rate.epoch, 0, 0);
            for (units, pause) in pieces {
                now += rate.wait(bucket, now).unwrap_or_default() + Duration::from_nanos(pause);
                prop_assert_eq!(rate.wait(bucket, now), None);
                let passed = (now - rate.epoch).as_secs_f64();
                let allowed = burst as f64 + passed * per_second as f64 + largest as f64;
                // A nanosecond is lost with each division.
                let slack = 1.0 + per_second as f64 * 100e-9;
                prop_assert!(taken as f64 <= allowed + slack, "{taken} of {allowed}");
                rate.charge(&mut bucket, units, now);
                taken += units;
                largest = largest.max(units);
            }
        }
    }
}
