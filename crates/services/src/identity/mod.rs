//! Identity: whose a connection or a request is, from the moment it comes until its token ends.
//!
//! A token is tried as a JSON Web Token, then the application is asked; what is neither is refused. With
//! neither configured everybody is a guest, and tokens are not looked at.

mod explain;
mod jwks;
mod jwt;
mod live;
mod opaque;
mod revocation;
mod routes;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, header};
use fanfare::{Namespace, Socket};
use serde::Deserialize;
use serde_json::{Value, json};

use self::jwks::KeySet;
use self::live::{Live, Place, Who};
use self::opaque::Opaque;
use self::revocation::Revocations;
use crate::background::Background;
use crate::caller::{Caller, Guest, User};
use crate::code::Code;
use crate::context::Context;
use crate::names;
use crate::outgoing::{Endpoint, Outgoing};
use crate::refusal::Refusal;
use crate::sign::SigningKey;
use crate::store::{Store, StoreError};

pub use self::explain::{Explained, Mint, mint};
pub use self::jwt::{Claims, KeyError, LEEWAY, MAX_TOKEN_BYTES};
pub use self::revocation::Revoked;
pub(crate) use self::routes::routes;

/// The longest name or address a guest may show, in characters.
const MAX_DISPLAY_CHARS: usize = 100;

/// The settings of identity. By default there is none: everybody is a guest.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// The secret of tokens that are signed with one (HS256, HS384, HS512).
    pub jwt_secret: Option<SecretText>,
    /// A public key, as PEM, of tokens that are signed with RSA, EC or Ed25519.
    pub jwt_public_key: Option<String>,
    /// Where the key set of tokens is.
    pub jwks: Option<Endpoint>,
    /// What tokens must say.
    pub claims: Claims,
    /// Where the application says whose an opaque token is.
    pub session_url: Option<Endpoint>,
    /// How long its answer holds. Default: 60 s.
    pub session_holds: Duration,
    /// What questions to the application are signed with.
    pub signing_key: Option<SigningKey>,
    /// Whether clients without a token may come. Default: only if there is no identity at all.
    pub guests: Option<bool>,
    /// Whether a token may be in the query, for an `EventSource`. Default: no; queries are logged.
    pub query_token: bool,
    /// How long before its token ends a client is told. Default: 60 s.
    pub notice: Duration,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        IdentitySettings {
            jwt_secret: None,
            jwt_public_key: None,
            jwks: None,
            claims: Claims::default(),
            session_url: None,
            session_holds: Duration::from_secs(60),
            signing_key: None,
            guests: None,
            query_token: false,
            notice: Duration::from_secs(60),
        }
    }
}

/// A text that is never shown.
#[derive(Clone)]
pub struct SecretText(pub String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// Why a token does not hold. The client's fault, but for the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token: too long, not three parts, not base64url, or of another kind.
    #[error("it is not a token of a form that is taken")]
    Form,
    /// Signed in a way that no key here is for, or not at all.
    #[error("its algorithm is none that the keys are for")]
    Algorithm,
    /// No key for it.
    #[error("there is no key for it")]
    Key,
    /// Signed by somebody else, or changed.
    #[error("its signature is wrong")]
    Signature,
    /// Ended.
    #[error("it has expired")]
    Expired,
    /// Without an end.
    #[error("it says no time at which it expires (exp)")]
    NoExpiry,
    /// Not yet begun.
    #[error("it is not valid yet (nbf)")]
    TooEarly,
    /// Made by another.
    #[error("its issuer (iss) is none that is trusted")]
    Issuer,
    /// Made for others.
    #[error("it is for somebody else (aud)")]
    Audience,
    /// Nobody's, or of one whose id cannot be one.
    #[error("it does not say whose it is (sub), or the id cannot be one")]
    Subject,
    /// A claim of another type.
    #[error("one of its claims is not of the type that was expected")]
    Claims,
    /// Rights that are none.
    #[error("its rights in rooms (rooms) are not of the form that was expected")]
    Rooms,
    /// Taken back.
    #[error("it was revoked")]
    Revoked,
    /// The application does not know it.
    #[error("it is not known")]
    Unknown,
    /// The application did not say. The environment's fault.
    #[error("it could not be checked at the moment")]
    Unchecked,
}

