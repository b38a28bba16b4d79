//! One client's connection: which namespaces it is in, and what it may send.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::args::Args;
use crate::decode::Decoder;
use crate::name::EventName;
use crate::namespace::Namespace;
use crate::packet::{AckId, Body, ConnectPayload, Packet};
use crate::settings::{Settings, Version};
use crate::violation::Violation;

/// The Socket.IO side of one Engine.IO session.
///
/// Messages go in, what they ask for comes out. The server answers what it decided with
/// [`accepted`](Self::accepted), [`refused`](Self::refused) and [`left`](Self::left), so that the
/// connection knows what the client may do next.
///
/// Spec: Socket.IO protocol 5, § Exchange protocol.
#[derive(Debug)]
pub struct Connection {
    settings: Arc<Settings>,
    decoder: Decoder,
    version: Version,
    refusals: u32,
    /// One entry without an allocation: nearly every client is in one namespace.
    namespaces: SmallVec<[Entry; 1]>,
}

#[derive(Debug)]
struct Entry {
    namespace: Namespace,
    state: State,
}

/// How a client stands to a namespace; without an entry it is a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It asked to join; the server's answer is awaited.
    AwaitingAnswer,
    /// It is in.
    Joined,
    /// The server told it to go. What it sent before it heard that is no violation; a CONNECT
    /// shows that it has heard.
    AwaitingReturn,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// To join a namespace: to be answered with [`Connection::accepted`] or
    /// [`Connection::refused`].
    Connect {
        /// The namespace; whether it exists is for the server to say.
        namespace: Namespace,
        /// What the client sent along to be let in.
        auth: Option<ConnectPayload>,
        /// What a version 2 client wrote behind `?`, undecoded.
        query: Option<Box<str>>,
    },
    /// An event for a namespace that it is in.
    Event {
        /// The namespace.
        namespace: Namespace,
        /// The event's name.
        name: EventName,
        /// The event's arguments.
        args: Args,
        /// The id to answer with, when it wants an acknowledgement.
        ack: Option<AckId>,
    },
    /// The acknowledgement of an event; whether its id is known is for the server to say.
    Ack {
        /// The namespace.
        namespace: Namespace,
        /// The id of the event.
        id: AckId,
        /// The arguments.
        args: Args,
    },
    /// It has left a namespace; the connection has forgotten it already.
    Disconnect {
        /// The namespace.
        namespace: Namespace,
    },
}

