//! The settings of what is sent again to those who join a room.

use std::str::FromStr;

use fanfare::{MAX_HISTORY_EVENTS, PatternError, RoomPattern};

use super::kind::{Item, Kind};
use super::table;

table::settings! {
    /// What clients are given of the past of the rooms they join, without asking for it.
    struct Replay at "replay." {
        /// The rooms whose last events are given to who joins, and how many: `chat:*=20`. With `=1`
        /// it is the last value of a room. Of several patterns that match, the first counts.
        rooms: Vec<String> = Kind::List { of: Item::Replay, at_least: 0 }, Some(""),
            "only the application knows in which rooms the past is of use";
    }
}

/// Rooms, and how many of their last events are given to who joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoomReplay {
    pub(crate) rooms: RoomPattern,
    pub(crate) count: usize,
}

/// Why a text is no [`RoomReplay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplayError {
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

#[cfg(test)]
mod tests {
    use super::*;

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
