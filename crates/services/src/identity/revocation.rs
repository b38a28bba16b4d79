//! What no longer holds although it has not ended: tokens, logins, everything a user had.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::caller::User;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::store::{Store, StoreError};
use crate::time::now_ms;

/// How many revocations are kept; the ones that end first make room for new ones by ending.
const MAX_REVOCATIONS: usize = 1_000_000;

/// How long one is kept when nobody says: longer than a token should live.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

pub(super) const STEPS: &[&str] = &["CREATE TABLE revocations ( \
     kind TEXT NOT NULL, value TEXT NOT NULL, since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, \
     PRIMARY KEY (kind, value)) WITHOUT ROWID"];

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Revoked {
    /// All that a user has until now; tokens that are made later hold.
    User(String),
    /// One token, by its `jti`.
    Token(String),
    /// All tokens of one login, by their `sid`.
    Session(String),
}

impl Revoked {
    /// The id it is about.
    pub(super) fn id(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Revoked::User(id) => ("user", id),
            Revoked::Token(id) => ("token", id),
            Revoked::Session(id) => ("session", id),
        }
    }

    /// Whether it is about this one, whenever the token was made.
    pub(super) fn means(&self, user: &User) -> bool {
        match self {
            Revoked::User(id) => *user.id == **id,
            Revoked::Token(id) => user.token_id.as_ref() == Some(id),
            Revoked::Session(id) => user.session.as_ref() == Some(id),
        }
    }
}

/// What is revoked, in the store and at hand.
#[derive(Debug, Clone)]
pub(super) struct Revocations {
    store: Store,
    known: Arc<Mutex<HashMap<Revoked, Times>>>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    since_ms: u64,
    until_ms: u64,
}

impl Revocations {
    pub(super) fn open(store: &Store) -> Result<Self, StoreError> {
        store.migrate("identity", STEPS)?;
        let now = now_ms();
        let known = store.read_now(move |transaction| {
            let mut rows = transaction.prepare(
                "SELECT kind, value, since_ms, until_ms FROM revocations WHERE until_ms > ?1 \
                 ORDER BY until_ms DESC LIMIT ?2",
            )?;
            let max = i64::try_from(MAX_REVOCATIONS).unwrap_or(i64::MAX);
            let rows = rows.query_map((signed(now), max), |row| {
                let (kind, value): (String, String) = (row.get(0)?, row.get(1)?);
                let times =
                    Times { since_ms: unsigned(row.get(2)?), until_ms: unsigned(row.get(3)?) };
                let revoked = match kind.as_str() {
                    "user" => Revoked::User(value),
                    "token" => Revoked::Token(value),
                    _ => Revoked::Session(value),
                };
                Ok((revoked, times))
            })?;
            rows.collect::<rusqlite::Result<HashMap<_, _>>>()
        })?;
        Ok(Revocations { store: store.clone(), known: Arc::new(Mutex::new(known)) })
    }

    /// Whether a user's token has been revoked.
    pub(super) fn has(&self, user: &User) -> bool {
        let known = self.known();
        if known.is_empty() {
            return false;
        }
        let now = now_ms();
        let holds = |revoked| known.get(&revoked).filter(|times: &&Times| times.until_ms > now);
        if let Some(times) = holds(Revoked::User(user.id.to_string())) {
            // Who does not say when the token was made is taken to have made it before. A token of the
            // same second may be older: it is refused too.
            let since = UNIX_EPOCH + Duration::from_millis(times.since_ms);
            if user.issued_at.is_none_or(|issued| issued <= since) {
                return true;
            }
        }
        let named =
            [user.token_id.clone().map(Revoked::Token), user.session.clone().map(Revoked::Session)];
        named.into_iter().flatten().any(|revoked| holds(revoked).is_some())
    }

    /// Revokes. Done when it is kept: it holds after a restart too.
    ///
    /// # Errors
    ///
    /// [`Code::StorageFull`], [`Code::StorageUnavailable`], [`Code::Overloaded`].
    pub(super) async fn add(
        &self,
        revoked: Revoked,
        until: Option<SystemTime>,
    ) -> Result<(), Refusal> {
        let now = now_ms();
        let until = until.and_then(|until| until.duration_since(UNIX_EPOCH).ok()).map_or_else(
            || now.saturating_add(u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX)),
            |until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX),
        );
        {
            // At once: what is refused too early does less harm than what is let in too late.
            let mut known = self.known();
            if known.len() >= MAX_REVOCATIONS {
                known.retain(|_, times| times.until_ms > now);
            }
            if known.len() >= MAX_REVOCATIONS {
                let message = "There are as many revocations as there may be.";
                return Err(Refusal::new(Code::Overloaded, message));
            }
            known.insert(revoked.clone(), Times { since_ms: now, until_ms: until });
        }
        self.store
            .write(move |transaction| {
                let (kind, value) = revoked.parts();
                transaction
                    .execute("DELETE FROM revocations WHERE until_ms <= ?1", [signed(now)])?;
                transaction.execute(
                    "REPLACE INTO revocations VALUES (?1, ?2, ?3, ?4)",
                    (kind, value, signed(now), signed(until)),
                )
            })
            .await?;
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Revoked, Times>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
