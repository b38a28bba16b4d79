//! Acknowledgement round trips: every connection has one request under way.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::frame::append_text;
use super::order::Faults;
use super::process::Cost;
use super::swarm::{Sink, Swarm};
use super::{LoadError, Report, Target};

/// Without a single answer for this long, what is under way is lost.
const STALL: Duration = Duration::from_secs(5);

/// Many connections, each sending its next `echo` when the last one was acknowledged.
#[derive(Debug, Clone, Deserialize)]
pub struct Echo {
    /// Connections.
    pub clients: usize,
    /// Not measured.
    pub warm_up_ms: u64,
    /// Measured.
    pub measure_ms: u64,
}

/// A fixed number of round trips: for counting instructions instead of time.
#[derive(Debug, Clone, Deserialize)]
pub struct CountedEcho {
    /// Connections, each with one request under way.
    pub clients: usize,
    /// Round trips of each connection; at least one.
    pub round_trips: u64,
}

#[derive(Debug)]
struct Answers {
    /// The acknowledgement each connection waits for.
    awaited: Vec<u64>,
    /// The id from which on no connection asks any more.
    end: u64,
    under_way: usize,
    answered: u64,
    faults: Faults,
}

impl Sink for Answers {
    fn packet(&mut self, link: usize, packet: &[u8], reply: &mut Vec<u8>) {
        let Some(id) = acknowledged(packet) else { return };
        let Some(awaited) = self.awaited.get_mut(link) else { return };
        match id.cmp(awaited) {
            std::cmp::Ordering::Less => self.faults.late += 1,
            std::cmp::Ordering::Greater => self.faults.invented += 1,
            std::cmp::Ordering::Equal => {
                *awaited += 1;
                self.answered += 1;
                if *awaited < self.end {
                    ask(*awaited, reply);
                } else {
                    self.under_way -= 1;
                }
            }
        }
    }
}

/// The id in an ack packet.
fn acknowledged(packet: &[u8]) -> Option<u64> {
    let rest = packet.strip_prefix(b"43")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).take(19);
    Some(digits.fold(0, |sum, digit| sum * 10 + u64::from(digit & 0x0f)))
}

fn ask(id: u64, out: &mut Vec<u8>) {
    append_text(out, format!("42{id}[\"echo\",{{\"n\":{id}}}]").as_bytes());
}

impl Answers {
    /// Opens the connections and sends the first request on each.
    fn begin(
        swarm: &mut Swarm,
        target: &Target,
        clients: usize,
        end: u64,
    ) -> Result<Self, LoadError> {
        swarm.connect_many(target, "", clients)?;
        let mut first = Vec::new();
        ask(0, &mut first);
        for link in 0..clients {
            swarm.send(link, &first)?;
        }
        let awaited = vec![0; clients];
        Ok(Self { awaited, end, under_way: clients, answered: 0, faults: Faults::default() })
    }

    /// Waits for the answers under way; those that do not come are missing.
    fn finish(&mut self, swarm: &mut Swarm) -> Result<(), LoadError> {
        let mut last_seen = (self.answered, Instant::now());
        while self.under_way > 0 && last_seen.1.elapsed() < STALL {
            swarm.pump(self, Duration::from_millis(50))?;
            if self.answered != last_seen.0 {
                last_seen = (self.answered, Instant::now());
            }
        }
        self.faults.missing = self.under_way as u64;
        Ok(())
    }
}

impl Echo {
    /// Runs the scenario and says what a round trip cost the server.
    ///
    /// # Errors
    /// When the server cannot be reached or its process cannot be read.
    pub fn run(&self, target: &Target) -> Result<Report, LoadError> {
        let mut swarm = Swarm::new()?;
        let mut answers = Answers::begin(&mut swarm, target, self.clients, u64::MAX)?;
        pump_for(self.warm_up_ms, &mut swarm, &mut answers)?;
        let before = (Cost::now(target.pid)?, answers.answered);
        pump_for(self.measure_ms, &mut swarm, &mut answers)?;
        let spent = Cost::now(target.pid)?.since(&before.0);
        let answered = answers.answered - before.1;
        answers.end = 0;
        answers.finish(&mut swarm)?;
        let mut report = Report::new(answers.faults, swarm.closed());
        spent.report(&mut report, answered, "ack");
        Ok(report)
    }
}

impl CountedEcho {
    /// Runs the scenario to its last answer. The report holds faults and the number of answers.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn run(&self, target: &Target) -> Result<Report, LoadError> {
        let mut swarm = Swarm::new()?;
        let mut answers = Answers::begin(&mut swarm, target, self.clients, self.round_trips)?;
        answers.finish(&mut swarm)?;
        let mut report = Report::new(answers.faults, swarm.closed());
        report.metric("acks", answers.answered as f64);
        Ok(report)
    }
}

fn pump_for(ms: u64, swarm: &mut Swarm, answers: &mut Answers) -> Result<(), LoadError> {
    let end = Instant::now() + Duration::from_millis(ms);
    while Instant::now() < end {
        swarm.nap_and_pump(answers)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_is_known_by_its_id() {
        for (packet, id) in [
            (&b"430[{\"n\":0}]"[..], Some(0)),
            (b"43217[]", Some(217)),
            (b"42[\"event\"]", None),
            (b"2", None),
        ] {
            assert_eq!(acknowledged(packet), id);
        }
    }
}