impl TokenError {
    /// A word for programs and counters.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            TokenError::Form => "malformed",
            TokenError::Algorithm => "algorithm",
            TokenError::Key => "no_key",
            TokenError::Signature => "signature",
            TokenError::Expired => "expired",
            TokenError::NoExpiry => "no_expiry",
            TokenError::TooEarly => "not_yet_valid",
            TokenError::Issuer => "issuer",
            TokenError::Audience => "audience",
            TokenError::Subject => "subject",
            TokenError::Claims => "claims",
            TokenError::Rooms => "rooms",
            TokenError::Revoked => "revoked",
            TokenError::Unknown => "unknown",
            TokenError::Unchecked => "unchecked",
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let message = format!("The token does not hold: {error}.");
        Refusal::new(Code::AuthRequired, message).with(json!({ "reason": error.reason() }))
    }
}

/// Why identity cannot be set up. The operator's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// One of the keys is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Revocations cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose is what. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Identity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Vec<jwt::Key>,
    key_set: Option<KeySet>,
    opaque: Option<Opaque>,
    claims: Claims,
    guests: bool,
    query_token: bool,
    revocations: Revocations,
    live: Live,
    outcomes: Mutex<BTreeMap<&'static str, u64>>,
}

impl Identity {
    /// Identity without a server: to check tokens, nothing else.
    ///
    /// # Errors
    ///
    /// [`BeginError`](crate::BeginError).
    pub fn alone(settings: &IdentitySettings) -> Result<Self, crate::BeginError> {
        let outgoing = Outgoing::new(Background::start()?)?;
        Ok(Identity::new(settings, &outgoing, &Store::open(None)?)?)
    }

    pub(crate) fn new(
        settings: &IdentitySettings,
        outgoing: &Outgoing,
        store: &Store,
    ) -> Result<Self, IdentityError> {
        let secret = settings.jwt_secret.as_ref().map(|secret| jwt::Key::secret(&secret.0));
        let public = settings.jwt_public_key.as_deref().map(jwt::Key::pem);
        let keys = [secret, public].into_iter().flatten().collect::<Result<Vec<_>, _>>()?;
        let key_set = settings.jwks.clone().map(|from| KeySet::new(from, outgoing.clone()));
        let opaque = settings.session_url.clone().map(|url| {
            let (holds, key) = (settings.session_holds, settings.signing_key.clone());
            Opaque::new(url, holds, key, outgoing.clone())
        });
        let none = keys.is_empty() && key_set.is_none() && opaque.is_none();
        Ok(Identity(Arc::new(Inner {
            keys,
            key_set,
            opaque,
            claims: settings.claims.clone(),
            guests: settings.guests.unwrap_or(none),
            query_token: settings.query_token,
            revocations: Revocations::open(store)?,
            live: Live::new(settings.notice),
            outcomes: Mutex::default(),
        })))
    }

