//! The task behind a test client.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::client::{Ack, Event};
use crate::engine::{EngineConnection, EnginePacket};
use crate::error::{Closed, Error};
use crate::packet::{Packet, PacketKind};

/// What a client asks of its task.
#[derive(Debug)]
pub(crate) enum Command {
    /// Send a packet; with a reply, as one that asks for an ack.
    Send { packet: Packet, attachments: Vec<Bytes>, reply: Option<oneshot::Sender<Ack>> },
    /// Send an Engine.IO packet as it is.
    Raw(String),
    /// Leave the namespace and close.
    Disconnect,
    /// Drop the connection without a word.
    Abandon,
    /// Reset the connection.
    Abort,
}

/// The server's answer to CONNECT.
#[derive(Debug, Clone)]
pub(crate) struct Connected {
    pub(crate) sid: String,
    pub(crate) pid: Option<String>,
}

/// One connection in one namespace.
pub(crate) struct Driver {
    engine: EngineConnection,
    namespace: String,
    connected: Option<Connected>,
    events: mpsc::Sender<Event>,
    next_ack: u64,
    waiting: HashMap<u64, oneshot::Sender<Ack>>,
    /// A packet whose attachments are not all there.
    partial: Option<(Packet, Vec<Bytes>)>,
}

impl Driver {
    pub(crate) fn new(
        engine: EngineConnection,
        namespace: String,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (connected, partial) = (None, None);
        Self { engine, namespace, connected, events, next_ack: 0, waiting: HashMap::new(), partial }
    }

    /// Joins the namespace.
    pub(crate) async fn join(&mut self, auth: Option<Value>) -> Result<Connected, Error> {
        let connect = Packet::new(PacketKind::Connect, &self.namespace, auth);
        self.engine.send(EnginePacket::Text(connect.to_text())).await?;
        loop {
            if let Some(connected) = &self.connected {
                return Ok(connected.clone());
            }
            let packet = self.engine.next().await?;
            self.take(packet).await?;
        }
    }

    pub(crate) async fn upgrade(&mut self) -> Result<(), Error> {
        self.engine.upgrade().await
    }

    /// Drives the connection to its end and tells how it ended.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        closed: watch::Sender<Option<Closed>>,
    ) {
        let end = loop {
            let step = tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Send { packet, attachments, reply }) => {
                        self.send(packet, attachments, reply).await
                    }
                    Some(Command::Raw(text)) => self.engine.send_raw(&text).await,
                    Some(Command::Disconnect) => {
                        let leave = Packet::new(PacketKind::Disconnect, &self.namespace, None);
                        let _ = self.engine.send(EnginePacket::Text(leave.to_text())).await;
                        let _ = self.engine.close().await;
                        break Closed::Ours;
                    }
                    Some(Command::Abort) => {
                        let _ = self.engine.abort();
                        break Closed::Ours;
                    }
                    Some(Command::Abandon) | None => {
                        drop(self.engine);
                        break Closed::Ours;
                    }
                },
                packet = self.engine.next() => match packet {
                    Ok(packet) => self.take(packet).await,
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = step {
                break error.into();
            }
        };
        // Before the queue of events ends, so that whoever finds it ended finds the reason.
        closed.send_replace(Some(end));
    }

    async fn send(
        &mut self,
        mut packet: Packet,
        attachments: Vec<Bytes>,
        reply: Option<oneshot::Sender<Ack>>,
    ) -> Result<(), Error> {
        if let Some(reply) = reply {
            packet.ack = Some(self.next_ack);
            self.waiting.insert(self.next_ack, reply);
            self.next_ack += 1;
        }
        let mut packets = vec![EnginePacket::Text(packet.to_text())];
        packets.extend(attachments.into_iter().map(EnginePacket::Binary));
        self.engine.send_all(&packets).await
    }

    async fn take(&mut self, packet: EnginePacket) -> Result<(), Error> {
        match packet {
            EnginePacket::Ping(probe) => self.engine.send(EnginePacket::Pong(probe)).await,
            EnginePacket::Close => Err(Error::Closed(Closed::Engine)),
            EnginePacket::Noop => Ok(()),
            EnginePacket::Text(text) => {
                let packet = Packet::parse(&text)?;
                self.collect(packet, Vec::new())
            }
            EnginePacket::Binary(bytes) => match self.partial.take() {
                Some((packet, mut attachments)) => {
                    attachments.push(bytes);
                    self.collect(packet, attachments)
                }
                None => Err(Error::Protocol("an attachment of no packet".to_owned())),
            },
            other => Err(Error::Protocol(format!("unexpected {other:?}"))),
        }
    }

    fn collect(&mut self, packet: Packet, attachments: Vec<Bytes>) -> Result<(), Error> {
        if self.partial.is_some() {
            return Err(Error::Protocol("a packet between attachments".to_owned()));
        }
        if attachments.len() < packet.attachments {
            self.partial = Some((packet, attachments));
            return Ok(());
        }
        if packet.namespace != self.namespace {
            return Err(Error::Protocol(format!("{packet:?} for another namespace")));
        }
        self.dispatch(packet, attachments)
    }

    fn dispatch(&mut self, packet: Packet, attachments: Vec<Bytes>) -> Result<(), Error> {
        let broken = |packet: &Packet| Error::Protocol(format!("bad payload in {packet:?}"));
        match packet.kind {
            PacketKind::Connect => {
                let text = |name| Some(packet.data.as_ref()?.get(name)?.as_str()?.to_owned());
                let sid = text("sid").ok_or_else(|| broken(&packet))?;
                self.connected = Some(Connected { sid, pid: text("pid") });
                Ok(())
            }
            PacketKind::ConnectError => {
                let data = packet.data.as_ref();
                let message = data.and_then(|it| it.get("message")?.as_str());
                let message = message.ok_or_else(|| broken(&packet))?.to_owned();
                Err(Error::Refused { message, data: data.and_then(|it| it.get("data")).cloned() })
            }
            PacketKind::Disconnect => Err(Error::Closed(Closed::Namespace)),
            PacketKind::Event | PacketKind::BinaryEvent => {
                let Some(Value::Array(args)) = packet.data else { return Err(broken(&packet)) };
                let ack = packet.ack;
                let mut args = args.into_iter();
                let Some(Value::String(name)) = args.next() else {
                    return Err(Error::Protocol("an event without a name".to_owned()));
                };
                let event = Event { name, args: args.collect(), attachments, ack };
                self.events.try_send(event).map_err(|_| Error::Closed(Closed::Overrun))
            }
            PacketKind::Ack | PacketKind::BinaryAck => {
                let Some(Value::Array(args)) = packet.data else { return Err(broken(&packet)) };
                match packet.ack.and_then(|id| self.waiting.remove(&id)) {
                    Some(reply) => {
                        // Whoever asked may have stopped waiting.
                        let _ = reply.send(Ack { args, attachments });
                        Ok(())
                    }
                    None => Err(Error::Protocol(format!("an ack nobody asked for: {args:?}"))),
                }
            }
        }
    }
}
