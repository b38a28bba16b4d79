//! The loop that accepts connections and hands each one to a shard.

use super::admission::{Admission, Place};
use super::connection::{Arrival, Serving};
use super::refusal::Refusal;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// How many unsent bytes the system keeps for one connection. More only hides how slow a client
/// is, and is memory that no limit of ours counts: Linux would keep up to 4 MiB for each.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNSENT_BYTES: u32 = 64 * 1024;

/// The first pause after the system could not accept a connection, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How often the same trouble is logged.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Accepts the connections of one port.
pub(super) struct Acceptor {
    serving: Arc<Serving>,
    admission: Arc<Admission>,
    refusal: Refusal,
    refused: Seldom,
    failed: Seldom,
}

impl Acceptor {
    pub(super) fn new(serving: Arc<Serving>, admission: Arc<Admission>) -> Acceptor {
        Acceptor {
            serving,
            admission,
            refusal: Refusal::new(),
            refused: Seldom::default(),
            failed: Seldom::default(),
        }
    }

    /// Accepts until dropped.
    pub(super) async fn run(mut self, listener: TcpListener) {
        let mut pause = BACKOFF.0;
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    pause = BACKOFF.0;
                    self.admit(stream, address);
                }
                // The client was gone again before it was accepted.
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Most often: no file descriptor is left. Those who wait stay in the queue.
                    self.serving.io().counters().rejected("accept_failed");
                    if let Some(times) = self.failed.now() {
                        tracing::error!(%error, times, "connections cannot be accepted");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, address: SocketAddr) {
        // A listener on [::] sees IPv4 clients under names like ::ffff:192.0.2.1.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        match self.admission.admit(address.ip(), Instant::now()) {
            Ok(place) => {
                if let Err(error) = self.hand_over(stream, address, place) {
                    tracing::debug!(%error, "a connection was lost while it was accepted");
                }
            }
            Err(refused) => {
                self.serving.io().counters().rejected(refused.name());
                if let Some(times) = self.refused.now() {
                    tracing::warn!(%address, times, "a connection was refused: {refused}");
                }
                self.refusal.send(stream, self.serving.is_tls());
            }
        }
    }

    fn hand_over(&self, stream: TcpStream, address: SocketAddr, place: Place) -> io::Result<()> {
        // Packets are written whole, at the end of a tick: holding them back gains nothing.
        stream.set_nodelay(true)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket2::SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
        let stream = stream.into_std()?;
        let serving = self.serving.clone();
        let io = serving.io().clone();
        let connection = io.http_connections().enter();
        let arrival = Arrival { stream, address, place, connection };
        let shard = io.next_shard();
        io.spawn_on(shard, move || serving.run(shard, arrival));
        Ok(())
    }
}

/// Whether accepting failed for a reason that lies in the connection.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Keeps a log line from being written thousands of times.
#[derive(Debug, Default)]
struct Seldom {
    last: Option<Instant>,
    times: u64,
}

impl Seldom {
    /// How often it has happened since the last line, if it is time for the next one.
    fn now(&mut self) -> Option<u64> {
        self.times += 1;
        let now = Instant::now();
        if self.last.is_some_and(|last| now - last < LOG_EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.times))
    }
}
