//! The scenarios: what is done to the server, to the network and to the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use fanfare_oracle::{Line, now};

use crate::disk::Disk;
use crate::field::{Field, Plan};
use crate::publishers::ROOMS;
use crate::random::Random;
use crate::recorder::Seen;
use crate::server::Peer;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Nothing: clients join and leave, publishers publish.
    Clean,
    /// Connections are cut at random, also in the middle of a handshake or a replay.
    Drop,
    /// Nobody reaches the server for two seconds, again and again.
    Jitter,
    /// The server is killed with SIGKILL at random points, and started again.
    Kill,
    /// The server is asked to stop, and started again.
    Drain,
    /// A client stops reading.
    Slow,
    /// The disk is full for a while.
    DiskFull,
    /// The server is killed while the disk is full and clients go on to join and leave.
    FullKill,
    /// Bytes of the log's files are flipped or cut off while the server is down.
    Damage,
}

/// What a run is asked to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How long things are broken, in scenarios that last.
    pub(crate) duration: Duration,
    /// How often the server is killed.
    pub(crate) kills: u32,
    /// How many clients more there are when the server is asked to stop.
    pub(crate) crowd: usize,
    /// Whether a disk may be mounted.
    pub(crate) mounts: bool,
}

/// More than leave in one batch.
const MAX_BATCH: usize = 100;

/// Clients that have left within this time have left at once.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The client that stops reading.
pub(crate) const SLOW: &str = "slow0";

/// How large events are that a slow client does not read.
const LARGE_BYTES: usize = 16_384;

impl Scenario {
    /// All, in the order in which they are run.
    pub(crate) const ALL: [Self; 9] = [
        Self::Clean,
        Self::Drop,
        Self::Jitter,
        Self::Kill,
        Self::Drain,
        Self::Slow,
        Self::DiskFull,
        Self::FullKill,
        Self::Damage,
    ];

