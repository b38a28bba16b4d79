//! What every service stands on.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use fanfare::{Io, Namespace, Socket};
use serde_json::json;

use crate::BeginError;
use crate::access::{Access, Place, Right};
use crate::background::Background;
use crate::caller::Caller;
use crate::code::Code;
use crate::identity::Identity;
use crate::keys::{KeyDigest, Keys};
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::outgoing::Outgoing;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::store::Store;
use crate::time;

/// The server, its namespaces, who is who, who may what, and where things are kept. Cheap to clone;
/// each service has one.
#[derive(Debug, Clone)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    io: Io,
    settings: Settings,
    /// Those that are served, by name.
    namespaces: HashMap<String, Namespace>,
    keys: Keys,
    identity: Identity,
    access: Access,
    limits: Limits,
    store: Store,
    outbox: Outbox,
    outgoing: Outgoing,
    background: Background,
    started_ms: u64,
}

impl Context {
    pub(crate) fn new(
        io: &Io,
        settings: Settings,
        key: KeyDigest,
        store: Store,
    ) -> Result<Self, BeginError> {
        let mut namespaces = HashMap::new();
        for name in &settings.namespaces {
            let namespace = io.of(name)?;
            namespaces.insert(namespace.name().to_owned(), namespace);
        }
        let background = Background::start()?;
        let outgoing = Outgoing::new(background.clone())?;
        let identity = Identity::new(&settings.identity, &outgoing, &store)?;
        let access = Access::new(&settings.access, &outgoing);
        let limits = Limits::new(&settings.limits);
        let keys = Keys::new([key].into_iter().chain(settings.further_keys.iter().cloned()));
        background.spawn(identity.clone().mind());
        let outbox = Outbox::open(&store)?;
        background.spawn(outbox.clone().run(namespaces.clone()));
        let io = io.clone();
        Ok(Context(Arc::new(Inner {
            io,
            settings,
            namespaces,
            keys,
            identity,
            access,
            limits,
            store,
            outbox,
            outgoing,
            background,
            started_ms: time::now_ms(),
        })))
    }

    /// The server.
    #[must_use]
    pub fn io(&self) -> &Io {
        &self.0.io
    }

    /// What was set.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Where services keep what outlives a restart.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Runs something beside everything else; it ends with the server.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        drop(self.0.background.spawn(future));
    }

    /// What is kept and told.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    /// The rules.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// The namespaces that are served.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.0.namespaces.values()
    }

    /// A namespace that is served.
    ///
    /// # Errors
    ///
    /// [`Code::UnknownNamespace`].
    pub fn namespace(&self, name: &str) -> Result<&Namespace, Refusal> {
        self.0.namespaces.get(name).ok_or_else(|| {
            let message = "This server does not serve the namespace.";
            let details =
                json!({ "field": "namespace", "expected": "one of the setting `namespaces`" });
            Refusal::new(Code::UnknownNamespace, message).with(details)
        })
    }

    /// A namespace that exists, whoever serves it: for backends, which may see all.
    ///
    /// # Errors
    ///
    /// [`Code::UnknownNamespace`].
    pub(crate) fn any_namespace(&self, name: &str) -> Result<Namespace, Refusal> {
        self.namespace(name).cloned().or_else(|refusal| {
            let mut all = self.0.io.namespaces().into_iter();
            all.find(|namespace| namespace.name() == name).ok_or(refusal)
        })
    }

    /// When the services began, in milliseconds since 1970.
    pub(crate) fn started_ms(&self) -> u64 {
        self.0.started_ms
    }

    /// Who is who.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// What asks others.
    #[must_use]
    pub fn outgoing(&self) -> &Outgoing {
        &self.0.outgoing
    }

    /// Who sent a request: by the API key, or by a token. One with an `Authorization` that is wrong
    /// is refused, not taken for a guest: it would wonder what is missing.
    ///
    /// # Errors
    ///
    /// [`Code::AuthRequired`].
    pub async fn caller(&self, head: &Parts) -> Result<Caller, Refusal> {
        let named = head.headers.contains_key(header::AUTHORIZATION);
        let keyed = named.then(|| self.0.keys.check(&head.headers).map(drop));
        match keyed {
            Some(Ok(())) => Ok(Caller::Backend),
            Some(Err(refusal)) if !self.identity().is_on() => Err(refusal),
            _ => self.identity().of_request(&head.headers, head.uri.query()).await,
        }
    }

    /// Lets a request pass that has an API key.
    ///
    /// # Errors
    ///
    /// [`Code::AuthRequired`], [`Code::RateLimitExceeded`].
    pub fn check_key(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let bucket = self.0.keys.check(headers)?;
        self.0.limits.request(bucket)
    }

    /// The limits.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Whether the caller behind a socket has a right in a room of the socket's namespace; `field`
    /// is blamed if not.
    ///
    /// # Errors
    ///
    /// [`Code::PermissionDenied`], [`Code::AuthRequired`], [`Code::InvalidMessage`]; for
    /// [`Right::Publish`], which counts, also [`Code::RateLimitExceeded`].
    pub async fn allow(
        &self,
        socket: &Socket,
        right: Right,
        room: &str,
        field: &'static str,
    ) -> Result<(), Refusal> {
        let place = Place { namespace: socket.namespace().name(), room };
        let checked = self.access().check(&Caller::of(socket), right, place).await;
        checked.map_err(|denied| denied.refusal(field))?;
        match right {
            Right::Publish => self.limits().to_room(place.namespace, room),
            _ => Ok(()),
        }
    }
}
