//! Many clients lose their connections, miss events, and come back at once: do they get exactly what
//! they missed, and what does a client that stayed notice?

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Deserialize;

use super::frame::{self, append_text};
use super::link::{self, Opened};
use super::order::{self, Faults, Finder};
use super::process::Cost;
use super::swarm::{Sink, Swarm};
use super::{LoadError, ROOM, Report, Target};

/// Connections that are opened at the same time.
const ABREAST: usize = 64;

/// The room of the client that stayed.
const QUIET: &str = "stayed";

/// How long it is watched before the others come back, and after.
const CALM: Duration = Duration::from_secs(1);

/// The longest latency that is told apart, in microseconds.
const MAX_LATENCY_US: u64 = 60_000_000;

/// Clients that come back at once.
#[derive(Debug, Clone, Deserialize)]
pub struct Storm {
    /// How many.
    pub clients: usize,
    /// Events that each of them missed.
    pub missed: u64,
    /// Bytes of an event's JSON argument.
    pub payload_bytes: usize,
    /// Events per second to the client that stayed.
    pub per_second: u32,
}

/// The client that stayed, and the one that publishes.
#[derive(Debug)]
struct Watch {
    finder: Finder,
    sent: Vec<Instant>,
    now: Instant,
    histogram: Histogram<u64>,
    /// What members of the room have received.
    witnessed: u64,
    stayed: usize,
}

impl Sink for Watch {
    fn readable(&mut self) {
        self.now = Instant::now();
    }

    fn packet(&mut self, link: usize, packet: &[u8], _reply: &mut Vec<u8>) {
        let Some(number) = self.finder.find(packet) else { return };
        if link != self.stayed {
            self.witnessed += 1;
            return;
        }
        let sent = usize::try_from(number).ok().and_then(|at| self.sent.get(at));
        let took = sent.map_or(Duration::ZERO, |at| self.now.saturating_duration_since(*at));
        self.histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

impl Storm {
    /// Runs the scenario: how late events came to the client that stayed while all others came
    /// back. Who did not get its session, or not exactly what it missed, is a fault.
    ///
    /// # Errors
    /// When the server cannot be reached, or its process cannot be read.
    pub fn run(&self, target: &Target) -> Result<Report, LoadError> {
        let sessions = self.sessions(target)?;
        let mut swarm = Swarm::new()?;
        let witness = swarm.connect(target, ROOM)?;
        let stayed = swarm.connect(target, QUIET)?;
        let publisher = swarm.connect(target, "")?;
        let histogram =
            Histogram::new_with_bounds(1, MAX_LATENCY_US, 3).map_err(|_| LoadError::Histogram)?;
        let (finder, sent) = (Finder::default(), Vec::new());
        let mut watch =
            Watch { finder, sent, now: Instant::now(), histogram, witnessed: 0, stayed };
        debug_assert!(witness != stayed);
        self.publish_missed(&mut swarm, publisher, &mut watch)?;
        let end = Instant::now() + CALM;
        self.watch(&mut swarm, publisher, &mut watch, || Instant::now() < end)?;
        watch.histogram.reset();

        let (done, faulty) = (AtomicBool::new(false), AtomicU64::new(0));
        let before = Cost::now(target.pid)?;
        let begun = Instant::now();
        let mut took = Duration::ZERO;
        thread::scope(|scope| {
            scope.spawn(|| {
                faulty.store(self.come_back(target, &sessions), Ordering::Relaxed);
                done.store(true, Ordering::Release);
            });
            let watched =
                self.watch(&mut swarm, publisher, &mut watch, || !done.load(Ordering::Acquire));
            took = begun.elapsed();
            watched
        })?;
        let spent = Cost::now(target.pid)?.since(&before);
        let end = Instant::now() + CALM;
        self.watch(&mut swarm, publisher, &mut watch, || Instant::now() < end)?;

        let mut report = Report::new(Faults::default(), swarm.closed());
        let faulty = faulty.into_inner();
        if faulty > 0 {
            report.faults.push(format!("{faulty} clients did not get exactly what they missed"));
        }
        spent.report(&mut report, self.clients as u64, "recovery");
        report.metric("storm_seconds", took.as_secs_f64());
        for (name, quantile) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)] {
            let micros = watch.histogram.value_at_quantile(quantile);
            report.metric(name, micros as f64 / 1000.0);
        }
        Ok(report)
    }

