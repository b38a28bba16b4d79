//! What clients ask for: joining and leaving rooms, by the events `room:join` and `room:leave`.

use std::time::SystemTime;

use fanfare::{
    Ack, Args, Gap, JoinError, MAX_HISTORY_EVENTS, Namespace, Replay, Replayed, RoomNameError,
    Socket,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Rooms, chat_room};
use crate::access::{Denied, Place, Right};
use crate::caller::Caller;
use crate::code::Code;
use crate::history::{Event, POSITION_FORM, position};
use crate::listen::{refuse, tell};
use crate::names::check_joinable;
use crate::presence::Presence;
use crate::refusal::Refusal;
use crate::replay::given_past;

/// Lets the clients of a namespace join and leave rooms.
pub(super) fn serve(rooms: &Rooms, presence: &Presence, namespace: &Namespace) {
    let (to_join, to_leave, presence) = (rooms.clone(), rooms.clone(), presence.clone());
    namespace
        .on("room:join", move |socket, args, ack| join(to_join.clone(), socket, args, ack))
        .on("room:leave", move |socket, args, ack| {
            let (rooms, presence) = (to_leave.clone(), presence.clone());
            leave(rooms, presence, socket, args, ack)
        });
}

async fn join(rooms: Rooms, socket: Socket, args: Args, ack: Ack) {
    let answer = joined(&rooms, &socket, &args, &ack).await;
    let room = answer.as_ref().ok().map(|done| done.room.clone());
    send(&socket, ack, answer);
    if let Some(room) = room {
        rooms.confirm(&socket, &room).await;
    }
}

async fn joined(rooms: &Rooms, socket: &Socket, args: &Args, ack: &Ack) -> Result<Done, Refusal> {
    let (room, fields) = wanted(args)?;
    let asked = replay(&fields)?;
    let context = &rooms.context;
    context.allow(socket, Right::Join, &room, "roomId").await?;
    // Who declines what would be given does not read.
    if asked.is_some_and(|asked| asked != Replay::Last(0)) {
        context.allow(socket, Right::History, &room, "roomId").await?;
    }
    rooms.check_exists(socket.namespace().name(), &room).await?;
    let replay = match asked {
        // Without an ack there is nothing to give it in.
        _ if !ack.is_wanted() => None,
        Some(asked) => Some(asked),
        None => given_past(context, socket, &room).await,
    };
    let done = join_room(socket, room.clone(), replay).await?;
    rooms.entered(socket, &room);
    Ok(done)
}

async fn leave(rooms: Rooms, presence: Presence, socket: Socket, args: Args, ack: Ack) {
    let answer = left(&rooms, &presence, &socket, &args);
    send(&socket, ack, answer);
}

fn left(rooms: &Rooms, presence: &Presence, socket: &Socket, args: &Args) -> Result<Done, Refusal> {
    let (room, _) = wanted(args)?;
    // Its own rooms are the server's to take.
    check_joinable(&room).map_err(|why| Denied::from(why).refusal("roomId"))?;
    rooms.leave(presence, socket, &room).map_err(|error| invalid(&error))?;
    Ok(Done::without_past(room))
}

impl Rooms {
    /// Takes a socket out of a room that clients can ask for.
    fn leave(&self, presence: &Presence, socket: &Socket, room: &str) -> Result<(), RoomNameError> {
        socket.leave(room)?;
        self.left(socket, room);
        // A room like others, but for those who are seen in it.
        if let Some(document) = room.strip_prefix("presence.") {
            presence.look_away(socket, document);
        }
        Ok(())
    }

