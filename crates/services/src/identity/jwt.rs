//! JSON Web Tokens: which keys hold, and what a token says.
//!
//! Spec: RFC 7519, RFC 7515 (compact form), RFC 8725 (best practices). The algorithm is the key's, never
//! the token's choice; keys come from the settings alone, whatever `jku`, `x5u`, `jwk` or `x5c` say.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::TokenError;
use crate::access::Grants;
use crate::caller::User;
use crate::names;

/// The largest token, in bytes. What is larger does not fit into the header of a request either.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;

/// How far the clock of who made the token may be off.
pub const LEEWAY: Duration = Duration::from_secs(10);

/// The longest id of a user, in bytes: its room's name has a prefix.
const MAX_SUBJECT_BYTES: usize = names::MAX_ROOM_BYTES - names::USER_PREFIX.len();

/// The longest other text of a token that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 255;

/// What a token must say beside who it is about.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Who may have made it (`iss`); anybody with the key if empty.
    pub issuers: Vec<String>,
    /// Whom it must be for (`aud`); for anybody if empty.
    pub audiences: Vec<String>,
    /// Whether it must end (`exp`). Default: yes; what never ends cannot be lost safely.
    pub expiry_required: bool,
}

impl Default for Claims {
    fn default() -> Self {
        Claims { issuers: Vec::new(), audiences: Vec::new(), expiry_required: true }
    }
}

/// One key and the algorithms it is for.
#[derive(Clone)]
pub(crate) struct Key {
    /// Its name in a key set.
    pub(super) id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a text is no key. The operator's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An empty secret would be everybody's.
    #[error("the secret of tokens is empty")]
    Empty,
    /// None of the forms.
    #[error("this is no public key in PEM form: RSA, EC (P-256, P-384) or Ed25519")]
    Pem,
}

impl Key {
    /// A secret that the application and the server share.
    ///
    /// # Errors
    ///
    /// [`KeyError::Empty`].
    pub(crate) fn secret(secret: &str) -> Result<Self, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::Empty);
        }
        let algorithms = vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        let key = DecodingKey::from_secret(secret.as_bytes());
        Ok(Key { id: None, algorithms, key })
    }

    /// A public key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Pem`].
    pub(crate) fn pem(text: &str) -> Result<Self, KeyError> {
        use Algorithm::{ES256, ES384, EdDSA};
        let pem = text.as_bytes();
        let rsa = DecodingKey::from_rsa_pem(pem).map(|key| (key, RSA.to_vec()));
        let found = rsa
            .or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (key, vec![ES256, ES384])))
            .or_else(|_| DecodingKey::from_ed_pem(pem).map(|key| (key, vec![EdDSA])));
        let (key, algorithms) = found.map_err(|_| KeyError::Pem)?;
        Ok(Key { id: None, algorithms, key })
    }

    /// A key of a set. Secrets in a set that anybody can fetch are none.
    pub(super) fn of_set(jwk: &jsonwebtoken::jwk::Jwk) -> Option<Self> {
        use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, KeyAlgorithm, PublicKeyUse};
        let usable = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA.to_vec(),
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                vec![Algorithm::ES256]
            }
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
                vec![Algorithm::ES384]
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                vec![Algorithm::EdDSA]
            }
            _ => return None,
        };
        let named = match jwk.common.key_algorithm {
            None => None,
            Some(KeyAlgorithm::RS256) => Some(Algorithm::RS256),
            Some(KeyAlgorithm::RS384) => Some(Algorithm::RS384),
            Some(KeyAlgorithm::RS512) => Some(Algorithm::RS512),
            Some(KeyAlgorithm::PS256) => Some(Algorithm::PS256),
            Some(KeyAlgorithm::PS384) => Some(Algorithm::PS384),
            Some(KeyAlgorithm::PS512) => Some(Algorithm::PS512),
            Some(KeyAlgorithm::ES256) => Some(Algorithm::ES256),
            Some(KeyAlgorithm::ES384) => Some(Algorithm::ES384),
            Some(KeyAlgorithm::EdDSA) => Some(Algorithm::EdDSA),
            Some(_) => return None,
        };
        if let Some(named) = named {
            algorithms.retain(|algorithm| *algorithm == named);
        }
        let key = DecodingKey::from_jwk(jwk).ok().filter(|_| usable && !algorithms.is_empty())?;
        Some(Key { id: jwk.common.key_id.clone(), algorithms, key })
    }

    fn takes(&self, header: &Header) -> bool {
        let named = match (&self.id, &header.kid) {
            (Some(key), Some(token)) => key == token,
            _ => true,
        };
        named && self.algorithms.contains(&header.alg)
    }
}

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The head of a token. What it says of keys is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    alg: Algorithm,
    #[serde(default)]
    pub(super) kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    /// What must be understood; we understand no extension.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

