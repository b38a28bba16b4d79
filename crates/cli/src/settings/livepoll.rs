//! The settings of live polling.

use super::kind::Kind;
use super::table;
use super::units::Span;
use super::{DAY, Secret, seconds};

table::settings! {
    /// Live polling: sessions that people join with a code, polls and votes, at `/sessions` and
    /// `/polls`.
    struct Livepoll at "livepoll." {
        /// Whether it is served.
        enabled: bool = Kind::Switch, Some("false"),
            "anybody may open a session there; what is off cannot be used by strangers";
        /// The PostgreSQL database where it is kept: `postgres://user:password@host/database`. When
        /// unset it is a file in the data directory, or, if `event_log.kind` is not `disk`, memory. As a
        /// flag it is visible in the list of processes: prefer the environment.
        database: Option<Secret> = Kind::Secret, None,
            "a file needs nothing to be installed; several nodes need a database that they share";
        /// The namespace of its clients. It must not be one of `namespaces`.
        namespace: String = Kind::Namespace, Some("/livepoll"),
            "who has no token of live polling has nothing to do there";
        /// How often per second the results of a poll are told while votes come in.
        results_per_second: u64 = Kind::Count { min: 1, max: 100 }, Some("5"),
            "more is not seen as more movement, and each is an event for everybody";
        /// How long after the loss of its last connection a participant counts as away.
        away_after: Span = Kind::Duration { min: seconds(1), max: DAY }, Some("10s"),
            "a phone that changes networks does not flicker";
        /// How long after it was opened a session is kept; then it is removed with all its votes.
        retention: Span = Kind::Duration { min: DAY, max: seconds(3_650 * 86_400) }, Some("30d"),
            "what is needed longer is exported";
        /// How many sessions one address may open per minute.
        sessions_per_ip_per_minute: u64 = Kind::Count { min: 1, max: 1_000_000 }, Some("10"),
            "a presenter opens one";
        /// How many people may join from one address per second; twenty times as many at once.
        joins_per_ip_per_second: u64 = Kind::Count { min: 1, max: 100_000 }, Some("100"),
            "a hall is behind one address, and all join within a minute";
        /// How many wrong join codes one address may try per minute.
        wrong_codes_per_ip_per_minute: u64 = Kind::Count { min: 1, max: 100_000 }, Some("30"),
            "in a month one address tries about a thousandth of all codes; a hall mistypes less often";
        /// How many votes a participant may send per second, refused ones too; twice as many at once.
        votes_per_second: u64 = Kind::Count { min: 1, max: 100_000 }, Some("5"),
            "nobody changes their mind more often";
    }
}
