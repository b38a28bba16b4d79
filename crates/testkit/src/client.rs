//! A Socket.IO client for tests.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::dial::within;
use crate::driver::{Command, Connected, Driver};
use crate::engine::EngineConnection;
use crate::error::{Closed, Error};
use crate::options::{Options, Resume, Transport};
use crate::packet::{Packet, PacketKind};

/// Events that wait for the test to take them. More close the client with [`Closed::Overrun`].
pub const MAX_WAITING_EVENTS: usize = 65_536;

/// Commands that wait for the client's task; more make the caller wait.
const MAX_WAITING_COMMANDS: usize = 1_024;

/// An event from the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its arguments. With recovery on, the last one is the offset.
    pub args: Vec<Value>,
    /// Its attachments; placeholders in the arguments name them by `num`.
    pub attachments: Vec<Bytes>,
    /// The id under which the server waits for an ack.
    pub ack: Option<u64>,
}

/// The server's ack of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Ack {
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its attachments; placeholders in the arguments name them by `num`.
    pub attachments: Vec<Bytes>,
}

/// A Socket.IO client in one namespace. It answers pings, matches acks and keeps the offset, and
/// does nothing else by itself: it does not reconnect.
///
/// It is driven by a task of the current Tokio runtime. Dropping it ends the TCP connections
/// without a word, as a killed client does; [`Client::disconnect`] says goodbye.
///
/// ```no_run
/// # use fanfare_testkit as testkit;
/// # async fn example() -> Result<(), testkit::Error> {
/// use serde_json::json;
/// use testkit::{Client, Options};
///
/// let mut client = Client::connect("http://127.0.0.1:3000", Options::default()).await?;
/// client.emit("hello", [json!("world")]).await?;
/// let ack = client.emit_with_ack("sum", [json!(1), json!(2)]).await?;
/// assert_eq!(ack.args, [json!(3)]);
/// let event = client.next_event().await?;
/// assert_eq!(event.name, "greeting");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Client {
    url: String,
    options: Options,
    engine_sid: String,
    connected: Connected,
    recovered: bool,
    offset: Option<String>,
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Event>,
    closed: watch::Receiver<Option<Closed>>,
}

impl Client {
    /// Connects to `http://host:port` and joins the namespace.
    ///
    /// # Errors
    /// [`Error::Http`] when the handshake and [`Error::Refused`] when the namespace is refused;
    /// else see [`Error`].
    pub async fn connect(url: &str, options: Options) -> Result<Self, Error> {
        let engine = EngineConnection::connect(url, &options).await?;
        let engine_sid = engine.handshake().sid.clone();
        let (event_sender, events) = mpsc::channel(MAX_WAITING_EVENTS);
        let (commands, command_receiver) = mpsc::channel(MAX_WAITING_COMMANDS);
        let (closed_sender, closed) = watch::channel(None);

        let mut driver = Driver::new(engine, options.namespace.clone(), event_sender);
        let joining = driver.join(options.connect_payload());
        let connected = within(options.deadline, "CONNECT answer", joining).await?;
        if options.transport == Transport::Upgrade {
            driver.upgrade().await?;
        }
        tokio::spawn(driver.run(command_receiver, closed_sender));

        let asked = options.resume.as_ref();
        let recovered = asked.is_some_and(|it| connected.pid.as_ref() == Some(&it.pid));
        let offset = options.resume.as_ref().and_then(|resume| resume.offset.clone());
        let url = url.to_owned();
        Ok(Self {
            url,
            options,
            engine_sid,
            connected,
            recovered,
            offset,
            commands,
            events,
            closed,
        })
    }

