//! One publisher, one room: closed loop with a window, or a fixed rate with latencies.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Deserialize;

use super::frame::append_text;
use super::order::{self, Finder, Ledger};
use super::process::Cost;
use super::swarm::{Sink, Swarm};
use super::{LoadError, ROOM, Report, Target};

/// Without a single delivery for this long, a run is over and what is missing is lost.
const STALL: Duration = Duration::from_secs(5);

/// How long one wait for readiness may take, so that clocks are looked at.
const WAIT: Duration = Duration::from_millis(50);

/// The longest latency that is told apart, in microseconds; beyond it counts as this.
const MAX_LATENCY_US: u64 = 60_000_000;

/// How many publishes may be under way at a fixed rate before the server counts as overrun.
const MAX_BACKLOG: usize = 4096;

/// A room of `members`, fed by one publisher that keeps `window` publishes in flight.
#[derive(Debug, Clone, Deserialize)]
pub struct Burst {
    /// Connections in the room.
    pub members: usize,
    /// Publishes not yet received by everyone.
    pub window: usize,
    /// Bytes of the event's JSON argument.
    pub payload_bytes: usize,
    /// Not measured: lets a just-in-time compiler and the caches settle.
    pub warm_up_ms: u64,
    /// Measured.
    pub measure_ms: u64,
}

/// A room fed with a fixed number of events: for counting instructions instead of time.
#[derive(Debug, Clone, Deserialize)]
pub struct Counted {
    /// Connections in the room.
    pub members: usize,
    /// Publishes not yet received by everyone.
    pub window: usize,
    /// Bytes of the event's JSON argument.
    pub payload_bytes: usize,
    /// Publishes until the end; none is allowed and only connects.
    pub publishes: u64,
}

/// A room fed at a fixed rate, well under saturation, to see latencies.
#[derive(Debug, Clone, Deserialize)]
pub struct Paced {
    /// Connections in the room.
    pub members: usize,
    /// Deliveries per second over all members.
    pub deliveries_per_second: usize,
    /// Bytes of the event's JSON argument.
    pub payload_bytes: usize,
    /// Not measured.
    pub warm_up_ms: u64,
    /// Measured.
    pub measure_ms: u64,
}

/// Publishes, and follows what the members receive.
#[derive(Debug)]
struct Room {
    ledger: Ledger,
    finder: Finder,
    publisher: usize,
    payload_bytes: usize,
    packet: Vec<u8>,
    clock: Option<Latencies>,
}

/// When each publish was due, and how long it took to each member.
#[derive(Debug)]
struct Latencies {
    due: Vec<Instant>,
    now: Instant,
    recording: bool,
    histogram: Histogram<u64>,
}

impl Sink for Room {
    fn readable(&mut self) {
        if let Some(clock) = &mut self.clock {
            clock.now = Instant::now();
        }
    }

    fn packet(&mut self, link: usize, packet: &[u8], _reply: &mut Vec<u8>) {
        let Some(number) = self.finder.find(packet) else { return };
        self.ledger.received(link, number);
        if let Some(clock) = self.clock.as_mut().filter(|clock| clock.recording) {
            let slots = clock.due.len() as u64;
            let due = usize::try_from(number % slots).ok().and_then(|at| clock.due.get(at));
            let took = due.map_or(Duration::ZERO, |due| clock.now.saturating_duration_since(*due));
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            clock.histogram.saturating_record(micros);
        }
    }
}

impl Room {
    fn join(
        swarm: &mut Swarm,
        target: &Target,
        members: usize,
        payload_bytes: usize,
    ) -> Result<Self, LoadError> {
        swarm.connect_many(target, ROOM, members)?;
        let publisher = swarm.connect(target, "")?;
        Ok(Self {
            ledger: Ledger::new(members, 1),
            finder: Finder::default(),
            publisher,
            payload_bytes: payload_bytes.max(order::MIN_PAYLOAD_BYTES),
            packet: Vec::new(),
            clock: None,
        })
    }

    /// Appends the next publish to `out` if the window has room for it.
    fn publish(&mut self, out: &mut Vec<u8>) -> Option<u64> {
        let number = self.ledger.publish()?;
        let payload = order::payload(number, self.payload_bytes);
        self.packet.clear();
        self.packet.extend_from_slice(b"42[\"publish\",\"");
        self.packet.extend_from_slice(ROOM.as_bytes());
        self.packet.extend_from_slice(b"\",");
        self.packet.extend_from_slice(payload.as_bytes());
        self.packet.push(b']');
        append_text(out, &self.packet);
        Some(number)
    }

    /// Waits until everything published has arrived, or nothing arrives any more.
    fn drain(&mut self, swarm: &mut Swarm) -> Result<(), LoadError> {
        let mut stall = Stall::new();
        while !self.ledger.is_complete() && !stall.happened(self.ledger.deliveries()) {
            swarm.pump(self, WAIT)?;
        }
        Ok(())
    }
}

/// Notices that nothing arrives any more.
#[derive(Debug)]
struct Stall {
    deliveries: u64,
    since: Instant,
}

impl Stall {
    fn new() -> Self {
        Self { deliveries: 0, since: Instant::now() }
    }

    fn happened(&mut self, deliveries: u64) -> bool {
        if deliveries != self.deliveries {
            *self = Self { deliveries, since: Instant::now() };
        }
        self.since.elapsed() > STALL
    }
}