impl Connection {
    /// A fresh connection, in no namespace.
    #[must_use]
    pub fn new(settings: Arc<Settings>, version: Version) -> Self {
        Self {
            settings,
            decoder: Decoder::new(version),
            version,
            refusals: 0,
            namespaces: SmallVec::new(),
        }
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The generation of the client.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// What a client asks for by connecting: one of version 2 is joined to `/` at once.
    ///
    /// To be called once, before anything is handled.
    pub fn open(&mut self) -> Option<Incoming> {
        if self.version != Version::V2 || self.find("/").is_some() {
            return None;
        }
        let namespace = Namespace::root();
        self.namespaces.push(Entry { namespace: namespace.clone(), state: State::AwaitingAnswer });
        Some(Incoming::Connect { namespace, auth: None, query: None })
    }

    /// Takes a text message from the client. `None` when there is nothing to do: attachments are
    /// still to come, or the message is one of those that are ignored.
    ///
    /// # Errors
    ///
    /// What the client did wrong: the connection is to be closed.
    pub fn handle_text(&mut self, text: &str) -> Result<Option<Incoming>, Violation> {
        let namespaces = &self.namespaces;
        let known = |name: &str| known(namespaces, name);
        let packet = self.decoder.text_known(&self.settings, text, known)?;
        packet.map_or(Ok(None), |packet| self.handle(packet))
    }

    /// Takes a binary message from the client.
    ///
    /// # Errors
    ///
    /// What the client did wrong: the connection is to be closed.
    pub fn handle_binary(&mut self, message: Bytes) -> Result<Option<Incoming>, Violation> {
        let namespaces = &self.namespaces;
        let known = |name: &str| known(namespaces, name);
        let packet = self.decoder.binary_known(&self.settings, message, known)?;
        packet.map_or(Ok(None), |packet| self.handle(packet))
    }

    /// The server let the client in.
    pub fn accepted(&mut self, namespace: &Namespace) {
        self.refusals = 0;
        if let Some(entry) = self.awaiting_answer(namespace) {
            entry.state = State::Joined;
        }
    }

    /// The server did not let the client in: nothing of it is kept.
    pub fn refused(&mut self, namespace: &Namespace) {
        if self.awaiting_answer(namespace).is_some() {
            self.forget(namespace);
            self.refusals = self.refusals.saturating_add(1);
        }
    }

    /// The server made the client leave.
    ///
    /// Packets for the namespace that were on their way are ignored until the client asks to join
    /// again. (The reference server takes them for a violation and closes the connection with all
    /// its other namespaces.)
    pub fn left(&mut self, namespace: &Namespace) {
        if let Some(entry) = self.find_mut(namespace) {
            entry.state = State::AwaitingReturn;
        }
    }

    /// Whether the client is in the namespace.
    #[must_use]
    pub fn is_joined(&self, namespace: &Namespace) -> bool {
        self.find(namespace.as_str()).is_some_and(|entry| entry.state == State::Joined)
    }

    /// The namespaces that the client is in, in the order in which it asked.
    pub fn joined(&self) -> impl Iterator<Item = &Namespace> {
        let joined = self.namespaces.iter().filter(|entry| entry.state == State::Joined);
        joined.map(|entry| &entry.namespace)
    }

    fn handle(&mut self, packet: Packet) -> Result<Option<Incoming>, Violation> {
        let Packet { namespace, body } = packet;
        let state = self.find(namespace.as_str()).map(|entry| entry.state);
        match (state, body) {
            (None | Some(State::AwaitingReturn), Body::Connect { payload, query }) => {
                self.ask(&namespace)?;
                Ok(Some(Incoming::Connect { namespace, auth: payload, query }))
            }
            (Some(_), Body::Connect { .. }) => Err(Violation::AlreadyJoined),
            (_, Body::ConnectError { .. }) => Err(Violation::ConnectErrorFromClient),
            (None | Some(State::AwaitingAnswer), _) => Err(Violation::NotJoined),
            (Some(State::AwaitingReturn), _) => Ok(None),
            (Some(State::Joined), body) => Ok(self.of_member(namespace, body)),
        }
    }

    /// What one who is in a namespace asks for there.
    fn of_member(&mut self, namespace: Namespace, body: Body) -> Option<Incoming> {
        match body {
            Body::Event { name, args, ack } => Some(Incoming::Event { namespace, name, args, ack }),
            Body::Ack { id: Some(id), args } => Some(Incoming::Ack { namespace, id, args }),
            Body::Disconnect => {
                self.forget(&namespace);
                Some(Incoming::Disconnect { namespace })
            }
            // As the reference does: an acknowledgement of nothing and an event without a name.
            Body::Ack { id: None, .. } | Body::NoEvent => None,
            Body::Connect { .. } | Body::ConnectError { .. } => None,
        }
    }

    /// Notes that the client wants to join.
    fn ask(&mut self, namespace: &Namespace) -> Result<(), Violation> {
        let limits = &self.settings.limits;
        if self.refusals >= limits.max_refusals {
            return Err(Violation::TooManyRefusals { limit: limits.max_refusals });
        }
        let limit = limits.max_namespaces;
        if let Some(entry) = self.find_mut(namespace) {
            entry.state = State::AwaitingAnswer;
            return Ok(());
        }
        if self.namespaces.len() >= limit {
            self.namespaces.retain(|entry| entry.state != State::AwaitingReturn);
        }
        if self.namespaces.len() >= limit {
            return Err(Violation::TooManyNamespaces { limit });
        }
        let entry = Entry { namespace: namespace.clone(), state: State::AwaitingAnswer };
        self.namespaces.push(entry);
        Ok(())
    }

    fn awaiting_answer(&mut self, namespace: &Namespace) -> Option<&mut Entry> {
        self.find_mut(namespace).filter(|entry| entry.state == State::AwaitingAnswer)
    }

    fn forget(&mut self, namespace: &Namespace) {
        self.namespaces.retain(|entry| entry.namespace != *namespace);
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        self.namespaces.iter().find(|entry| entry.namespace.as_str() == name)
    }

    fn find_mut(&mut self, namespace: &Namespace) -> Option<&mut Entry> {
        self.namespaces.iter_mut().find(|entry| entry.namespace == *namespace)
    }
}

/// A namespace that the connection has, to share its name.
fn known(namespaces: &[Entry], name: &str) -> Option<Namespace> {
    let entry = namespaces.iter().find(|entry| entry.namespace.as_str() == name)?;
    Some(entry.namespace.clone())
}

#[cfg(test)]
mod tests;
