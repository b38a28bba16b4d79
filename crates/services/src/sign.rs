//! Signatures of what is sent to the application, so that it knows who sent it.
//!
//! Spec: Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` (seconds), and
//! `webhook-signature: v1,<base64 of HMAC-SHA256 over "id.timestamp.body">`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::time::now_ms;

/// The secret that the server and the application share.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// The secret as text; `whsec_` and base64, as the specification writes it, is decoded.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        let decoded = secret.strip_prefix("whsec_").and_then(|it| STANDARD.decode(it).ok());
        SigningKey(decoded.unwrap_or_else(|| secret.as_bytes().to_vec()))
    }

    /// The headers of a message.
    #[must_use]
    pub fn headers(&self, id: &str, body: &[u8]) -> Vec<(&'static str, String)> {
        let timestamp = (now_ms() / 1_000).to_string();
        let signature = self.signature(id, &timestamp, body);
        vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signature),
        ]
    }

    fn signature(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        // A key of any length is one: HMAC hashes what is too long.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The length of such an id.
pub(crate) const UNIQUE_ID_LEN: usize = 22;

/// An id nobody has used: 128 random bits.
#[must_use]
pub(crate) fn unique_id() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        tracing::error!("the system has no random bytes");
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_signed_alike() {
        let key = SigningKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signature = key.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