impl Burst {
    /// Runs the scenario and says what a delivery cost the server.
    ///
    /// # Errors
    /// When the server cannot be reached or its process cannot be read. Loss is not an error but a
    /// fault in the report.
    pub fn run(&self, target: &Target) -> Result<Report, LoadError> {
        let mut swarm = Swarm::new()?;
        let mut room = Room::join(&mut swarm, target, self.members, self.payload_bytes)?;
        room.ledger = Ledger::new(self.members, self.window);
        self.publish_for(self.warm_up_ms, &mut room, &mut swarm)?;
        let before = (Cost::now(target.pid)?, room.ledger.deliveries());
        self.publish_for(self.measure_ms, &mut room, &mut swarm)?;
        let spent = Cost::now(target.pid)?.since(&before.0);
        let deliveries = room.ledger.deliveries() - before.1;
        room.drain(&mut swarm)?;
        let mut report = Report::new(room.ledger.faults(), swarm.closed());
        spent.report(&mut report, deliveries, "delivery");
        Ok(report)
    }

    fn publish_for(
        &self,
        milliseconds: u64,
        room: &mut Room,
        swarm: &mut Swarm,
    ) -> Result<(), LoadError> {
        let end = Instant::now() + Duration::from_millis(milliseconds);
        let mut stall = Stall::new();
        let mut frames = Vec::new();
        while Instant::now() < end && !stall.happened(room.ledger.deliveries()) {
            frames.clear();
            while room.publish(&mut frames).is_some() {}
            if !frames.is_empty() {
                swarm.send(room.publisher, &frames)?;
            }
            swarm.nap_and_pump(room)?;
        }
        Ok(())
    }
}

impl Counted {
    /// Runs the scenario to its last delivery. The report holds faults and the number of deliveries.
    ///
    /// # Errors
    /// As [`Burst::run`].
    pub fn run(&self, target: &Target) -> Result<Report, LoadError> {
        let mut swarm = Swarm::new()?;
        let mut room = Room::join(&mut swarm, target, self.members, self.payload_bytes)?;
        room.ledger = Ledger::new(self.members, self.window);
        let mut left = self.publishes;
        let mut stall = Stall::new();
        let mut frames = Vec::new();
        while left > 0 && !stall.happened(room.ledger.deliveries()) {
            frames.clear();
            while left > 0 && room.publish(&mut frames).is_some() {
                left -= 1;
            }
            if !frames.is_empty() {
                swarm.send(room.publisher, &frames)?;
            }
            swarm.pump(&mut room, WAIT)?;
        }
        room.drain(&mut swarm)?;
        let mut report = Report::new(room.ledger.faults(), swarm.closed());
        report.metric("deliveries", room.ledger.deliveries() as f64);
        Ok(report)
    }
}

impl Paced {
    /// Runs the scenario and says how long deliveries took, from when they were due.
    ///
    /// # Errors
    /// As [`Burst::run`].
    pub fn run(&self, target: &Target) -> Result<Report, LoadError> {
        let mut swarm = Swarm::new()?;
        let mut room = Room::join(&mut swarm, target, self.members, self.payload_bytes)?;
        room.ledger = Ledger::new(self.members, MAX_BACKLOG);
        let mut histogram =
            Histogram::new_with_bounds(1, MAX_LATENCY_US, 3).map_err(|_| LoadError::Histogram)?;
        histogram.auto(false);
        let now = Instant::now();
        room.clock =
            Some(Latencies { due: vec![now; MAX_BACKLOG], now, recording: false, histogram });
        self.publish_for(self.warm_up_ms, &mut room, &mut swarm)?;
        room.drain(&mut swarm)?;
        if let Some(clock) = &mut room.clock {
            clock.recording = true;
        }
        let before = (Cost::now(target.pid)?, room.ledger.deliveries());
        self.publish_for(self.measure_ms, &mut room, &mut swarm)?;
        room.drain(&mut swarm)?;
        let spent = Cost::now(target.pid)?.since(&before.0);
        let mut report = Report::new(room.ledger.faults(), swarm.closed());
        spent.report(&mut report, room.ledger.deliveries() - before.1, "delivery");
        if let Some(clock) = &room.clock {
            for (name, quantile) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)] {
                let micros = clock.histogram.value_at_quantile(quantile);
                report.metric(name, micros as f64 / 1000.0);
            }
        }
        Ok(report)
    }

    /// Publishes when it is due. Never sleeps: neither epoll's timeout, no finer than a millisecond,
    /// nor the wake-up of this thread may be part of a latency.
    fn publish_for(
        &self,
        milliseconds: u64,
        room: &mut Room,
        swarm: &mut Swarm,
    ) -> Result<(), LoadError> {
        let every = Duration::from_secs(1)
            .mul_f64(self.members as f64 / self.deliveries_per_second.max(1) as f64);
        let start = Instant::now();
        let end = start + Duration::from_millis(milliseconds);
        let mut due = start;
        let mut frames = Vec::new();
        while due < end {
            if Instant::now() < due {
                swarm.pump(room, Duration::ZERO)?;
                continue;
            }
            frames.clear();
            let number = room.publish(&mut frames).ok_or(LoadError::Overrun)?;
            if let Some(clock) = &mut room.clock {
                let slots = clock.due.len() as u64;
                if let Some(slot) =
                    usize::try_from(number % slots).ok().and_then(|at| clock.due.get_mut(at))
                {
                    *slot = due;
                }
            }
            swarm.send(room.publisher, &frames)?;
            due += every;
        }
        Ok(())
    }
}
