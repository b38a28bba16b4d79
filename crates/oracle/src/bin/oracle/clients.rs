//! The clients: who they are, and how they are told what to want.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::fast::FastClient;
use crate::node::NodeClients;
use crate::publishers::ROOMS;
use crate::random::Random;
use crate::recorder::Recorder;

/// Orders that wait for a client; more make the run wait.
const MAX_ORDERS: usize = 64;

/// The room of the many: they hear what is for everybody.
pub(crate) const QUIET_ROOM: &str = "grey";

/// After which time the next of the many comes.
const ARRIVAL: Duration = Duration::from_millis(2);

/// How long each of them waits for an answer: with thousands on two processors it takes its time.
const QUIET_PATIENCE: Duration = Duration::from_secs(15);

/// How many clients of each kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// `socket.io-client`, unmodified, over its transports in turn.
    pub(crate) sockets: usize,
    /// `EventSource`.
    pub(crate) streams: usize,
    /// Ours: the test client.
    pub(crate) fast: usize,
    /// Ours too: many, in a room of their own, to which no publisher publishes.
    pub(crate) quiet: usize,
}

/// A client joins or leaves a room.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    pub(crate) room: String,
    pub(crate) is_in: bool,
}

/// All clients of a run. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Clients {
    node: NodeClients,
    fast: BTreeMap<String, mpsc::Sender<Want>>,
    tasks: JoinSet<()>,
    /// Those who can join and leave.
    pub(crate) movable: Vec<String>,
}

impl Clients {
    /// Starts the crowd, each in two rooms.
    ///
    /// # Errors
    /// When Node.js does not start.
    pub(crate) async fn start(
        crowd: Crowd,
        (url, node_folder): (&str, &Path),
        recorder: &Recorder,
        random: &mut Random,
    ) -> Result<Self> {
        let mut plans = Vec::new();
        let mut movable = Vec::new();
        let kinds = [("socket", crowd.sockets), ("stream", crowd.streams)];
        for (kind, count) in kinds {
            for number in 0..count {
                let name = format!("{kind}{number}");
                recorder.expect(&name);
                plans.push(json!({
                    "name": name, "kind": kind,
                    "rooms": rooms(number, random), "transports": transports(number),
                }));
                if kind == "socket" {
                    movable.push(name);
                }
            }
        }
        let node = NodeClients::start(node_folder, recorder.clone(), url, &plans).await?;
        let mut clients = Self { node, fast: BTreeMap::new(), tasks: JoinSet::new(), movable };
        for number in 0..crowd.fast {
            let name = format!("fast{number}");
            let (sender, wants) = mpsc::channel(MAX_ORDERS);
            let client = FastClient::new(&name, url, number, recorder.clone());
            clients.tasks.spawn(client.live(rooms(number, random), wants));
            clients.fast.insert(name.clone(), sender);
            clients.movable.push(name);
        }
        for number in 0..crowd.quiet {
            let (_, wants) = mpsc::channel(1); // it stays where it is
            let client = FastClient::new(&quiet(number), url, number, recorder.clone());
            // They come one after the other, and come back as unevenly as the real ones.
            let pause = Duration::from_millis(random.within(1_000..5_000));
            let turn = ARRIVAL * u32::try_from(number).unwrap_or(u32::MAX);
            clients.tasks.spawn(async move {
                tokio::time::sleep(turn).await;
                client
                    .with_patience(pause, QUIET_PATIENCE)
                    .live(vec![QUIET_ROOM.to_owned()], wants)
                    .await;
            });
        }
        Ok(clients)
    }

    /// Tells a client what to want.
    pub(crate) async fn want(&self, client: &str, want: Want) {
        match self.fast.get(client) {
            // A client that has ended wants nothing more.
            Some(sender) => drop(sender.send(want).await),
            None => self.node.want(client, &want).await,
        }
    }

    /// Ends them all, without a line of it in the trace.
    pub(crate) async fn stop(mut self) {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        self.node.stop().await;
    }
}

/// The name of one of the many.
fn quiet(number: usize) -> String {
    format!("quiet{number}")
}

/// The home room, which is never left, and another one.
fn rooms(number: usize, random: &mut Random) -> Vec<String> {
    let home = home(number);
    let other = random.pick(&ROOMS).copied().unwrap_or(home);
    let mut rooms = vec![home.to_owned(), other.to_owned()];
    rooms.dedup();
    rooms
}

fn home(number: usize) -> &'static str {
    ROOMS.get(number % ROOMS.len()).copied().unwrap_or(ROOMS[0])
}

/// Whether a client may leave a room: its name ends with its number.
pub(crate) fn may_leave(client: &str, room: &str) -> bool {
    let digits = client.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.parse().is_ok_and(|number| home(number) != room)
}

/// What browsers do by default, and either transport alone.
fn transports(number: usize) -> Value {
    match number % 3 {
        0 => json!(["polling", "websocket"]),
        1 => json!(["websocket"]),
        _ => json!(["polling"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_leaves_home() {
        let mut random = Random::new(3);
        for number in 0..20 {
            let rooms = rooms(number, &mut random);
            let client = format!("socket{number}");
            assert!(!may_leave(&client, &rooms[0]));
            assert!(rooms.iter().skip(1).all(|room| may_leave(&client, room)));
        }
    }
}