    /// Takes a socket out of the rooms in which its caller might be before and may not be now, and
    /// tells it why. It stays where a backend has put it, and where it could not be found out.
    pub(crate) async fn leave_forbidden(
        &self,
        presence: &Presence,
        socket: &Socket,
        before: &Caller,
    ) -> Vec<String> {
        let (mut left, access, now) = (Vec::new(), self.context.access(), Caller::of(socket));
        for room in socket.rooms().await {
            let (room, namespace) = (room.as_str(), socket.namespace().name());
            if check_joinable(room).is_err() {
                continue;
            }
            let place = Place { namespace, room };
            let denied = match access.check(&now, Right::Join, place).await {
                Ok(()) | Err(Denied::Unchecked) => continue,
                Err(denied) => denied,
            };
            if access.check(before, Right::Join, place).await.is_err() {
                continue;
            }
            if self.leave(presence, socket, room).is_ok() {
                let why = denied.refusal("token").with(json!({ "field": "token", "room": room }));
                tell(socket, "error", why.answer(SystemTime::now()).error());
                left.push(room.to_owned());
            }
        }
        left
    }
}

/// The room that is asked for, by `roomId` or by `chatId`, and the other fields.
fn wanted(args: &Args) -> Result<(String, Map<String, Value>), Refusal> {
    let given = args.parse::<(Map<String, Value>,)>().ok();
    let given = given.and_then(|(mut fields,)| {
        let room = match (fields.remove("roomId"), fields.remove("chatId")) {
            (Some(Value::String(room)), None) => room,
            (None, Some(Value::String(chat))) => chat_room(&chat),
            _ => return None,
        };
        Some((room, fields))
    });
    given.ok_or_else(|| {
        let message = "The argument is not an object with a room; expected {roomId: <name>} or \
                       {chatId: <id>}.";
        Refusal::new(Code::InvalidMessage, message)
            .with(json!({ "field": "roomId", "expected": "{roomId: <name>} or {chatId: <id>}" }))
    })
}

/// What of the past is asked for: `after` or `last`. Further fields are the application's own.
fn replay(fields: &Map<String, Value>) -> Result<Option<Replay>, Refusal> {
    let refused = |field: &str, expected: String| {
        let message = format!("`{field}` is not what it should be; expected {expected}.");
        Err(Refusal::new(Code::InvalidRequest, message)
            .with(json!({ "field": field, "expected": expected })))
    };
    match (fields.get("after"), fields.get("last")) {
        (None, None) => Ok(None),
        (Some(Value::String(text)), None) => Ok(Some(Replay::After(position("after", text)?))),
        (Some(_), None) => refused("after", POSITION_FORM.to_owned()),
        (None, Some(count)) => {
            let count = count.as_u64().and_then(|count| usize::try_from(count).ok());
            match count.filter(|count| *count <= MAX_HISTORY_EVENTS) {
                Some(count) => Ok(Some(Replay::Last(count))),
                None => refused("last", format!("a whole number from 0 to {MAX_HISTORY_EVENTS}")),
            }
        }
        (Some(_), Some(_)) => refused("last", "either `after` or `last`".to_owned()),
    }
}

async fn join_room(socket: &Socket, room: String, replay: Option<Replay>) -> Result<Done, Refusal> {
    let joined = match replay {
        None => match socket.join(room.clone()) {
            Ok(joining) => joining.await.map(|()| Done::without_past(room)),
            Err(error) => return Err(invalid(&error)),
        },
        Some(replay) => match socket.join_with_history(room.clone(), replay) {
            Ok(joining) => joining.await.map(|replayed| Done::with_past(room, &replayed)),
            Err(error) => return Err(invalid(&error)),
        },
    };
    joined.map_err(|error| not_joined(socket, &error))
}

fn invalid(error: &RoomNameError) -> Refusal {
    Refusal::new(Code::InvalidMessage, error.to_string())
}

/// What is said to a client that could not join although it may.
pub(crate) fn not_joined(socket: &Socket, error: &JoinError) -> Refusal {
    match error {
        JoinError::TooManyRooms { .. } => {
            let max = socket.io().settings().max_rooms;
            Refusal::new(Code::TooManyRooms, "The socket is in as many rooms as it may be.")
                .with(json!({ "max_rooms": max }))
        }
        // The socket went away meanwhile: whoever asked by it will not read this.
        error => Refusal::new(Code::ConnectionLost, error.to_string()),
    }
}

