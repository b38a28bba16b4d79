//! The settings of what is sent again to those who join a room.

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
