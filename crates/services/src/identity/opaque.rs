//! Tokens that say nothing: the application is asked who they belong to.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::TokenError;
use super::jwt::subject;
use crate::access::Grants;
use crate::cache::Cache;
use crate::caller::User;
use crate::outgoing::{Endpoint, Outgoing};
use crate::sign::{SigningKey, unique_id};

/// How many answers are kept.
const MAX_CACHED: usize = 50_000;

/// How long a no is kept: somebody who has just logged in waits no longer.
const NO_HOLDS: Duration = Duration::from_secs(5);

/// The application's check of sessions.
pub(super) struct Opaque {
    url: Endpoint,
    holds: Duration,
    key: Option<SigningKey>,
    outgoing: Outgoing,
    cache: Cache<[u8; 32], Result<Arc<User>, TokenError>>,
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opaque").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What the application answers; further fields are its own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    user: Person,
    #[serde(default)]
    session: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
    #[serde(default)]
    moderator: bool,
    #[serde(default)]
    rooms: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Person {
    id: String,
    #[serde(default)]
    name: Option<String>,
}

impl Opaque {
    pub(super) fn new(
        url: Endpoint,
        holds: Duration,
        key: Option<SigningKey>,
        outgoing: Outgoing,
    ) -> Self {
        Opaque { url, holds, key, outgoing, cache: Cache::new(MAX_CACHED) }
    }

    /// Who a token belongs to.
    ///
    /// # Errors
    ///
    /// [`TokenError::Unknown`], [`TokenError::Unchecked`] while the application does not answer, and
    /// what is wrong with its answer.
    pub(super) async fn read(&self, token: &str) -> Result<Arc<User>, TokenError> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.cache.find(&digest) {
            let expired = known.as_ref().ok().and_then(|user| user.expires_at);
            let held = expired.is_none_or(|end| end > SystemTime::now());
            return if held { known } else { Err(TokenError::Expired) };
        }
        let answer = self.ask(token).await;
        match &answer {
            Ok(_) => self.cache.keep(digest, answer.clone(), self.holds),
            // Tomorrow's application may know better; one that does not answer is asked again.
            Err(TokenError::Unchecked) => {}
            Err(_) => self.cache.keep(digest, answer.clone(), NO_HOLDS),
        }
        answer
    }

    async fn ask(&self, token: &str) -> Result<Arc<User>, TokenError> {
        let body = Bytes::from(json!({ "token": token }).to_string());
        let signed = self.key.as_ref().map(|key| key.headers(&unique_id(), &body));
        let asked = self.outgoing.post(&self.url, signed.unwrap_or_default(), body).await;
        let answered = asked.map_err(|error| {
            tracing::warn!(%error, "the application could not be asked about a token");
            TokenError::Unchecked
        })?;
        match answered.status.as_u16() {
            200 => user(&answered.body),
            401 | 403 | 404 => Err(TokenError::Unknown),
            status => {
                tracing::warn!(status, "the application did not say whose a token is");
                Err(TokenError::Unchecked)
            }
        }
    }

    /// Forgets what was known of a user: the application is asked again.
    pub(super) fn forget(&self, meant: impl Fn(&User) -> bool) {
        self.cache.forget(|_, known| known.as_ref().is_ok_and(|user| meant(user)));
    }
}

fn user(body: &[u8]) -> Result<Arc<User>, TokenError> {
    let read = |body| {
        let answer: Answer = serde_json::from_slice(body).map_err(|_| TokenError::Claims)?;
        let grants = answer.rooms.as_ref().map(Grants::of).transpose();
        let expires = answer.expires_in.map(Duration::from_secs);
        Ok(User {
            id: subject(&answer.user.id)?.into(),
            name: answer.user.name,
            token_id: None,
            session: answer.session,
            // The application has just said that it holds.
            issued_at: Some(SystemTime::now()),
            expires_at: expires.and_then(|time| SystemTime::now().checked_add(time)),
            moderator: answer.moderator,
            grants: grants.map_err(|_| TokenError::Rooms)?.unwrap_or_default(),
        })
    };
    read(body).map(Arc::new).inspect_err(|why| {
        tracing::warn!(%why, "what the application answered about a token cannot be used");
    })
}
