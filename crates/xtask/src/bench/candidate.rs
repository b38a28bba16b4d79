//! The servers under test: how each is started, and the promise that it is stopped again.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// How long a server may take until it says that it is ready.
const READY: Duration = Duration::from_secs(20);

/// How long a server may take to end, its results written.
const END: Duration = Duration::from_secs(30);

/// One server under test.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Its name in tables and files.
    pub(super) name: &'static str,
    /// The program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
}

/// Which cores a process may use, as `taskset` takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cores(pub(super) String);

/// What a server prints when it is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ready {
    /// Its port on the loopback address.
    pub(super) port: u16,
    /// The process whose CPU time and memory are counted.
    pub(super) pid: u32,
}

/// A started server. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    /// Where it is.
    pub(super) ready: Ready,
}

impl Cores {
    /// The server on the first `server_cores` cores, the generator on the next one if there is one.
    pub(super) fn shared_out(available: usize, server_cores: usize) -> (Self, Self) {
        let last = available.max(1) - 1;
        let server_last = server_cores.max(1).min(available.max(1)) - 1;
        let generator = (server_last + 1).min(last);
        (Self(format!("0-{server_last}")), Self(generator.to_string()))
    }

    /// A command that stays on these cores.
    pub(super) fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new("taskset");
        command.arg("-c").arg(&self.0).arg(program.into());
        command
    }
}

impl Candidate {
    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, ends, or says nothing in time.
    pub(super) fn start(&self, cores: &Cores) -> Result<Running> {
        let mut child = cores
            .command(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let line = child.stdout.take().map(first_line);
        let ready = line
            .and_then(|line| line.recv_timeout(READY).ok())
            .with_context(|| format!("{} did not say that it is ready", self.name))
            .and_then(|line| {
                Ready::read(&line, child.id())
                    .with_context(|| format!("{} said {line:?}, not its port and pid", self.name))
            });
        match ready {
            Ok(ready) => Ok(Running { child, ready }),
            Err(error) => {
                stop(&mut child);
                bail!(error)
            }
        }
    }
}

impl Ready {
    /// What a line says: its own JSON, or the address in the banner of the binary, which is the process
    /// that was started.
    fn read(line: &str, pid: u32) -> Option<Self> {
        if let Ok(ready) = serde_json::from_str(line) {
            return Some(ready);
        }
        let (_, address) = line.split_once("http://127.0.0.1:")?;
        Some(Self { port: address.trim().parse().ok()?, pid })
    }
}

impl Running {
    /// Asks the server to end and waits until it has, so that it can write down what it counted.
    ///
    /// # Errors
    /// When it cannot be asked, or does not end in time.
    pub(super) fn end(mut self) -> Result<()> {
        // The standard library can only kill; the shell's own `kill` is everywhere.
        let ask = format!("kill -TERM {}", self.child.id());
        let asked = Command::new("sh").arg("-c").arg(ask).status()?;
        ensure!(asked.success(), "cannot ask the server to end");
        let asked_at = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(asked_at.elapsed() < END, "the server did not end when asked to");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// Ends a process and waits for it. It may have ended by itself: that is no fault here.
fn stop(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}

/// The first line of a server's output that is not empty; the rest is read and dropped, so that it never
/// blocks.
fn first_line(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        if let Some(line) = lines.find(|line| !line.trim().is_empty()) {
            sender.send(line).ok();
        }
        lines.for_each(drop);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_where_it_is_as_json_or_in_its_banner() {
        for (line, expected) in [
            (r#"{"port":1,"pid":2}"#, Some((1, 2))),
            ("  Fanfare 0.1.0 is listening on http://127.0.0.1:3000", Some((3000, 7))),
            ("nothing of the kind", None),
        ] {
            let ready = Ready::read(line, 7).map(|it| (it.port, it.pid));
            assert_eq!(ready, expected, "{line}");
        }
    }

    #[test]
    fn cores_are_shared_out_between_server_and_generator() {
        for (available, server, expected) in [
            (1, 1, ("0-0", "0")),
            (2, 1, ("0-0", "1")),
            (2, 2, ("0-1", "1")),
            (8, 2, ("0-1", "2")),
            (2, 9, ("0-1", "1")),
        ] {
            let (of_server, of_generator) = Cores::shared_out(available, server);
            assert_eq!((of_server.0.as_str(), of_generator.0.as_str()), expected);
        }
    }
}
