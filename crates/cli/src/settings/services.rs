//! The settings of what applications use: rooms and chat.

use super::kind::{Item, Kind};
use super::{GB, Size, Span, millis, seconds, table};

table::settings! {
    /// Rooms that are kept, and who is in rooms.
    struct Rooms at "rooms." {
        /// Whether only rooms can be joined that were made (`POST /v1/rooms`).
        must_exist: bool = Kind::Switch, Some("false"),
            "a room costs nothing and need not be made";
        /// Whether clients may make rooms (`room:create`).
        clients_create: bool = Kind::Switch, Some("false"),
            "what is kept for ever is the application's to make";
        /// The rooms whose members hear who comes and goes (`user:joined`, `user:left`).
        announced: Vec<String> = Kind::List { of: Item::Rooms, at_least: 0 }, Some("*"),
            "people want to know who is there";
        /// In rooms with more users than this nobody hears it.
        announced_up_to: u64 = Kind::Count { min: 0, max: 100_000 }, Some("200"),
            "each of n users would hear it n times";
    }
}

table::settings! {
    /// Messages that are kept.
    struct Chat at "chat." {
        /// The largest content of a message.
        content: Size = Kind::Size { min: Size(1), max: Size(GB) }, Some("16KiB"),
            "some pages of text; files are stored elsewhere";
        /// The largest metadata of a message.
        metadata: Size = Kind::Size { min: Size(2), max: Size(GB) }, Some("4KiB"),
            "where a file is, and how large";
        /// Whether somebody must be in a room to write there.
        members_only: bool = Kind::Switch, Some("true"),
            "who writes sees what is answered";
        /// How many messages a room keeps; 0 keeps all.
        kept_per_room: u64 = Kind::Count { min: 0, max: 1_000_000_000 }, Some("100000"),
            "years of a busy group, in some tens of megabytes";
        /// How long somebody is typing who says nothing more.
        typing_lasts: Span = Kind::Duration { min: millis(100), max: seconds(60) }, Some("5s"),
            "longer than people pause between words";
    }
}
