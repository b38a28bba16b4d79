//! The settings of what applications use: rooms, chat, sessions, jobs, presence.

use super::kind::{Item, Kind};
use super::{GB, Secret, Size, Span, millis, seconds, table};

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

table::settings! {
    /// Session rooms: people who take part in one thing together.
    struct Sessions at "sessions." {
        /// Whether every client must name a session in its query (`sessionId`).
        required: bool = Kind::Switch, Some("false"),
            "only an application that is made of sessions wants it";
        /// How often participants are asked whether they are there (`heartbeat:ping`).
        heartbeat: Span = Kind::Duration { min: millis(50), max: seconds(3_600) }, Some("30s"),
            "what clients of existing applications expect";
    }
}

table::settings! {
    /// Jobs, and how far they are.
    struct Jobs at "jobs." {
        /// Whether a job can be subscribed to that nobody has said anything about.
        unknown_allowed: bool = Kind::Switch, Some("true"),
            "a client often asks before the worker has begun";
        /// How long the last word about a job that has ended is kept.
        kept: Span = Kind::Duration { min: seconds(1), max: seconds(365 * 86_400) }, Some("7d"),
            "who was on holiday still sees how it went";
        /// How many jobs are kept; the oldest that have ended go first.
        max: u64 = Kind::Count { min: 1, max: 100_000_000 }, Some("1000000"),
            "some hundreds of megabytes";
    }
}

table::settings! {
    /// Who looks at what, and whether users are there.
    struct Presence at "presence." {
        /// How long somebody who lost the connection is still there.
        grace: Span = Kind::Duration { min: millis(0), max: seconds(600) }, Some("10s"),
            "a reconnect is not seen";
        /// How many updates a document has in a second at most; of each user the latest.
        updates_per_second: u64 = Kind::Count { min: 1, max: 1_000 }, Some("20"),
            "as smooth as a hand moves";
        /// In documents with more users than this only their number is told.
        crowd: u64 = Kind::Count { min: 1, max: 100_000 }, Some("200"),
            "each of n users would hear of n cursors";
        /// The largest state of a user.
        state: Size = Kind::Size { min: Size(2), max: Size(GB) }, Some("4KiB"),
            "a cursor, a selection, a name of a tool";
    }
}

table::settings! {
    /// A Redis.
    struct Redis at "redis." {
        /// Its address. Updates of jobs are taken from its channel `job-updates`. Never shown: it may
        /// hold a password.
        url: Option<Secret> = Kind::RedisUrl, None,
            "nothing needs one";
    }
}

table::settings! {
    /// What the application is told of who comes and goes.
    struct Webhooks at "webhooks." {
        /// Where webhooks are sent.
        url: Option<String> = Kind::Url, None,
            "only the application knows where it listens";
        /// The secret they are signed with.
        secret: Option<Secret> = Kind::SecretText, None,
            "a default secret would be everybody's";
        /// Which are sent.
        events: Vec<String> = Kind::List {
                of: Item::Choice(&["socket.connected", "socket.disconnected", "room.occupied", "room.vacated"]),
                at_least: 0,
            },
            Some("socket.connected,socket.disconnected,room.occupied,room.vacated"),
            "who sets the address wants to hear";
        /// How many may wait while the application takes none; beyond, the oldest are dropped, and the
        /// application is told how many.
        waiting: u64 = Kind::Count { min: 1, max: 100_000_000 }, Some("100000"),
            "an hour of a busy server, in some tens of megabytes";
    }
}
