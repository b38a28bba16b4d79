//! What the checks found.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// The most witnesses that are kept of one check. All are counted.
pub const MAX_WITNESSES: usize = 20;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A client was told `recovered: true`, and did not get what it had missed. The worst there is.
    Honesty,
    /// A recorded event did not reach a client, which was not told.
    SilentLoss,
    /// Somebody saw an event that nobody published, or that was refused.
    Invented,
    /// A client received an event twice.
    Duplicate,
    /// Two clients, or a client and the log, have events in different order.
    Order,
    /// A client received an event that was not for it: of a room it was not in, or had left.
    Leak,
    /// A client was given another client's session.
    Identity,
    /// One position, two events; or one event, two positions.
    Position,
    /// The final log lacks what was acknowledged, holds what it must not, or is out of order.
    Log,
    /// One idempotency key, two entries.
    Key,
    /// Something was acknowledged twice, or without having been asked.
    Acks,
    /// Something did not come back although everything was whole again.
    Back,
    /// The server broke its protocol.
    Protocol,
}

/// One case in which a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Which check.
    pub check: Check,
    /// Who saw it: a client, a publisher or the reader of the log.
    pub who: String,
    /// When, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// The event, with its position if it has one, and what happened to it.
    pub detail: String,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, who, at, detail } = self;
        write!(
            f,
            "{check:?}: {who} at {}.{:06} s: {detail}",
            at / 1_000_000_000,
            at / 1_000 % 1_000_000
        )
    }
}

/// The judgement of a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How often each check failed. What is not here never did.
    pub counts: BTreeMap<Check, u64>,
    /// The first [`MAX_WITNESSES`] of each.
    pub witnesses: Vec<Witness>,
    /// What the table shows.
    pub figures: Figures,
}

/// What was counted in a trace. A *delivery* is one event to one client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Events that were answered 2xx.
    pub acked: u64,
    /// Clients.
    pub clients: u64,
    /// Deliveries that were received.
    pub deliveries: u64,
    /// Deliveries that were judged: the client was in the room for certain.
    pub due: u64,
    /// Events that at least one client lost and was told.
    pub lost_told: u64,
    /// Deliveries of that kind.
    pub lost_told_deliveries: u64,
    /// Events that at least one client lost without being told.
    pub lost_silently: u64,
    /// Deliveries of that kind.
    pub lost_silently_deliveries: u64,
    /// Deliveries that came again.
    pub duplicates: u64,
    /// Events that two clients, or a client and the log, have in different order.
    pub disordered: u64,
    /// How often clients came back.
    pub reconnects: u64,
    /// How often they were told that nothing is missing.
    pub recovered: u64,
    /// How often they were told that something may be missing, and nothing was.
    pub pessimistic: u64,
}

impl Figures {
    /// Pessimism in percent of the reconnects.
    #[must_use]
    pub fn pessimism_percent(&self) -> f64 {
        // Both are far below 2^52.
        #[expect(clippy::cast_precision_loss)]
        let (part, whole) = (self.pessimistic as f64, self.reconnects.max(1) as f64);
        100.0 * part / whole
    }
}

impl Verdict {
    /// Whether every check passed. Losses that clients were told of are no failure of a check.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// How often a check failed.
    #[must_use]
    pub fn count(&self, check: Check) -> u64 {
        self.counts.get(&check).copied().unwrap_or(0)
    }

    pub(crate) fn find(&mut self, check: Check, who: &str, at: u64, detail: String) {
        let count = self.counts.entry(check).or_insert(0);
        *count += 1;
        if *count <= MAX_WITNESSES as u64 {
            self.witnesses.push(Witness { check, who: who.to_owned(), at, detail });
        }
    }
}
