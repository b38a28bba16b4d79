//! Who may do what in a room: asked by sockets, streams and requests alike, decided here alone.
//!
//! In this order, and the first that says something decides:
//!
//! 1. a name that is none, and rooms that are the server's own: sockets' rooms, `user:` of others;
//! 2. whoever has an API key may everything, and everybody is at home in the own `user:` room;
//! 3. a function of the application, in Rust;
//! 4. the rights in the caller's token;
//! 5. the application, asked over HTTP;
//! 6. the patterns of private rooms: no;
//! 7. the default.

mod ask;
mod grants;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fanfare::{Namespace, Room, RoomPattern, Socket};
use serde_json::json;

use self::ask::Application;
use crate::caller::Caller;
use crate::code::Code;
use crate::context::Context;
use crate::names::{self, NotJoinable, ROOM_FORM};
use crate::outgoing::{Endpoint, Outgoing};
use crate::refusal::Refusal;
use crate::sessions;
use crate::sign::SigningKey;

pub use self::grants::{Grants, GrantsError, MAX_GRANTS, Right};

/// A room somebody wants something of.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The room.
    pub room: &'a str,
}

/// What the application is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks.
    pub caller: Caller,
    /// What for.
    pub right: Right,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The room.
    pub room: Arc<str>,
}

/// What a function of the application says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No.
    Deny,
    /// No, and whoever asks is not to know whether there is such a room.
    NotFound,
    /// The other rules decide.
    Abstain,
}

type Deciding = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// A function of the application.
#[derive(Clone)]
pub struct Decide(Arc<dyn Fn(Question) -> Deciding + Send + Sync>);

impl Decide {
    /// Wraps a function.
    pub fn new<F, Fut>(decide: F) -> Self
    where
        F: Fn(Question) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        Decide(Arc::new(move |question| Box::pin(decide(question))))
    }
}

impl fmt::Debug for Decide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decide")
    }
}

/// The settings of access. By default everybody may be in every room that is not the server's own.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// A function of the application. Default: none.
    pub decide: Option<Decide>,
    /// Where the application is asked. Default: nowhere.
    pub url: Option<Endpoint>,
    /// What questions are signed with.
    pub signing_key: Option<SigningKey>,
    /// How long an answer holds that does not say so itself. Default: 30 s.
    pub holds: Duration,
    /// Rooms that nobody is in without a rule that says so. Default: none.
    pub private: Vec<RoomPattern>,
    /// Whether other rooms are everybody's when no rule says anything. Default: yes.
    pub open: bool,
}

impl Default for AccessSettings {
    fn default() -> Self {
        AccessSettings {
            decide: None,
            url: None,
            signing_key: None,
            holds: Duration::from_secs(30),
            private: Vec::new(),
            open: true,
        }
    }
}

/// How the rooms begin in which presence is told.
const SHOW_PRESENCE: [&str; 2] = ["presence.", "status."];

/// The rules. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    decide: Option<Decide>,
    application: Option<Application>,
    private: Vec<RoomPattern>,
    open: bool,
}

impl Access {
    pub(crate) fn new(settings: &AccessSettings, outgoing: &Outgoing) -> Self {
        let application = settings.url.clone().map(|url| {
            let key = settings.signing_key.clone();
            Application::new(url, key, settings.holds, outgoing.clone())
        });
        Access(Arc::new(Inner {
            decide: settings.decide.clone(),
            application,
            private: settings.private.clone(),
            open: settings.open,
        }))
    }