    /// Opens a connection for each client and drops it: what brings them back.
    fn sessions(&self, target: &Target) -> Result<Vec<String>, LoadError> {
        let open = || {
            let Opened { answer, .. } = target.open_as(&format!("room={ROOM}"), "")?;
            let text = String::from_utf8_lossy(&answer);
            let pid = text.split_once("\"pid\":\"").and_then(|(_, rest)| rest.split_once('"'));
            let refused = || LoadError::Refused { answer: text.clone().into_owned() };
            pid.map(|(pid, _)| pid.to_owned()).ok_or_else(refused)
        };
        (0..self.clients).map(|_| open()).collect()
    }

    /// Publishes what the others miss, and waits until it is shown.
    fn publish_missed(
        &self,
        swarm: &mut Swarm,
        publisher: usize,
        watch: &mut Watch,
    ) -> Result<(), LoadError> {
        let mut frames = Vec::new();
        for number in 0..self.missed {
            publish(&mut frames, ROOM, number, self.payload_bytes);
        }
        swarm.send(publisher, &frames)?;
        let end = Instant::now() + CALM * 10;
        while watch.witnessed < self.missed {
            if Instant::now() > end {
                return Err(LoadError::NoAnswer { awaited: "what was published" });
            }
            swarm.pump(watch, Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Sends to the client that stayed, as long as there is reason to.
    fn watch(
        &self,
        swarm: &mut Swarm,
        publisher: usize,
        watch: &mut Watch,
        go_on: impl Fn() -> bool,
    ) -> Result<(), LoadError> {
        let every = Duration::from_secs(1) / self.per_second.max(1);
        let mut due = Instant::now();
        let mut frames = Vec::new();
        while go_on() {
            let now = Instant::now();
            if now < due {
                swarm.pump(watch, due - now)?;
                continue;
            }
            due += every;
            frames.clear();
            publish(&mut frames, QUIET, watch.sent.len() as u64, self.payload_bytes);
            watch.sent.push(Instant::now());
            swarm.send(publisher, &frames)?;
        }
        Ok(())
    }

    /// All clients at once; how many did not get exactly what they missed.
    fn come_back(&self, target: &Target, sessions: &[String]) -> u64 {
        let share = sessions.len().div_ceil(ABREAST).max(1);
        thread::scope(|scope| {
            let parts: Vec<_> = sessions
                .chunks(share)
                .map(|part| {
                    let gets_all = |pid: &&String| !self.gets_all(target, pid).unwrap_or(false);
                    scope.spawn(move || part.iter().filter(gets_all).count() as u64)
                })
                .collect();
            parts.into_iter().map(|part| part.join().unwrap_or(u64::MAX / 1024)).sum()
        })
    }

    fn gets_all(&self, target: &Target, pid: &str) -> Result<bool, LoadError> {
        let auth = format!("{{\"pid\":\"{pid}\"}}");
        let Opened { mut stream, mut rest, answer } =
            target.open_as(&format!("room={ROOM}"), &auth)?;
        let recovered = String::from_utf8_lossy(&answer).contains(pid);
        let (mut finder, mut next) = (Finder::default(), 0);
        while recovered && next < self.missed {
            let Some(found) = frame::split(&rest) else {
                link::read_more(&mut stream, &mut rest, "what was missed")?;
                continue;
            };
            if let Some(number) = finder.find(found.payload) {
                if number != next {
                    return Ok(false);
                }
                next += 1;
            }
            let size = found.size;
            rest.drain(..size);
        }
        Ok(recovered)
    }
}

fn publish(out: &mut Vec<u8>, room: &str, number: u64, bytes: usize) {
    let payload = order::payload(number, bytes.max(order::MIN_PAYLOAD_BYTES));
    append_text(out, format!("42[\"publish\",\"{room}\",{payload}]").as_bytes());
}
