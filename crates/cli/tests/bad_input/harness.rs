//! Plays a table of cases and checks after every one what must hold whatever was sent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::canary::Canary;
use crate::case::{Case, Profile};
use crate::figures::Figures;
use crate::scene::Scene;
use crate::server::{LOOK_AGAIN, Server};
use crate::stats::{Api, Stats};

/// How long the server may take to get back to what it was, beyond its own deadlines: a client
/// that does not close a WebSocket is waited for 5 s.
const SETTLE_BOUND: Duration = Duration::from_secs(12);

/// How much memory may be in use more than before.
const MEMORY_BOUND_BYTES: u64 = 5 << 20;

/// How many lines of importance one case may cost: a flood of bad input must be no flood of logs.
const MOST_LINES: usize = 20;

/// Plays the cases, those of each profile on a server of its own, and tells of all failures.
pub(crate) async fn run(table: &str, cases: Vec<Case>) {
    let only = std::env::var("BAD_INPUT_ONLY").unwrap_or_default();
    let mut by_profile: BTreeMap<Profile, Vec<Case>> = BTreeMap::new();
    for case in cases.into_iter().filter(|case| case.row.starts_with(&only)) {
        by_profile.entry(case.profile).or_default().push(case);
    }
    let mut report = Report::default();
    for (profile, cases) in by_profile {
        if let Err(failure) = play_all(profile, &cases, &mut report).await {
            report.failures.push(format!("{profile:?}: {failure}"));
        }
    }
    report.write(table);
    let count = report.failures.len();
    assert!(count == 0, "{count} failures in table {table}:\n{}", report.failures.join("\n"));
}

/// What a table came to.
#[derive(Debug, Default)]
struct Report {
    cases: usize,
    latencies: Vec<Duration>,
    memory: Vec<String>,
    failures: Vec<String>,
}

impl Report {
    fn write(&mut self, table: &str) {
        self.latencies.sort_unstable();
        let at = |percent: usize| {
            let index = (self.latencies.len() * percent / 100).min(self.latencies.len().max(1) - 1);
            self.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        let figures = serde_json::json!({
            "table": table,
            "cases": self.cases,
            "failures": self.failures.len(),
            "canary_events": self.latencies.len(),
            "canary_ms": { "p50": at(50), "p99": at(99), "max": at(100) },
            "memory": self.memory,
        });
        println!("{figures:#}");
        let file = format!("{}/bad-input-{table}.json", env!("CARGO_TARGET_TMPDIR"));
        // The figures were printed; a directory that cannot be written to is no failure.
        let _ = std::fs::write(file, format!("{figures:#}\n"));
    }
}

async fn play_all(profile: Profile, cases: &[Case], report: &mut Report) -> Result<(), String> {
    let mut house = House::open(profile).await?;
    house.warm_up(profile).await?;
    let begin = house.rest().await?;
    for case in cases {
        report.cases += 1;
        let failures = house.play(case).await;
        for failure in failures {
            report.failures.push(format!("{} {} [{profile:?}]: {failure}", case.row, case.what));
        }
        if !house.is_well() {
            report.latencies.extend(house.canary.latencies());
            house = House::open(profile).await?;
            house.warm_up(profile).await?;
        }
    }
    let end = house.rest().await?;
    report.latencies.extend(house.canary.latencies());
    if let (Some(begin), Some(end)) = (begin.figures, end.figures) {
        report.memory.push(format!("{profile:?}: {begin} -> {end}"));
        if end.memory_bytes > begin.memory_bytes + MEMORY_BOUND_BYTES {
            report.failures.push(format!("{profile:?}: all cases together: {begin} -> {end}"));
        }
    }
    drop(house.canary);
    let stopped = house.server.stop().await;
    let written = house.server.written_since(0);
    for failure in stopped.err().into_iter().chain(unfit_to_write(&written, &house.secrets)) {
        report.failures.push(format!("{profile:?}: {failure}"));
    }
    Ok(())
}

/// A server, a canary in it, and what is known of both.
struct House {
    server: Server,
    canary: Canary,
    api: Api,
    secrets: Vec<String>,
}

/// The server at rest.
#[derive(Debug, Clone)]
struct Rest {
    stats: Stats,
    figures: Option<Figures>,
}

impl House {
    async fn open(profile: Profile) -> Result<Self, String> {
        let server = Server::start(profile).await?;
        let canary = Canary::start(server.host(), server.key(), profile).await?;
        let api = Api::new(server.host(), server.key());
        let secrets = [server.key(), server.secret()].map(str::to_owned).to_vec();
        Ok(Self { server, canary, api, secrets })
    }

