//! A running server and its clients.

use fanfare::server::{Server, ServerSettings};
use fanfare::{Ack, Args, Counts, Io, Namespace, Settings, Socket};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::{Client, Closed, EngineConnection, EnginePacket, Event, Options, Transport};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Far above what anything here takes: a test that hangs fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Every way packets travel.
pub(crate) const TRANSPORTS: [Transport; 3] =
    [Transport::WebSocket, Transport::Polling, Transport::Upgrade];

/// A server on a free port.
pub(crate) struct Site {
    pub(crate) io: Io,
    pub(crate) url: String,
    /// Serves until it is dropped.
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Site {
    /// A server with two shards. `/` answers `sync`, and lets clients into rooms with `join`.
    pub(crate) fn new() -> Site {
        Site::with(|_| ())
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Site {
        // Clients that poll and have gone silently are not waited for in each test.
        let shutdown_grace = Duration::from_millis(200);
        Site::serving(change, ServerSettings { shutdown_grace, ..ServerSettings::default() })
    }

    /// A server with routes of the application's own.
    pub(crate) fn routed(
        change: impl FnOnce(&mut Settings),
        routes: impl FnOnce(&Io) -> axum::Router,
    ) -> Site {
        let shutdown_grace = Duration::from_millis(200);
        let server = ServerSettings { shutdown_grace, ..ServerSettings::default() };
        Site::with_routes(change, server, routes)
    }

    pub(crate) fn serving(change: impl FnOnce(&mut Settings), server: ServerSettings) -> Site {
        Site::with_routes(change, server, |_| axum::Router::new())
    }

    fn with_routes(
        change: impl FnOnce(&mut Settings),
        server: ServerSettings,
        routes: impl FnOnce(&Io) -> axum::Router,
    ) -> Site {
        let io = Io::with(|settings| {
            settings.shards = 2;
            change(settings);
        });
        let io = io.unwrap();
        io.main().on("sync", sync).on("join", join);
        let router = io.router().merge(routes(&io));
        let server = Server::new(io.clone(), router).settings(server);
        let bound = server.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("http://{}", bound.local_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            bound.serve(async { stopped.await.unwrap_or_default() }).await.unwrap();
        });
        Site { io, url, stop, serving }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.io.counters().counts()
    }

    /// A client over WebSocket.
    pub(crate) async fn client(&self) -> Client {
        self.client_with(Options::default()).await
    }

    pub(crate) async fn client_over(&self, transport: Transport) -> Client {
        self.client_with(Options::over(transport)).await
    }

    pub(crate) async fn client_with(&self, options: Options) -> Client {
        Client::connect(&self.url, options).await.unwrap()
    }

    /// A client in rooms.
    pub(crate) async fn member(&self, transport: Transport, rooms: &[&str]) -> Client {
        let client = self.client_over(transport).await;
        client.emit_with_ack("join", [json!(rooms)]).await.unwrap();
        client
    }

    /// Engine.IO packets by hand, in no namespace yet.
    pub(crate) async fn engine(&self, transport: Transport) -> EngineConnection {
        EngineConnection::connect(&self.url, &Options::over(transport)).await.unwrap()
    }

    /// The same, in the main namespace.
    pub(crate) async fn joined(&self, transport: Transport) -> EngineConnection {
        let mut engine = self.engine(transport).await;
        engine.send_raw("40").await.unwrap();
        let answer = engine.next_raw().await.unwrap();
        assert!(answer.starts_with("40{\"sid\":"), "{answer}");
        engine
    }

    /// Stops the server, and shows that nothing is left of its clients.
    pub(crate) async fn end(self) {
        drop(self.stop);
        within(self.serving).await.unwrap();
        let counts = self.io.counters().counts();
        assert_eq!((counts.sessions, counts.sockets), (0, 0), "left at the end");
    }

    /// Waits for something that is counted or kept a moment after clients see its cause.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&Counts) -> bool) {
        eventually(what, || reached(&self.counts())).await;
    }
}

/// Waits for something without a notification of its own.
pub(crate) async fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    for _ in 0..PATIENCE.as_millis() {
        if reached() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what}: not reached");
}

/// Waits with patience.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("done in time")
}

/// Answers, so that the client knows that it has got everything sent before.
pub(crate) async fn sync(_: Socket, _: Args, ack: Ack) {
    ack.send(());
}

/// Lets a client into rooms.
pub(crate) async fn join(socket: Socket, (rooms,): (Vec<String>,), ack: Ack) {
    socket.join(rooms).unwrap().await.unwrap();
    ack.send(());
}

/// An event in short: its name and arguments.
pub(crate) fn short(event: &Event) -> String {
    let args: Vec<String> = event.args.iter().map(Value::to_string).collect();
    format!("{}({})", event.name, args.join(","))
}

/// The events that were sent before now, in short.
pub(crate) async fn got(client: &mut Client) -> Vec<String> {
    client.emit_with_ack("sync", []).await.unwrap();
    client.take_events().iter().map(short).collect()
}

/// The next `count` events, in short.
pub(crate) async fn next(client: &mut Client, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(short(&client.next_event().await.unwrap()));
    }
    events
}

/// The next packet that is no heartbeat and no noop, as text.
pub(crate) async fn packet(engine: &mut EngineConnection) -> String {
    loop {
        match engine.next_within(PATIENCE).await.unwrap() {
            EnginePacket::Ping(_) | EnginePacket::Noop => {}
            packet => return packet.to_text(),
        }
    }
}

/// Waits until the server has ended the client.
pub(crate) async fn until_closed(client: &Client) -> Closed {
    client.closed().await.unwrap()
}

/// The sockets that connect from now on.
pub(crate) fn sockets(namespace: &Namespace) -> UnboundedReceiver<Socket> {
    let (sender, receiver) = unbounded_channel();
    namespace.on_connect(move |socket: Socket| {
        let sender = sender.clone();
        async move { drop(sender.send(socket)) }
    });
    receiver
}

/// What happens, in order, from wherever it is noted.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    /// What was noted, and forgotten by this.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Waits until so much was noted.
    pub(crate) async fn wait(&self, count: usize) -> Vec<String> {
        eventually("noted", || self.0.lock().unwrap().len() >= count).await;
        self.take()
    }
}
