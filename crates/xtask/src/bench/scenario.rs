//! What is measured: the scenarios of each mode, the rows they give, and the goals.

use serde_json::{Value, json};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Two rounds of the essential scenarios: about two minutes.
    Quick,
    /// Three rounds, measured longer.
    Standard,
    /// Standard, and large rooms, large events, latencies.
    Full,
}

/// One kind of load, and what is read from it.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    /// Its name in tables and files.
    pub(super) name: String,
    /// The generator's scenario.
    pub(super) plan: Value,
    /// What is shown of its report.
    pub(super) rows: Vec<Row>,
}

/// One measured value.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Its name in the generator's report.
    pub(super) metric: &'static str,
    /// Its unit, for people.
    pub(super) unit: &'static str,
    /// What it should reach.
    pub(super) goal: Option<Goal>,
}

/// What a value should reach. Missing a goal is printed, it fails nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goal {
    /// The reference server takes at least so many times as much.
    TimesLessThanNode(f64),
    /// At most this.
    AtMost(f64),
}

/// A delivery in a burst costs at most a twentieth of the reference server's CPU time.
const BURST_GOAL: Goal = Goal::TimesLessThanNode(20.0);

/// An idle websocket connection takes at most so many bytes of process memory.
const IDLE_GOAL: Goal = Goal::AtMost(3000.0);

/// Bytes of a small event's JSON argument.
const SMALL: usize = 100;

/// Bytes of a large event's JSON argument.
const LARGE: usize = 1024;

/// Publishes in flight in a burst.
const BURST: usize = 32;

impl Mode {
    /// Its name in files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }

    /// How often each scenario is run against each server.
    pub(super) fn rounds(self) -> usize {
        match self {
            Self::Quick => 2,
            Self::Standard | Self::Full => 3,
        }
    }

    /// Milliseconds before and during measuring. CPU times are counted in steps of 10 ms, so a
    /// second of a busy server is exact to one per cent.
    fn times(self) -> (u64, u64) {
        match self {
            Self::Quick => (700, 1500),
            Self::Standard | Self::Full => (1000, 3000),
        }
    }

    /// Everything that is measured, with at most `connections` idle ones.
    pub(super) fn scenarios(self, connections: usize) -> Vec<Scenario> {
        let rooms: &[usize] = if self == Self::Full { &[100, 1000, 5000] } else { &[100, 1000] };
        let bursts = rooms
            .iter()
            .flat_map(|members| [1, BURST].map(|window| self.burst(*members, window, SMALL)));
        let mut scenarios: Vec<Scenario> = bursts.collect();
        if self == Self::Full {
            scenarios.extend([1, BURST].map(|window| self.burst(1000, window, LARGE)));
            scenarios.push(self.paced());
        }
        scenarios.push(self.echo());
        scenarios.push(idle(connections));
        scenarios
    }

    fn burst(self, members: usize, window: usize, payload_bytes: usize) -> Scenario {
        let (warm_up_ms, measure_ms) = self.times();
        let goal = (window == BURST && payload_bytes == SMALL).then_some(BURST_GOAL);
        let row = Row { metric: "server_us_per_delivery", unit: "CPU µs per delivery", goal };
        Scenario {
            name: format!("{members} members, {payload_bytes} B, window {window}"),
            plan: json!({"burst": {
                "members": members, "window": window, "payload_bytes": payload_bytes,
                "warm_up_ms": warm_up_ms, "measure_ms": measure_ms,
            }}),
            rows: vec![row],
        }
    }

    fn paced(self) -> Scenario {
        let (warm_up_ms, measure_ms) = self.times();
        let row = |metric, unit| Row { metric, unit, goal: None };
        Scenario {
            name: "1000 members, 10000 deliveries/s".to_owned(),
            plan: json!({"paced": {
                "members": 1000, "deliveries_per_second": 10_000, "payload_bytes": SMALL,
                "warm_up_ms": warm_up_ms, "measure_ms": measure_ms * 3,
            }}),
            rows: vec![row("p50_ms", "latency ms, p50"), row("p99_ms", "latency ms, p99")],
        }
    }

    fn echo(self) -> Scenario {
        let (warm_up_ms, measure_ms) = self.times();
        Scenario {
            name: "ack round trip, 1000 clients".to_owned(),
            plan: json!({"echo": {
                "clients": 1000, "warm_up_ms": warm_up_ms, "measure_ms": measure_ms,
            }}),
            rows: vec![Row { metric: "server_us_per_ack", unit: "CPU µs per ack", goal: None }],
        }
    }
}

fn idle(connections: usize) -> Scenario {
    let row = |metric, unit, goal| Row { metric, unit, goal };
    Scenario {
        name: format!("{connections} idle connections"),
        plan: json!({"idle": {"connections": connections, "settle_ms": 1500}}),
        rows: vec![
            row("process_bytes_per_connection", "process bytes each", Some(IDLE_GOAL)),
            row("kernel_bytes_per_connection_both_ends", "kernel bytes each, both ends", None),
            row("server_us_per_connection", "CPU µs to connect", None),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_holds_the_two_goals() {
        for mode in [Mode::Quick, Mode::Standard, Mode::Full] {
            let rows: Vec<Row> =
                mode.scenarios(10_000).into_iter().flat_map(|scenario| scenario.rows).collect();
            for goal in [BURST_GOAL, IDLE_GOAL] {
                assert!(rows.iter().any(|row| row.goal == Some(goal)), "{mode:?} {goal:?}");
            }
        }
    }
}
