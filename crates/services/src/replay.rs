//! Beginning in the past: what a client asks for in the query it connects with, and what rooms give
//! by themselves.

use std::str::FromStr;

use fanfare::eventlog::{Epoch, Position};
use fanfare::{
    Handshake, MAX_HISTORY_EVENTS, Namespace, PatternError, Replay, RoomPattern, Socket,
};
use serde_json::json;

use crate::access::Right;
use crate::code::Code;
use crate::context::Context;
use crate::history::position;
use crate::refusal::Refusal;
use crate::rooms::not_joined;
use crate::sign::UNIQUE_ID_LEN;

/// Rooms, and how many of their last events are given to who joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomReplay {
    /// The rooms.
    pub rooms: RoomPattern,
    /// How many events.
    pub count: usize,
}

/// Why a text is no [`RoomReplay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There is no `=`, or no number from 1 to the largest page behind it.
    #[error("does not end with `=` and a whole number from 1 to {MAX_HISTORY_EVENTS}")]
    Count,
    /// What stands before it is no pattern.
    #[error(transparent)]
    Rooms(#[from] PatternError),
}

impl FromStr for RoomReplay {
    type Err = ReplayError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A room's name may have a `=` too.
        let (rooms, count) = text.rsplit_once('=').ok_or(ReplayError::Count)?;
        let digits = count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|count| digits && *count <= MAX_HISTORY_EVENTS);
        let count = count.filter(|count| *count > 0).ok_or(ReplayError::Count)?;
        Ok(RoomReplay { rooms: rooms.parse()?, count })
    }
}

/// What is given to who joins this room without being asked for, if anything: nothing to one who may
/// not read it.
pub(crate) async fn given_past(context: &Context, socket: &Socket, room: &str) -> Option<Replay> {
    let replays = &context.settings().replays;
    let namespace = socket.namespace().name();
    let found = replays.iter().find(|replay| replay.rooms.matches(namespace, room))?;
    let allowed = context.allow(socket, Right::History, room, "rooms").await.is_ok();
    allowed.then_some(Replay::Last(found.count))
}

/// Lets the clients of a namespace name rooms and a position in the query they connect with:
/// `rooms=a,b` and `fromEventId=…`.
pub(crate) fn serve(context: &Context, namespace: &Namespace) {
    let context = context.clone();
    namespace.middleware(move |socket: Socket| {
        let context = context.clone();
        async move {
            // Who came back is where it was.
            if socket.recovered() {
                return Ok(());
            }
            begin(&context, &socket).await.map_err(|refusal| refusal.connect_error())
        }
    });
}

async fn begin(context: &Context, socket: &Socket) -> Result<(), Refusal> {
    let asked = Asked::of(socket.handshake())?;
    for room in &asked.rooms {
        context.allow(socket, Right::Join, room, "rooms").await?;
        if asked.from.is_some() {
            context.allow(socket, Right::History, room, "fromEventId").await?;
        }
    }
    if let Some(from) = asked.from {
        socket.begin_from(position_of(context, &from).await?);
    }
    for room in asked.rooms {
        let joined = match given_past(context, socket, &room).await {
            Some(replay) => match socket.join_with(&room, replay) {
                Ok(joining) => joining.await,
                Err(error) => return Err(Refusal::new(Code::InvalidMessage, error.to_string())),
            },
            None => match socket.join(&room) {
                Ok(joining) => joining.await,
                Err(error) => return Err(Refusal::new(Code::InvalidMessage, error.to_string())),
            },
        };
        joined.map_err(|error| not_joined(socket, &error))?;
    }
    Ok(())
}

/// The position that is meant: itself, or that of an event with this id. An id that is not known, or not
/// any more, is a position of another log: the client is told that it cannot be told what it missed.
async fn position_of(context: &Context, from: &str) -> Result<Position, Refusal> {
    if let Ok(position) = from.parse() {
        return Ok(position);
    }
    let unique = from.len() == UNIQUE_ID_LEN
        && from.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !unique {
        return position("fromEventId", from);
    }
    let known = context.outbox().position(from).await?;
    Ok(known.unwrap_or(Position { epoch: Epoch(0), sequence: 0 }))
}

/// What the query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    rooms: Vec<String>,
    from: Option<String>,
}

impl Asked {
    fn of(handshake: &Handshake) -> Result<Self, Refusal> {
        Self::read(handshake.queries())
    }

    fn read(query: impl Iterator<Item = (String, String)>) -> Result<Self, Refusal> {
        let mut asked = Asked::default();
        for (name, value) in query {
            match name.as_str() {
                // A list that is empty is no room's name.
                "rooms" if !value.is_empty() => {
                    asked.rooms.extend(value.split(',').map(str::to_owned));
                }
                "fromEventId" if asked.from.is_some() => {
                    let message = "The query has a parameter twice.";
                    return Err(Refusal::new(Code::InvalidRequest, message)
                        .with(json!({ "field": "fromEventId" })));
                }
                "fromEventId" => asked.from = Some(value),
                _ => {}
            }
        }
        asked.rooms.sort_unstable();
        asked.rooms.dedup();
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    //! What is read from a query.

    use super::*;

    fn read(query: &str) -> Result<Asked, Refusal> {
        let pairs = form_urlencoded::parse(query.as_bytes());
        Asked::read(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())))
    }

    #[test]
    fn rooms_and_a_position_are_read() {
        for (query, rooms, from) in [
            ("EIO=4&transport=polling", &[][..], None),
            ("rooms=", &[], None),
            ("rooms=b,a,b", &["a", "b"], None),
            ("rooms=a%2Cb&rooms=c", &["a", "b", "c"], None),
            ("rooms=a,", &["", "a"], None), // refused as a name
            ("fromEventId=AAAAAAAAAAA.B&rooms=a", &["a"], Some("AAAAAAAAAAA.B")),
        ] {
            let asked = read(query).unwrap();
            assert_eq!(asked.rooms, rooms, "{query}");
            assert_eq!(asked.from.as_deref(), from, "{query}");
        }
        let refusal = read("fromEventId=AAAAAAAAAAA.B&fromEventId=AAAAAAAAAAA.B").unwrap_err();
        assert_eq!(refusal.code, Code::InvalidRequest);
        assert_eq!(refusal.details["field"], "fromEventId");
    }

    #[test]
    fn a_replay_is_a_pattern_and_a_number() {
        for (text, expected) in [
            ("chat:*=20", Ok(("chat:*", 20))),
            ("/game#*=1", Ok(("/game#*", 1))),
            ("a=b=1000", Ok(("a=b", 1_000))),
            ("chat:*", Err(ReplayError::Count)),
            ("chat:*=", Err(ReplayError::Count)),
            ("chat:*=0", Err(ReplayError::Count)),
            ("chat:*=+1", Err(ReplayError::Count)),
            ("chat:*=1001", Err(ReplayError::Count)),
            ("chat:*=99999999999999999999", Err(ReplayError::Count)),
            ("=5", Err(ReplayError::Rooms(PatternError::Empty))),
            ("/game#=5", Err(ReplayError::Rooms(PatternError::Empty))),
        ] {
            let parsed = text.parse::<RoomReplay>();
            let parsed = parsed.map(|it| (it.rooms.to_string(), it.count));
            let expected = expected.map(|(rooms, count): (&str, usize)| (rooms.to_owned(), count));
            assert_eq!(parsed, expected, "{text}");
        }
    }
}
