//! Tokens: what a presenter and a participant show of themselves.
//!
//! Signed by a secret that all nodes share through the database (HS256); a token says which session
//! it is for, and nothing about another one.
//!
//! Spec: RFC 7519.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::domain::{Millis, ParticipantId, SessionId};
use crate::error::Refused;

/// Who issues them, and who alone takes them.
const ISSUER: &str = "fanfare-livepoll";

/// The longest token that is looked at, in bytes: four times as long as ours.
const MAX_TOKEN_BYTES: usize = 2_048;

/// How much clocks of nodes may differ, in seconds.
const LEEWAY_SECONDS: u64 = 10;

/// Somebody's place in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The session.
    pub session: SessionId,
    /// As what.
    pub role: Role,
}

/// What somebody is in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Opens polls and sees all results.
    Presenter,
    /// Votes.
    Participant(ParticipantId),
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// The participant, or the session if it is a presenter's.
    sub: String,
    /// The session.
    sid: String,
    role: String,
    iat: u64,
    exp: u64,
}

/// Makes and reads tokens.
pub(crate) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    lifetime_seconds: u64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Tokens that hold for a time, as long as sessions are kept.
    pub(crate) fn new(secret: &[u8], lifetime: std::time::Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_aud = false;
        Tokens {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            lifetime_seconds: lifetime.as_secs(),
        }
    }

    /// A token for a seat.
    ///
    /// # Errors
    ///
    /// [`Refused::Bug`].
    pub(crate) fn issue(&self, seat: &Seat, now: Millis) -> Result<String, Refused> {
        let (role, sub) = match &seat.role {
            Role::Presenter => ("presenter", seat.session.as_str()),
            Role::Participant(id) => ("participant", id.as_str()),
        };
        let iat = now / 1_000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: sub.to_owned(),
            sid: seat.session.to_string(),
            role: role.to_owned(),
            iat,
            exp: iat.saturating_add(self.lifetime_seconds),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(|error| {
            tracing::error!(%error, "a token could not be signed: a bug");
            Refused::Bug
        })
    }

    /// The seat of a token.
    ///
    /// # Errors
    ///
    /// [`Refused::Unauthorized`], whatever is wrong with it.
    pub(crate) fn read(&self, token: &str) -> Result<Seat, Refused> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refused::Unauthorized);
        }
        let read = decode::<Claims>(token, &self.decoding, &self.validation);
        let claims = read.map_err(|error| {
            tracing::debug!(%error, "a token does not hold");
            Refused::Unauthorized
        })?;
        seat(&claims.claims).ok_or(Refused::Unauthorized)
    }
}

fn seat(claims: &Claims) -> Option<Seat> {
    let session = SessionId::parse(&claims.sid)?;
    let role = match claims.role.as_str() {
        "presenter" if claims.sub == claims.sid => Role::Presenter,
        "participant" => Role::Participant(ParticipantId::parse(&claims.sub)?),
        _ => return None,
    };
    Some(Seat { session, role })
}

impl Seat {
    /// Lets presenters of this session pass.
    ///
    /// # Errors
    ///
    /// [`Refused::NoSession`] to those of other sessions, [`Refused::PresentersOnly`].
    pub(crate) fn check_presents(&self, session: &SessionId) -> Result<(), Refused> {
        self.check_sees(session)?;
        match self.role {
            Role::Presenter => Ok(()),
            Role::Participant(_) => Err(Refused::PresentersOnly),
        }
    }

    /// Lets those of this session pass. What others must not see does not exist for them.
    ///
    /// # Errors
    ///
    /// [`Refused::NoSession`].
    pub(crate) fn check_sees(&self, session: &SessionId) -> Result<(), Refused> {
        if self.session == *session { Ok(()) } else { Err(Refused::NoSession) }
    }

