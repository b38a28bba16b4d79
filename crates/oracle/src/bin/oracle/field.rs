//! The field of a scenario: one server behind a proxy, publishers, clients, and everything that
//! can be done to them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fanfare_oracle::{Line, What};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::clients::{Clients, Crowd, QUIET_ROOM, Want, may_leave};
use crate::damage;
use crate::fast::FastClient;
use crate::proxy::Proxy;
use crate::publishers::{Desk, Publishers, ROOMS};
use crate::random::Random;
use crate::recorder::{FENCE, Recorder, Seen};
use crate::server::{Peer, Server, Setup};
use crate::shapes::{self, Event};

/// How long everybody may take to be there, at the start and in the end. The longest waits are
/// those of `EventSource`, and of a server that does not know yet that a client has gone.
const PATIENCE: Duration = Duration::from_secs(25);

/// How often somebody joins or leaves a room.
const STIR: Duration = Duration::from_millis(150);

/// How often a fence is published until everybody has one.
const FENCES: Duration = Duration::from_millis(500);

/// Who writes the lines that belong to nobody.
const RUN: &str = "run";

/// What a scenario is set up with.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) peer: Peer,
    pub(crate) crowd: Crowd,
    /// Where the scripts for Node.js are.
    pub(crate) node_folder: PathBuf,
    /// Where the trace and the server's log go, without their extensions.
    pub(crate) output: PathBuf,
    /// More flags of our server.
    pub(crate) flags: Vec<String>,
    /// Bytes that make each event larger.
    pub(crate) padding: usize,
    /// Where the server keeps its files; by default a directory that goes away.
    pub(crate) data: Option<PathBuf>,
}

/// A running scenario.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) recorder: Recorder,
    pub(crate) proxy: Proxy,
    pub(crate) random: Random,
    pub(crate) clients: Arc<Clients>,
    setup: Setup,
    server: Option<Server>,
    url: watch::Sender<Option<String>>,
    desk: Desk,
    publishers: Option<Publishers>,
    stirring: Option<JoinHandle<()>>,
    /// Clients that were added.
    added: JoinSet<()>,
    _own: Option<TempDir>,
}

impl Field {
    /// Starts server and clients, waits until everybody is in, and lets the publishers begin.
    ///
    /// # Errors
    /// When something does not start.
    pub(crate) async fn start(plan: Plan, mut random: Random) -> Result<Self> {
        let own = TempDir::new()?;
        let data = plan.data.unwrap_or_else(|| own.path().to_owned());
        let log = plan.output.with_extension("log");
        std::fs::write(&log, "")?;
        let setup = Setup { peer: plan.peer, data, log, flags: plan.flags };
        let server = setup.start().await?;
        let proxy = Proxy::start(random.fork()).await?;
        let recorder = Recorder::default();
        let url = watch::Sender::new(None);
        let desk = Desk {
            recorder: recorder.clone(),
            url: url.subscribe(),
            has_keys: setup.peer.has_log(),
            padding: plan.padding,
        };
        proxy.change(|weather| weather.server = Some(server.address));
        url.send_replace(Some(server.url.clone()));
        let place = (proxy.url.as_str(), plan.node_folder.as_path());
        let clients = Clients::start(plan.crowd, place, &recorder, &mut random).await?;
        let mut field = Self {
            recorder,
            proxy,
            random,
            clients: clients.into(),
            setup,
            server: Some(server),
            url,
            desk,
            publishers: None,
            stirring: None,
            added: JoinSet::new(),
            _own: Some(own),
        };
        field.begin().await?;
        Ok(field)
    }

    async fn begin(&mut self) -> Result<()> {
        self.everybody_in().await?;
        self.publishers = Some(Publishers::start(&self.desk, &mut self.random));
        let clients = Arc::clone(&self.clients);
        self.stirring = Some(tokio::spawn(stir(clients, self.random.fork())));
        // A stream can be resumed once it has got something.
        self.pass(1_000).await;
        Ok(())
    }

    /// Waits until everybody is connected and in the rooms it asked for.
    ///
    /// # Errors
    /// When somebody is not within the patience.
    pub(crate) async fn everybody_in(&self) -> Result<()> {
        self.recorder.all("connected", PATIENCE, |_, it| it.is_settled()).await
    }

    /// Waits until a client has been cut, and has come back.
    ///
    /// # Errors
    /// When that does not happen.
    pub(crate) async fn was_cut_and_is_back(&self, client: &str) -> Result<()> {
        let holds =
            |name: &str, it: &Seen| name != client || (it.disconnects > 0 && it.is_settled());
        self.recorder.all("cut and back", PATIENCE, holds).await
    }

    /// Lets some milliseconds pass.
    pub(crate) async fn pass(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// Lets a random time pass, in milliseconds.
    pub(crate) async fn pass_within(&mut self, millis: std::ops::Range<u64>) {
        let millis = self.random.within(millis);
        self.pass(millis).await;
    }

    /// From here on nobody joins or leaves.
    pub(crate) async fn stop_stirring(&mut self) {
        if let Some(stirring) = self.stirring.take() {
            stirring.abort();
            let _ = stirring.await; // ended, and with it its hold on the clients
        }
    }

    /// Adds a client of ours behind a proxy of its own.
    ///
    /// # Errors
    /// When no port is to be had.
    pub(crate) async fn add_client(
        &mut self,
        name: &str,
        rooms: Vec<String>,
    ) -> Result<Arc<Proxy>> {
        let proxy = Arc::new(Proxy::start(self.random.fork()).await?);
        let server = self.server.as_ref().context("the server does not run")?.address;
        proxy.change(|weather| weather.server = Some(server));
        let (_, wants) = mpsc::channel(1); // it stays where it is
        let client = FastClient::new(name, &proxy.url, 0, self.recorder.clone());
        let carries = Arc::clone(&proxy);
        self.added.spawn(async move {
            let _carries = carries; // as long as the client lives
            client.live(rooms, wants).await;
        });
        Ok(proxy)
    }

    /// Writes down what is about to be done.
    pub(crate) fn fault(&self, name: impl Into<String>) {
        self.recorder.write(RUN, What::Fault { name: name.into() });
    }

    /// Whether the server is ours, which promises more.
    pub(crate) fn is_ours(&self) -> bool {
        self.setup.peer.has_log()
    }

    /// Limits the size of each file that the server writes, or lifts the limit.
    ///
    /// # Errors
    /// When the server does not run.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) -> Result<()> {
        self.server.as_ref().context("the server does not run")?.limit_files(bytes)
    }