    /// The socket's public id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.connected.sid
    }

    /// The Engine.IO session's id: a secret.
    #[must_use]
    pub fn engine_sid(&self) -> &str {
        &self.engine_sid
    }

    /// The private id for recovery, when the server offers it.
    #[must_use]
    pub fn pid(&self) -> Option<&str> {
        self.connected.pid.as_deref()
    }

    /// The offset of the last event that was **taken** and had one.
    #[must_use]
    pub fn offset(&self) -> Option<&str> {
        self.offset.as_deref()
    }

    /// Whether the server resumed the session that was asked for.
    #[must_use]
    pub const fn recovered(&self) -> bool {
        self.recovered
    }

    /// What another client needs to go on where this one is.
    #[must_use]
    pub fn resume(&self) -> Option<Resume> {
        let pid = self.connected.pid.clone()?;
        Some(Resume { pid, offset: self.offset.clone() })
    }

    /// Drops the connection without a word and connects again, asking to resume the session.
    /// Events that were not taken are forgotten, as if they had not arrived.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn reconnect(&mut self) -> Result<(), Error> {
        self.reconnect_to(&self.url.clone()).await
    }

    /// As [`Client::reconnect`], to another server.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn reconnect_to(&mut self, url: &str) -> Result<(), Error> {
        let _ = self.commands.send(Command::Abandon).await;
        self.closed().await?;
        let options = Options { resume: self.resume(), ..self.options.clone() };
        *self = Self::connect(url, options).await?;
        Ok(())
    }

    /// Sends an event.
    ///
    /// # Errors
    /// The connection is over. A later failure shows in [`Client::next_event`].
    pub async fn emit(
        &self,
        name: &str,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<(), Error> {
        self.send(PacketKind::Event, event_data(name, args), Vec::new(), None).await
    }

    /// Sends an event with attachments, for which the arguments have the placeholders.
    ///
    /// # Errors
    /// As [`Client::emit`].
    pub async fn emit_binary(
        &self,
        name: &str,
        args: impl IntoIterator<Item = Value>,
        attachments: Vec<Bytes>,
    ) -> Result<(), Error> {
        self.send(PacketKind::BinaryEvent, event_data(name, args), attachments, None).await
    }

    /// Sends an event and waits for its ack. Several may wait at a time.
    ///
    /// # Errors
    /// The connection ended or the deadline passed before the ack.
    pub async fn emit_with_ack(
        &self,
        name: &str,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<Ack, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(PacketKind::Event, event_data(name, args), Vec::new(), Some(reply)).await?;
        within(self.options.deadline, "ack", async {
            match answer.await {
                Ok(ack) => Ok(ack),
                Err(_) => Err(self.end().await),
            }
        })
        .await
    }

    /// Answers an event for which the server waits.
    ///
    /// # Errors
    /// The connection is over, or the server asked for no ack.
    pub async fn answer(
        &self,
        event: &Event,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<(), Error> {
        let ack = event.ack.ok_or_else(|| Error::Protocol("no ack was asked for".to_owned()))?;
        let data = Value::Array(args.into_iter().collect());
        let packet = Packet { ack: Some(ack), ..self.packet(PacketKind::Ack, data) };
        self.command(Command::Raw(format!("4{}", packet.to_text()))).await
    }

    /// Sends an Engine.IO packet as it is, such as `42["a"]`.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn send_raw(&self, text: &str) -> Result<(), Error> {
        self.command(Command::Raw(text.to_owned())).await
    }

    /// Takes the next event, waiting for it within the options' deadline.
    ///
    /// # Errors
    /// The connection ended, with all events taken, or the deadline passed.
    pub async fn next_event(&mut self) -> Result<Event, Error> {
        self.next_event_within(self.options.deadline).await
    }

    /// As [`Client::next_event`] with a deadline of its own.
    ///
    /// # Errors
    /// As [`Client::next_event`].
    pub async fn next_event_within(&mut self, deadline: Duration) -> Result<Event, Error> {
        let event = within(deadline, "event", async {
            match self.events.recv().await {
                Some(event) => Ok(event),
                None => Err(self.end().await),
            }
        })
        .await?;
        self.note_offset(&event);
        Ok(event)
    }

    /// Takes the events that have arrived. To know that nothing else is under way, let the server
    /// ack something first: what it sent before arrives before.
    pub fn take_events(&mut self) -> Vec<Event> {
        let events: Vec<Event> = std::iter::from_fn(|| self.events.try_recv().ok()).collect();
        for event in &events {
            self.note_offset(event);
        }
        events
    }

    /// Waits until the connection is over, within the options' deadline, and says how it ended.
    ///
    /// # Errors
    /// The deadline passed.
    pub async fn closed(&self) -> Result<Closed, Error> {
        let mut closed = self.closed.clone();
        within(self.options.deadline, "end of the connection", async {
            let ended = closed.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
            Ok(ended.unwrap_or(Closed::Ours))
        })
        .await
    }

    /// Leaves the namespace and closes the connection as the real client does.
    ///
    /// # Errors
    /// The goodbye did not get out within the deadline.
    pub async fn disconnect(self) -> Result<(), Error> {
        self.command(Command::Disconnect).await?;
        self.closed().await.map(drop)
    }

    /// Ends the connection with a reset.
    ///
    /// # Errors
    /// The connection was over already.
    pub async fn abort(self) -> Result<(), Error> {
        self.command(Command::Abort).await?;
        self.closed().await.map(drop)
    }

    /// The real client takes any trailing string for the offset once it has a `pid`; so does this.
    fn note_offset(&mut self, event: &Event) {
        if let (Some(_), Some(Value::String(offset))) = (&self.connected.pid, event.args.last()) {
            self.offset = Some(offset.clone());
        }
    }

    fn packet(&self, kind: PacketKind, data: Value) -> Packet {
        Packet::new(kind, &self.options.namespace, Some(data))
    }

    async fn send(
        &self,
        kind: PacketKind,
        data: Value,
        attachments: Vec<Bytes>,
        reply: Option<oneshot::Sender<Ack>>,
    ) -> Result<(), Error> {
        let packet = Packet { attachments: attachments.len(), ..self.packet(kind, data) };
        self.command(Command::Send { packet, attachments, reply }).await
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        match self.commands.send(command).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.end().await),
        }
    }

    /// The error that says how the connection ended; it has.
    async fn end(&self) -> Error {
        match self.closed().await {
            Ok(closed) => Error::Closed(closed),
            Err(error) => error,
        }
    }
}

fn event_data(name: &str, args: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(std::iter::once(Value::from(name)).chain(args).collect())
}
