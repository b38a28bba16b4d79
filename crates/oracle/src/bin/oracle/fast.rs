//! A client of ours: what the real one does, in as few steps.

use std::collections::BTreeMap;
use std::time::Duration;

use fanfare_oracle::What;
use serde_json::{Value, json};
use testkit::{Client, Closed, Error, Event, Options, Resume, Transport};
use tokio::sync::mpsc;

use crate::clients::Want;
use crate::recorder::Recorder;
use crate::shapes::EVERYBODY;

/// How long it waits for an answer, before it tries again.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long it waits between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// A client that comes back whenever it is cut off.
#[derive(Debug)]
pub(crate) struct FastClient {
    name: String,
    url: String,
    transport: Transport,
    pause: Duration,
    patience: Duration,
    recorder: Recorder,
    calls: u64,
    resume: Option<Resume>,
    /// By room: whether it wants to be in, and whether it knows that it is.
    rooms: BTreeMap<String, Room>,
}

#[derive(Debug, Clone, Copy)]
struct Room {
    is_wanted: bool,
    is_member: bool,
}

impl FastClient {
    /// A client; its number says over which transport.
    pub(crate) fn new(name: &str, url: &str, number: usize, recorder: Recorder) -> Self {
        let transport = match number % 3 {
            0 => Transport::WebSocket,
            1 => Transport::Polling,
            _ => Transport::Upgrade,
        };
        recorder.expect(name);
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            transport,
            pause: PAUSE,
            patience: PATIENCE,
            recorder,
            calls: 0,
            resume: None,
            rooms: BTreeMap::new(),
        }
    }

    /// The same, but it waits longer between two tries, and for an answer.
    pub(crate) fn with_patience(self, pause: Duration, patience: Duration) -> Self {
        Self { pause, patience, ..self }
    }

    /// Lives until the task is ended.
    pub(crate) async fn live(mut self, rooms: Vec<String>, mut wants: mpsc::Receiver<Want>) {
        for room in rooms {
            self.rooms.insert(room, Room { is_wanted: true, is_member: false });
        }
        loop {
            let options = Options {
                resume: self.resume.clone(),
                deadline: self.patience,
                ..Options::over(self.transport)
            };
            match Client::connect(&self.url, options).await {
                Ok(client) => self.stay(client, &mut wants).await,
                Err(Error::Protocol(detail)) => self.write(What::Breach { detail }),
                Err(_) => {}
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    fn write(&self, what: What) {
        self.recorder.write(&self.name, what);
    }

    /// Stays as long as the connection does.
    async fn stay(&mut self, mut client: Client, wants: &mut mpsc::Receiver<Want>) {
        let recovered = client.recovered();
        self.write(What::Connect { id: client.id().to_owned(), recovered });
        if !recovered {
            self.rooms.values_mut().for_each(|room| room.is_member = false);
            let call = self.ask(true, EVERYBODY); // nobody has to ask for that
            self.write(What::Done { call });
        }
        let end = loop {
            if let Err(error) = self.settle(&mut client).await {
                break error;
            }
            tokio::select! {
                event = client.next_event() => match event {
                    Ok(event) => self.receive(&event),
                    Err(Error::Deadline { .. }) => {}
                    Err(error) => break error,
                },
                Some(want) = wants.recv() => {
                    let room = self.rooms.entry(want.room);
                    let unknown = Room { is_wanted: false, is_member: false };
                    room.or_insert(unknown).is_wanted = want.is_in;
                }
            }
        };
        for event in client.take_events() {
            self.receive(&event);
        }
        self.resume = client.resume();
        if let Error::Closed(Closed::Protocol(detail)) = &end {
            self.write(What::Breach { detail: detail.clone() });
        }
        self.write(What::Disconnect { reason: end.to_string() });
    }

    fn receive(&self, event: &Event) {
        let Some(Value::String(id)) = event.args.first() else {
            return self.write(What::Breach { detail: format!("{event:?}") });
        };
        let position = event.args.iter().skip(1).next_back().and_then(Value::as_str);
        self.write(What::Receive { id: id.clone(), position: position.map(str::to_owned) });
    }

    fn ask(&mut self, is_join: bool, room: &str) -> u64 {
        self.calls += 1;
        let (call, room) = (self.calls, room.to_owned());
        self.write(if is_join { What::Join { call, room } } else { What::Leave { call, room } });
        self.calls
    }

    /// Joins and leaves until it is where it wants to be.
    async fn settle(&mut self, client: &mut Client) -> Result<(), Error> {
        let moves: Vec<(String, bool)> = self
            .rooms
            .iter()
            .filter(|(_, room)| room.is_wanted != room.is_member)
            .map(|(name, room)| (name.clone(), room.is_wanted))
            .collect();
        for (name, is_join) in moves {
            let call = self.ask(is_join, &name);
            let event = if is_join { "room:join" } else { "room:leave" };
            let answer = client.emit_with_ack(event, [json!({ "roomId": name })]).await;
            // What came before the answer stands before it in the trace.
            for event in client.take_events() {
                self.receive(&event);
            }
            match answer {
                Ok(ack) if ack.args.first().is_some_and(|it| it["ok"] == json!(true)) => {
                    self.write(What::Done { call });
                    if let Some(room) = self.rooms.get_mut(&name) {
                        room.is_member = is_join;
                    }
                }
                // Refused, or no answer yet: it asks again.
                Ok(_) => tokio::time::sleep(PAUSE).await,
                Err(Error::Deadline { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
