//! A TCP proxy between the clients and the server, which can cut, stall, delay and refuse.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};

use crate::random::Random;

/// Bytes that are carried at a time. Small, so that little is on the way when it stalls.
const CHUNK_BYTES: usize = 4_096;

/// The receive buffer towards the server, so that a client that stalls soon stalls the server too.
const BUFFER_BYTES: u32 = 16_384;

/// How long the server is left with a connection whose client has gone without a word.
const HALF_OPEN: Duration = Duration::from_secs(3);

/// How the network is.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// Where the server is; nobody gets through without.
    pub(crate) server: Option<SocketAddr>,
    /// New connections are closed at once.
    pub(crate) is_refusing: bool,
    /// Nothing moves, though connections are open.
    pub(crate) is_stalled: bool,
    /// How long each chunk is on the way.
    pub(crate) delay: Duration,
    /// After how many bytes from the server, at most, a new connection is cut. Zero: never.
    pub(crate) max_bytes: u64,
}

/// A proxy on a port of its own. Dropping it ends everything it carries.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Where clients connect to.
    pub(crate) url: String,
    weather: watch::Sender<Weather>,
    connections: Arc<Mutex<Vec<Connection>>>,
    accepting: JoinHandle<()>,
}

/// A connection that is carried.
#[derive(Debug)]
struct Connection {
    carrying: AbortHandle,
    /// Cuts the client off and leaves the server in the belief that it is there.
    half_open: Option<oneshot::Sender<()>>,
}

impl Proxy {
    /// Starts to listen, in fine weather.
    ///
    /// # Errors
    /// When no port is to be had.
    pub(crate) async fn start(mut random: Random) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let weather = watch::Sender::new(Weather {
            server: None,
            is_refusing: false,
            is_stalled: false,
            delay: Duration::ZERO,
            max_bytes: 0,
        });
        let connections = Arc::<Mutex<Vec<Connection>>>::default();
        let (seen, all) = (weather.subscribe(), Arc::clone(&connections));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let now = seen.borrow().clone();
                let Some(server) = now.server.filter(|_| !now.is_refusing) else { continue };
                let budget = match now.max_bytes {
                    0 => u64::MAX,
                    max => random.below(max),
                };
                let (half_open, leaves) = oneshot::channel();
                let line = Line { server, weather: seen.clone(), budget, leaves };
                let carrying = tokio::spawn(line.carry(client)).abort_handle();
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.retain(|connection| !connection.carrying.is_finished());
                all.push(Connection { carrying, half_open: Some(half_open) });
            }
        });
        Ok(Self { url, weather, connections, accepting })
    }

    /// Changes the weather.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }

    /// Cuts each connection with a probability of one in `one_in`. Of every second one the server
    /// learns later, perhaps after its client is back.
    pub(crate) fn cut(&self, one_in: u64, random: &mut Random) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in connections.iter_mut() {
            if !random.happens(one_in) {
                continue;
            }
            match connection.half_open.take_if(|_| random.happens(2)) {
                // Its task may have ended meanwhile.
                Some(half_open) => drop(half_open.send(())),
                None => connection.carrying.abort(),
            }
        }
    }

    fn cut_all(&self) {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.iter().for_each(|connection| connection.carrying.abort());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}

/// One connection's way.
struct Line {
    server: SocketAddr,
    weather: watch::Receiver<Weather>,
    /// After how many bytes from the server it is cut.
    budget: u64,
    leaves: oneshot::Receiver<()>,
}

impl Line {
    /// Carries until both ends have closed, one has failed, or it is cut. Errors are the end, as
    /// they are between real networks.
    async fn carry(self, client: TcpStream) -> std::io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        let server = socket.connect(self.server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let (up, down) = (self.weather.clone(), self.weather);
        tokio::select! {
            ended = async {
                tokio::try_join!(
                    pump(&mut from_client, &mut to_server, up, u64::MAX),
                    pump(&mut from_server, &mut to_client, down, self.budget),
                )
            } => ended.map(drop),
            Ok(()) = self.leaves => {
                drop((from_client, to_client));
                tokio::time::sleep(HALF_OPEN).await;
                Ok(())
            }
        }
    }
}

