//! Events of a backend to all who are in a session room, or to everybody: when each of them hears it.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use memchr::memmem;
use serde::Deserialize;

use super::order::Faults;
use super::process::Cost;
use super::requests::{Answer, Requests};
use super::swarm::{Sink, Swarm};
use super::{LoadError, Report, Target};

/// The session.
const SESSION: &str = "bench";

/// Without news for this long, what is missing is lost.
const STALL: Duration = Duration::from_secs(5);

/// How long one wait may take while nothing is due.
const WAIT: Duration = Duration::from_millis(2);

/// How long an event may wait for a connection before the server counts as overrun.
const MAX_LATE: Duration = Duration::from_secs(5);

/// The longest latency that is told apart, in microseconds.
const MAX_LATENCY_US: u64 = 60_000_000;

/// Connections that events are posted over.
const LINES: usize = 8;

/// What stands before an event's number.
const MARKER: &[u8] = b"\"benchEvent\":";

/// A backend tells a session something at a rate.
#[derive(Debug, Clone, Deserialize)]
pub struct Session {
    /// How many are connected, all in the session's room.
    pub members: usize,
    /// How many events are sent per second.
    pub per_second: u32,
    /// How many in all.
    pub events: usize,
    /// Bytes of each, beside its number.
    pub payload_bytes: usize,
    /// Sent to everybody who is connected, not to the session.
    pub to_all: bool,
    /// The key of the server's HTTP API.
    pub key: String,
}

/// What all members hear.
struct Members {
    now: Instant,
    begin: Instant,
    every: Duration,
    /// The next number of each.
    next: Vec<usize>,
    latency: Histogram<u64>,
    /// When the last of all heard each event.
    last: Vec<Option<Instant>>,
    deliveries: u64,
    disorder: u64,
}

impl Members {
    fn due(&self, number: usize) -> Instant {
        self.begin + self.every * u32::try_from(number).unwrap_or(u32::MAX)
    }
}

impl Sink for Members {
    fn readable(&mut self) {
        self.now = Instant::now();
    }

    fn packet(&mut self, link: usize, packet: &[u8], _reply: &mut Vec<u8>) {
        let Some(number) = number(packet) else { return };
        let took = self.now.saturating_duration_since(self.due(number));
        self.latency.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.deliveries += 1;
        if let Some(next) = self.next.get_mut(link) {
            self.disorder += u64::from(*next != number);
            *next = number + 1;
        }
        if let Some(last) = self.last.get_mut(number) {
            *last = Some(self.now);
        }
    }
}

fn number(packet: &[u8]) -> Option<usize> {
    let begin = memmem::find(packet, MARKER)? + MARKER.len();
    let digits = packet.get(begin..)?.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit & 0x0f)))
}

impl Session {
    /// Runs the scenario. What is lost or out of order is a fault.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, falls behind the rate, or its process cannot be read.
    pub fn run(&self, target: &Target) -> Result<Report, LoadError> {
        let mut requests = Requests::new(target, LINES)?;
        let mut swarm = Swarm::new()?;
        for _ in 0..self.members {
            swarm.connect_with(target, &format!("sessionId={SESSION}"))?;
        }
        let latency = Histogram::new_with_bounds(1, MAX_LATENCY_US, 3);
        let begin = Instant::now() + Duration::from_millis(500);
        let mut members = Members {
            now: begin,
            begin,
            every: Duration::from_secs(1) / self.per_second.max(1),
            next: vec![0; self.members],
            latency: latency.map_err(|_| LoadError::Histogram)?,
            last: vec![None; self.events],
            deliveries: 0,
            disorder: 0,
        };
        let before = Cost::now(target.pid)?;
        let mut refused = self.send_all(&mut requests, &mut swarm, &mut members)?;
        let spent = Cost::now(target.pid)?.since(&before);
        let wanted = (self.members * self.events) as u64;
        let missing = wanted.saturating_sub(members.deliveries);
        let invented = members.deliveries.saturating_sub(wanted);
        let faults = Faults { skipped: members.disorder, late: 0, invented, missing };
        let mut report = Report::new(faults, swarm.closed());
        report.faults.append(&mut refused);
        spent.report(&mut report, members.deliveries, "delivery");
        for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
            let ms = members.latency.value_at_quantile(quantile) as f64 / 1_000.0;
            report.metric(&format!("{name}_ms"), ms);
        }
        let slowest = (0..self.events).filter_map(|number| {
            let last = members.last.get(number).copied().flatten()?;
            Some(last.saturating_duration_since(members.due(number)))
        });
        let slowest = slowest.max().unwrap_or_default();
        report.metric("slowest_broadcast_ms", slowest.as_secs_f64() * 1_000.0);
        Ok(report)
    }

    /// Sends each event when it is due, until all have heard all, or nothing more comes.
    fn send_all(
        &self,
        requests: &mut Requests,
        swarm: &mut Swarm,
        members: &mut Members,
    ) -> Result<Vec<String>, LoadError> {
        let filler = "x".repeat(self.payload_bytes);
        let path = match self.to_all {
            true => "/v1/publish".to_owned(),
            false => format!("/v1/sessions/{SESSION}/events"),
        };
        let wanted = (self.members * self.events) as u64;
        let (mut sent, mut refused) = (0, Vec::new());
        let (mut since, mut seen) = (Instant::now(), 0);
        while members.deliveries < wanted {
            let now = Instant::now();
            while sent < self.events && members.due(sent) <= now {
                let payload = format!("{{\"benchEvent\":{sent},\"filler\":\"{filler}\"}}");
                let body = match self.to_all {
                    true => format!("{{\"event\":\"bench\",\"args\":[{payload}],\"all\":true}}"),
                    false => format!("{{\"eventType\":\"bench\",\"payload\":{payload}}}"),
                };
                if !requests.send(sent, ("POST", &path), &self.key, &body)? {
                    break;
                }
                sent += 1;
                since = now;
            }
            if sent < self.events && now.saturating_duration_since(members.due(sent)) > MAX_LATE {
                return Err(LoadError::Overrun);
            }
            requests.pump(Duration::ZERO, |Answer { status, body, .. }| {
                if status != 200 {
                    let body = String::from_utf8_lossy(&body);
                    refused.push(format!("an event was refused: {status} {body}"));
                }
            })?;
            swarm.pump(members, WAIT)?;
            if members.deliveries != seen {
                (since, seen) = (Instant::now(), members.deliveries);
            }
            if sent == self.events && since.elapsed() > STALL {
                break;
            }
        }
        Ok(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_both_shapes() {
        let envelope = br#"42["event",{"eventId":"e","eventType":"bench","payload":{"benchEvent":17,"filler":"x"}},"offset"]"#;
        assert_eq!(number(envelope), Some(17));
        assert_eq!(number(br#"42["bench",{"benchEvent":0,"filler":""},"o"]"#), Some(0));
        assert_eq!(number(br#"42["connection:established",{}]"#), None);
    }
}