    /// Whether the next case can be played here.
    fn is_well(&mut self) -> bool {
        self.server.is_alive() && !self.canary.is_dead() && self.canary.complaint().is_none()
    }

    /// Goes through every door once with a large message: buffers that are kept are no leak.
    async fn warm_up(&mut self, profile: Profile) -> Result<(), String> {
        let before = Stats::default();
        let mut scene = Scene::new(&self.server, &before);
        for case in crate::slow::warm_up(profile) {
            let _ = scene.play(&case).await;
        }
        self.secrets.extend(scene.sids.iter().chain(&scene.noted.pids).cloned());
        scene.tidy().await;
        drop(scene);
        self.canary.rest().await;
        let begun = Instant::now();
        // Until only the canary is left.
        while self.api.stats().await?.sessions > 1 && begun.elapsed() < SETTLE_BOUND {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    async fn rest(&mut self) -> Result<Rest, String> {
        let stats = self.api.stats().await?;
        Ok(Rest { stats, figures: self.server.figures() })
    }

    /// Plays one case and gives everything that was wrong.
    async fn play(&mut self, case: &Case) -> Vec<String> {
        let before = match self.rest().await {
            Ok(before) => before,
            Err(failure) => return vec![failure],
        };
        let log_at = self.server.written_bytes();
        let mut failures = Vec::new();

        self.canary.run().await;
        let mut scene = Scene::new(&self.server, &before.stats);
        failures.extend(scene.play(case).await.err());
        self.canary.rest().await;
        failures.extend(self.canary.complaint());

        let mut expected: BTreeMap<String, u64> = scene.provoked.clone();
        for (reason, times) in &case.rejected {
            *expected.entry((*reason).to_owned()).or_default() += times;
        }
        self.secrets
            .extend(scene.sids.iter().chain(&scene.noted.pids).chain(&case.secrets).cloned());
        failures.extend(counted(&mut self.api, case, &before.stats, &expected).await.err());
        scene.tidy().await;
        drop(scene);

        failures.extend(self.settled(&before).await.err());
        if !self.server.is_alive() {
            failures.push("the server is dead".to_owned());
        }
        let written = self.server.written_since(log_at);
        failures.extend(unfit_to_write(&written, &self.secrets));
        failures.extend(too_much_written(&written));
        failures
    }

    /// Waits until everything is as before.
    async fn settled(&mut self, before: &Rest) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let now = self.rest().await?;
            let difference = difference(before, &now);
            if difference.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > SETTLE_BOUND {
                return Err(format!("not as before: {}", difference.join("; ")));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// What is not as it was.
fn difference(before: &Rest, now: &Rest) -> Vec<String> {
    let mut found = Vec::new();
    for (name, before, now) in [
        ("sessions", before.stats.sessions, now.stats.sessions),
        ("sockets", before.stats.sockets, now.stats.sockets),
        ("streams", before.stats.streams, now.stats.streams),
        ("rooms", before.stats.rooms, now.stats.rooms),
        ("panics", before.stats.handler_panics, now.stats.handler_panics),
    ] {
        if before != now {
            found.push(format!("{now} {name} instead of {before}"));
        }
    }
    let (Some(before), Some(now)) = (before.figures, now.figures) else { return found };
    if now.files > before.files || now.threads > before.threads {
        found.push(format!("{now} instead of {before}"));
    } else if now.memory_bytes > before.memory_bytes + MEMORY_BOUND_BYTES {
        found.push(format!("memory: {now} instead of {before}"));
    }
    found
}

/// Waits until the counters have moved as the case says.
async fn counted(
    api: &mut Api,
    case: &Case,
    before: &Stats,
    expected: &BTreeMap<String, u64>,
) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let now = api.stats().await?;
        let (mut rejected, causes) = (now.rejected_since(before), now.causes_since(before));
        rejected.retain(|reason, _| !case.perhaps.contains(&reason.as_str()));
        let caused = |(cause, times): &(&str, u64)| causes.get(*cause) == Some(times);
        let right = rejected == *expected && case.causes.iter().all(caused);
        if right {
            return Ok(());
        }
        if begun.elapsed() > crate::peer::ANSWER_BOUND {
            return Err(format!(
                "rejected {rejected:?} instead of {expected:?}, causes {causes:?} (wanted {:?})",
                case.causes
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What must not have been written.
fn unfit_to_write(written: &[u8], secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(text) = std::str::from_utf8(written) else {
        return vec!["the log is not UTF-8".to_owned()];
    };
    let around = |at: usize| {
        let line = text[..at].rfind('\n').map_or(0, |start| start + 1);
        text[line..].lines().next().unwrap_or_default().escape_debug().to_string()
    };
    if let Some(at) = text.find("panicked at") {
        found.push(format!("a panic: {}", around(at)));
    }
    if let Some(at) = text.find(|it: char| it.is_control() && it != '\n') {
        found.push(format!("a control character in the log: {}", around(at)));
    }
    for secret in secrets {
        if let Some(at) = text.find(secret.as_str()) {
            found.push(format!("the log has a secret: {}", around(at)));
        }
    }
    found
}

fn too_much_written(written: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(written);
    let important = |line: &&str| {
        ["INFO", "WARN", "ERROR"].iter().any(|level| line.contains(&format!("\"{level}\"")))
    };
    let lines = text.lines().filter(important).count();
    (lines > MOST_LINES).then(|| format!("{lines} lines in the log"))
}

mod tests {
    //! The harness is worth something only if it notices.

    use super::*;
    use crate::case::{Door, case};
    use crate::wire::{get, post};

    /// Cases that pass only on a server with a fault: each must be complained about, and an honest
    /// one beside them must not.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn faults_are_noticed() {
        let mut house = House::open(Profile::Standard).await.unwrap();
        let health = || case("", "").send(get("/health"));
        for (case, complaint) in [
            (health().status(&[200]), ""),
            (health().status(&[500]), "step 2"),
            (health().status(&[200]).body("wrong"), "step 3"),
            (health().status(&[200]).rejected("unknown_session"), "rejected"),
            (health().status(&[200]).cause("unparsable", 1), "causes"),
            (case("", "").send(get("/socket.io/")).status(&[400]), "rejected"),
            (case("", "").joined(Door::WebSocket).closes_empty(), "no frame"),
            (case("", "").joined(Door::Polling).send(post("1")).status(&[200]).alive(), "Alive"),
            (case("", "").joined(Door::Polling).gone(), "Gone"),
        ] {
            let failures = house.play(&case).await.join("\n");
            assert_eq!(failures.is_empty(), complaint.is_empty(), "{case:?}: {failures}");
            assert!(failures.contains(complaint), "{case:?}: {failures}");
        }
    }

    /// What may stand in a log and what may not.
    #[test]
    fn logs_are_judged() {
        let secrets = ["hunter2".to_owned()];
        for (log, complaint) in [
            ("{\"level\":\"INFO\",\"text\":\"\\u001b[31m\"}\n", ""),
            ("thread 'x' panicked at src/lib.rs:1:1:\n", "a panic"),
            ("an escape \u{1b}[31m\n", "control character"),
            ("a line\r\n", "control character"),
            ("an old control character \u{9b}31m\n", "control character"),
            ("token=hunter2\n", "secret"),
        ] {
            let found = unfit_to_write(log.as_bytes(), &secrets).join("\n");
            assert_eq!(found.is_empty(), complaint.is_empty(), "{log:?}: {found}");
            assert!(found.contains(complaint), "{log:?}: {found}");
        }
        assert!(!unfit_to_write(b"\xff", &secrets).is_empty());
        assert!(too_much_written("{\"level\":\"WARN\"}\n".repeat(21).as_bytes()).is_some());
        assert!(too_much_written("{\"level\":\"DEBUG\"}\n".repeat(21).as_bytes()).is_none());
    }

    /// What is not as before.
    #[test]
    fn leaks_are_noticed() {
        let figures = Figures { memory_bytes: 10 << 20, files: 20, threads: 3 };
        let before = Rest { stats: Stats::default(), figures: Some(figures) };
        let check = |change: &dyn Fn(&mut Rest, &mut Figures), complaint: &str| {
            let (mut now, mut figures) = (before.clone(), figures);
            change(&mut now, &mut figures);
            now.figures = Some(figures);
            let found = difference(&before, &now).join("\n");
            assert_eq!(found.is_empty(), complaint.is_empty(), "{found}");
            assert!(found.contains(complaint), "{found}");
        };
        check(&|_, _| {}, "");
        check(&|_, figures| figures.memory_bytes += 5 << 20, "");
        check(&|_, figures| figures.memory_bytes += (5 << 20) + 1, "memory");
        check(&|_, figures| figures.files += 1, "21 files");
        check(&|_, figures| figures.threads += 1, "4 threads");
        check(&|now, _| now.stats.sessions = 1, "1 sessions");
        check(&|now, _| now.stats.sockets = 1, "1 sockets");
        check(&|now, _| now.stats.streams = 1, "1 streams");
        check(&|now, _| now.stats.rooms = 1, "1 rooms");
        check(&|now, _| now.stats.handler_panics = 1, "1 panics");
    }
}