    /// Damages the files of the log.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn damage_log(&mut self) -> Result<()> {
        let what = damage::anything(&self.setup.data, &mut self.random)?;
        self.fault(what);
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When the server had ended by itself.
    pub(crate) async fn kill_server(&mut self) -> Result<()> {
        self.fault("kill -9 of the server");
        self.take_server()?.kill().await?;
        self.nobody_listens();
        Ok(())
    }

    /// Asks the server to stop; publishers and clients still find it until it has.
    ///
    /// # Errors
    /// When it does not stop in time, or not with success.
    pub(crate) async fn stop_server(&mut self) -> Result<Duration> {
        self.fault("SIGTERM");
        let (status, took) = self.take_server()?.stop().await?;
        self.nobody_listens();
        ensure!(status.success(), "after SIGTERM the server ended with {status}");
        Ok(took)
    }

    fn take_server(&mut self) -> Result<Server> {
        let mut server = self.server.take().context("the server does not run")?;
        match server.ended() {
            None => Ok(server),
            Some(status) => bail!("the server ended by itself: {status}"),
        }
    }

    fn nobody_listens(&self) {
        self.url.send_replace(None);
        self.proxy.change(|weather| weather.server = None);
    }

    /// Starts the server again, on the files it left.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start_server(&mut self) -> Result<()> {
        let server = self.setup.start().await?;
        self.proxy.change(|weather| weather.server = Some(server.address));
        self.url.send_replace(Some(server.url.clone()));
        self.server = Some(server);
        Ok(())
    }

    /// Starts the server on files that may be damaged. When it says that they are and does not
    /// start, they are repaired, as an operator would.
    ///
    /// # Errors
    /// When it does not start even then.
    pub(crate) async fn start_damaged_server(&mut self) -> Result<()> {
        if self.start_server().await.is_ok() {
            return Ok(());
        }
        self.fault("the log is repaired");
        self.setup.repair().await?;
        self.start_server().await
    }

    /// Everything is whole again: waits for everybody, reads the log, and returns the trace.
    ///
    /// # Errors
    /// When the log cannot be read. That somebody does not come back is for the judge.
    pub(crate) async fn finish(mut self) -> Result<Vec<Line>> {
        self.recorder.write(RUN, What::Healed);
        self.stop_stirring().await;
        if let Some(publishers) = self.publishers.take() {
            publishers.stop().await;
        }
        self.fences().await;
        if self.setup.peer.has_log() {
            self.read_log().await?;
        }
        self.added.shutdown().await;
        if let Ok(clients) = Arc::try_unwrap(self.clients) {
            clients.stop().await;
        }
        drop(self.server.take());
        self.recorder.lines()
    }

    /// Publishes events for everybody until everybody has got one, and waits for the last of them: what
    /// came before has arrived.
    async fn fences(&self) {
        let patience = tokio::time::Instant::now() + PATIENCE;
        let everybody_has = |least: u64| {
            let has = move |_: &str, it: &Seen| it.is_settled() && it.last_fence >= Some(least);
            self.recorder.all("at the fence", PATIENCE, has)
        };
        let mut everybody_has_one = std::pin::pin!(everybody_has(0));
        let mut last = 0;
        for number in 0_u64.. {
            let mut rooms = ROOMS.map(str::to_owned).to_vec();
            rooms.push(QUIET_ROOM.to_owned());
            let id = format!("{FENCE}{number}");
            let fence = Event { id, rooms, except: Vec::new(), key: None, padding: 0 };
            self.desk.publish("fences", fence).await;
            last = number;
            let wait = tokio::time::timeout(FENCES, &mut everybody_has_one).await;
            if wait.is_ok() || tokio::time::Instant::now() > patience {
                break;
            }
        }
        // Whoever lacks it is for the judge.
        let _ = everybody_has(last).await;
    }

    async fn read_log(&self) -> Result<()> {
        let url = self.url.borrow().clone().context("the server does not run")?;
        for room in ROOMS {
            for (id, position) in shapes::history(&url, room).await? {
                let room = room.to_owned();
                self.recorder.write(RUN, What::Entry { room, id, position });
            }
            self.recorder.write(RUN, What::Read { room: room.to_owned() });
        }
        Ok(())
    }
}

/// Clients join and leave rooms until the task is ended.
async fn stir(clients: Arc<Clients>, mut random: Random) {
    loop {
        tokio::time::sleep(STIR).await;
        let client = random.pick(&clients.movable).cloned();
        let room = random.pick(&ROOMS).copied();
        let (Some(client), Some(room)) = (client, room) else { continue };
        let is_in = !may_leave(&client, room) || random.happens(2);
        clients.want(&client, Want { room: room.to_owned(), is_in }).await;
    }
}
