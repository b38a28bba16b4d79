//! Session rooms: people who take part in one thing together, such as a live event.
//!
//! A client names a session in the query it connects with, is put into the session's room, hears that it is
//! established, and is asked now and then whether it is still there. What is told to a session comes
//! in an envelope, as the event `event`.

mod routes;
mod seen;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfare::eventlog::Position;
use fanfare::{Ack, Args, Disconnect, Namespace, Socket};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use self::seen::{Seen, SessionKey};
use crate::access::Right;
use crate::caller::Caller;
use crate::code::Code;
use crate::context::Context;
use crate::listen::{reply, tell};
use crate::names;
use crate::outbox::Told;
use crate::refusal::Refusal;
use crate::sign::unique_id;
use crate::time;

pub(crate) use self::routes::routes;
pub use self::seen::Participant;

/// The prefix of the rooms of sessions.
pub(crate) const ROOM_PREFIX: &str = "session:";

/// The server's own room of all who are in a session: who is asked whether they are there.
const ALL: &str = "$sessions";

/// The longest id of a participant, in bytes.
const MAX_PARTICIPANT_BYTES: usize = 128;

/// The largest event of a session, in bytes of JSON.
const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// Hears of each participant that has shown itself.
#[derive(Clone)]
pub struct OnSeen(Arc<HearSeen>);

type HearSeen = dyn Fn(&str, &str, u64) + Send + Sync;

impl OnSeen {
    /// Wraps a function of the session, the participant and the time in milliseconds since 1970. It runs
    /// on a thread of connections and must not block.
    pub fn new(hear: impl Fn(&str, &str, u64) + Send + Sync + 'static) -> Self {
        OnSeen(Arc::new(hear))
    }
}

impl fmt::Debug for OnSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnSeen")
    }
}

/// The settings of session rooms.
#[derive(Debug, Clone)]
pub struct SessionsSettings {
    /// Whether every client must name a session. Default: no.
    pub required: bool,
    /// How often participants are asked whether they are there (`heartbeat:ping`). Default: 30 s.
    pub heartbeat: Duration,
    /// Hears of each participant that has shown itself. Default: nobody.
    pub on_seen: Option<OnSeen>,
}

impl Default for SessionsSettings {
    fn default() -> Self {
        SessionsSettings { required: false, heartbeat: Duration::from_secs(30), on_seen: None }
    }
}

/// What is told to a session.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The event's id: from behind it on a client begins with `fromEventId`.
    pub event_id: String,
    /// What kind of event it is: `poll:activated`.
    pub event_type: String,
    /// When it was published.
    pub timestamp: String,
    /// The session.
    pub session_id: String,
    /// The event itself.
    #[schema(value_type = Object)]
    pub payload: Value,
}

/// Session rooms. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions {
    context: Context,
    seen: Arc<Mutex<Seen>>,
}

/// The session a socket is in.
#[derive(Debug, Clone)]
struct Taking {
    session: String,
    participant: String,
}

impl Taking {
    fn key(&self, socket: &Socket) -> SessionKey {
        (socket.namespace().name().to_owned(), self.session.clone())
    }
}

/// Why a socket is told that it is refused, and closed.
#[derive(Debug)]
struct NotLetIn(Refusal);

impl Sessions {
    pub(crate) fn begin(context: &Context) -> Self {
        let sessions = Sessions { context: context.clone(), seen: Arc::default() };
        context.spawn(sessions.clone().mind());
        sessions
    }

