//! Beginning in the past: what a client asks for in the query it connects with, and what rooms give
//! by themselves.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use fanfare::eventlog::Position;
use fanfare::{Handshake, Namespace, Refused, Replay, Socket};
use serde_json::json;

use crate::access::Caller;
use crate::answer::Refusal;
use crate::history::position;
use crate::room_events::not_joined;
use crate::settings::{RoomReplay, Settings};

/// Which rooms give their last events to who joins.
#[derive(Debug, Clone)]
pub(crate) struct Replays(Arc<[RoomReplay]>);

impl Replays {
    /// Those of the settings.
    ///
    /// # Errors
    ///
    /// A value that the check of the settings let pass although it is none.
    pub(crate) fn of(settings: &Settings) -> anyhow::Result<Self> {
        let rooms = settings.replay.rooms.iter().map(|text| text.parse());
        Ok(Replays(rooms.collect::<Result<_, _>>().context("replay.rooms")?))
    }

    /// What is given to who joins this room, if anything.
    pub(crate) fn of_room(&self, namespace: &str, room: &str) -> Option<Replay> {
        let found = self.0.iter().find(|replay| replay.rooms.matches(namespace, room));
        found.map(|replay| Replay::Last(replay.count))
    }
}

/// Lets the clients of a namespace name rooms and a position in the query they connect with:
/// `rooms=a,b` and `fromEventId=…`.
pub(crate) fn serve(namespace: &Namespace, replays: &Replays) {
    let replays = replays.clone();
    namespace.middleware(move |socket: Socket| {
        let replays = replays.clone();
        async move {
            // Who came back is where it was.
            if socket.recovered() {
                return Ok(());
            }
            begin(&socket, &replays).await.map_err(|refusal| refused(&refusal))
        }
    });
}

async fn begin(socket: &Socket, replays: &Replays) -> Result<(), Refusal> {
    let asked = Asked::of(socket.handshake())?;
    for room in &asked.rooms {
        Caller::Client.may_read(room).map_err(|denied| denied.refusal("rooms"))?;
    }
    if let Some(position) = asked.from {
        socket.begin_from(position);
    }
    let namespace = socket.namespace().name();
    for room in asked.rooms {
        let joined = match replays.of_room(namespace, &room) {
            Some(replay) => match socket.join_with(&room, replay) {
                Ok(joining) => joining.await,
                Err(error) => return Err(Refusal::new("INVALID_ROOM", error.to_string())),
            },
            None => match socket.join(&room) {
                Ok(joining) => joining.await,
                Err(error) => return Err(Refusal::new("INVALID_ROOM", error.to_string())),
            },
        };
        joined.map_err(|error| not_joined(socket, &error))?;
    }
    Ok(())
}

/// A `connect_error` whose data is the refusal.
fn refused(refusal: &Refusal) -> Refused {
    let answer = refusal.answer(SystemTime::now());
    let refused = Refused::new(refusal.message.clone());
    match serde_json::to_value(answer.error()) {
        Ok(data) => refused.with_data(data),
        Err(_) => refused, // it is made of texts
    }
}

/// What the query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    rooms: Vec<String>,
    from: Option<Position>,
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
                "fromEventId" => {
                    let position = position("fromEventId", &value)?;
                    if asked.from.replace(position).is_some() {
                        let message = "The query has a parameter twice.";
                        return Err(Refusal::new("INVALID_REQUEST", message)
                            .with(json!({ "field": "fromEventId" })));
                    }
                }
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
            assert_eq!(asked.from.map(|from| from.to_string()).as_deref(), from, "{query}");
        }
        for query in [
            "fromEventId=",
            "fromEventId=0",
            "fromEventId=AAAAAAAAAAA.B'",
            "fromEventId=AAAAAAAAAAA.B&fromEventId=AAAAAAAAAAA.B",
        ] {
            let refusal = read(query).unwrap_err();
            assert_eq!(refusal.code, "INVALID_REQUEST", "{query}");
            assert_eq!(refusal.details["field"], "fromEventId", "{query}");
        }
    }
}
