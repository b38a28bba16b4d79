//! What clients may ask for: joining and leaving rooms, by the events `room:join` and `room:leave`.

use std::time::SystemTime;

use fanfare::{Ack, Args, JoinError, Namespace, Socket};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::access::Caller;
use crate::answer::Refusal;

/// Lets the clients of a namespace join and leave rooms.
pub(crate) fn serve(namespace: &Namespace) {
    namespace.on("room:join", join).on("room:leave", leave);
}

async fn join(socket: Socket, args: Args, ack: Ack) {
    let answer = match wanted(&args) {
        Ok(room) => join_room(&socket, &room).await.map(|()| room),
        Err(refusal) => Err(refusal),
    };
    send(ack, answer);
}

async fn leave(socket: Socket, args: Args, ack: Ack) {
    let answer = wanted(&args).and_then(|room| match socket.leave(&room) {
        Ok(()) => Ok(room),
        Err(error) => Err(Refusal::new("INVALID_ROOM", error.to_string())),
    });
    send(ack, answer);
}

/// The room that is asked for, if clients may ask for it.
fn wanted(args: &Args) -> Result<String, Refusal> {
    // Further fields are the application's own.
    let given = args.parse::<(Map<String, Value>,)>().ok();
    let room = given.and_then(|(mut fields,)| fields.remove("roomId"));
    let Some(Value::String(room)) = room else {
        let message = "The argument is not an object with a room; expected {roomId: <name>}.";
        let refusal = Refusal::new("INVALID_ROOM", message);
        return Err(refusal.with(json!({ "field": "roomId", "expected": "{roomId: <name>}" })));
    };
    Caller::Client.may_read(&room).map_err(|denied| denied.refusal("roomId"))?;
    Ok(room)
}

async fn join_room(socket: &Socket, room: &str) -> Result<(), Refusal> {
    let joined = match socket.join(room) {
        Ok(joining) => joining.await,
        Err(error) => return Err(Refusal::new("INVALID_ROOM", error.to_string())),
    };
    joined.map_err(|error| match error {
        JoinError::TooManyRooms { .. } => {
            let max = socket.io().settings().max_rooms;
            Refusal::new("TOO_MANY_ROOMS", "The socket is in as many rooms as it may be.")
                .with(json!({ "max_rooms": max }))
        }
        // The socket went away meanwhile: nobody will read this.
        error => Refusal::new("NOT_JOINED", error.to_string()),
    })
}

fn send(ack: Ack, answer: Result<String, Refusal>) {
    match answer {
        Ok(room) => ack.send((Done { ok: true, room },)),
        Err(refusal) => {
            tracing::debug!(code = refusal.code, "a client may not join or leave a room");
            ack.send((refusal.answer(SystemTime::now()),));
        }
    }
}

/// The answer to who joined or left.
#[derive(Debug, Serialize)]
struct Done {
    ok: bool,
    room: String,
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
            ("[]", Err("INVALID_ROOM")),
            ("[null]", Err("INVALID_ROOM")),
            (r#"["a"]"#, Err("INVALID_ROOM")),
            (r#"[["a"]]"#, Err("INVALID_ROOM")),
            (r#"[{"room":"a"}]"#, Err("INVALID_ROOM")),
            (r#"[{"roomId":null}]"#, Err("INVALID_ROOM")),
            (r#"[{"roomId":5}]"#, Err("INVALID_ROOM")),
            (r#"[{"roomId":["a"]}]"#, Err("INVALID_ROOM")),
            (r#"[{"roomId":""}]"#, Err("INVALID_ROOM")),
            (r#"[{"roomId":"user:1"}]"#, Err("ROOM_NOT_JOINABLE")),
            (r#"[{"roomId":"PWuJ1IT4M4LrwHUgAAAA"}]"#, Err("ROOM_NOT_JOINABLE")),
        ] {
            let parsed = Args::from_json(args, Vec::new()).unwrap();
            let result = wanted(&parsed).map_err(|refusal| refusal.code);
            assert_eq!(result, expected.map(str::to_owned), "{args}");
        }
    }
}
