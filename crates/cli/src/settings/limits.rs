//! The settings of limits: what clients and backends may take.

use super::GB;
use super::kind::{Item, Kind};
use super::table;
use super::units::Size;

table::settings! {
    /// Bounds on what clients may take.
    struct Limits at "limits." {
        /// How many connections may be open in all. Never more than the system allows open files.
        connections: u64 = Kind::Count { min: 1, max: 10_000_000 }, Some("100000"),
            "a few hundred megabytes when all are idle";
        /// How many of them may come from one IPv4 address or one IPv6 network of 64 bits; 0 for
        /// any number. Behind a reverse proxy on another machine, name it in
        /// `limits.trusted_proxies`: it is not counted.
        connections_per_ip: u64 = Kind::Count { min: 0, max: 10_000_000 }, Some("10000"),
            "a company behind one address fits, and one machine cannot take all places";
        /// Whether connections from this machine count too.
        count_loopback: bool = Kind::Switch, Some("false"),
            "a reverse proxy on this machine is one address for all clients";
        /// How many connections are accepted per second; 0 for any number.
        connections_per_second: u64 = Kind::Count { min: 0, max: 1_000_000 }, Some("0"),
            "everybody's coming back after a restart looks like an attack";
        /// How many sessions per second may be opened from one such address, wrong guesses at session
        /// ids included; 0 for any number.
        sessions_per_ip_per_second: u64 = Kind::Count { min: 0, max: 1_000_000 }, Some("1000"),
            "a crowd behind one address is back within seconds, and a flood fills no memory";
        /// How many of them may be opened at once after a time of quiet.
        sessions_per_ip_burst: u64 = Kind::Count { min: 1, max: 10_000_000 }, Some("10000"),
            "as many as one address may have connections";
        /// How many bytes per second are read from one client; 0 for any number. What comes faster
        /// is not lost: it waits in the network, which slows the client down.
        read_rate: Size = Kind::Size { min: Size(0), max: Size(GB) }, Some("4MiB"),
            "what an uplink of 35 Mbit/s brings; a flood leaves most of a core to others";
        /// How many bytes are read at once from a client that was quiet.
        read_burst: Size = Kind::Size { min: Size(0), max: Size(GB) }, Some("8MiB"),
            "several messages of the largest size pass in one go";
        /// One's own reverse proxies, as networks (`10.0.0.0/8`): the client's address is what they tell in
        /// `X-Forwarded-For`.
        trusted_proxies: Vec<String> = Kind::List { of: Item::Network, at_least: 0 }, Some(""),
            "whoever is believed can be whoever it wants";
        /// How many events per second a connection may send in the long run; 0 for any number.
        events_per_second: u64 = Kind::Count { min: 0, max: 1_000_000 }, Some("10"),
            "more than a person makes";
        /// How many it may send at once after a time of quiet.
        events_burst: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("100"),
            "a page that opens asks for much at once";
        /// How many events per second a user may send, on all devices together; 0 for any number.
        user_events_per_second: u64 = Kind::Count { min: 0, max: 1_000_000 }, Some("40"),
            "as four busy connections";
        /// How many a user may send at once.
        user_events_burst: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("400"),
            "as four busy connections";
        /// How many updates of presence (`presence:update`) per second a connection may send in the long
        /// run, apart from its other events; 0 for any number.
        presence_per_second: u64 = Kind::Count { min: 0, max: 1_000_000 }, Some("60"),
            "as often as a screen shows something; of several the last is told";
        /// How many it may send at once.
        presence_burst: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("120"),
            "those of two seconds, after a network that was stuck";
        /// How many bytes per second the events of a user may have; 0 for any number.
        user_bytes: Size = Kind::Size { min: Size(0), max: Size(GB) }, Some("1MiB"),
            "chat and cursors stay far below; files go elsewhere";
        /// How many bytes at once.
        user_bytes_burst: Size = Kind::Size { min: Size(1), max: Size(GB) }, Some("8MiB"),
            "several messages of the largest size";
        /// How many refusals of events a connection may gather until it is closed; they are forgotten at
        /// the rate of `limits.events_per_second`.
        refusals: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("100"),
            "who goes on after a hundred does not listen";
        /// How many events per second clients may send to one room, all together; 0 for any number.
        room_events_per_second: u64 = Kind::Count { min: 0, max: 1_000_000 }, Some("200"),
            "each goes to all who are in it, and people read fewer";
        /// How many at once.
        room_events_burst: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("1000"),
            "everybody in a large room says hello";
        /// How many requests per second may come with an API key; 0 for any number.
        api_per_second: u64 = Kind::Count { min: 0, max: 10_000_000 }, Some("5000"),
            "a backend that has gone wild leaves the clients their share";
        /// How many requests at once.
        api_burst: u64 = Kind::Count { min: 1, max: 10_000_000 }, Some("10000"),
            "a job that tells many people at once";
        /// How much memory may be used; 0 for what the container or the machine has. From 85 % of it on
        /// nobody new is let in, volatile events are dropped and the slowest clients are cut, until it is
        /// less than 75 %.
        memory: Size = Kind::Size { min: Size(0), max: Size(1 << 50) }, Some("0B"),
            "who is cut comes back; a process that the system ends takes all clients with it";
        /// How many sessions may be open, by polling and WebSocket together, and streams.
        sessions: u64 = Kind::Count { min: 1, max: 10_000_000 }, Some("1000000"),
            "a polling session needs no open connection, but memory";
        /// How many rooms one socket may be in, its own not counted.
        rooms_per_socket: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("1000"),
            "far above what an application shows at once";
        /// How many namespaces one connection may be connected to.
        namespaces_per_connection: u64 = Kind::Count { min: 1, max: 10_000 }, Some("64"),
            "applications use a handful, and each one costs memory";
        /// How many binary attachments one packet may have.
        attachments: u64 = Kind::Count { min: 0, max: 10_000 }, Some("10"),
            "what the Node server allows";
        /// The largest `auth` a client may send when it connects to a namespace.
        auth: Size = Kind::Size { min: Size(2), max: Size(GB) }, Some("16KiB"),
            "room for a few tokens, and all that somebody unknown may have parsed";
        /// How many packets one polling request may hold.
        packets_per_request: u64 = Kind::Count { min: 1, max: 10_000_000 }, Some("65536"),
            "a real client's backlog stays far below";
        /// How many events of one client may be in work before no more is read from it.
        running_handlers: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("1024"),
            "far above what a client does at once";
    }
}
