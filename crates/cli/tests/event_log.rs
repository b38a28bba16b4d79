#![cfg(test)]
//! `fanfare log` on logs that are whole, damaged, empty, missing, another's or in use; and what a
//! server says about its log when it starts.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;

use eventlog::{Durability, EventLog, Position, Record, SqliteLog, SqliteSettings, append_wait};
use serde_json::{Value, json};
use support::{Running, fanfare, run, stderr};
use testkit::{Request, http_get};

/// A data directory whose log has `count` entries, every second of them for the room `even`, every
/// tenth in the namespace `/ten`.
struct Sample {
    data: tempfile::TempDir,
    head: Position,
}

impl Sample {
    fn with(count: u64) -> Self {
        let data = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(SqliteSettings::new(data.path().join("events.db"))).unwrap();
        let records: Vec<Record> = (1..=count).map(record).collect();
        for records in records.chunks(1_000) {
            append_wait(&log, records.to_vec(), Durability::Os).unwrap();
        }
        let head = log.head();
        Self { data, head }
    }

    fn file(&self) -> PathBuf {
        self.data.path().join("events.db")
    }

    /// Changes a bit of the payload of an entry.
    fn flip(&self, entry: u64) {
        let mut bytes = std::fs::read(self.file()).unwrap();
        let text = format!("[\"payload {entry}\"]");
        let at = bytes.windows(text.len()).position(|part| part == text.as_bytes()).unwrap();
        bytes[at + 2] ^= 1;
        std::fs::write(self.file(), bytes).unwrap();
    }

    fn log(&self, arguments: &[&str]) -> Output {
        log(self.data.path(), arguments)
    }