    /// Its name in the table.
    pub(crate) const fn fault(self) -> &'static str {
        match self {
            Self::Clean => "none",
            Self::Drop => "connections cut",
            Self::Jitter => "network away for 2 s, repeatedly",
            Self::Kill => "kill -9 and restart",
            Self::Drain => "SIGTERM and restart",
            Self::Slow => "a client stops reading",
            Self::DiskFull => "disk full",
            Self::FullKill => "disk full, then kill -9",
            Self::Damage => "log bytes flipped and cut",
        }
    }

    /// Whether it can be done to this server.
    pub(crate) fn fits(self, peer: &Peer) -> bool {
        peer.has_log() || !matches!(self, Self::DiskFull | Self::FullKill | Self::Damage)
    }

    /// Who may be told that something is missing, and no promise is broken.
    pub(crate) fn may_be_told(self, client: &str) -> bool {
        match self {
            // It was away for longer than is kept for one client.
            Self::Slow => client == SLOW,
            // What the disk has lost or never got, nobody can give back: the clients are told.
            Self::FullKill | Self::Damage => true,
            _ => false,
        }
    }

    /// Sets up, breaks, heals; returns the trace, and what went wrong beside it.
    ///
    /// # Errors
    /// When there is no trace: something does not start, or the log cannot be read.
    pub(crate) async fn run(
        self,
        mut plan: Plan,
        effort: Effort,
        random: Random,
    ) -> Result<(Vec<Line>, Result<()>)> {
        if self == Self::Slow {
            plan.padding = LARGE_BYTES;
            plan.flags.extend(["--outbox-bytes", "256KiB"].map(str::to_owned));
        }
        if self == Self::Drain {
            plan.crowd.quiet = effort.crowd;
            plan.flags.extend(["--drain-notice", "300ms"].map(str::to_owned));
        }
        // Mounting takes root. Without, the server's files are limited in size instead.
        let needs_disk = matches!(self, Self::DiskFull | Self::FullKill);
        let disk = if needs_disk && effort.mounts { Disk::new().ok() } else { None };
        plan.data = disk.as_ref().map(|disk| disk.folder().to_owned());
        let mut field = Field::start(plan, random).await?;
        let done = match self {
            Self::Clean => {
                field.pass(millis(effort.duration)).await;
                Ok(())
            }
            Self::Drop => cut(&mut field, effort.duration).await,
            Self::Jitter => jitter(&mut field, effort.duration).await,
            Self::Kill => kill(&mut field, effort.kills).await,
            Self::Drain => drain(&mut field, effort.duration).await,
            Self::Slow => slow(&mut field, effort.duration).await,
            Self::DiskFull => full(&mut field, disk.as_ref(), effort.duration).await,
            Self::FullKill => full_kill(&mut field, disk.as_ref(), effort.duration).await,
            Self::Damage => damage(&mut field, effort.duration).await,
        };
        Ok((field.finish().await?, done))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A third of the connections, every 300 ms; new ones break after a few kilobytes, wherever that is.
async fn cut(field: &mut Field, duration: Duration) -> Result<()> {
    field.fault("connections are cut");
    field.proxy.change(|weather| weather.max_bytes = 60_000);
    for _ in 0..millis(duration) / 300 {
        field.pass(300).await;
        field.proxy.cut(3, &mut field.random);
    }
    field.proxy.change(|weather| weather.max_bytes = 0);
    field.proxy.cut(1, &mut field.random); // those that would still break
    Ok(())
}

/// Away for 2 s, there for 1.5 s, over a slow line.
async fn jitter(field: &mut Field, duration: Duration) -> Result<()> {
    for _ in 0..(millis(duration) / 3_500).max(2) {
        field.fault("the network is away");
        field.proxy.change(|weather| weather.is_refusing = true);
        field.proxy.cut(1, &mut field.random);
        field.pass(2_000).await;
        field.fault("the network is slow");
        field.proxy.change(|weather| {
            weather.is_refusing = false;
            weather.delay = Duration::from_millis(20);
        });
        field.pass(1_500).await;
    }
    field.proxy.change(|weather| weather.delay = Duration::ZERO);
    Ok(())
}

async fn kill(field: &mut Field, kills: u32) -> Result<()> {
    for _ in 0..kills {
        // Sometimes everybody is back by then, sometimes nobody.
        field.pass_within(100..2_500).await;
        field.kill_server().await?;
        field.pass_within(0..300).await;
        field.start_server().await?;
    }
    Ok(())
}

async fn drain(field: &mut Field, duration: Duration) -> Result<()> {
    for _ in 0..(millis(duration) / 3_000).max(2) {
        field.everybody_in().await?;
        field.pass_within(200..1_500).await;
        let (clients, before) = (field.recorder.clients().len(), now());
        let took = field.stop_server().await?;
        field.start_server().await?;
        let spread = spread(&field.recorder.clients(), before);
        println!("    {clients} clients left within {spread:?}; it ended after {took:?}");
        let is_crowd = clients > MAX_BATCH * 2;
        ensure!(!field.is_ours() || !is_crowd || spread > AT_ONCE, "all left within {spread:?}");
    }
    Ok(())
}

/// How long after the first the last client lost its connection, of those who did since then.
fn spread(clients: &BTreeMap<String, Seen>, since: u64) -> Duration {
    let left = || clients.values().filter_map(|it| it.left_at).filter(|left| *left >= since);
    let spread = left().max().zip(left().min()).map_or(0, |(last, first)| last - first);
    Duration::from_nanos(spread)
}

/// Nobody but the slow client may notice anything.
async fn slow(field: &mut Field, duration: Duration) -> Result<()> {
    let slow = field.add_client(SLOW, ROOMS.map(str::to_owned).to_vec()).await?;
    field.everybody_in().await?;
    field.fault("a client stops reading");
    slow.change(|weather| weather.is_stalled = true);
    field.pass(millis(duration)).await;
    slow.change(|weather| weather.is_stalled = false);
    if field.is_ours() {
        field.was_cut_and_is_back(SLOW).await?;
    }
    for (name, client) in &field.recorder.clients() {
        ensure!(client.disconnects == 0 || name == SLOW, "{name} was cut for the slow client");
    }
    Ok(())
}

async fn full(field: &mut Field, disk: Option<&Disk>, duration: Duration) -> Result<()> {
    // Who joins or leaves now cannot be promised to find it so after a crash.
    field.stop_stirring().await;
    let before = field.recorder.refused();
    fill(field, disk)?;
    field.pass(millis(duration) / 4).await;
    field.proxy.cut(2, &mut field.random); // what was recorded before is still there for them
    field.pass(millis(duration) / 4).await;
    let refused = field.recorder.refused() - before;
    ensure!(refused > 0, "the disk is full, and nothing was refused");
    free(field, disk)?;
    field.pass(millis(duration) / 4).await;
    Ok(())
}

async fn full_kill(field: &mut Field, disk: Option<&Disk>, duration: Duration) -> Result<()> {
    fill(field, disk)?;
    field.pass(millis(duration) / 2).await;
    field.kill_server().await?;
    if let Some(disk) = disk {
        disk.free()?;
    }
    field.start_server().await?;
    field.pass(millis(duration) / 4).await;
    Ok(())
}

fn fill(field: &Field, disk: Option<&Disk>) -> Result<()> {
    field.fault(if disk.is_some() { "the disk is full" } else { "no file may grow" });
    disk.map_or_else(|| field.limit_files(Some(1)), Disk::fill)
}

fn free(field: &Field, disk: Option<&Disk>) -> Result<()> {
    field.fault("the disk has space again");
    disk.map_or_else(|| field.limit_files(None), Disk::free)
}

/// The server is stopped in either way; then a file of its log is damaged, or its end is torn off.
async fn damage(field: &mut Field, duration: Duration) -> Result<()> {
    for round in 0..(millis(duration) / 2_000).max(2) {
        field.pass_within(500..1_500).await;
        if round % 2 == 0 {
            field.kill_server().await?;
        } else {
            field.stop_server().await?;
        }
        field.damage_log()?;
        field.start_damaged_server().await?;
    }
    Ok(())
}
