//! Clients: a namespace of their own, into which tokens let, and which brings events to them.

use std::time::{Instant, SystemTime};

use fanfare::eventlog::AppendError;
use fanfare::{EmitError, Namespace, Refused as NotConnected, Socket};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use services::{Code, Refusal, time};

use crate::Livepoll;
use crate::domain::{ParticipantId, SessionId};
use crate::error::Refused;
use crate::event::{Audience, Event};
use crate::relay::{NotPublished, Publisher};
use crate::token::{Role, Seat};

/// The name under which clients get everything that happens in their session.
const EVENT: &str = "event";

/// Everybody of a session.
fn room(session: &SessionId) -> String {
    format!("session:{session}")
}

/// Those who present a session.
fn presenters(session: &SessionId) -> String {
    format!("session:{session}:presenters")
}

/// One participant, on all devices.
fn participant(id: &ParticipantId) -> String {
    format!("participant:{id}")
}

/// What a client says of itself when it connects.
#[derive(Deserialize)]
struct Auth {
    token: String,
}

/// Lets clients in.
pub(crate) fn serve(livepoll: &Livepoll, namespace: &Namespace) {
    let it = livepoll.clone();
    namespace.middleware(move |socket: Socket| {
        let it = it.clone();
        async move { admit(&it, &socket).await.map_err(|why| not_connected(&why)) }
    });
    let it = livepoll.clone();
    namespace.on_connect(move |socket: Socket| {
        let it = it.clone();
        async move { connected(&it, &socket) }
    });
    let it = livepoll.clone();
    namespace.on_disconnect(move |socket: Socket, _| {
        let it = it.clone();
        async move {
            if let Some(seat) = socket.extension::<Seat>()
                && let Role::Participant(id) = &seat.role
            {
                it.presence().leave(id, Instant::now());
            }
        }
    });
}

/// Puts a socket into the rooms of its seat.
async fn admit(livepoll: &Livepoll, socket: &Socket) -> Result<(), Refused> {
    let auth = socket.auth::<Auth>().map_err(|_| Refused::Unauthorized)?;
    let seat = livepoll.seat(&auth.token)?;
    // It may have been removed.
    livepoll.session(&seat.session).await?;
    socket.set_subject(seat.subject());
    // Who came back is in its rooms.
    if !socket.recovered() {
        let own = match &seat.role {
            Role::Presenter => presenters(&seat.session),
            Role::Participant(id) => participant(id),
        };
        for room in [room(&seat.session), own] {
            let joining = socket.join(room).map_err(|_| Refused::Bug)?;
            joining.await.map_err(|_| Refused::Bug)?;
        }
    }
    socket.insert(seat);
    Ok(())
}

/// A `connect_error` whose data has a code.
fn not_connected(why: &Refused) -> NotConnected {
    let (code, message) = match why {
        Refused::Unauthorized => (
            Code::AuthRequired,
            "There is no token, or none that holds; expected `auth: {token}` with the token of a \
             presenter or a participant.",
        ),
        Refused::NoSession => {
            (Code::ChannelNotFound, "The session of this token does not exist any more.")
        }
        Refused::Store(_) => {
            (Code::StorageUnavailable, "Live polling cannot reach its database at the moment.")
        }
        _ => (Code::Internal, "The server made a mistake."),
    };
    let refusal = Refusal::new(code, message);
    let answer = refusal.answer(SystemTime::now());
    let refused = NotConnected::new(message);
    match serde_json::to_value(answer.error()) {
        Ok(data) => refused.with_data(data),
        Err(_) => refused, // it is made of texts
    }
}

fn connected(livepoll: &Livepoll, socket: &Socket) {
    let Some(seat) = socket.extension::<Seat>() else { return };
    let (role, own) = match &seat.role {
        Role::Presenter => ("presenter", None),
        Role::Participant(id) => {
            livepoll.arrived(id);
            ("participant", Some(id))
        }
    };
    let event =
        if socket.recovered() { "connection:reconnected" } else { "connection:established" };
    let greeting = json!({
        "socketId": socket.id().to_string(),
        "sessionId": seat.session,
        "participantId": own,
        "role": role,
        "serverTime": time::now(),
    });
    // A socket that is gone already needs no greeting.
    let _ = socket.emit(event, (greeting,));
}

/// Brings events to the rooms whose sockets they concern.
#[derive(Debug)]
pub(crate) struct Rooms(pub(crate) Namespace);

impl Rooms {
    async fn send(&self, event: &Event, repeats: bool) -> Result<(), NotPublished> {
        let rooms = match &event.audience {
            Audience::Session => vec![room(&event.session)],
            Audience::Presenters => vec![presenters(&event.session)],
            Audience::Voter(id) => vec![participant(id)],
            Audience::VoterAndPresenters(id) => vec![participant(id), presenters(&event.session)],
        };
        let broadcast = || self.0.to(rooms.clone());
        let envelope = (event.envelope(),);
        let published = if repeats {
            broadcast().idempotency_key(event.id.as_str()).publish(EVENT, envelope).await
        } else {
            broadcast().publish(EVENT, envelope).await
        };
        match published {
            // A server that is set to remember nothing: after a restart nobody comes back either.
            Err(EmitError::NotRecorded) => {
                broadcast().emit(EVENT, (event.envelope(),)).map_err(|error| failure(&error))
            }
            Err(error) => Err(failure(&error)),
            Ok(_) => Ok(()),
        }
    }
}

fn failure(error: &EmitError) -> NotPublished {
    let text = error.to_string();
    match error {
        EmitError::Overloaded
        | EmitError::Log(
            AppendError::Busy
            | AppendError::Refused(_)
            | AppendError::Unknown(_)
            | AppendError::Closed,
        ) => NotPublished::Later(text),
        _ => NotPublished::Never(text),
    }
}

impl Publisher for Rooms {
    fn publish<'a>(
        &'a self,
        event: &'a Event,
        repeats: bool,
    ) -> BoxFuture<'a, Result<(), NotPublished>> {
        self.send(event, repeats).boxed()
    }
}
