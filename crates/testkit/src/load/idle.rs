//! Connections that do nothing: what they cost to open and to hold.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::order::Faults;
use super::process::{self, Cost};
use super::swarm::{Ignore, Swarm};
use super::{LoadError, ROOM, Report, Target};

/// Connections opened and closed first, so that one-time costs (code pages, compiled functions,
/// pools) are not counted per connection.
const WARM_UP_CONNECTIONS: usize = 100;

/// Opens `connections`, all members of one room, and holds them.
#[derive(Debug, Clone, Deserialize)]
pub struct Idle {
    /// How many.
    pub connections: usize,
    /// How long they are held before memory is read: a garbage collector gets its turn.
    pub settle_ms: u64,
}

impl Idle {
    /// Runs the scenario and says what one connection takes.
    ///
    /// # Errors
    /// When the server cannot be reached or its memory cannot be read.
    pub fn run(&self, target: &Target) -> Result<Report, LoadError> {
        let mut warm_up = Swarm::new()?;
        warm_up.connect_many(target, ROOM, WARM_UP_CONNECTIONS)?;
        drop(warm_up);
        let mut swarm = Swarm::new()?;
        hold(&mut swarm, self.settle_ms)?;
        let memory = process::proportional_bytes(target.pid)?;
        let kernel = process::kernel_bytes()?;
        let before = Cost::now(target.pid)?;
        swarm.connect_many(target, ROOM, self.connections)?;
        let spent = Cost::now(target.pid)?.since(&before);
        hold(&mut swarm, self.settle_ms)?;
        let memory = process::proportional_bytes(target.pid)? - memory;
        let kernel = process::kernel_bytes()? - kernel;
        let mut report = Report::new(Faults::default(), swarm.closed());
        let count = self.connections.max(1) as f64;
        report.metric("connections", count);
        report.metric("process_bytes_per_connection", memory / count);
        report.metric("kernel_bytes_per_connection_both_ends", kernel / count);
        spent.report(&mut report, self.connections as u64, "connection");
        Ok(report)
    }
}

/// Keeps the connections alive for a while.
fn hold(swarm: &mut Swarm, ms: u64) -> Result<(), LoadError> {
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end {
        swarm.pump(&mut Ignore, end.saturating_duration_since(Instant::now()))?;
    }
    Ok(())
}
