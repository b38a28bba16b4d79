//! A client that does nothing wrong, on a connection of its own, while others do: it must get what
//! it is sent, all of it, in order and soon.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::{EngineConnection, EnginePacket, Options};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::case::Profile;
use crate::stats::Api;
use crate::wire::find;

/// The canary's room.
const ROOM: &str = "canary";

/// Between an event's arrival and the next one.
const PACE: Duration = Duration::from_millis(5);

/// How long an event may take. No figure to be proud of, but one that only a server that is stuck
/// exceeds, however busy the machine is.
const BOUND: Duration = Duration::from_secs(3);

/// The canary, as the harness sees it.
#[derive(Debug)]
pub(crate) struct Canary {
    commands: mpsc::Sender<Command>,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Command {
    /// Begins to send.
    Run,
    /// Stops to send after one more event.
    Rest(oneshot::Sender<()>),
}

#[derive(Debug, Default)]
struct Shared {
    latencies: Vec<Duration>,
    failure: Option<String>,
}

impl Canary {
    /// Connects one and lets it rest.
    pub(crate) async fn start(host: &str, key: &str, profile: Profile) -> Result<Self, String> {
        let mut bird = Bird {
            engine: EngineConnection::connect(&format!("http://{host}"), &Options::default())
                .await
                .map_err(|error| format!("the canary cannot connect: {error}"))?,
            api: Api::new(host, key),
            msgpack: profile == Profile::MsgPack,
            next: 0,
        };
        bird.join().await?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (commands, inbox) = mpsc::channel(1);
        let task = tokio::spawn(bird.live(inbox, Arc::clone(&shared)));
        let canary = Self { commands, shared, task };
        canary.rest().await;
        Ok(canary)
    }

    /// Lets it send and receive.
    pub(crate) async fn run(&self) {
        // It may have died; that shows when it is asked.
        let _ = self.commands.send(Command::Run).await;
    }

    /// Lets it send and receive once more, and then rest: nothing of it is under way afterwards.
    pub(crate) async fn rest(&self) {
        let (reply, rested) = oneshot::channel();
        if self.commands.send(Command::Rest(reply)).await.is_ok() {
            let _ = rested.await;
        }
    }

    /// What went wrong so far.
    pub(crate) fn complaint(&self) -> Option<String> {
        let shared = self.shared.lock().unwrap();
        let slow = shared.latencies.iter().max().filter(|worst| **worst > BOUND);
        shared.failure.clone().or_else(|| slow.map(|worst| format!("an event took {worst:?}")))
    }

    /// Forgets what went wrong, so that it is told once.
    pub(crate) fn is_dead(&self) -> bool {
        self.task.is_finished()
    }

    /// How long events took, sorted.
    pub(crate) fn latencies(&self) -> Vec<Duration> {
        let mut latencies = self.shared.lock().unwrap().latencies.clone();
        latencies.sort_unstable();
        latencies
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The client.
struct Bird {
    engine: EngineConnection,
    api: Api,
    msgpack: bool,
    next: u64,
}

impl Bird {
    async fn join(&mut self) -> Result<(), String> {
        let (connect, join) = if self.msgpack {
            let connect = b"\x82\xa4type\x00\xa3nsp\xa1/".to_vec();
            let join = b"\x84\xa4type\x02\xa4data\x92\xa9room:join\x81\xa6roomId\xa6canary\xa3nsp\xa1/\xa2id\x00";
            (EnginePacket::Binary(connect.into()), EnginePacket::Binary(join.to_vec().into()))
        } else {
            let join = format!(r#"20["room:join",{{"roomId":"{ROOM}"}}]"#);
            (EnginePacket::Text("0".to_owned()), EnginePacket::Text(join))
        };
        for (question, expected) in [(connect, &b"sid"[..]), (join, &b"ok"[..])] {
            self.engine.send(question).await.map_err(|error| error.to_string())?;
            let answer = self.hear().await?;
            if find(&answer, expected).is_none() {
                return Err(format!("the canary is answered {}", answer.escape_ascii()));
            }
        }
        Ok(())
    }

    async fn live(mut self, mut inbox: mpsc::Receiver<Command>, shared: Arc<Mutex<Shared>>) {
        let mut running = false;
        loop {
            let step = tokio::select! {
                command = inbox.recv() => match command {
                    None => return,
                    Some(Command::Run) => {
                        running = true;
                        Ok(())
                    }
                    Some(Command::Rest(reply)) => {
                        running = false;
                        let step = self.round(&shared).await;
                        let _ = reply.send(());
                        step
                    }
                },
                () = tokio::time::sleep(PACE), if running => self.round(&shared).await,
                packet = self.engine.next() => match packet {
                    Ok(EnginePacket::Ping(data)) => self.pong(data).await,
                    other => Err(format!("the canary was not expecting {other:?}")),
                },
            };
            if let Err(failure) = step {
                shared.lock().unwrap().failure = Some(failure);
                return;
            }
        }
    }

    /// One event, there and back.
    async fn round(&mut self, shared: &Mutex<Shared>) -> Result<(), String> {
        let begun = Instant::now();
        let published = self.api.publish("canary", ROOM, &self.next.to_string()).await;
        published.map_err(|error| format!("the canary: {error}"))?;
        let event = self.hear().await?;
        let number = if self.msgpack { packed_number(&event) } else { number(&event) };
        if number != Some(self.next) {
            let event = event.escape_ascii();
            return Err(format!("the canary was sent event {} and got {event}", self.next));
        }
        self.next += 1;
        shared.lock().unwrap().latencies.push(begun.elapsed());
        Ok(())
    }

    /// The next message; heartbeats are answered.
    async fn hear(&mut self) -> Result<Vec<u8>, String> {
        loop {
            let packet = self.engine.next_within(4 * BOUND).await;
            match packet.map_err(|error| format!("the canary: {error}"))? {
                EnginePacket::Text(text) => return Ok(text.into_bytes()),
                EnginePacket::Binary(bytes) => return Ok(bytes.to_vec()),
                EnginePacket::Ping(data) => self.pong(data).await?,
                other => return Err(format!("the canary was not expecting {other:?}")),
            }
        }
    }

    async fn pong(&mut self, data: String) -> Result<(), String> {
        let pong = EnginePacket::Pong(data);
        self.engine.send(pong).await.map_err(|error| format!("the canary: {error}"))
    }
}

/// The number in `2["canary",5]`.
fn number(event: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(event).ok()?.strip_prefix(r#"2["canary","#)?;
    let end = text.find(|it: char| !it.is_ascii_digit())?;
    text[..end].parse().ok()
}

/// The number behind the name in a packet of MessagePack.
fn packed_number(event: &[u8]) -> Option<u64> {
    let rest = &event[find(event, b"\xa6canary")? + 7..];
    match *rest {
        [small @ 0..0x80, ..] => Some(u64::from(small)),
        [0xcc, byte, ..] => Some(u64::from(byte)),
        [0xcd, a, b, ..] => Some(u64::from(u16::from_be_bytes([a, b]))),
        [0xce, a, b, c, d, ..] => Some(u64::from(u32::from_be_bytes([a, b, c, d]))),
        _ => None,
    }
}
