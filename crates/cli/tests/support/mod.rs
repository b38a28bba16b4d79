//! The binary as a child process on a port of its own, and requests to it.

#![cfg(test)]
#![allow(dead_code)] // each test file uses its part

pub(crate) mod script;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Request, Response};

/// How long a start or a stop may take: far above what either needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What existing deployments set in the environment, and a machine that runs tests may.
const FOREIGN: [&str; 19] = [
    "PORT",
    "REALTIME_PORT",
    "CORS_ORIGINS",
    "FRONTEND_ORIGIN",
    "JWT_SECRET",
    "REDIS_URL",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_PASSWORD",
    "SOCKET_IO_TRANSPORTS",
    "SOCKET_IO_PING_TIMEOUT",
    "SOCKET_IO_PING_INTERVAL",
    "WEBSOCKET_PATH",
    "WEBSOCKET_PING_TIMEOUT",
    "WEBSOCKET_PING_INTERVAL",
    "RATE_LIMIT_CONNECTIONS_PER_IP",
    "RATE_LIMIT_MESSAGES_PER_SECOND",
    "LOG_LEVEL",
    "METRICS_PORT",
];

/// The program, with an environment that holds none of our variables.
pub(crate) fn fanfare(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("FANFARE_") || FOREIGN.contains(&&*name) {
            command.env_remove(&*name);
        }
    }
    command.env("FANFARE_METRICS_ENABLED", "false");
    // Who comes and goes is told by tests of that.
    command.env("FANFARE_ROOMS_ANNOUNCED_UP_TO", "0");
    // Tests send in a moment what people send in a minute; those of the limits set them.
    for limit in ["EVENTS_PER_SECOND", "USER_EVENTS_PER_SECOND", "USER_BYTES"] {
        let none = if limit == "USER_BYTES" { "0B" } else { "0" };
        command.env(format!("FANFARE_LIMITS_{limit}"), none);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap()
}

/// The standard error output of a program that ended.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running server. It is killed when the test is over.
pub(crate) struct Running {
    child: Child,
    banner: String,
    url: String,
    log: Option<JoinHandle<String>>,
    _data: Option<tempfile::TempDir>,
    data: PathBuf,
}

impl Running {
    /// A server with a fresh data directory.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut running = Self::start_in(data.path(), flags);
        running._data = Some(data);
        running
    }

    /// A server on the given data directory, on a free port of 127.0.0.1.
    pub(crate) fn start_in(data: &Path, flags: &[&str]) -> Self {
        let mut command = fanfare(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(data).args(flags);
        Self::spawn(command, data)
    }

    /// Starts a command and reads its banner up to the line with the address.
    pub(crate) fn spawn(mut command: Command, data: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            // A broken pipe ends the log as the end of the process does.
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut banner = String::new();
        while !banner.ends_with("\"all\":true}'\n") {
            if output.read_line(&mut banner).unwrap() == 0 {
                let _ = child.wait();
                panic!("the server ended before it listened:\n{banner}{}", log.join().unwrap());
            }
        }
        let url =
            banner.split_whitespace().find(|word| word.starts_with("http")).unwrap().to_owned();
        Self { child, banner, url, log: Some(log), _data: None, data: data.to_owned() }
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What was printed at the start.
    pub(crate) fn banner(&self) -> &str {
        &self.banner
    }

    /// The generated API key.
    pub(crate) fn key(&self) -> String {
        std::fs::read_to_string(self.data.join("api_key")).unwrap().trim().to_owned()
    }

    /// Publishes with the right key.
    pub(crate) async fn publish(&self, body: Value) -> Response {
        self.publish_raw(&self.key(), body.to_string().as_bytes()).await
    }

    /// Publishes any bytes with any key.
    pub(crate) async fn publish_raw(&self, key: &str, body: &[u8]) -> Response {
        Request::new("POST", &format!("{}/v1/publish", self.url))
            .header("Authorization", &format!("Bearer {key}"))
            .header("Content-Type", "application/json")
            .body(body.to_vec())
            .send()
            .await
            .unwrap()
    }

    /// Sends a signal by its name.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits until the server has ended by itself: its status and its log.
    pub(crate) fn ended(self) -> (ExitStatus, String) {
        self.ended_while(|_| {})
    }

    /// Sends a signal again and again until the server has ended.
    #[cfg(unix)]
    pub(crate) fn ended_by_signals(self, name: &str) -> (ExitStatus, String) {
        self.ended_while(|running| running.signal(name))
    }

    fn ended_while(mut self, meanwhile: impl Fn(&Self)) -> (ExitStatus, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            meanwhile(&self);
            assert!(begin.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let log = self.log.take().unwrap().join().unwrap();
        (status, log)
    }

    /// Ends the server at once: its log.
    pub(crate) fn killed(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes the position off the end of what a listener gets.
#[allow(dead_code, reason = "not every test listens")]
pub(crate) fn without_offset(mut args: Vec<Value>) -> Vec<Value> {
    let offset = args.pop().and_then(|last| last.as_str().map(str::to_owned));
    assert!(is_position(offset.as_deref().unwrap_or_default()), "{offset:?} behind {args:?}");
    args
}

/// Whether an answer to a publish is what it should be: with a position, and nothing else.
#[allow(dead_code, reason = "not every test publishes")]
pub(crate) fn is_published(answer: &str) -> bool {
    let position = answer.strip_prefix(r#"{"ok":true,"position":""#);
    position.and_then(|rest| rest.strip_suffix(r#""}"#)).is_some_and(is_position)
}

fn is_position(text: &str) -> bool {
    text.parse::<eventlog::Position>().is_ok()
}
