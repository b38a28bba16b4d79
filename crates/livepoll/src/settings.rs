//! What can be set. Every field has a default that suits most.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::store::DatabaseUrl;

/// The settings of live polling.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The PostgreSQL database where everything is kept. Default: none, but SQLite in a file in the data
    /// directory; there is nothing to install.
    pub database: Option<DatabaseUrl>,
    /// The namespace of its clients. It has nothing else: who shows no token is not let in. Default:
    /// `/livepoll`.
    pub namespace: String,
    /// How often per second the results of a poll are told while votes come in. Default: 5; more is
    /// not seen as more movement, and each is an event for everybody.
    pub results_per_second: NonZeroU32,
    /// How long after its last connection was lost a participant counts as away. Default: 10 s; a
    /// phone that changes networks does not flicker.
    pub away_after: Duration,
    /// How long after it was opened a session is kept. Default: 30 days; what is needed longer is
    /// exported.
    pub retention: Duration,
    /// How often.
    pub rates: Rates,
}

/// How often things may be done. Beyond it the answer is 429.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Sessions opened per address and minute. Default: 10; a presenter opens one.
    pub sessions_per_minute: NonZeroU32,
    /// Joins per address and second; twenty times as many at once. Default: 100; a hall is behind one
    /// address, and all join within a minute.
    pub joins_per_second: NonZeroU32,
    /// Wrong join codes per address and minute. Default: 30. It takes one address a month to try a
    /// thousandth of all codes; a hall mistypes less often.
    pub wrong_codes_per_minute: NonZeroU32,
    /// Votes per participant and second, also those that are refused; twice as many at once. Default:
    /// 5; nobody changes their mind more often.
    pub votes_per_second: NonZeroU32,
}

const fn nonzero(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

impl Default for Rates {
    fn default() -> Self {
        Rates {
            sessions_per_minute: nonzero(10),
            joins_per_second: nonzero(100),
            wrong_codes_per_minute: nonzero(30),
            votes_per_second: nonzero(5),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            database: None,
            namespace: "/livepoll".to_owned(),
            results_per_second: nonzero(5),
            away_after: Duration::from_secs(10),
            retention: Duration::from_secs(30 * 86_400),
            rates: Rates::default(),
        }
    }
}