fn send(socket: &Socket, ack: Ack, answer: Result<Done, Refusal>) {
    match answer {
        Ok(done) => match Args::of(&(&done,)) {
            Ok(args) => ack.send(args),
            // An event may be nested too deeply to be nested in an ack.
            Err(_) => ack.send((done.without_events(),)),
        },
        Err(refusal) => {
            tracing::debug!(code = refusal.code.as_str(), "a client may not join or leave a room");
            refuse(socket, ack, &refusal);
        }
    }
}

/// The answer to who joined or left.
#[derive(Debug, Serialize)]
struct Done {
    ok: bool,
    room: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<Event>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<Reset>,
}

/// Why the past that was asked for is not there.
#[derive(Debug, Serialize)]
struct Reset {
    reason: &'static str,
    head: Option<String>,
}

impl Done {
    fn without_past(room: String) -> Self {
        Done { ok: true, room, events: None, head: None, reset: None }
    }

    fn with_past(room: String, past: &Replayed) -> Self {
        let head = past.head.map(|head| head.to_string());
        let reset = past.gap.map(|gap| Reset { reason: gap.as_str(), head: head.clone() });
        let events = past.events.iter().map(Event::of).collect();
        Done { events: Some(events), head, reset, ..Done::without_past(room) }
    }

    fn without_events(self) -> Self {
        let reset = Reset { reason: Gap::TooMuch.as_str(), head: self.head.clone() };
        Done { events: Some(Vec::new()), reset: Some(reset), ..self }
    }
}

#[cfg(test)]
mod tests {
    //! What is read from the arguments, and what is answered to those that do not fit.

    use super::*;

    #[test]
    fn the_room_is_read_from_the_first_argument() {
        for (args, expected) in [
            (r#"[{"roomId":"a"}]"#, Ok("a")),
            (r#"[{"roomId":"a","as":"guest"},1]"#, Ok("a")),
            (r#"[{"chatId":"7"}]"#, Ok("chat:7")),
            (r#"[{"chatId":7}]"#, Err(Code::InvalidMessage)),
            (r#"[{"roomId":"a","chatId":"7"}]"#, Err(Code::InvalidMessage)),
            ("[]", Err(Code::InvalidMessage)),
            ("[null]", Err(Code::InvalidMessage)),
            (r#"["a"]"#, Err(Code::InvalidMessage)),
            (r#"[["a"]]"#, Err(Code::InvalidMessage)),
            (r#"[{"room":"a"}]"#, Err(Code::InvalidMessage)),
            (r#"[{"roomId":null}]"#, Err(Code::InvalidMessage)),
            (r#"[{"roomId":5}]"#, Err(Code::InvalidMessage)),
            (r#"[{"roomId":["a"]}]"#, Err(Code::InvalidMessage)),
        ] {
            let parsed = Args::from_json(args, Vec::new()).unwrap();
            let result = wanted(&parsed).map(|(room, _)| room).map_err(|refusal| refusal.code);
            assert_eq!(result, expected.map(str::to_owned), "{args}");
        }
    }

    #[test]
    fn the_past_is_asked_for_by_a_position_or_a_number() {
        let a = "AAAAAAAAAAA.B";
        let at = Replay::After(a.parse().unwrap());
        for (fields, expected) in [
            (json!({}), Ok(None)),
            (json!({ "as": "guest" }), Ok(None)),
            (json!({ "after": a }), Ok(Some(at))),
            (json!({ "last": 0 }), Ok(Some(Replay::Last(0)))),
            (json!({ "last": 1000 }), Ok(Some(Replay::Last(1000)))),
            (json!({ "last": 1001 }), Err("last")),
            (json!({ "last": -1 }), Err("last")),
            (json!({ "last": 1.5 }), Err("last")),
            (json!({ "last": "5" }), Err("last")),
            (json!({ "last": null }), Err("last")),
            (json!({ "after": 5 }), Err("after")),
            (json!({ "after": "" }), Err("after")),
            (json!({ "after": "AAAAAAAAAAA.AB" }), Err("after")),
            (json!({ "after": a, "last": 5 }), Err("last")),
        ] {
            let result = replay(fields.as_object().unwrap());
            let result = result.map_err(|it| it.details["field"].as_str().unwrap().to_owned());
            assert_eq!(result, expected.map_err(str::to_owned), "{fields}");
        }
    }
}