/// Whether there is a value, whatever it is.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl Header {
    /// Reads the head of a token in compact form, three parts.
    ///
    /// # Errors
    ///
    /// [`TokenError::Form`], [`TokenError::Algorithm`].
    pub(super) fn of(token: &str) -> Result<Self, TokenError> {
        let mut parts = token.split('.');
        let head = parts.next().unwrap_or_default();
        let others = [parts.next(), parts.next()];
        let whole = others.iter().all(|part| part.is_some_and(|part| !part.is_empty()));
        if token.len() > MAX_TOKEN_BYTES || !whole || parts.next().is_some() {
            return Err(TokenError::Form);
        }
        let head = URL_SAFE_NO_PAD.decode(head).map_err(|_| TokenError::Form)?;
        let fields: Map<String, Value> =
            serde_json::from_slice(&head).map_err(|_| TokenError::Form)?;
        // `none`, and whatever else is no algorithm of ours, is not even a variant.
        let header: Header =
            serde_json::from_value(fields.into()).map_err(|_| TokenError::Algorithm)?;
        let is_jwt = header.typ.as_deref().is_none_or(|typ| {
            ["JWT", "at+jwt", "application/at+jwt"].iter().any(|it| it.eq_ignore_ascii_case(typ))
        });
        if header.crit || !is_jwt { Err(TokenError::Form) } else { Ok(header) }
    }
}

/// What a token says, as far as it is used.
#[derive(Debug, Deserialize)]
struct Payload {
    sub: Option<String>,
    exp: Option<f64>,
    iat: Option<f64>,
    name: Option<String>,
    jti: Option<String>,
    sid: Option<String>,
    #[serde(default)]
    moderator: bool,
    rooms: Option<Value>,
}

/// Reads a token with the keys that may have signed it.
///
/// # Errors
///
/// [`TokenError`].
pub(super) fn read(token: &str, keys: &[Key], claims: &Claims) -> Result<User, TokenError> {
    let header = Header::of(token)?;
    let mut why = TokenError::Key;
    for key in keys.iter().filter(|key| key.takes(&header)) {
        match decode::<Payload>(token, &key.key, &validation(header.alg, claims)) {
            Ok(read) => return user(read.claims),
            Err(error) => match error.kind() {
                // Another key may be the one.
                ErrorKind::InvalidSignature => why = TokenError::Signature,
                kind => return Err(of(kind)),
            },
        }
    }
    Err(why)
}

fn validation(algorithm: Algorithm, claims: &Claims) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY.as_secs();
    validation.validate_nbf = true;
    // Without these the library checks a claim only if it is there.
    let mut required: HashSet<String> = HashSet::from(["sub".to_owned()]);
    if claims.expiry_required {
        required.insert("exp".to_owned());
    }
    if claims.audiences.is_empty() {
        validation.validate_aud = false;
    } else {
        validation.set_audience(&claims.audiences);
        required.insert("aud".to_owned());
    }
    if !claims.issuers.is_empty() {
        validation.set_issuer(&claims.issuers);
        required.insert("iss".to_owned());
    }
    validation.required_spec_claims = required;
    validation
}

fn of(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::TooEarly,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "aud" => TokenError::Audience,
            "iss" => TokenError::Issuer,
            "exp" => TokenError::NoExpiry,
            _ => TokenError::Subject,
        },
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => TokenError::Algorithm,
        ErrorKind::Json(_) => TokenError::Claims,
        _ => TokenError::Form,
    }
}

fn user(payload: Payload) -> Result<User, TokenError> {
    let grants = payload.rooms.as_ref().map(Grants::of).transpose();
    let grants = grants.map_err(|_| TokenError::Rooms)?.unwrap_or_default();
    let texts = [&payload.name, &payload.jti, &payload.sid];
    if texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT_BYTES) {
        return Err(TokenError::Claims);
    }
    let at = |seconds: Option<f64>| {
        let seconds = Duration::try_from_secs_f64(seconds?).ok()?;
        UNIX_EPOCH.checked_add(seconds)
    };
    Ok(User {
        id: subject(payload.sub.as_deref().unwrap_or_default())?.into(),
        name: payload.name,
        token_id: payload.jti,
        session: payload.sid,
        issued_at: at(payload.iat),
        expires_at: at(payload.exp),
        moderator: payload.moderator,
        grants,
    })
}

/// An id that can be the name of a room, and is no guest's.
///
/// # Errors
///
/// [`TokenError::Subject`].
pub(super) fn subject(id: &str) -> Result<&str, TokenError> {
    let fits = !id.is_empty() && id.len() <= MAX_SUBJECT_BYTES && !id.starts_with("guest:");
    if fits && names::check_name(&names::room_of_user(id)).is_ok() {
        Ok(id)
    } else {
        Err(TokenError::Subject)
    }
}
