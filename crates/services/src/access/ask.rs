//! Asking the application over HTTP: `{right, namespace, room, user}`, answered with `{allow, holds?}`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{Denied, Place, Right};
use crate::cache::Cache;
use crate::caller::User;
use crate::outgoing::{Endpoint, Outgoing};
use crate::sign::{SigningKey, unique_id};

/// How many answers are kept.
const MAX_CACHED: usize = 100_000;

/// The longest that an answer may hold.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The application, as one that is asked.
pub(super) struct Application {
    url: Endpoint,
    key: Option<SigningKey>,
    holds: Duration,
    outgoing: Outgoing,
    cache: Cache<Asked, Result<(), Denied>>,
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What an answer is about. All guests are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    user: Option<Arc<str>>,
    right: Right,
    namespace: Box<str>,
    room: Box<str>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    allow: bool,
    /// In seconds.
    #[serde(default)]
    holds: Option<u64>,
}

impl Application {
    pub(super) fn new(
        url: Endpoint,
        key: Option<SigningKey>,
        holds: Duration,
        outgoing: Outgoing,
    ) -> Self {
        Application { url, key, holds, outgoing, cache: Cache::new(MAX_CACHED) }
    }

    /// What the application says, or has said. What it does not say is no.
    pub(super) async fn ask(
        &self,
        user: Option<&Arc<User>>,
        right: Right,
        place: Place<'_>,
    ) -> Result<(), Denied> {
        let asked = Asked {
            user: user.map(|user| user.id.clone()),
            right,
            namespace: place.namespace.into(),
            room: place.room.into(),
        };
        if let Some(known) = self.cache.find(&asked) {
            return known;
        }
        let person = user
            .map(|user| json!({ "id": &*user.id, "name": user.name, "moderator": user.moderator }));
        let body = json!({
            "right": right,
            "namespace": place.namespace,
            "room": place.room,
            "user": person,
        });
        let body = Bytes::from(body.to_string());
        let signed = self.key.as_ref().map(|key| key.headers(&unique_id(), &body));
        let answered = self.outgoing.post(&self.url, signed.unwrap_or_default(), body).await;
        let (verdict, holds) = match answered {
            Err(error) => {
                tracing::warn!(%error, "the application could not be asked what is allowed");
                return Err(Denied::Unchecked);
            }
            Ok(answered) => match answered.status.as_u16() {
                200 => {
                    let Ok(answer) = serde_json::from_slice::<Answer>(&answered.body) else {
                        tracing::warn!("the application's answer is not of the form {{allow}}");
                        return Err(Denied::Unchecked);
                    };
                    let verdict = if answer.allow { Ok(()) } else { Err(Denied::Rule) };
                    (verdict, answer.holds.map(Duration::from_secs))
                }
                403 => (Err(Denied::Rule), None),
                404 => (Err(Denied::NotFound), None),
                status => {
                    tracing::warn!(status, "the application did not say what is allowed");
                    return Err(Denied::Unchecked);
                }
            },
        };
        self.cache.keep(asked, verdict, holds.unwrap_or(self.holds).min(LONGEST));
        verdict
    }
}
