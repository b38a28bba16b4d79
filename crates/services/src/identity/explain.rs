//! What a token says and whether it holds, for people; and tokens for trying things out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

use super::{Identity, TokenError};

/// What can be said about a token.
#[derive(Debug)]
pub struct Explained {
    /// Its head, if it has one.
    pub header: Option<Value>,
    /// What it claims, whether that is true or not.
    pub claims: Option<Value>,
    /// The times among the claims, in words.
    pub times: Vec<(&'static str, String)>,
    /// Whose it is, or why it does not hold.
    pub verdict: Result<String, TokenError>,
}

impl Identity {
    /// Explains a token. The signature is not repeated.
    pub async fn explain(&self, token: &str) -> Explained {
        let mut parts = token.split('.');
        let mut part = || {
            let text = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
            serde_json::from_slice::<Map<String, Value>>(&text).ok().map(Value::Object)
        };
        let (header, claims) = (part(), part());
        let now = SystemTime::now();
        let time = |name: &'static str| {
            let seconds = claims.as_ref()?.get(name)?.as_f64()?;
            let at = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
            Some((name, in_words(at, now)))
        };
        let times = ["iat", "nbf", "exp"].into_iter().filter_map(time).collect();
        let verdict = self.verify(token).await.map(|user| user.id.to_string());
        Explained { header, claims, times, verdict }
    }
}

fn in_words(at: SystemTime, now: SystemTime) -> String {
    let whole = |time: Duration| humantime::format_duration(Duration::from_secs(time.as_secs()));
    let distance = match at.duration_since(now) {
        Ok(left) => format!("in {}", whole(left)),
        Err(error) => format!("{} ago", whole(error.duration())),
    };
    // Beyond the year 9999 there is no text.
    let far = Duration::from_secs(250_000_000_000);
    if at.duration_since(UNIX_EPOCH).is_ok_and(|since| since < far) {
        format!("{} ({distance})", humantime::format_rfc3339_seconds(at))
    } else {
        distance
    }
}

/// What a token for trying things out says.
#[derive(Debug, Clone, Default)]
pub struct Mint {
    /// Whose it is.
    pub subject: String,
    /// For how long.
    pub lifetime: Duration,
    /// Further claims: `name`, `rooms`, `iss`, `aud`, `jti`, `sid`, `moderator`, the application's own.
    pub claims: Map<String, Value>,
}

/// Makes a token with a secret (HS256).
///
/// # Errors
///
/// Never for a secret and claims of texts; what the library says.
pub fn mint(secret: &str, mint: Mint) -> Result<String, jsonwebtoken::errors::Error> {
    let now = crate::time::now_ms() / 1_000;
    let mut claims = mint.claims;
    claims.insert("sub".to_owned(), json!(mint.subject));
    claims.insert("iat".to_owned(), json!(now));
    claims.insert("exp".to_owned(), json!(now.saturating_add(mint.lifetime.as_secs())));
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
}
