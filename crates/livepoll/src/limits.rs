//! How often who may do what.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::domain::ParticipantId;
use crate::error::Refused;
use crate::settings::Rates;

/// How many addresses or participants are remembered per limit. Those beyond it are refused until some
/// are forgotten, which they are once they could do as much as anybody.
const MAX_KEYS: usize = 200_000;

/// How many seconds' joins may come at once: all of a hall in the moment the code is shown.
const JOIN_BURST: u32 = 20;

/// How many seconds' votes may come at once.
const VOTE_BURST: u32 = 2;

/// The limits.
#[derive(Debug)]
pub(crate) struct Limits {
    sessions: Limit<Address>,
    joins: Limit<Address>,
    wrong_codes: Limit<Address>,
    votes: Limit<ParticipantId>,
    /// Who has guessed too often, and until when it may not join at all.
    guessers: Mutex<HashMap<Address, Instant>>,
}

/// An IPv4 address, or the IPv6 network that one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Address(IpAddr);

impl Address {
    /// What an address counts as.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Address(Ipv6Addr::from(network).into())
            }
            address @ IpAddr::V4(_) => Address(address),
        }
    }
}

impl Limits {
    pub(crate) fn new(rates: Rates) -> Self {
        let per_minute = Quota::per_minute;
        let seconds = |rate: NonZeroU32, burst: u32| {
            let burst = rate.saturating_mul(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
            Quota::per_second(rate).allow_burst(burst)
        };
        Limits {
            sessions: Limit::new(per_minute(rates.sessions_per_minute)),
            joins: Limit::new(seconds(rates.joins_per_second, JOIN_BURST)),
            wrong_codes: Limit::new(per_minute(rates.wrong_codes_per_minute)),
            votes: Limit::new(seconds(rates.votes_per_second, VOTE_BURST)),
            guessers: Mutex::default(),
        }
    }

    /// Somebody opens a session.
    ///
    /// # Errors
    ///
    /// [`Refused::TooFast`], as of all of these.
    pub(crate) fn session(&self, address: Address) -> Result<(), Refused> {
        self.sessions.check(&address)
    }

    /// Somebody joins, with whatever code.
    pub(crate) fn join(&self, address: Address) -> Result<(), Refused> {
        let mut guessers = self.guessers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(until) = guessers.get(&address) {
            match until.checked_duration_since(now).filter(|left| !left.is_zero()) {
                Some(left) => return Err(too_fast(left)),
                None => drop(guessers.remove(&address)),
            }
        }
        drop(guessers);
        self.joins.check(&address)
    }

    /// The code was wrong.
    pub(crate) fn wrong_code(&self, address: Address) {
        let Err(Refused::TooFast { retry_after_ms }) = self.wrong_codes.check(&address) else {
            return;
        };
        let mut guessers = self.guessers.lock().unwrap_or_else(PoisonError::into_inner);
        if guessers.len() < MAX_KEYS {
            guessers.insert(address, Instant::now() + Duration::from_millis(retry_after_ms));
        }
    }

    /// Somebody votes.
    pub(crate) fn vote(&self, voter: &ParticipantId) -> Result<(), Refused> {
        self.votes.check(voter)
    }

    /// Forgets those who could do as much as anybody.
    pub(crate) fn forget(&self) {
        self.sessions.forget();
        self.joins.forget();
        self.wrong_codes.forget();
        self.votes.forget();
        let now = Instant::now();
        let mut guessers = self.guessers.lock().unwrap_or_else(PoisonError::into_inner);
        guessers.retain(|_, until| *until > now);
    }
}

#[derive(Debug)]
struct Limit<K: Clone + Eq + Hash> {
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
}

impl<K: Clone + Eq + Hash> Limit<K> {
    fn new(quota: Quota) -> Self {
        Limit { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    fn check(&self, key: &K) -> Result<(), Refused> {
        if self.limiter.len() >= MAX_KEYS {
            self.limiter.retain_recent();
            if self.limiter.len() >= MAX_KEYS {
                return Err(too_fast(Duration::from_secs(1)));
            }
        }
        let checked = self.limiter.check_key(key);
        checked.map_err(|until| too_fast(until.wait_time_from(self.clock.now())))
    }

    fn forget(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

fn too_fast(wait: Duration) -> Refused {
    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Refused::TooFast { retry_after_ms: wait.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::of(text.parse().unwrap())
    }

    #[test]
    fn each_limit_is_for_one_address_or_participant() {
        let limits = Limits::new(Rates::default());
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        let allowed = |check: &dyn Fn() -> Result<(), Refused>| {
            (0..10_000).take_while(|_| check().is_ok()).count()
        };
        assert_eq!(allowed(&|| limits.session(one)), 10);
        assert!(limits.session(other).is_ok());
        // A little may flow back while they are counted.
        assert!((2_000..2_500).contains(&allowed(&|| limits.join(one))));
        assert!(limits.join(other).is_ok());
        let voter = ParticipantId::from_random([1; 10]);
        assert!((10..15).contains(&allowed(&|| limits.vote(&voter))));
        assert!(limits.vote(&ParticipantId::from_random([2; 10])).is_ok());
    }

    #[test]
    fn who_guesses_too_often_may_not_even_guess_right() {
        let limits = Limits::new(Rates::default());
        let (guesser, other) = (address("10.0.0.1"), address("10.0.0.2"));
        for _ in 0..30 {
            assert!(limits.join(guesser).is_ok());
            limits.wrong_code(guesser);
        }
        assert!(limits.join(guesser).is_ok());
        limits.wrong_code(guesser);
        let refused = limits.join(guesser);
        assert!(
            matches!(refused, Err(Refused::TooFast { retry_after_ms: 1..=2_000 })),
            "{refused:?}"
        );
        assert!(limits.join(other).is_ok());
        limits.forget();
        assert!(limits.join(guesser).is_err(), "it is not forgotten before its time");
    }

    #[test]
    fn a_network_of_one_customer_counts_as_one() {
        for (a, b, same) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
        ] {
            assert_eq!(address(a) == address(b), same, "{a} {b}");
        }
    }
}
