//! What applications expect of their real-time tier, over the public API of [`fanfare`].
//!
//! [`Services`] is the composition: it lets clients ask by events, backends by HTTP
//! ([`Services::router`]), and Rust by its methods. Each service is a module of its own on a
//! [`Context`]: who is who, who may what, and where things are kept.

mod access;
mod api;
mod background;
mod cache;
mod caller;
mod chat;
mod code;
mod context;
mod cors;
mod documents;
mod history;
mod http;
mod identity;
mod jobs;
mod keys;
mod limits;
mod listen;
mod live;
pub mod names;
mod origins;
mod outbox;
mod outgoing;
mod presence;
mod publish;
mod refresh;
mod refusal;
mod replay;
mod rooms;
mod send;
mod sessions;
mod settings;
mod sign;
pub mod spans;
mod sse;
mod stats;
mod store;
pub mod time;
mod users;
mod webhooks;
mod whereabouts;

use std::path::Path;

use axum::Router;
use axum::extract::FromRef;
use fanfare::{Io, NamespaceError};

pub use access::{
    Access, AccessSettings, Decide, Denied, Grants, GrantsError, MAX_GRANTS, Place, Question,
    Right, Verdict,
};
pub use api::{DESCRIPTION_PATH, PAGE_PATH};
pub use caller::{Author, Caller, Guest, User};
pub use chat::{
    Chat, ChatSettings, Draft, Editor, MAX_MESSAGES, Message, MessageKind, MessageQuery, Receipt,
    Unread,
};
pub use code::Code;
pub use context::Context;
pub use http::json_body;
pub use identity::{
    Claims, Explained, Identity, IdentityError, IdentitySettings, KeyError, LEEWAY,
    MAX_TOKEN_BYTES, Mint, Revoked, SecretText, TokenError, mint,
};
pub use jobs::{Job, JobStatus, JobUpdate, Jobs, JobsSettings, RedisUrl, RedisUrlError, Updated};
pub use keys::KeyDigest;
pub use limits::{LimitsSettings, RateSetting};
pub use origins::OriginCheck;
pub use outgoing::{Answered, Endpoint, EndpointError, Outgoing, OutgoingError};
pub use presence::{Presence, PresenceSettings, Present, Status};
pub use publish::PATH as PUBLISH_PATH;
pub use refusal::{ErrorAnswer, Refusal, RefusalAnswer, json_response};
pub use replay::{ReplayError, RoomReplay};
pub use rooms::{Device, MemberRecord, NewRoom, RoomChange, RoomRecord, Rooms, RoomsSettings};
pub use send::SendOptions;
pub use sessions::{Envelope, OnSeen, Participant, Sessions, SessionsSettings};
pub use settings::Settings;
pub use sign::SigningKey;
pub use store::{Store, StoreError};
pub use webhooks::{WebhookEvent, WebhooksSettings};

use webhooks::Webhooks;

/// The services of a server.
#[derive(Debug, Clone)]
pub struct Services {
    context: Context,
    rooms: Rooms,
    chat: Chat,
    jobs: Jobs,
    sessions: Sessions,
    presence: Presence,
}

/// What is kept and not yet told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Undelivered {
    /// Events of kept changes that the event log has not taken yet.
    pub events: u64,
    /// Calls of the application that it has not taken yet.
    pub webhooks: u64,
}

/// Why services cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The name of a namespace in the settings is none.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The thread for what services do in the background cannot be started.
    #[error("a thread for the services could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// The roots of trust of this machine cannot be read.
    #[error("requests to others cannot be set up: {0}")]
    Outgoing(#[from] reqwest::Error),
    /// Identity cannot be set up.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What is kept cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FromRef<Services> for Context {
    fn from_ref(services: &Services) -> Context {
        services.context.clone()
    }
}

impl FromRef<Services> for Rooms {
    fn from_ref(services: &Services) -> Rooms {
        services.rooms.clone()
    }
}

impl FromRef<Services> for Chat {
    fn from_ref(services: &Services) -> Chat {
        services.chat.clone()
    }
}

impl FromRef<Services> for Jobs {
    fn from_ref(services: &Services) -> Jobs {
        services.jobs.clone()
    }
}

impl FromRef<Services> for Sessions {
    fn from_ref(services: &Services) -> Sessions {
        services.sessions.clone()
    }
}

impl FromRef<Services> for Presence {
    fn from_ref(services: &Services) -> Presence {
        services.presence.clone()
    }
}

impl Services {
    /// Sets up the namespaces of a server, which must not serve clients yet. What outlives a restart
    /// is kept in `data`, a directory, or only in memory.
    ///
    /// # Errors
    ///
    /// [`BeginError`].
    pub fn begin(
        io: &Io,
        settings: Settings,
        key: KeyDigest,
        data: Option<&Path>,
    ) -> Result<Self, BeginError> {
        let store = Store::open(data)?;
        let context = Context::new(io, settings, key, store)?;
        let webhooks = Webhooks::begin(&context)?;
        let rooms = Rooms::begin(&context, webhooks.clone())?;
        let chat = Chat::begin(&context)?;
        let jobs = Jobs::begin(&context)?;
        let sessions = Sessions::begin(&context);
        let presence = Presence::begin(&context);
        for namespace in context.namespaces() {
            listen::serve(&context, namespace);
            identity::serve(&context, namespace);
            limits::serve(&context, namespace);
            access::serve(&context, namespace);
            sessions::serve(&sessions, namespace);
            replay::serve(&context, namespace);
            rooms::serve(&rooms, &presence, namespace);
            refresh::serve(&context, &rooms, &presence, namespace);
            chat::serve(&chat, namespace);
            jobs::serve(&jobs, namespace);
            presence::serve(&presence, namespace);
            documents::serve(&context, namespace);
            if let Some(webhooks) = &webhooks {
                webhooks::serve(webhooks, namespace);
            }
            history::serve(&context, namespace);
        }
        Ok(Services { context, rooms, chat, jobs, sessions, presence })
    }

    /// What the services stand on, for services of your own.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Rooms: those that are kept, and who is in them.
    #[must_use]
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Chat: messages, receipts, notifications.
    #[must_use]
    pub fn chat(&self) -> &Chat {
        &self.chat
    }

    /// Jobs and how far they are.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Session rooms.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Who looks at what, and whether users are there.
    #[must_use]
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// What is kept and not yet told.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn undelivered(&self) -> Result<Undelivered, StoreError> {
        let tells = self.context.settings().webhooks.url.is_some();
        let count = |it: &rusqlite::Transaction<'_>, of| {
            let count: i64 = it.query_row(of, [], |row| row.get(0))?;
            Ok::<u64, rusqlite::Error>(count.unsigned_abs())
        };
        let asked = self.context.store().read(move |transaction| {
            Ok(Undelivered {
                events: count(transaction, "SELECT count(*) FROM outbox")?,
                webhooks: match tells {
                    true => count(transaction, "SELECT count(*) FROM webhooks")?,
                    false => 0,
                },
            })
        });
        asked.await
    }

    /// Puts the checks of origins and hosts before all routes of a server, those of the library too.
    pub fn guard(&self, router: Router) -> Router {
        let settings = self.context.settings();
        let router = origins::guard(router, self.context.io(), settings.origins);
        origins::guard_hosts(router, self.context.io(), &settings.hosts)
    }

    /// The HTTP API: everything under `/v1`.
    pub fn router(&self) -> Router {
        api::router(self, None)
    }

    /// The same, with routes of others in its description: those of what is built on the services.
    pub fn router_describing(&self, others: utoipa::openapi::OpenApi) -> Router {
        api::router(self, Some(others))
    }
}
