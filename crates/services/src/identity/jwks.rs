//! Keys that are fetched: the key set of who makes the tokens.
//!
//! Spec: RFC 7517 § 5. The set is fetched when a token comes, and again when it is old, or when a token
//! names a key that is not in it; in both cases not more often than a floor. The last good set stays
//! when there is no new one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;

use super::jwt::Key;
use crate::outgoing::{Endpoint, Outgoing};

/// After what time a set is fetched anew.
const MAX_AGE: Duration = Duration::from_secs(600);

/// How often it is fetched at most, whatever tokens say.
const FLOOR: Duration = Duration::from_secs(10);

/// How many keys of a set are used.
const MAX_KEYS: usize = 64;

/// A key set at an address.
#[derive(Debug)]
pub(super) struct KeySet {
    from: Endpoint,
    outgoing: Outgoing,
    state: Mutex<State>,
    /// One fetches, the others wait for it.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<[Key]>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl KeySet {
    pub(super) fn new(from: Endpoint, outgoing: Outgoing) -> Self {
        KeySet { from, outgoing, state: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The keys, for a token that names this one.
    pub(super) async fn keys(&self, named: Option<&str>) -> Arc<[Key]> {
        if self.wants(named) {
            let _only = self.fetching.lock().await;
            // Whoever was first may have brought it.
            if self.wants(named) {
                self.fetch().await;
            }
        }
        self.state().keys.clone()
    }

    fn wants(&self, named: Option<&str>) -> bool {
        let state = self.state();
        let recently = |at: Option<Instant>, time| at.is_some_and(|at| at.elapsed() < time);
        let known =
            named.is_none_or(|id| state.keys.iter().any(|key| key.id.as_deref() == Some(id)));
        let fresh = known && recently(state.fetched, MAX_AGE);
        !fresh && !recently(state.tried, FLOOR)
    }

    async fn fetch(&self) {
        self.state().tried = Some(Instant::now());
        let answered = self.outgoing.fetch(&self.from).await;
        let keys = answered.map_err(|error| error.to_string()).and_then(|answered| {
            if !answered.status.is_success() {
                return Err(format!("the answer has status {}", answered.status.as_u16()));
            }
            let set: JwkSet = serde_json::from_slice(&answered.body)
                .map_err(|_| "the answer is no key set".to_owned())?;
            let keys: Arc<[Key]> = set.keys.iter().filter_map(Key::of_set).take(MAX_KEYS).collect();
            if keys.is_empty() { Err("no key of the set is usable".to_owned()) } else { Ok(keys) }
        });
        match keys {
            Ok(keys) => {
                let mut state = self.state();
                state.keys = keys;
                state.fetched = Some(Instant::now());
            }
            Err(why) => tracing::warn!(why, "the key set of tokens could not be fetched"),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
