//! Looks once a second at how busy the server is, and whether memory is short.
//!
//! What it saw last is what the metrics tell. A thread that is held by a listener, and memory that runs
//! out, are said in the log; when memory is short the library sheds load before the system ends the
//! process.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfare::{Io, Load};

use crate::health::Process;

/// How often it looks.
const EACH: Duration = Duration::from_secs(1);

/// Who waits so long is told of in the log.
const STALL: Duration = Duration::from_secs(1);

/// From which part of what may be used memory is short, and below which it is no longer.
const SHORT: (u64, u64) = (85, 75);

/// What was seen last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Load>>);

impl Watch {
    /// What was seen last.
    pub(crate) fn load(&self) -> Load {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, load: Load) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = load;
    }

    /// Looks, for as long as it is run. `memory` is how many bytes may be used, if that is known.
    pub(crate) async fn run(self, io: Io, memory: Option<u64>) {
        let mut ticks = tokio::time::interval(EACH);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(limit) = memory {
                look_at_memory(&io, limit);
            }
            let asked = io.load();
            tokio::pin!(asked);
            let load = match tokio::time::timeout(STALL, &mut asked).await {
                Ok(load) => load,
                Err(_) => {
                    let mut stalled = self.load();
                    stalled.lag = STALL;
                    self.saw(stalled);
                    tracing::warn!("a thread has not answered for a second: a listener holds it");
                    let load = asked.await;
                    tracing::warn!(seconds = load.lag.as_secs_f64(), "the thread answers again");
                    load
                }
            };
            self.saw(load);
        }
    }
}

fn look_at_memory(io: &Io, limit: u64) {
    let Some(used) = Process::memory() else { return };
    let (short, enough) = SHORT;
    let percent = used.saturating_mul(100) / limit.max(1);
    if io.is_memory_short() && percent < enough {
        io.set_memory_short(false);
        tracing::info!(used, limit, "memory is no longer short");
    } else if percent >= short {
        if !io.is_memory_short() {
            tracing::warn!(
                used,
                limit,
                "memory is short: nobody new is let in, the slowest are cut"
            );
        }
        io.set_memory_short(true);
    }
}

/// How many bytes the process may use: what is set, else what its container may, else what the machine
/// has.
pub(crate) fn memory_limit(set: u64) -> Option<u64> {
    if set > 0 {
        return Some(set);
    }
    let of_container = || {
        let text = fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?;
        text.trim().parse().ok()
    };
    let of_machine = || {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kilobytes: u64 = total.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    };
    of_container().or_else(of_machine)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_is_set_or_what_there_is() {
        assert_eq!(memory_limit(5), Some(5));
        assert!(memory_limit(0).unwrap() > 64 << 20);
    }

    #[tokio::test]
    async fn memory_is_short_until_there_is_enough() {
        let io = Io::with(|settings| settings.shards = 1).unwrap();
        let used = Process::memory().unwrap();
        for (limit, short) in
            [(used * 100, false), (used, true), (used * 5 / 4, true), (used * 2, false)]
        {
            look_at_memory(&io, limit);
            assert_eq!(io.is_memory_short(), short, "{used} of {limit}");
        }
        io.close(Duration::ZERO).await;
    }
}
