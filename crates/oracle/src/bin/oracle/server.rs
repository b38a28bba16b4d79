//! The server under test: a process that is started, asked to stop, and killed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::shapes::API_KEY;

/// How long a start may take: far above what it needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an orderly stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// When a server asks clients whether they are there, and gives them up, in milliseconds.
const PING_MS: [u32; 2] = [5_000, 4_000];

/// Which server.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// Ours: the program.
    Fanfare(PathBuf),
    /// Node's: the script of its server.
    Node(PathBuf),
}

impl Peer {
    /// Its name in tables.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Fanfare(_) => "Fanfare",
            Self::Node(_) => "Node, in memory",
        }
    }

    /// Whether it has a log: positions, history, event streams.
    pub(crate) fn has_log(&self) -> bool {
        matches!(self, Self::Fanfare(_))
    }
}

/// How a server is started, again and again.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) peer: Peer,
    /// Where ours keeps its files.
    pub(crate) data: PathBuf,
    /// What it writes to its standard error goes here.
    pub(crate) log: PathBuf,
    /// More flags of ours.
    pub(crate) flags: Vec<String>,
}

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:<port>`.
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
}

impl Setup {
    fn command(&self) -> Command {
        let [interval, timeout] = PING_MS;
        match &self.peer {
            Peer::Fanfare(program) => {
                // With files limited in size, a write beyond is to fail and not to kill: whoever
                // ignores the signal hands that on to what it becomes.
                let mut command = Command::new("sh");
                command.args(["-c", r#"trap '' XFSZ; exec "$0" "$@""#]).arg(program);
                command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&self.data);
                command.args(["--ping-interval", &format!("{interval}ms")]);
                command.args(["--ping-timeout", &format!("{timeout}ms")]);
                // What is judged is what publishers sent, and nothing else.
                command.args(["--rooms-announced=", "--limits-events-per-second=0"]);
                command.args(["--limits-user-events-per-second=0", "--metrics-enabled=false"]);
                command.args(&self.flags).env("FANFARE_API_KEY", API_KEY);
                command
            }
            Peer::Node(script) => {
                let mut command = Command::new("node");
                command.arg(script).args(["--ping-interval", &interval.to_string()]);
                command.args(["--ping-timeout", &timeout.to_string()]);
                command
            }
        }
    }

    /// Repairs the log of ours.
    ///
    /// # Errors
    /// When it cannot be repaired.
    pub(crate) async fn repair(&self) -> Result<()> {
        let Peer::Fanfare(program) = &self.peer else { bail!("only ours has a log") };
        let mut command = Command::new(program);
        let output = command.args(["log", "repair", "--data"]).arg(&self.data).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the log cannot be repaired: {said}");
        Ok(())
    }

    /// Starts the server and waits until it says where it listens.
    ///
    /// # Errors
    /// When it ends or says nothing in time.
    pub(crate) async fn start(&self) -> Result<Server> {
        let mut command = self.command();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.peer.name()))?;
        // Written by us: a full disk, or a limit on files, is not to be met there.
        let mut errors = child.stderr.take().context("no error output")?;
        let mut log = File::options().create(true).append(true).open(&self.log).await?;
        tokio::spawn(async move { tokio::io::copy(&mut errors, &mut log).await });
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.split_whitespace().find(|it| it.starts_with("http://")) {
                    return Ok(url.to_owned());
                }
            }
            bail!("it ended before it listened; see {}", self.log.display())
        };
        let url =
            tokio::time::timeout(PATIENCE, listening).await.context("it did not listen")??;
        // The rest is read and dropped, so that it never blocks.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let address = url.strip_prefix("http://").unwrap_or_default().parse()?;
        Ok(Server { child, url, address })
    }
}

impl Server {
    /// `kill -9`.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to stop, and waits until it has: how it ended, and how long it took.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) async fn stop(mut self) -> Result<(ExitStatus, Duration)> {
        let begin = Instant::now();
        kill_process(self.pid()?, Signal::TERM)?;
        let status = tokio::time::timeout(STOP_PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("it did not end within {STOP_PATIENCE:?} after SIGTERM"))??;
        Ok((status, begin.elapsed()))
    }

    /// Limits the size of each file it writes, or lifts the limit: what a full disk is, as far as
    /// it can tell.
    ///
    /// # Errors
    /// When there is no such process.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) -> Result<()> {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(self.pid()?), Resource::Fsize, limit)?;
        Ok(())
    }

    fn pid(&self) -> Result<Pid> {
        let id = self.child.id().context("it has ended by itself")?;
        Pid::from_raw(i32::try_from(id)?).context("no process")
    }

    /// How it ended, if it has by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}