    /// Decides whether a caller has a right in a room. This is the only place where it is decided.
    ///
    /// # Errors
    ///
    /// What is said to one who has not.
    pub async fn check(
        &self,
        caller: &Caller,
        right: Right,
        place: Place<'_>,
    ) -> Result<(), Denied> {
        let user = match caller {
            Caller::Backend => {
                return names::check_name(place.room).map_err(|why| NotJoinable::Name(why).into());
            }
            Caller::User(user) if names::user_of(place.room) == Some(&user.id) => return Ok(()),
            Caller::User(user) => Some(user),
            Caller::Guest(_) => None,
        };
        names::check_joinable(place.room)?;
        // Who is in one of these rooms hears who looks at what: being there is seeing that.
        let shows_presence = SHOW_PRESENCE.iter().any(|prefix| place.room.starts_with(prefix));
        let right = if right == Right::Join && shows_presence { Right::Presence } else { right };
        match self.ask_function(caller, right, place).await {
            Verdict::Allow => return Ok(()),
            Verdict::Deny => return Err(Denied::Rule),
            Verdict::NotFound => return Err(Denied::NotFound),
            Verdict::Abstain => {}
        }
        if user.is_some_and(|user| user.grants.give(right, place.namespace, place.room)) {
            return Ok(());
        }
        if let Some(application) = &self.0.application {
            return application.ask(user, right, place).await;
        }
        let mut private = self.0.private.iter();
        let private = private.any(|pattern| pattern.matches(place.namespace, place.room));
        if self.0.open && !private {
            return Ok(());
        }
        // A guest could come back with a token.
        Err(if user.is_none() { Denied::Unknown } else { Denied::Rule })
    }

    async fn ask_function(&self, caller: &Caller, right: Right, place: Place<'_>) -> Verdict {
        let Some(Decide(decide)) = &self.0.decide else { return Verdict::Abstain };
        let (namespace, room) = (place.namespace.into(), place.room.into());
        decide(Question { caller: caller.clone(), right, namespace, room }).await
    }
}

/// Asks again about the rooms of those who come back: a right that was taken meanwhile is gone.
///
/// Rooms that clients cannot ask for are not asked about: whoever is in one was put there by the
/// server.
pub(crate) fn serve(context: &Context, namespace: &Namespace) {
    let context = context.clone();
    namespace.recovery_guard(move |socket: Socket, rooms: Vec<Room>| {
        let context = context.clone();
        async move {
            sessions::check_same(&socket).map_err(|refusal| refusal.connect_error())?;
            for room in &rooms {
                if names::check_joinable(room.as_str()).is_ok() {
                    let allowed = context.allow(&socket, Right::Join, room.as_str(), "rooms").await;
                    allowed.map_err(|refusal| refusal.connect_error())?;
                }
            }
            Ok(())
        }
    });
}

/// Why somebody has not a right in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The name is none, or the room is the server's own.
    Name(NotJoinable),
    /// A rule says no.
    Rule,
    /// A rule says that there is no such room.
    NotFound,
    /// It would need a token.
    Unknown,
    /// The application was asked and did not say.
    Unchecked,
}

impl From<NotJoinable> for Denied {
    fn from(why: NotJoinable) -> Self {
        Denied::Name(why)
    }
}

impl Denied {
    /// What is said, about this field.
    #[must_use]
    pub fn refusal(self, field: &'static str) -> Refusal {
        let (code, message) = match self {
            Denied::Name(NotJoinable::Name(why)) => {
                let message = format!("This is no name of a room: {why}.");
                return Refusal::new(Code::InvalidMessage, message)
                    .with(json!({ "field": field, "expected": ROOM_FORM }));
            }
            Denied::Name(why) => (
                Code::PermissionDenied,
                format!("Clients do not join or leave this room by themselves: {why}."),
            ),
            Denied::Rule => {
                (Code::PermissionDenied, "This is not allowed to you in this room.".to_owned())
            }
            Denied::NotFound => {
                (Code::ChannelNotFound, "There is no such room for you.".to_owned())
            }
            Denied::Unknown => (
                Code::AuthRequired,
                "This is not allowed to guests in this room; connect with a token.".to_owned(),
            ),
            Denied::Unchecked => {
                let message = "Whether this is allowed could not be found out at the moment.";
                return Refusal::new(Code::PermissionDenied, message)
                    .with(json!({ "field": field, "reason": "unchecked" }));
            }
        };
        Refusal::new(code, message).with(json!({ "field": field }))
    }
}
