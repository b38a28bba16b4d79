//! What applications expect of their real-time tier, over the public API of [`fanfare`].
//!
//! [`Services`] is the composition: it lets clients ask by events, backends by HTTP
//! ([`Services::router`]), and Rust by its methods. Each service is a module of its own on a
//! [`Context`]: who is who, who may what, and where things are kept.

mod access;
mod api;
mod background;
mod caller;
mod code;
mod context;
mod cors;
mod history;
mod http;
mod keys;
mod listen;
pub mod names;
mod publish;
mod refusal;
mod replay;
mod rooms;
mod settings;
mod sse;
mod store;
pub mod time;

use std::path::Path;

use axum::Router;
use axum::extract::FromRef;
use fanfare::{Io, NamespaceError};

pub use access::{Access, Denied, Place, Right};
pub use api::DESCRIPTION_PATH;
pub use caller::{Author, Caller, Guest, User};
pub use code::Code;
pub use context::Context;
pub use http::json_body;
pub use keys::KeyDigest;
pub use publish::PATH as PUBLISH_PATH;
pub use refusal::{ErrorAnswer, Refusal, RefusalAnswer, json_response};
pub use replay::{ReplayError, RoomReplay};
pub use settings::Settings;
pub use store::{Store, StoreError};

/// The services of a server.
#[derive(Debug, Clone)]
pub struct Services {
    context: Context,
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
    /// What is kept cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FromRef<Services> for Context {
    fn from_ref(services: &Services) -> Context {
        services.context.clone()
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
        for namespace in context.namespaces() {
            replay::serve(&context, namespace);
            rooms::serve(&context, namespace);
            history::serve(&context, namespace);
        }
        Ok(Services { context })
    }

    /// What the services stand on, for services of your own.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
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