    /// Whether tokens are looked at.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.0.keys.is_empty() || self.0.key_set.is_some() || self.0.opaque.is_some()
    }

    /// Whose a token is.
    ///
    /// # Errors
    ///
    /// [`TokenError`].
    pub async fn verify(&self, token: &str) -> Result<Arc<User>, TokenError> {
        let outcome = self.check(token).await;
        let word = outcome.as_ref().map_or_else(|why| why.reason(), |_| "accepted");
        let mut outcomes = self.0.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        *outcomes.entry(word).or_default() += 1;
        outcome
    }

    /// How checks of tokens ended, and how often.
    #[must_use]
    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let outcomes = self.0.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.iter().map(|(word, count)| (*word, *count)).collect()
    }

    async fn check(&self, token: &str) -> Result<Arc<User>, TokenError> {
        let user = match self.as_jwt(token).await {
            Ok(user) => Arc::new(user),
            // What has the form of a token of ours, and does not hold, is not shown to anybody else.
            Err(why) if why != TokenError::Form => return Err(why),
            Err(why) => match &self.0.opaque {
                Some(opaque) if token.len() <= MAX_TOKEN_BYTES => opaque.read(token).await?,
                _ => return Err(why),
            },
        };
        if self.0.revocations.has(&user) { Err(TokenError::Revoked) } else { Ok(user) }
    }

    async fn as_jwt(&self, token: &str) -> Result<User, TokenError> {
        if self.0.keys.is_empty() && self.0.key_set.is_none() {
            return Err(TokenError::Form);
        }
        let header = jwt::Header::of(token)?;
        let first = jwt::read(token, &self.0.keys, &self.0.claims);
        match (&first, &self.0.key_set) {
            (Err(TokenError::Key | TokenError::Signature), Some(set)) => {
                let keys = set.keys(header.kid.as_deref()).await;
                jwt::read(token, &keys, &self.0.claims)
            }
            _ => first,
        }
    }

    /// Who sent a request that has no API key.
    ///
    /// # Errors
    ///
    /// [`Code::AuthRequired`].
    pub(crate) async fn of_request(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Caller, Refusal> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let in_header = match (given.next(), given.next()) {
            (None, _) => None,
            (Some(only), None) => Some(only.to_str().ok().and_then(bearer).ok_or_else(no_bearer)?),
            _ => return Err(no_bearer()),
        };
        let in_query = query.and_then(|query| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(name, _)| name == QUERY_TOKEN).map(|(_, token)| token.into_owned())
        });
        let tokens = [in_header.map(str::to_owned), self.allowed(in_query)?];
        self.of_tokens(tokens, Guest::default()).await
    }

    /// Who a socket belongs to that is about to connect.
    async fn of_socket(&self, socket: &Socket) -> Result<Caller, Refusal> {
        #[derive(Deserialize)]
        struct Auth {
            #[serde(default)]
            token: Option<Value>,
        }
        let handshake = socket.handshake();
        let guest = Guest {
            name: handshake.query("username").and_then(|text| display(&text)),
            email: handshake.query("email").and_then(|text| display(&text)),
        };
        if !self.is_on() {
            return self.of_tokens([], guest).await;
        }
        // Whatever else `auth` has is the application's; a token that is no text is no token.
        let auth = socket.auth::<Auth>().ok().and_then(|auth| auth.token);
        let in_auth = match auth {
            None | Some(Value::Null) => None,
            Some(Value::String(token)) => Some(token),
            Some(_) => return Err(TokenError::Form.into()),
        };
        let in_header = handshake.header("authorization");
        let in_header = in_header.map(|value| bearer(value).ok_or_else(no_bearer)).transpose()?;
        let in_query = self.allowed(handshake.query(QUERY_TOKEN))?;
        self.of_tokens([in_auth, in_header.map(str::to_owned), in_query], guest).await
    }

    /// A token of the query, if it may be there. A wrong place is said, not passed over: whoever put
    /// it there would wonder why it is a guest.
    fn allowed(&self, in_query: Option<String>) -> Result<Option<String>, Refusal> {
        if in_query.is_none() || !self.is_on() || self.0.query_token {
            return Ok(in_query.filter(|_| self.is_on()));
        }
        let message = "A token in the query is not taken: queries end up in logs. Expected it in the \
                       `auth` of the client or the header Authorization.";
        Err(Refusal::new(Code::AuthRequired, message).with(json!({ "reason": "query" })))
    }

    async fn of_tokens(
        &self,
        tokens: impl IntoIterator<Item = Option<String>>,
        guest: Guest,
    ) -> Result<Caller, Refusal> {
        let mut tokens = tokens.into_iter().flatten().filter(|token| !token.is_empty());
        let Some(token) = tokens.next().filter(|_| self.is_on()) else {
            return if self.0.guests {
                Ok(Caller::Guest(Arc::new(guest)))
            } else {
                Err(required())
            };
        };
        if tokens.any(|other| other != token) {
            let message = "There are several tokens, and they are not the same; expected one.";
            let refusal = Refusal::new(Code::AuthRequired, message);
            return Err(refusal.with(json!({ "reason": "ambiguous" })));
        }
        Ok(Caller::User(self.verify(&token).await?))
    }

    /// Revokes a token, a login, or all a user has: those who are here by it are closed, and it opens
    /// nothing any more, also after a restart. Kept until `until`, or for 30 days.
    ///
    /// # Errors
    ///
    /// [`Code::StorageFull`], [`Code::StorageUnavailable`], [`Code::Overloaded`].
    pub async fn revoke(
        &self,
        revoked: Revoked,
        until: Option<SystemTime>,
    ) -> Result<usize, Refusal> {
        // Kept first: whoever is closed comes back at once.
        self.0.revocations.add(revoked.clone(), until).await?;
        if let Some(opaque) = &self.0.opaque {
            opaque.forget(|user| revoked.means(user));
        }
        let closed = self.0.live.close(|user| revoked.means(user), &TokenError::Revoked.into());
        tracing::info!(closed, "tokens were revoked");
        Ok(closed)
    }
}