async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut weather: watch::Receiver<Weather>,
    mut budget: u64,
) -> std::io::Result<()> {
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        calm(&mut weather).await;
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        let delay = calm(&mut weather).await;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let fits = usize::try_from(budget).unwrap_or(usize::MAX).min(count);
        to.write_all(chunk.get(..fits).unwrap_or_default()).await?;
        budget -= fits as u64;
        if budget == 0 {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
    }
}

/// Waits until things move, and tells how long they take.
async fn calm(weather: &mut watch::Receiver<Weather>) -> Duration {
    // Without a sender the proxy is gone, and this task is about to be.
    weather.wait_for(|it| !it.is_stalled).await.map(|it| it.delay).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says back what it hears, and a proxy before it.
    async fn echo() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let proxy = Proxy::start(Random::new(1)).await.unwrap();
        proxy.change(|weather| weather.server = Some(address));
        proxy
    }

    async fn dial(proxy: &Proxy) -> TcpStream {
        TcpStream::connect(proxy.url.strip_prefix("http://").unwrap()).await.unwrap()
    }

    async fn says_back(stream: &mut TcpStream) -> bool {
        let mut answer = [0; 5];
        stream.write_all(b"hello").await.is_ok()
            && stream.read_exact(&mut answer).await.is_ok_and(|_| &answer == b"hello")
    }

    #[tokio::test]
    async fn it_carries_cuts_and_refuses() {
        let proxy = echo().await;
        let mut stream = dial(&proxy).await;
        assert!(says_back(&mut stream).await);
        proxy.cut(1, &mut Random::new(1));
        assert!(!says_back(&mut stream).await);
        proxy.change(|weather| weather.is_refusing = true);
        assert!(!says_back(&mut dial(&proxy).await).await);
        proxy.change(|weather| weather.is_refusing = false);
        assert!(says_back(&mut dial(&proxy).await).await);
    }

    #[tokio::test]
    async fn a_client_may_be_gone_while_the_server_believes_it_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(Random::new(1)).await.unwrap();
        let address = listener.local_addr().unwrap();
        proxy.change(|weather| weather.server = Some(address));
        let (mut outcomes, mut random) = ([0, 0], Random::new(7));
        for _ in 0..20 {
            let mut client = dial(&proxy).await;
            client.write_all(b"here").await.unwrap();
            let (mut server, _) = listener.accept().await.unwrap();
            server.read_exact(&mut [0; 4]).await.unwrap();
            proxy.cut(1, &mut random);
            assert_eq!(client.read(&mut [0; 1]).await.unwrap_or(0), 0, "the client is cut off");
            let wait = Duration::from_millis(50);
            let noticed = tokio::time::timeout(wait, server.read(&mut [0; 1])).await.is_ok();
            outcomes[usize::from(noticed)] += 1;
        }
        assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
    }

    #[tokio::test]
    async fn it_stalls_and_goes_on_and_cuts_after_bytes() {
        let proxy = echo().await;
        let mut stream = dial(&proxy).await;
        assert!(says_back(&mut stream).await);
        proxy.change(|weather| weather.is_stalled = true);
        stream.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        let wait = Duration::from_millis(50);
        assert!(tokio::time::timeout(wait, stream.read_exact(&mut answer)).await.is_err());
        proxy.change(|weather| weather.is_stalled = false);
        stream.read_exact(&mut answer).await.unwrap();

        proxy.change(|weather| weather.max_bytes = 100);
        let mut stream = dial(&proxy).await;
        let mut rounds = 0;
        while says_back(&mut stream).await {
            rounds += 1;
            assert!(rounds <= 20, "it was never cut");
        }
    }

    #[tokio::test]
    async fn the_end_of_one_side_reaches_the_other() {
        let proxy = echo().await;
        let mut stream = dial(&proxy).await;
        stream.write_all(b"bye").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"bye");
    }
}
