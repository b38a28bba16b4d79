//! What happened, for those whom it concerns. The domain says it here and knows nothing of how it
//! reaches them.

use serde::Serialize;
use serde_json::{Value, json};
use services::time;

use crate::domain::{
    Millis, Participant, ParticipantId, Poll, PollId, Results, Session, SessionId,
};
use crate::error::Refused;
use crate::random;
use crate::view::{ParticipantView, PollView, SessionView};

/// Whom an event concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// All of the session.
    Session,
    /// Those who present it.
    Presenters,
    /// One participant, on all devices.
    Voter(ParticipantId),
    /// One participant, and those who present.
    VoterAndPresenters(ParticipantId),
}

impl Audience {
    /// The name in the outbox.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Audience::Session => "session",
            Audience::Presenters => "presenters",
            Audience::Voter(_) => "voter",
            Audience::VoterAndPresenters(_) => "voter_and_presenters",
        }
    }

    /// The participant, if it is one's.
    pub(crate) const fn voter(&self) -> Option<&ParticipantId> {
        match self {
            Audience::Session | Audience::Presenters => None,
            Audience::Voter(id) | Audience::VoterAndPresenters(id) => Some(id),
        }
    }

    /// The audience of a name in the outbox.
    pub(crate) fn from_parts(name: &str, voter: Option<ParticipantId>) -> Option<Self> {
        Some(match (name, voter) {
            ("session", None) => Audience::Session,
            ("presenters", None) => Audience::Presenters,
            ("voter", Some(id)) => Audience::Voter(id),
            ("voter_and_presenters", Some(id)) => Audience::VoterAndPresenters(id),
            _ => return None,
        })
    }
}

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id, which no other has: the same however often it is published.
    pub id: String,
    /// The session.
    pub session: SessionId,
    /// When it happened.
    pub at: Millis,
    /// What: `poll:activated`.
    pub kind: String,
    /// What more there is to say.
    pub payload: Value,
    /// Whom it concerns.
    pub audience: Audience,
}

/// The form in which clients get all events, the one in which session rooms have theirs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a> {
    event_id: &'a str,
    event_type: &'a str,
    timestamp: Value,
    session_id: &'a SessionId,
    payload: &'a Value,
}

impl Event {
    fn new(
        session: &SessionId,
        at: Millis,
        kind: &str,
        payload: Value,
        audience: Audience,
    ) -> Result<Self, Refused> {
        let random: [u8; 12] = random::bytes()?;
        let id = random.iter().fold("evt_".to_owned(), |id, byte| format!("{id}{byte:02x}"));
        let (session, kind) = (session.clone(), kind.to_owned());
        Ok(Event { id, session, at, kind, payload, audience })
    }

    /// The form in which clients get it.
    #[must_use]
    pub fn envelope(&self) -> Envelope<'_> {
        Envelope {
            event_id: &self.id,
            event_type: &self.kind,
            timestamp: time::json(self.at),
            session_id: &self.session,
            payload: &self.payload,
        }
    }

    /// The poll whose results have changed with it.
    pub(crate) fn counted(&self) -> Option<PollId> {
        let id = match self.kind.as_str() {
            "vote:accepted" => self.payload.get("pollId"),
            "poll:closed" => self.payload.get("poll").and_then(|poll| poll.get("id")),
            _ => None,
        };
        PollId::parse(id?.as_str()?)
    }

    pub(crate) fn session_created(it: &Session) -> Result<Self, Refused> {
        Self::session_changed(it, "session:created", it.created)
    }

    pub(crate) fn session_started(it: &Session, at: Millis) -> Result<Self, Refused> {
        Self::session_changed(it, "session:started", at)
    }

    pub(crate) fn session_ended(it: &Session, at: Millis) -> Result<Self, Refused> {
        Self::session_changed(it, "session:ended", at)
    }

    fn session_changed(it: &Session, kind: &str, at: Millis) -> Result<Self, Refused> {
        let payload = json!({ "session": SessionView::of(it) });
        Self::new(&it.id, at, kind, payload, Audience::Session)
    }

    /// Somebody joined, or came back after it was said to be away.
    pub(crate) fn participant_joined(
        it: &Participant,
        participants: u32,
        returning: bool,
        at: Millis,
    ) -> Result<Self, Refused> {
        let payload = json!({
            "participant": ParticipantView::of(it),
            "participants": participants,
            "returning": returning,
        });
        Self::new(&it.session, at, "participant:joined", payload, Audience::Session)
    }

    pub(crate) fn participant_disconnected(it: &Participant, at: Millis) -> Result<Self, Refused> {
        let payload = json!({ "participant": ParticipantView::of(it) });
        Self::new(&it.session, at, "participant:disconnected", payload, Audience::Session)
    }

    pub(crate) fn poll_created(it: &Poll) -> Result<Self, Refused> {
        let payload = json!({ "poll": PollView::of(it) });
        Self::new(&it.session, it.created, "poll:created", payload, Audience::Session)
    }

    pub(crate) fn poll_activated(it: &Poll, at: Millis) -> Result<Self, Refused> {
        let payload = json!({ "poll": PollView::of(it) });
        Self::new(&it.session, at, "poll:activated", payload, Audience::Session)
    }

    pub(crate) fn poll_closed(it: &Poll, results: &Results, at: Millis) -> Result<Self, Refused> {
        let payload = json!({ "poll": PollView::of(it), "results": results });
        Self::new(&it.session, at, "poll:closed", payload, Audience::Session)
    }

    /// The presenters' order of the polls.
    pub(crate) fn polls_arranged(
        session: &SessionId,
        polls: &[PollId],
        at: Millis,
    ) -> Result<Self, Refused> {
        let payload = json!({ "pollIds": polls });
        Self::new(session, at, "polls:arranged", payload, Audience::Session)
    }

    /// Says that somebody voted, not what: votes are secret.
    pub(crate) fn vote_accepted(
        poll: &Poll,
        voter: &ParticipantId,
        changed: bool,
        at: Millis,
    ) -> Result<Self, Refused> {
        let payload = json!({ "pollId": poll.id, "participantId": voter, "changed": changed });
        let audience = Audience::VoterAndPresenters(voter.clone());
        Self::new(&poll.session, at, "vote:accepted", payload, audience)
    }

    pub(crate) fn vote_rejected(
        (session, poll, voter): (&SessionId, &PollId, &ParticipantId),
        reason: &Value,
        at: Millis,
    ) -> Result<Self, Refused> {
        let payload = json!({ "pollId": poll, "participantId": voter, "reason": reason });
        Self::new(session, at, "vote:rejected", payload, Audience::Voter(voter.clone()))
    }

    /// The newest results, for all who may see them.
    pub(crate) fn results_updated(
        poll: &Poll,
        results: &Results,
        at: Millis,
    ) -> Result<Self, Refused> {
        let audience = if poll.shows_results() { Audience::Session } else { Audience::Presenters };
        let payload = json!({ "pollId": poll.id, "results": results });
        Self::new(&poll.session, at, "results:updated", payload, audience)
    }
}