const QUERY_TOKEN: &str = "token";

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn no_bearer() -> Refusal {
    let message = "The header Authorization is not one; expected `Bearer <token>`, once.";
    Refusal::new(Code::AuthRequired, message)
}

fn required() -> Refusal {
    let message = "A token is required; expected it in the `auth` of the client, or as \
                   `Authorization: Bearer <token>`.";
    Refusal::new(Code::AuthRequired, message).with(json!({ "reason": "missing" }))
}

/// A text that people are shown: without control characters and what turns the direction of others.
fn display(text: &str) -> Option<String> {
    let shown = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let text: String = text.trim().chars().filter(shown).take(MAX_DISPLAY_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

/// Finds out whose each socket of a namespace is, before anything else is asked about it.
pub(crate) fn serve(context: &Context, namespace: &Namespace) {
    let identity = context.identity().clone();
    namespace.middleware(move |socket: Socket| {
        let identity = identity.clone();
        async move { identity.welcome(&socket).await.map_err(|refusal| refusal.connect_error()) }
    });
    let identity = context.identity().clone();
    namespace.on_disconnect(move |socket: Socket, _| {
        if let Some(place) = socket.extension::<Place>() {
            identity.0.live.leave(*place);
        }
        async {}
    });
    let identity = context.identity().clone();
    namespace.on_connect(move |socket: Socket| {
        identity.begin(&socket);
        async {}
    });
}

impl Identity {
    async fn welcome(&self, socket: &Socket) -> Result<(), Refusal> {
        let caller = self.of_socket(socket).await?;
        if let Caller::User(user) = &caller {
            socket.set_subject(names::room_of_user(&user.id));
            let room = names::room_of_user(&user.id);
            let joined = socket.join(room).map_err(|_| Refusal::from(TokenError::Subject))?;
            if let Err(error) = joined.await {
                return Err(crate::rooms::not_joined(socket, &error));
            }
        }
        let mut data = socket.data();
        if let Some(data) = data.as_object_mut() {
            match &caller {
                Caller::User(user) => {
                    data.insert("user".to_owned(), json!({ "id": &*user.id, "name": user.name }));
                }
                Caller::Guest(guest) if **guest != Guest::default() => {
                    data.insert("guest".to_owned(), json!(**guest));
                }
                Caller::Guest(_) | Caller::Backend => {}
            }
            if !data.is_empty() {
                socket.set_data(data.clone());
            }
        }
        socket.insert(caller);
        Ok(())
    }

    /// From here on its end is minded. Not earlier: a socket that a later middleware refuses is told by
    /// nobody that it is gone.
    fn begin(&self, socket: &Socket) {
        let Caller::User(user) = Caller::of(socket) else { return };
        // Revoked between the check and now.
        if self.0.revocations.has(&user) {
            socket.disconnect(true);
            return;
        }
        let place = self.0.live.enter(Who::Socket(socket.clone()), user);
        socket.insert(place);
        if !socket.is_connected() {
            self.0.live.leave(place);
        }
    }

    /// Takes a new token for a connection: of the same user, until when it holds.
    pub(crate) async fn refresh(
        &self,
        socket: &Socket,
        token: &str,
    ) -> Result<Option<SystemTime>, Refusal> {
        let Caller::User(old) = Caller::of(socket) else {
            let message = "A guest has no token that could be refreshed; connect again with one.";
            return Err(Refusal::new(Code::AuthRequired, message));
        };
        let user = self.verify(token).await?;
        if user.id != old.id {
            let message = "The token is another user's; connect again to be somebody else.";
            return Err(Refusal::new(Code::PermissionDenied, message));
        }
        let expires_at = user.expires_at;
        if let Some(place) = socket.extension::<Place>() {
            self.0.live.renew(*place, user.clone());
        }
        // Revoked between the check and now: whoever revoked did not find it here.
        if self.0.revocations.has(&user) {
            socket.disconnect(true);
            return Err(TokenError::Revoked.into());
        }
        socket.insert(Caller::User(user));
        Ok(expires_at)
    }

    /// Minds the ends of tokens, for as long as it is run.
    pub(crate) async fn mind(self) {
        self.0.live.clone().mind().await;
    }
}