    /// The participant, if it is one.
    ///
    /// # Errors
    ///
    /// [`Refused::ParticipantsOnly`].
    pub(crate) fn participant(&self) -> Result<&ParticipantId, Refused> {
        match &self.role {
            Role::Participant(id) => Ok(id),
            Role::Presenter => Err(Refused::ParticipantsOnly),
        }
    }

    /// Who it is, for the server to compare when a client comes back.
    pub(crate) fn subject(&self) -> String {
        match &self.role {
            Role::Presenter => format!("presenter:{}", self.session),
            Role::Participant(id) => format!("participant:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn tokens() -> Tokens {
        Tokens::new(b"a secret of at least thirty-two bytes", HOUR)
    }

    fn seats() -> [Seat; 2] {
        let session = SessionId::from_random([1; 10]);
        let participant = Role::Participant(ParticipantId::from_random([2; 10]));
        [
            Seat { session: session.clone(), role: Role::Presenter },
            Seat { session, role: participant },
        ]
    }

    #[test]
    fn a_seat_is_read_from_its_token() {
        let now = services::time::now_ms();
        for seat in seats() {
            let token = tokens().issue(&seat, now).unwrap();
            assert!(token.len() < MAX_TOKEN_BYTES / 4, "{}", token.len());
            assert_eq!(tokens().read(&token).unwrap(), seat);
        }
    }

    #[test]
    fn what_is_no_token_of_ours_is_refused() {
        let now = services::time::now_ms();
        let [presenter, _] = seats();
        let good = tokens().issue(&presenter, now).unwrap();
        let (unsigned, _) = good.rsplit_once('.').unwrap();
        let other = Tokens::new(b"another secret of thirty-two bytes!!", HOUR);
        let claims = |role: &str, sub: &str, iss: &str, exp| Claims {
            iss: iss.to_owned(),
            sub: sub.to_owned(),
            sid: presenter.session.to_string(),
            role: role.to_owned(),
            iat: now / 1_000,
            exp,
        };
        let sign = |algorithm, claims: &Claims| {
            encode(&Header::new(algorithm), claims, &tokens().encoding).unwrap()
        };
        let (sid, later) = (presenter.session.to_string(), now / 1_000 + 60);
        let right = claims("presenter", &sid, ISSUER, later);
        assert!(tokens().read(&sign(Algorithm::HS256, &right)).is_ok());
        for token in [
            String::new(),
            "a.b.c".to_owned(),
            format!("{unsigned}."),
            format!("eyJhbGciOiJub25lIn0.{}.", unsigned.split_once('.').unwrap().1),
            "x".repeat(1_000_000),
            other.issue(&presenter, now).unwrap(),
            sign(Algorithm::HS512, &right),
            sign(Algorithm::HS256, &claims("presenter", &sid, "somebody", later)),
            sign(Algorithm::HS256, &claims("presenter", &sid, ISSUER, now / 1_000 - 60)),
            sign(Algorithm::HS256, &claims("presenter", "par_0000000000000000", ISSUER, later)),
            sign(Algorithm::HS256, &claims("participant", &sid, ISSUER, later)),
            sign(Algorithm::HS256, &claims("admin", &sid, ISSUER, later)),
        ] {
            let read = tokens().read(&token);
            assert!(matches!(read, Err(Refused::Unauthorized)), "{token:.80}: {read:?}");
        }
    }

    #[test]
    fn a_seat_is_in_one_session() {
        let [presenter, participant] = seats();
        let (own, other) = (presenter.session.clone(), SessionId::from_random([9; 10]));
        for seat in [&presenter, &participant] {
            assert!(seat.check_sees(&own).is_ok());
            assert!(matches!(seat.check_sees(&other), Err(Refused::NoSession)));
            assert!(matches!(seat.check_presents(&other), Err(Refused::NoSession)));
        }
        assert!(presenter.check_presents(&own).is_ok());
        assert!(matches!(participant.check_presents(&own), Err(Refused::PresentersOnly)));
        assert!(matches!(presenter.participant(), Err(Refused::ParticipantsOnly)));
        assert!(participant.participant().is_ok());
    }
}
