//! A running server, and a client that sends what it is told.

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::{any, get};
use fanfare::server::{Server, ServerSettings};
use fanfare::{Counts, Io};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Far above what anything here takes: a test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port, which ends with the test.
pub(crate) struct Running {
    pub(crate) io: Io,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Routes that stand for an application's.
fn routes() -> axum::Router {
    axum::Router::new()
        .route("/echo", any(|body: Bytes| async move { body }))
        .route("/ignore", any(|| async { "not read" }))
        .route(
            "/number/{number}",
            get(|number: axum::extract::Path<String>| async move { number.0 }),
        )
        .route(
            "/who",
            get(|ConnectInfo(who): ConnectInfo<SocketAddr>| async move { who.to_string() }),
        )
        .route("/parked", get(std::future::pending::<()>))
        .route("/patient", get(|| async { tokio::time::sleep(Duration::from_millis(400)).await }))
        .route("/large", get(|| async { Body::from(vec![b'x'; 64 << 20]) }))
}

impl Running {
    pub(crate) fn new(change: impl FnOnce(&mut ServerSettings)) -> Running {
        Self::of(Io::with(|settings| settings.shards = 2).unwrap(), change)
    }

    /// A server of this application.
    pub(crate) fn of(io: Io, change: impl FnOnce(&mut ServerSettings)) -> Running {
        let mut settings = ServerSettings::default();
        change(&mut settings);
        let server = Server::new(io.clone(), routes().merge(io.router())).settings(settings);
        let bound = server.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = bound.local_addr();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let shutdown = async { stopped.await.unwrap_or_default() };
            runtime.unwrap().block_on(bound.serve(shutdown)).unwrap();
        });
        Running { io, address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream }
    }

    /// Sends bytes on a new connection and reads until the server closes it.
    pub(crate) fn ask(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.rest()
    }

    /// What was refused so far.
    pub(crate) fn rejected(&self) -> BTreeMap<&'static str, u64> {
        let Counts { rejected, .. } = self.io.counters().counts();
        rejected
    }

    /// Waits until as much was counted, which is a moment after the client sees it.
    #[track_caller]
    pub(crate) fn expect_rejected(&self, expected: &[(&'static str, u64)]) {
        let expected: BTreeMap<_, _> = expected.iter().copied().collect();
        for _ in 0..PATIENCE.as_millis() {
            if self.rejected() == expected {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(self.rejected(), expected);
    }

    /// Asks the server to stop.
    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped.
    pub(crate) fn stopped(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stopped();
        }
    }
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Everything until the server closes.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => bytes.extend(b"<reset>"),
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// One answer whose body has a known length.
    pub(crate) fn answer(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        let head = String::from_utf8(bytes).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        head + &String::from_utf8(body).unwrap()
    }

    pub(crate) fn finish(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

/// Asks for a WebSocket.
pub(crate) const WEBSOCKET: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
    Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Reads the answer to [`WEBSOCKET`] and the first frame's text, which opens the session.
pub(crate) fn opened(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert_eq!(status(&String::from_utf8(head).unwrap()), "101");
    let mut frame = [0; 2];
    stream.read_exact(&mut frame).unwrap();
    assert!(frame[0] == 0x81 && frame[1] < 126, "{frame:?}");
    let mut text = vec![0; usize::from(frame[1])];
    stream.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The status of an answer, or what there is instead.
pub(crate) fn status(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or(answer)
}
