//! A load generator that is cheaper than the server it measures.
//!
//! One thread holds any number of WebSocket connections and does almost nothing per delivery: one
//! `read` into a shared buffer, then a look at each frame's header and at the sequence number at its
//! fixed place. Scenarios count the server's CPU time and memory themselves, so that only what lies
//! between two moments is counted, and their own CPU time, so that a reader sees which of the two
//! was the limit.
//!
//! The server keeps a small contract: a connection with the query `room=NAME` is a member of that
//! room, event `publish` (room, payload) goes to the room as event `event` (payload), event `echo`
//! is acknowledged with its arguments. [`Votes`] wants a server with live polling
//! instead, [`Session`] one with session rooms.

mod broadcast;
mod echo;
mod frame;
mod idle;
mod link;
mod livepoll;
mod order;
mod process;
mod requests;
mod session;
mod storm;
mod swarm;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

pub use self::broadcast::{Burst, Counted, Paced};
pub use self::echo::{CountedEcho, Echo};
pub use self::idle::Idle;
pub use self::link::Target;
pub use self::livepoll::Votes;
pub use self::order::Faults;
pub use self::session::Session;
pub use self::storm::Storm;
pub use self::swarm::{Ignore, Sink, Swarm};

/// The room of every scenario.
const ROOM: &str = "bench";

/// What to do against which server.
#[derive(Debug, Clone, Deserialize)]
pub struct Plan {
    /// The server.
    pub target: Target,
    /// What to do.
    pub scenario: Scenario,
}

/// The kinds of load.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Events to a room, as fast as the window allows.
    Burst(Burst),
    /// A fixed number of events to a room.
    Counted(Counted),
    /// Events to a room at a fixed rate, with latencies.
    Paced(Paced),
    /// Acknowledgement round trips.
    Echo(Echo),
    /// A fixed number of acknowledgement round trips.
    CountedEcho(CountedEcho),
    /// Connections that do nothing.
    Idle(Idle),
    /// Clients that all come back at once, beside one that stays.
    Storm(Storm),
    /// Participants of live polling who vote.
    Votes(Votes),
    /// Events of a backend to a session room.
    Session(Session),
}

impl Plan {
    /// Runs the plan.
    ///
    /// # Errors
    /// When the server cannot be reached, hangs, or its process cannot be read. Loss and disorder
    /// are not errors but faults in the report.
    pub fn run(&self) -> Result<Report, LoadError> {
        match &self.scenario {
            Scenario::Burst(burst) => burst.run(&self.target),
            Scenario::Counted(counted) => counted.run(&self.target),
            Scenario::Paced(paced) => paced.run(&self.target),
            Scenario::Echo(echo) => echo.run(&self.target),
            Scenario::CountedEcho(echo) => echo.run(&self.target),
            Scenario::Idle(idle) => idle.run(&self.target),
            Scenario::Storm(storm) => storm.run(&self.target),
            Scenario::Votes(votes) => votes.run(&self.target),
            Scenario::Session(session) => session.run(&self.target),
        }
    }
}

/// What was measured, by name, and what went wrong. The unit is part of the name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Measured values.
    pub metrics: BTreeMap<String, f64>,
    /// Broken promises, one sentence each. Empty in a valid run.
    pub faults: Vec<String>,
}

impl Report {
    fn new(faults: Faults, closed: usize) -> Self {
        let Faults { skipped, late, invented, missing } = faults;
        let counted = [
            (skipped, "sequence numbers were skipped"),
            (late, "sequence numbers came twice or late"),
            (invented, "sequence numbers came that were never sent"),
            (missing, "deliveries never arrived"),
            (closed as u64, "connections were closed by the server"),
        ];
        let faults = counted.iter().filter(|(count, _)| *count > 0);
        Self {
            metrics: BTreeMap::new(),
            faults: faults.map(|(count, what)| format!("{count} {what}")).collect(),
        }
    }

    fn metric(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), value);
    }
}

/// Why a scenario could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server refused the handshake or the namespace.
    #[error("the server refused the connection: {answer}")]
    Refused {
        /// What it answered.
        answer: String,
    },
    /// The server closed or said nothing where an answer was due.
    #[error("the server did not send {awaited}")]
    NoAnswer {
        /// What was waited for.
        awaited: &'static str,
    },
    /// The server takes no more bytes from a connection.
    #[error("the server does not read what it is sent")]
    ServerDoesNotRead,
    /// A fixed rate was too much for the server.
    #[error("the server fell behind the asked rate; ask for fewer deliveries per second")]
    Overrun,
    /// A connection could not be opened.
    #[error("cannot connect: {0} (is the limit of open files high enough? see `ulimit -n`)")]
    Connect(#[source] io::Error),
    /// The kernel refused to wait for sockets.
    #[error("cannot wait for sockets: {0}")]
    Poll(#[source] io::Error),
    /// A file of `/proc` is missing or unreadable.
    #[error("cannot read {path}: measuring needs Linux and a running server")]
    Proc {
        /// Which.
        path: String,
    },
    /// The histogram of latencies could not be made.
    #[error("cannot make a histogram of latencies")]
    Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_from_json() {
        let text = r#"{"target":{"port":1,"pid":2},"scenario":{"burst":
            {"members":3,"window":4,"payload_bytes":100,"warm_up_ms":5,"measure_ms":6}}}"#;
        let plan: Plan = serde_json::from_str(text).unwrap();
        assert!(matches!(plan.scenario, Scenario::Burst(Burst { members: 3, window: 4, .. })));
    }

    #[test]
    fn each_fault_becomes_a_sentence() {
        let faults = Faults { late: 2, ..Faults::default() };
        let report = Report::new(faults, 1);
        assert_eq!(
            report.faults,
            ["2 sequence numbers came twice or late", "1 connections were closed by the server"]
        );
        assert!(Report::new(Faults::default(), 0).faults.is_empty());
    }
}
