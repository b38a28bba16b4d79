//! Which namespaces there are.

use crate::namespace::{Handlers, NamespaceCore};
use arc_swap::ArcSwap;
use hashbrown::HashMap;
use regex::Regex;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The namespaces of a server: those the application made, and those clients made by asking.
pub(crate) struct Registry {
    names: RwLock<Names>,
    next_id: AtomicU32,
    /// Whether sockets are brought back, unless it is switched off for a namespace.
    recovery: bool,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Box<str>, Entry>,
    dynamic: Vec<Arc<Dynamic>>,
}

struct Entry {
    core: Arc<NamespaceCore>,
    /// Sockets that are in it or on their way. Only counted for dynamic namespaces.
    users: usize,
}

/// Says whether a namespace may be made, by its name and the client's `auth`.
pub(crate) type Decide =
    Box<dyn Fn(String, Value) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// Which names make a namespace.
pub(crate) enum Matcher {
    Pattern(Regex),
    Decide(Decide),
}

struct Dynamic {
    matcher: Matcher,
    handlers: Arc<ArcSwap<Handlers>>,
}

impl Registry {
    pub(crate) fn new(main: &Arc<NamespaceCore>, recovery: bool) -> Self {
        let mut names = Names::default();
        let entry = Entry { core: main.clone(), users: 0 };
        names.by_name.insert(main.name.as_str().into(), entry);
        let next_id = AtomicU32::new(main.id + 1);
        Registry { names: RwLock::new(names), next_id, recovery }
    }

    fn read(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(
        &self,
        name: &socketio::Namespace,
        dynamic: bool,
        handlers: Arc<ArcSwap<Handlers>>,
    ) -> Arc<NamespaceCore> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        NamespaceCore::new(name.clone(), id, dynamic, handlers, self.recovery)
    }

    /// The namespace of this name; it is made if it does not exist.
    pub(crate) fn of(&self, name: &socketio::Namespace) -> Arc<NamespaceCore> {
        let mut names = self.write();
        if let Some(entry) = names.by_name.get(name.as_str()) {
            return entry.core.clone();
        }
        let core = self.make(name, false, Arc::default());
        names.by_name.insert(name.as_str().into(), Entry { core: core.clone(), users: 0 });
        core
    }

    /// The namespace of this name, if it exists now.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<NamespaceCore>> {
        self.read().by_name.get(name).map(|entry| entry.core.clone())
    }

    /// Lets clients make namespaces. What is returned carries their listeners; no socket is ever
    /// in it.
    pub(crate) fn add_dynamic(&self, matcher: Matcher) -> Arc<NamespaceCore> {
        let handlers: Arc<ArcSwap<Handlers>> = Arc::default();
        let template = self.make(&socketio::Namespace::root(), true, handlers.clone());
        self.write().dynamic.push(Arc::new(Dynamic { matcher, handlers }));
        template
    }

    /// The namespaces that exist now and are wanted.
    pub(crate) fn cores(&self, wanted: impl Fn(&NamespaceCore) -> bool) -> Vec<Arc<NamespaceCore>> {
        let names = self.read();
        let cores = names.by_name.values().map(|entry| &entry.core);
        cores.filter(|core| wanted(core)).cloned().collect()
    }

    /// The namespace a client asks for, if there is one. It counts as used until
    /// [`left`](Self::left) is called.
    pub(crate) async fn enter(
        &self,
        name: &socketio::Namespace,
        auth: Option<&str>,
    ) -> Option<Arc<NamespaceCore>> {
        if let Some(core) = self.enter_existing(name) {
            return Some(core);
        }
        let dynamic = self.read().dynamic.clone();
        for parent in dynamic {
            let allowed = match &parent.matcher {
                Matcher::Pattern(pattern) => matches_whole(pattern, name.as_str()),
                Matcher::Decide(decide) => {
                    let auth = auth.and_then(|auth| serde_json::from_str(auth).ok());
                    decide(name.as_str().to_owned(), auth.unwrap_or_default()).await
                }
            };
            if allowed {
                return Some(self.enter_child(name, &parent));
            }
        }
        None
    }

    fn enter_existing(&self, name: &socketio::Namespace) -> Option<Arc<NamespaceCore>> {
        {
            let names = self.read();
            let core = &names.by_name.get(name.as_str())?.core;
            if !core.dynamic {
                return Some(core.clone());
            }
        }
        // It may have been removed in between: then it is made again.
        let mut names = self.write();
        let entry = names.by_name.get_mut(name.as_str())?;
        entry.users += 1;
        Some(entry.core.clone())
    }

    fn enter_child(&self, name: &socketio::Namespace, parent: &Dynamic) -> Arc<NamespaceCore> {
        let mut names = self.write();
        let entry = names.by_name.entry(name.as_str().into()).or_insert_with(|| Entry {
            core: self.make(name, true, parent.handlers.clone()),
            users: 0,
        });
        entry.users += 1;
        entry.core.clone()
    }

    /// Counts one more that is in the namespace, if it still exists, until
    /// [`left`](Self::left) is called.
    pub(crate) fn stay(&self, core: &NamespaceCore) -> bool {
        if !core.dynamic {
            return true;
        }
        let mut names = self.write();
        let entry = names.by_name.get_mut(core.name.as_str());
        let Some(entry) = entry.filter(|entry| entry.core.id == core.id) else { return false };
        entry.users += 1;
        true
    }

    /// A socket is no longer in the namespace, or never came in. The last one of a dynamic
    /// namespace takes it along.
    pub(crate) fn left(&self, core: &NamespaceCore) {
        if !core.dynamic {
            return;
        }
        let mut names = self.write();
        let Some(entry) = names.by_name.get_mut(core.name.as_str()) else { return };
        if entry.core.id != core.id {
            return;
        }
        entry.users = entry.users.saturating_sub(1);
        if entry.users == 0 {
            names.by_name.remove(core.name.as_str());
        }
    }

    /// Lets go of all listeners: they may hold the server itself.
    pub(crate) fn forget_handlers(&self) {
        let mut names = self.write();
        for entry in names.by_name.values() {
            entry.core.handlers.store(Arc::default());
        }
        for parent in names.dynamic.drain(..) {
            parent.handlers.store(Arc::default());
        }
    }
}

fn matches_whole(pattern: &Regex, name: &str) -> bool {
    pattern.find(name).is_some_and(|found| found.range() == (0..name.len()))
}
