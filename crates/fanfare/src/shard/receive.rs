//! From the bytes of a client to the listeners of the application.

use super::{SessionKey, Shard, SocketKey};
use crate::ack::Ack;
use crate::counters::Counters;
use crate::disconnect::DisconnectReason;
use crate::handler::{EventError, Refused, Unfit};
use crate::namespace::Event;
use crate::recovery::Wanted;
use crate::socket::Socket;
use bytes::Bytes;
use engineio::Message;
use serde_json::{Value, json};
use socketio::{ConnectPayload, Incoming, Violation};
use std::rc::Rc;

impl Shard {
    /// A message of the client's.
    pub(crate) fn receive(self: &Rc<Self>, key: SessionKey, message: Message<'_>) {
        let incoming = {
            let mut state = self.state.borrow_mut();
            let Some(session) = state.sessions.get_mut(key) else { return };
            if session.deaf {
                return;
            }
            match message {
                Message::Text(text) => session.connection.handle_text(text),
                Message::Binary(data) => {
                    session.connection.handle_binary(Bytes::from(data.into_owned()))
                }
            }
        };
        match incoming {
            Ok(Some(incoming)) => self.act(key, incoming),
            Ok(None) => {}
            Err(violation) => self.violated(key, violation),
        }
    }

    fn violated(self: &Rc<Self>, key: SessionKey, violation: Violation) {
        tracing::debug!(%violation, "a client broke the protocol");
        self.io.inner().counters.rejected(violation.name());
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(key) {
            session.deaf = true;
        }
        // What it sent before was in order and is still answered.
        self.in_order(move |shard| shard.close_session(key, DisconnectReason::ForcedClose));
    }

    /// Does what a client asks for.
    pub(crate) fn act(self: &Rc<Self>, key: SessionKey, incoming: Incoming) {
        match incoming {
            Incoming::Connect { namespace, auth, query } => {
                let wanted = auth.as_ref().and_then(wanted);
                let auth =
                    auth.map(|auth| auth.json().into()).or_else(|| query_as_auth(query.as_deref()));
                self.enter(key, namespace, auth, wanted);
            }
            Incoming::Event { namespace, name, args, ack } => {
                Counters::add(&self.io.inner().counters.events_received, 1);
                if let Some(socket) = self.socket_in(key, &namespace) {
                    socket.is_active();
                    self.event(&socket, &Event { name, args }, ack);
                }
            }
            Incoming::Ack { namespace, id, args } => {
                let Some(socket) = self.socket_in(key, &namespace) else { return };
                match self.take_waiting(socket.key(), id) {
                    Some(waiting) => waiting.answer(args),
                    None => self.io.inner().counters.rejected("ack_unknown"),
                }
            }
            Incoming::Disconnect { namespace } => {
                if let Some(socket) = self.socket_in(key, &namespace) {
                    self.client_left(socket.key());
                }
            }
        }
    }

    /// The socket of a session in a namespace.
    fn socket_in(&self, key: SessionKey, namespace: &socketio::Namespace) -> Option<Socket> {
        let state = self.state.borrow();
        let session = state.sessions.get(key)?;
        let mut sockets = session.sockets.iter().filter_map(|key| state.sockets.get(*key));
        sockets.find(|slot| slot.socket.core().name == *namespace).map(|slot| slot.socket.clone())
    }

    fn take_waiting(&self, key: SocketKey, id: u64) -> Option<crate::ack::Waiting> {
        self.state.borrow_mut().sockets.get_mut(key)?.take_waiting(id)
    }

    /// Starts the listener of an event.
    fn event(self: &Rc<Self>, socket: &Socket, event: &Event, ack: Option<u64>) {
        let handlers = socket.core().handlers.load();
        let ack = Ack::new(socket.clone(), ack);
        if !handlers.any.is_empty() || !handlers.event_middlewares.is_empty() {
            // What stands if one of them panics.
            let mut verdict = Err(Refused::new("Internal error"));
            self.start(socket, || {
                handlers.any.iter().for_each(|listener| listener(socket, event));
                let mut middlewares = handlers.event_middlewares.iter();
                verdict = middlewares.try_for_each(|middleware| middleware(socket, event));
                None
            });
            if let Err(refused) = verdict {
                self.io.inner().counters.rejected("event_refused");
                return self.start(socket, || {
                    tell(socket, event, &EventError::Refused(refused), ack);
                    None
                });
            }
        }
        let Some(listener) = handlers.events.get(event.name.as_str()) else { return };
        self.start(socket, || match listener(socket.clone(), &event.args, ack) {
            Ok(task) => Some(task),
            Err(Unfit { error, ack }) => {
                self.io.inner().counters.rejected("arguments_unfit");
                tell(socket, event, &EventError::Arguments(error), ack);
                None
            }
        });
    }
}

/// Tells the application, or else the client, that an event did not reach a listener.
fn tell(socket: &Socket, event: &Event, error: &EventError, ack: Ack) {
    if let Some(handler) = &socket.core().handlers.load().error {
        return handler(socket, event, error, ack);
    }
    let (code, message) = match error {
        EventError::Refused(refused) => ("PERMISSION_DENIED", refused.message.clone()),
        EventError::Arguments(error) => ("INVALID_MESSAGE", error.to_string()),
    };
    let details = match error {
        EventError::Refused(Refused { data: Some(data), .. }) => data.clone(),
        _ => json!({ "event": event.name.as_str() }),
    };
    let error = json!({ "code": code, "message": message, "details": details });
    if ack.is_wanted() {
        ack.send((json!({ "ok": false, "error": error }),));
    } else if let Err(error) = socket.emit("error", (error,)) {
        tracing::debug!(%error, "a refusal could not be sent");
    }
}

/// What a client wants back.
fn wanted(auth: &ConnectPayload) -> Option<Wanted> {
    Some(Wanted { pid: auth.pid()?, offset: auth.offset() })
}

/// Clients of version 2 give the namespace's query instead of `auth`.
fn query_as_auth(query: Option<&str>) -> Option<Box<str>> {
    let pairs = form_urlencoded::parse(query?.as_bytes());
    let auth: serde_json::Map<String, Value> =
        pairs.map(|(name, value)| (name.into_owned(), value.into())).collect();
    Some(Value::Object(auth).to_string().into_boxed_str())
}
