//! Names of rooms, and which of them a client may join by itself.

/// The longest name of a room, in bytes.
pub const MAX_ROOM_BYTES: usize = 255;

/// The length of a socket's id, and so of the name of its own room.
const SOCKET_ID_LEN: usize = 20;

/// The prefix of the rooms that stand for a user: all sockets of that user.
pub const USER_PREFIX: &str = "user:";

/// How a room's name looks, for messages.
pub const ROOM_FORM: &str =
    "1 to 255 visible ASCII characters, without * and #, not beginning with $";

/// Why a text is no name of a room. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing.
    #[error("a room's name is not empty")]
    Empty,
    /// Longer than [`MAX_ROOM_BYTES`].
    #[error("a room's name has at most {MAX_ROOM_BYTES} bytes")]
    TooLong,
    /// Two names that look alike must not be two rooms: no spaces, no letters beyond ASCII.
    #[error("a room's name has only visible ASCII characters, without * and #")]
    Character,
    /// `$…`: kept for the server.
    #[error("a name that begins with $ is kept for the server")]
    Dollar,
}

/// Why a client may not join a room that exists or could.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotJoinable {
    /// Not the name of a room.
    #[error(transparent)]
    Name(#[from] BadName),
    /// `user:…`: whoever could join it would read what is meant for that user.
    #[error(
        "rooms that begin with `user:` are joined by the server for a user who proved to be that user"
    )]
    User,
    /// Twenty characters of an id: what is sent to one socket would have a second reader.
    #[error("names of exactly 20 letters, digits, `-` and `_` are kept for the sockets' own rooms")]
    SocketId,
}

/// Checks the name of a room.
///
/// # Errors
///
/// [`BadName`].
pub fn check_name(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.len() > MAX_ROOM_BYTES {
        return Err(BadName::TooLong);
    }
    if !name.bytes().all(|b| b.is_ascii_graphic() && b != b'*' && b != b'#') {
        return Err(BadName::Character);
    }
    if name.starts_with('$') { Err(BadName::Dollar) } else { Ok(()) }
}

/// The prefixes of rooms whose subscribers hear of each other in another way, or not at all: of jobs,
/// documents, presence and statuses.
const SUBSCRIPTIONS: [&str; 4] = ["jobs.", "docs.", "presence.", "status."];

/// Whether those who are in a room are not told who else comes and goes (`user:joined`).
#[must_use]
pub fn is_subscription(room: &str) -> bool {
    SUBSCRIPTIONS.iter().any(|prefix| room.starts_with(prefix))
}

/// The room that stands for a user.
#[must_use]
pub fn room_of_user(id: &str) -> String {
    format!("{USER_PREFIX}{id}")
}

/// The user a room stands for, if it does.
#[must_use]
pub fn user_of(room: &str) -> Option<&str> {
    room.strip_prefix(USER_PREFIX)
}

/// Checks whether a client may join or leave a room by itself. Its own room is refused too: it is
/// in it from the first moment to the last.
///
/// # Errors
///
/// [`NotJoinable`].
pub fn check_joinable(name: &str) -> Result<(), NotJoinable> {
    check_name(name)?;
    if name.starts_with(USER_PREFIX) {
        return Err(NotJoinable::User);
    }
    if looks_like_socket_id(name) { Err(NotJoinable::SocketId) } else { Ok(()) }
}

/// Judged by form, not by whether such a socket exists: one that is away for a moment would
/// otherwise find a stranger in its room when it comes back.
fn looks_like_socket_id(name: &str) -> bool {
    let of_id = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    name.len() == SOCKET_ID_LEN && name.bytes().all(of_id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn clients_join_plain_rooms_and_no_private_ones() {
        let long = "r".repeat(256);
        let name = |why| Err(NotJoinable::Name(why));
        for (room, expected) in [
            ("room1", Ok(())),
            ("chat:42", Ok(())),
            ("jobs.7f0c-1", Ok(())),
            ("tenant1/../x", Ok(())), // names are compared, never resolved
            (&long[..255], Ok(())),
            ("users:1", Ok(())),
            ("nineteen-characters", Ok(())),
            ("twenty-one-characters", Ok(())),
            ("twenty.characters.ok", Ok(())),
            ("", name(BadName::Empty)),
            (&long, name(BadName::TooLong)),
            ("two words", name(BadName::Character)),
            ("a\0b", name(BadName::Character)),
            ("a\r\nb", name(BadName::Character)),
            ("*", name(BadName::Character)),
            ("a#b", name(BadName::Character)),
            ("r\u{f6}om", name(BadName::Character)),
            ("r\u{43e}om", name(BadName::Character)), // a Cyrillic o
            ("$system", name(BadName::Dollar)),
            ("user:7", Err(NotJoinable::User)),
            ("PWuJ1IT4M4LrwHUgAAAA", Err(NotJoinable::SocketId)),
        ] {
            assert_eq!(check_joinable(room), expected, "{room:?}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_joined_is_a_name_and_no_id(name in any::<String>()) {
            if check_joinable(&name).is_ok() {
                prop_assert!(check_name(&name).is_ok());
                prop_assert!(name.len() != 20 || name.contains(|c: char| !c.is_alphanumeric()));
            }
        }
    }
}