    /// What a command that succeeds prints, as JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.log(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn exported(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.log(&[&["export"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

fn record(at: u64) -> Record {
    Record {
        namespace: if at.is_multiple_of(10) { "/ten" } else { "/" }.into(),
        rooms: if at.is_multiple_of(2) { [Arc::from("even")].into() } else { Arc::default() },
        except: if at == 4 { [Arc::from("not-me")].into() } else { Arc::default() },
        name: "said".into(),
        payload: format!("[\"payload {at}\"]").into(),
        time_ms: 1_700_000_000_000 + at,
        key: (at == 3).then(|| "once".into()),
    }
}

fn log(data: &Path, arguments: &[&str]) -> Output {
    let mut command = fanfare(&["log"]);
    command.args(arguments).arg("--data").arg(data).current_dir(data.parent().unwrap());
    run(&mut command)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn sequences(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect()
}

#[test]
fn a_whole_log_is_shown_and_verified_and_a_repair_leaves_it_alone() {
    let sample = Sample::with(25);
    let info = sample.json(&["info"]);
    assert_eq!(info["epoch"], sample.head.epoch.to_string());
    assert_eq!(info["head_position"], sample.head.to_string());
    assert_eq!(
        (&info["first"], &info["head"], &info["entries"]),
        (&json!(1), &json!(25), &json!(25))
    );
    assert_eq!(info["oldest"], "2023-11-14T22:13:20.001Z");
    assert_eq!((&info["keys"], &info["open"]), (&json!(1), &json!(false)));
    assert!(info["file_bytes"].as_u64().unwrap() >= 4_096);
    let text = stdout(&sample.log(&["info"]));
    assert!(text.contains("25 (1 to 25)") && text.contains("open       no"), "{text}");

    let verified = sample.log(&["verify"]);
    assert!(verified.status.success() && stdout(&verified).contains("is whole"), "{verified:?}");
    assert_eq!(sample.json(&["verify"])["problems"], json!([]));

    let repaired = sample.log(&["repair"]);
    assert!(repaired.status.success() && stdout(&repaired).contains("nothing was changed"));
    assert_eq!(sample.json(&["repair"])["repaired"], false);
    assert_eq!(sample.json(&["info"])["epoch"], sample.head.epoch.to_string());
}

#[test]
fn a_changed_bit_is_found_repaired_and_the_file_kept() {
    let sample = Sample::with(25);
    sample.flip(20);
    sample.flip(23);
    let damaged = std::fs::read(sample.file()).unwrap();
    let verified = sample.log(&["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(stdout(&verified).contains("entry 20: it is not what was written"), "{verified:?}");
    let problems = &sample.json(&["verify"])["problems"];
    assert_eq!((&problems[0]["sequence"], &problems[1]["sequence"]), (&json!(20), &json!(23)));

    let output = sample.log(&["export"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("damaged at sequence 20") && stderr(&output).contains("verify")
    );

    let mut serve = fanfare(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    let refused = run(serve.arg(sample.data.path()));
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("entry 20") && said.contains("fanfare log repair"), "{said}");

    let repaired = sample.json(&["repair"]);
    assert_eq!((&repaired["head"], &repaired["lost_up_to"]), (&json!(19), &json!(25)));
    assert_ne!(repaired["epoch"], sample.head.epoch.to_string());
    let kept = std::fs::read(repaired["damaged"].as_str().unwrap()).unwrap();
    assert_eq!(kept, damaged, "as it was found");
    assert!(sample.log(&["verify"]).status.success());
    assert_eq!(sequences(&sample.exported(&[])), (1..=19).collect::<Vec<_>>());
}

#[test]
fn a_torn_file_is_found_and_a_server_may_repair_it_at_its_start() {
    let sample = Sample::with(2_000);
    let bytes = std::fs::read(sample.file()).unwrap();
    std::fs::write(sample.file(), &bytes[..bytes.len() / 2]).unwrap();
    let verified = sample.log(&["verify"]);
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    let server = Running::start_in(sample.data.path(), &["--event-log-on-damage", "repair"]);
    let log = server.killed();
    assert!(log.contains("began a new epoch") && log.contains("it was repaired"), "{log}");
    assert!(sample.log(&["verify"]).status.success());
}

#[test]
fn what_is_no_log_is_refused_and_left_as_it_is() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("events.db");
    let refused = |part: &str| {
        for action in ["info", "verify", "repair", "export"] {
            let output = log(data.path(), &[action]);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{action}: {said}");
            assert!(said.contains(part) && said.contains("events.db"), "{action}: {said}");
        }
    };
    refused("there is no event log");
    std::fs::write(&file, "").unwrap();
    refused("is not an event log");
    let other = store_of_another_program(&file);
    refused("is not an event log");
    assert_eq!(std::fs::read(&file).unwrap(), other);
    std::fs::write(&file, vec![b'x'; 5_000]).unwrap();
    refused("is not an event log");
    assert_eq!(std::fs::read(&file).unwrap(), vec![b'x'; 5_000]);
    assert!(log(&data.path().join("nowhere"), &["info"]).status.code() == Some(1));
}

/// The smallest store that another program might have: a header with the mark of an application,
/// and no table.
fn store_of_another_program(file: &Path) -> Vec<u8> {
    let mut page = vec![0_u8; 512];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[16..24].copy_from_slice(&[2, 0, 1, 1, 0, 64, 32, 32]); // page size 512, rollback journal
    page[31] = 1; // pages
    page[47] = 4; // schema format
    page[59] = 1; // UTF-8
    page[68..72].copy_from_slice(b"abcd"); // the application
    page[100] = 0x0d; // a leaf without cells
    page[105..107].copy_from_slice(&[2, 0]);
    std::fs::write(file, &page).unwrap();
    page
}

#[test]
fn an_export_is_a_line_for_each_entry_that_was_asked_for() {
    let sample = Sample::with(25);
    let all = sample.exported(&[]);
    assert_eq!(sequences(&all), (1..=25).collect::<Vec<_>>());
    assert_eq!(
        all[3],
        json!({
            "position": Position { sequence: 4, ..sample.head }.to_string(),
            "sequence": 4,
            "time": "2023-11-14T22:13:20.004Z",
            "namespace": "/",
            "rooms": ["even"],
            "except": ["not-me"],
            "event": "said",
            "args": ["payload 4"],
        })
    );
    assert_eq!((&all[2]["key"], &all[2]["rooms"]), (&json!("once"), &json!([])));
    let after = Position { sequence: 20, ..sample.head }.to_string();
    for (arguments, expected) in [
        (&["--after", "20"][..], vec![21, 22, 23, 24, 25]),
        (&["--after", &after, "--limit", "2"], vec![21, 22]),
        (&["--room", "even", "--limit", "3"], vec![2, 4, 6]),
        (&["--room", "even", "--namespace", "/ten"], vec![10, 20]),
        (&["--namespace", "/ten", "--limit", "1"], vec![10]),
        (&["--room", "nobody"], vec![]),
        (&["--limit", "0"], vec![]),
    ] {
        assert_eq!(sequences(&sample.exported(arguments)), expected, "{arguments:?}");
    }
    for (after, part) in [("26", "after the end"), ("AAAAAAAAAAA.B", "epoch"), ("x y", "neither")] {
        let output = sample.log(&["export", "--after", after]);
        assert!(stderr(&output).contains(part) && output.status.code() == Some(1), "{output:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_an_export_without_an_error() {
    let sample = Sample::with(20_000);
    let mut command = fanfare(&["log", "export", "--data"]);
    command.arg(sample.data.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("payload 1\""));
    drop(lines);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success() && said.is_empty(), "{said}");
}

#[tokio::test]
async fn a_log_in_use_can_be_looked_at_and_not_repaired_nor_opened_twice() {
    let sample = Sample::with(25);
    let server = Running::start_in(sample.data.path(), &[]);
    let info = sample.json(&["info"]);
    assert_eq!((&info["open"], &info["entries"]), (&json!(true), &json!(25)));
    assert!(sample.log(&["verify"]).status.success());
    assert_eq!(sample.exported(&["--limit", "1"]).len(), 1);
    let repaired = sample.log(&["repair"]);
    assert_eq!(repaired.status.code(), Some(1));
    assert!(stderr(&repaired).contains("open in another process"), "{repaired:?}");
    let mut second = fanfare(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    let second = run(second.arg(sample.data.path()));
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("open in another process"), "{second:?}");

    let health = http_get(&format!("{}/health", server.url())).await.unwrap();
    assert_eq!((health.status, health.text().as_str()), (200, r#"{"status":"ok"}"#));
    let stats = Request::new("GET", &format!("{}/v1/stats", server.url()))
        .header("Authorization", &format!("Bearer {}", server.key()));
    let stats: Value = serde_json::from_str(&stats.send().await.unwrap().text()).unwrap();
    let log = &stats["event_log"];
    assert_eq!((&log["health"], &log["entries"]), (&json!("ready"), &json!(25)));
    assert_eq!(log["head"], sample.head.to_string());
    let said = server.killed();
    assert!(said.contains("goes on") && said.contains(&sample.head.epoch.to_string()), "{said}");
}

#[tokio::test]
async fn what_was_published_is_exported_beside_the_server_and_after_its_death() {
    let data = tempfile::tempdir().unwrap();
    let server = Running::start_in(data.path(), &["--event-log-ephemeral", "typing:*"]);
    for (room, number) in [("news", 1), ("typing:1", 2), ("news", 3)] {
        let body = json!({"event": "headline", "args": [number], "rooms": [room]});
        assert_eq!(server.publish(body).await.status, 200);
    }
    let expected = |output: Output| {
        let text = stdout(&output);
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let args: Vec<&Value> = lines.iter().map(|line| &line["args"]).collect();
        assert_eq!(args, [&json!([1]), &json!([3])], "{text}");
        assert!(
            lines
                .iter()
                .all(|line| line["event"] == "headline" && line["rooms"] == json!(["news"]))
        );
    };
    expected(log(data.path(), &["export", "--room", "news"]));
    server.killed();
    expected(log(data.path(), &["export"]));
    assert!(log(data.path(), &["verify"]).status.success());
}

#[test]
fn a_server_says_which_log_it_has() {
    let data = tempfile::tempdir().unwrap();
    let said = Running::start_in(data.path(), &[]).killed();
    assert!(said.contains("a new event log") && said.contains("events.db"), "{said}");
    let said = Running::start(&["--event-log-kind", "memory"]).killed();
    assert!(said.contains("in memory"), "{said}");
    let server = Running::start(&["--event-log-kind", "off"]);
    assert!(server.killed().contains("no event log"));
}

#[test]
fn help_says_what_there_is() {
    let output = run(&mut fanfare(&["log", "--help"]));
    for action in ["info", "verify", "repair", "export"] {
        assert!(stdout(&output).contains(action), "{output:?}");
        assert!(run(&mut fanfare(&["log", action, "--help"])).status.success());
    }
    assert_eq!(run(&mut fanfare(&["log"])).status.code(), Some(2));
    assert_eq!(run(&mut fanfare(&["log", "export", "--limit", "x"])).status.code(), Some(2));
}
