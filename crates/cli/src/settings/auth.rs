//! The settings of identity and access: whose a connection is, and what it may.

use super::kind::{Item, Kind};
use super::{DAY, HOUR, PathBuf, Secret, Span, millis, seconds, table};

table::settings! {
    /// Whose connections are. With none of `auth.jwt_secret`, `auth.jwt_public_key`, `auth.jwks_url` and
    /// `auth.session_url` everybody is a guest, and tokens are not looked at.
    struct Auth at "auth." {
        /// The secret of tokens that are signed with one (HS256, HS384, HS512).
        jwt_secret: Option<Secret> = Kind::SecretText, None,
            "a default secret would be everybody's";
        /// The PEM file with the public key of tokens that are signed with RSA, EC (P-256, P-384) or
        /// Ed25519.
        jwt_public_key: Option<PathBuf> = Kind::Path, None,
            "only the application knows who signs";
        /// Where the key set (JWKS) of who makes the tokens is.
        jwks_url: Option<String> = Kind::Url, None,
            "only the application knows who signs";
        /// Who may have made a token (`iss`); when empty, whoever has the key.
        issuers: Vec<String> = Kind::List { of: Item::Text, at_least: 0 }, Some(""),
            "with a key of one's own the key says enough";
        /// Whom a token must be for (`aud`), one of these; when empty, anybody.
        audiences: Vec<String> = Kind::List { of: Item::Text, at_least: 0 }, Some(""),
            "with a key of one's own the key says enough";
        /// Whether a token must expire (`exp`).
        expiry_required: bool = Kind::Switch, Some("true"),
            "a token that holds for ever and was lost is lost for ever";
        /// Where the application says whose a token is that is no JWT: it is posted `{token}`.
        session_url: Option<String> = Kind::Url, None,
            "only the application knows its sessions";
        /// How long its answer holds.
        session_holds: Span = Kind::Duration { min: seconds(1), max: HOUR }, Some("60s"),
            "a logout takes effect within a minute even if nobody revokes";
        /// The secret that questions to the application are signed with.
        signing_secret: Option<Secret> = Kind::SecretText, None,
            "a default secret would be everybody's";
        /// Whether clients without a token may come; when unset, only if there is no identity.
        guests: Option<bool> = Kind::Switch, None,
            "who sets up identity means it";
        /// Whether a token may stand in the query (`token=`), as an EventSource needs it.
        query_token: bool = Kind::Switch, Some("false"),
            "queries end up in the logs of proxies";
        /// How long before its token expires a client is told (`auth:expiring`).
        notice: Span = Kind::Duration { min: millis(0), max: DAY }, Some("60s"),
            "time to fetch a new one on a bad network";
    }
}

table::settings! {
    /// Who may join, publish, read history and see presence in rooms, beyond what tokens allow.
    struct Access at "access." {
        /// The rooms that nobody is in without a rule that says so: a right in the token, or the
        /// application's word.
        private: Vec<String> = Kind::List { of: Item::Rooms, at_least: 0 }, Some(""),
            "only the application knows what is private";
        /// Whether all other rooms are everybody's when no rule says anything.
        open: bool = Kind::Switch, Some("true"),
            "a server that was just tried out works; private rooms are named";
        /// Where the application decides: it is posted `{right, namespace, room, user}` and answers
        /// `{allow, holds}`.
        url: Option<String> = Kind::Url, None,
            "only the application knows where it decides";
        /// How long an answer holds that does not say so itself.
        holds: Span = Kind::Duration { min: millis(0), max: HOUR }, Some("30s"),
            "a crowd that joins one room asks once per person, and a change is felt soon";
    }
}
