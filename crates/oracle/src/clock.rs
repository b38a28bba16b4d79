//! The one clock of a run.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the system's monotonic clock: the same in every process of the machine, and what
/// `process.hrtime.bigint()` tells in Node.js on Linux.
#[must_use]
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is ever negative: the clock counts from the start of the machine.
    let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_does_not_run_backwards() {
        let first = super::now();
        assert!(first > 0 && super::now() >= first);
    }
}