    fn settings(&self) -> &SessionsSettings {
        &self.context.settings().sessions
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a session something: done when it is kept and in the log. The envelope and its position.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidRequest`], [`Code::UnknownNamespace`], those of the store and the log.
    pub async fn publish(
        &self,
        namespace: &str,
        session: &str,
        event_type: &str,
        payload: Value,
    ) -> Result<(Envelope, Option<Position>), Refusal> {
        let room = room_of(session, Code::InvalidRequest)?;
        self.context.namespace(namespace)?;
        if !(1..=255).contains(&event_type.len()) || event_type.chars().any(char::is_control) {
            let expected = "1 to 255 bytes without control characters";
            return Err(Refusal::field(Code::InvalidRequest, "eventType", expected));
        }
        if payload.to_string().len() > MAX_PAYLOAD_BYTES {
            let expected = format!("at most {MAX_PAYLOAD_BYTES} bytes of JSON");
            return Err(Refusal::field(Code::InvalidRequest, "payload", &expected));
        }
        let envelope = Envelope {
            event_id: unique_id(),
            event_type: event_type.to_owned(),
            timestamp: time::now(),
            session_id: session.to_owned(),
            payload,
        };
        let told = Told::new(namespace, vec![room], "event", &envelope);
        let told = told.with_id(envelope.event_id.clone());
        let ((), position) = self.context.outbox().write(move |_| Ok(((), vec![told]))).await?;
        Ok((envelope, position))
    }

    /// Who takes part in a session, or lately has, on this node.
    #[must_use]
    pub fn participants(&self, namespace: &str, session: &str) -> Vec<Participant> {
        self.lock().participants(namespace, session)
    }

    /// What a client asks for with its query, if it asks for a session.
    async fn asked(&self, socket: &Socket) -> Result<Option<Taking>, Refusal> {
        let handshake = socket.handshake();
        let Some(session) = handshake.query("sessionId") else {
            if self.settings().required {
                let message = "A session is required; expected its id in the query (`sessionId`).";
                let refusal = Refusal::new(Code::InvalidMessage, message);
                return Err(refusal.with(json!({ "field": "sessionId" })));
            }
            return Ok(None);
        };
        let room = room_of(&session, Code::InvalidMessage)?;
        let caller = Caller::of(socket);
        let given = handshake.query("participantId").filter(|id| !id.is_empty());
        let participant = match (caller.user(), given) {
            (Some(user), None) => user.id.to_string(),
            (Some(user), Some(given)) if *user.id == *given => given,
            (Some(_), Some(_)) => {
                let message = "The participant is not the user of the token.";
                return Err(Refusal::new(Code::PermissionDenied, message)
                    .with(json!({ "field": "participantId" })));
            }
            (None, Some(given)) => given,
            (None, None) => format!("guest:{}", socket.id()),
        };
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if participant.len() > MAX_PARTICIPANT_BYTES || !visible(&participant) {
            let expected = "1 to 128 visible ASCII characters";
            return Err(Refusal::field(Code::InvalidMessage, "participantId", expected));
        }
        self.context.allow(socket, Right::Join, &room, "sessionId").await?;
        if handshake.query("fromEventId").is_some() {
            self.context.allow(socket, Right::History, &room, "fromEventId").await?;
        }
        Ok(Some(Taking { session, participant }))
    }

    /// Before the client is connected: its rooms, and what is kept with it.
    async fn welcome(&self, socket: &Socket) -> Result<(), Refusal> {
        let taking = match self.asked(socket).await {
            Ok(Some(taking)) => taking,
            Ok(None) => return Ok(()),
            // It is let in to be told why it is not: clients listen for `connection:error`.
            Err(refusal) => {
                socket.insert(NotLetIn(refusal));
                return Ok(());
            }
        };
        if !socket.recovered() {
            let rooms = vec![format!("{ROOM_PREFIX}{}", taking.session), ALL.to_owned()];
            let invalid = |_| Refusal::field(Code::InvalidMessage, "sessionId", names::ROOM_FORM);
            let joined = socket.join(rooms).map_err(invalid)?.await;
            joined.map_err(|error| crate::rooms::not_joined(socket, &error))?;
            let mut data = socket.data();
            if let Some(data) = data.as_object_mut() {
                let Taking { session, participant } = &taking;
                let kept = json!({ "sessionId": session, "participantId": participant });
                data.insert("session".to_owned(), kept);
                socket.set_data(data.clone());
            }
        }
        socket.insert(taking);
        Ok(())
    }

    /// The first word to a client that is connected.
    fn establish(&self, socket: &Socket) {
        if let Some(refused) = socket.extension::<NotLetIn>() {
            let answer = refused.0.answer(std::time::SystemTime::now());
            tell(socket, "connection:error", answer.error());
            socket.disconnect(true);
            return;
        }
        let Some(taking) = socket.extension::<Taking>() else { return };
        self.saw(socket, &taking);
        let event =
            if socket.recovered() { "connection:reconnected" } else { "connection:established" };
        let told = json!({
            "socketId": socket.id().to_string(),
            "participantId": taking.participant,
            "sessionId": taking.session,
            "serverTime": time::now(),
        });
        tell(socket, event, &told);
    }

    fn saw(&self, socket: &Socket, taking: &Taking) {
        let now = time::now_ms();
        self.lock().saw(taking.key(socket), &taking.participant, socket.id(), now);
        if let Some(OnSeen(hear)) = &self.settings().on_seen {
            hear(&taking.session, &taking.participant, now);
        }
    }

    /// A client says that it is there.
    fn answered(&self, socket: &Socket) -> Result<Value, Refusal> {
        let Some(taking) = socket.extension::<Taking>() else {
            return Err(Refusal::new(Code::PermissionDenied, "This client is in no session."));
        };
        self.saw(socket, &taking);
        Ok(json!({}))
    }

    /// Asks everybody now and then, for as long as it is run.
    async fn mind(self) {
        let mut ticks = tokio::time::interval(self.settings().heartbeat);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            for namespace in self.context.namespaces() {
                let told = namespace.to(ALL).volatile();
                if let Err(error) =
                    told.emit("heartbeat:ping", (json!({ "timestamp": time::now() }),))
                {
                    tracing::debug!(%error, "participants could not be asked whether they are there");
                }
            }
            self.lock().forget(time::now_ms());
        }
    }
}

fn room_of(session: &str, code: Code) -> Result<String, Refusal> {
    let room = format!("{ROOM_PREFIX}{session}");
    if session.is_empty() || names::check_name(&room).is_err() {
        let expected = "1 to 247 visible ASCII characters, without * and #";
        return Err(Refusal::field(code, "sessionId", expected));
    }
    Ok(room)
}

/// Whether a client that comes back names what it named when it left: who names another session, or is
/// another participant, comes anew.
///
/// # Errors
///
/// [`Code::Conflict`].
pub(crate) fn check_same(socket: &Socket) -> Result<(), Refusal> {
    let data = socket.data();
    let kept = |field: &str| data.get("session")?.get(field)?.as_str();
    let taking = socket.extension::<Taking>();
    let now = taking.as_ref().map(|taking| (&*taking.session, &*taking.participant));
    if now == kept("sessionId").zip(kept("participantId")) {
        return Ok(());
    }
    Err(Refusal::new(Code::Conflict, "The client names another session than before."))
}

/// Lets the clients of a namespace take part in sessions.
pub(crate) fn serve(sessions: &Sessions, namespace: &Namespace) {
    let this = sessions.clone();
    namespace.middleware(move |socket: Socket| {
        let this = this.clone();
        async move { this.welcome(&socket).await.map_err(|refusal| refusal.connect_error()) }
    });
    let this = sessions.clone();
    namespace.on_connect(move |socket: Socket| {
        this.establish(&socket);
        async {}
    });
    let this = sessions.clone();
    namespace.on_disconnect(move |socket: Socket, _: Disconnect| {
        if let Some(taking) = socket.extension::<Taking>() {
            let key = taking.key(&socket);
            this.lock().left(&key, &taking.participant, socket.id(), time::now_ms());
        }
        async {}
    });
    let this = sessions.clone();
    // Whatever it carries: clients send nothing, the time, or what they were asked with.
    namespace.on("heartbeat:pong", move |socket: Socket, _: Args, ack: Ack| {
        let answer = this.answered(&socket);
        reply(&socket, "heartbeat:pong", ack, answer);
        async {}
    });
}
