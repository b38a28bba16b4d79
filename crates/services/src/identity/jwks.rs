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
    max_age: Duration,
    floor: Duration,
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
        KeySet {
            from,
            outgoing,
            max_age: MAX_AGE,
            floor: FLOOR,
            state: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
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
        let fresh = known && recently(state.fetched, self.max_age);
        !fresh && !recently(state.tried, self.floor)
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

#[cfg(test)]
mod tests {
    //! When it is fetched, by what an address that counts is asked.

    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::extract::State as Of;
    use axum::http::StatusCode;
    use axum::routing::get;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use crate::background::Background;

    /// Who makes the tokens: what it answers now, and how often it was asked.
    #[derive(Debug, Clone, Default)]
    struct Issuer {
        says: Arc<Mutex<Option<Value>>>,
        asked: Arc<AtomicUsize>,
    }

    impl Issuer {
        async fn start(&self) -> Endpoint {
            async fn answer(Of(issuer): Of<Issuer>) -> Result<String, StatusCode> {
                issuer.asked.fetch_add(1, Ordering::Relaxed);
                let says = issuer.says.lock().unwrap().clone();
                says.map(|says| says.to_string()).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/keys", listener.local_addr().unwrap());
            let router = Router::new().route("/keys", get(answer)).with_state(self.clone());
            tokio::spawn(async move { axum::serve(listener, router).await });
            url.parse().unwrap()
        }

        fn says(&self, ids: &[&str]) {
            // The point of P-256 from which all others come.
            let (x, y) = (
                "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
                "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
            );
            let key = |id| json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y });
            let keys: Vec<Value> = ids.iter().map(key).collect();
            *self.says.lock().unwrap() = Some(json!({ "keys": keys }));
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    async fn ids(set: &KeySet, named: Option<&str>) -> Vec<String> {
        set.keys(named).await.iter().filter_map(|key| key.id.clone()).collect()
    }

    #[tokio::test]
    async fn it_is_kept_fetched_anew_when_it_is_old_or_lacks_a_key_and_not_too_often() {
        let issuer = Issuer::default();
        let outgoing = Outgoing::new(Background::start().unwrap()).unwrap();
        let mut set = KeySet::new(issuer.start().await, outgoing);
        assert!(ids(&set, Some("a")).await.is_empty(), "there is none");
        issuer.says(&["a"]);
        assert!(ids(&set, Some("a")).await.is_empty(), "not again so soon");
        assert_eq!(issuer.asked(), 1);
        set.floor = Duration::ZERO;
        let many = futures_util::future::join_all((0..20).map(|_| ids(&set, Some("a")))).await;
        assert!(many.iter().all(|ids| ids == &["a"]));
        assert_eq!(issuer.asked(), 2, "one fetches for all");
        assert_eq!(ids(&set, None).await, ["a"]);
        assert_eq!(issuer.asked(), 2, "it is kept");
        issuer.says(&["b"]);
        assert_eq!(ids(&set, Some("b")).await, ["b"], "a key that is not in it");
        assert_eq!(issuer.asked(), 3);
        set.floor = FLOOR;
        for made_up in ["x", "y", "z"] {
            assert_eq!(ids(&set, Some(made_up)).await, ["b"]);
        }
        assert_eq!(issuer.asked(), 3, "whatever tokens say");
        (set.floor, set.max_age) = (Duration::ZERO, Duration::ZERO);
        *issuer.says.lock().unwrap() = None;
        assert_eq!(ids(&set, Some("b")).await, ["b"], "the last good one stays");
        assert_eq!(issuer.asked(), 4);
        *issuer.says.lock().unwrap() = Some(json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }));
        assert_eq!(ids(&set, Some("b")).await, ["b"], "a secret that anybody can fetch is none");
    }
}
