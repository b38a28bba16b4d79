//! Those who are here by a token: told before it ends, closed when it has ended or was revoked.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fanfare::Socket;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::caller::User;
use crate::code::Code;
use crate::listen;
use crate::refusal::Refusal;

/// Everybody who is here by a token. One thread minds all their ends.
#[derive(Debug, Clone)]
pub(super) struct Live {
    table: Arc<Mutex<Table>>,
    changed: Arc<Notify>,
    notice: Duration,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
    deadlines: BTreeSet<(Instant, u64, Due)>,
}

#[derive(Debug)]
struct Entry {
    who: Who,
    user: Arc<User>,
    /// Where its deadlines are.
    notice: Option<Instant>,
    end: Option<Instant>,
}

/// Who can be told, or closed.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// A client.
    Socket(Socket),
    /// A stream, which is ended by this.
    Stream(CancellationToken),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Notice,
    End,
}

type Told = (Who, Arc<User>, Due);

/// A place in the table; kept with a socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place(u64);

impl Live {
    pub(super) fn new(notice: Duration) -> Self {
        Live { table: Arc::default(), changed: Arc::default(), notice }
    }

    /// Somebody came.
    pub(super) fn enter(&self, who: Who, user: Arc<User>) -> Place {
        let mut table = self.table();
        let key = table.next;
        table.next += 1;
        table.entries.insert(key, Entry { who, user, notice: None, end: None });
        self.set_deadlines(&mut table, key);
        Place(key)
    }

    /// Somebody has a new token.
    pub(super) fn renew(&self, place: Place, user: Arc<User>) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(&place.0) {
            entry.user = user;
            self.set_deadlines(&mut table, place.0);
        }
    }

    /// Somebody left.
    pub(super) fn leave(&self, place: Place) {
        let mut table = self.table();
        if let Some(entry) = table.entries.remove(&place.0) {
            table.forget(place.0, &entry);
        }
    }

    /// Closes those that are meant.
    pub(super) fn close(&self, meant: impl Fn(&User) -> bool, why: &Refusal) -> usize {
        let found: Vec<Who> = {
            let table = self.table();
            let entries = table.entries.values().filter(|entry| meant(&entry.user));
            entries.map(|entry| entry.who.clone()).collect()
        };
        // Outside of the lock: a socket's end comes back here.
        for who in &found {
            end(who, why);
        }
        found.len()
    }

    /// Minds the ends, for as long as it is run. Timers go by the monotonic clock: that somebody sets
    /// the clock of the machine ends nobody's connection.
    pub(super) async fn mind(self) {
        loop {
            let changed = self.changed.notified();
            let (due, next) = self.take_due(Instant::now());
            for (who, user, due) in due {
                match due {
                    Due::Notice => tell(&who, &user),
                    Due::End => end(&who, &expired()),
                }
            }
            match next {
                Some(next) => {
                    let _ = tokio::time::timeout_at(next.into(), changed).await;
                }
                None => changed.await,
            }
        }
    }

    fn take_due(&self, now: Instant) -> (Vec<Told>, Option<Instant>) {
        let mut table = self.table();
        let mut due = Vec::new();
        while let Some(&(at, key, what)) = table.deadlines.first() {
            if at > now {
                return (due, Some(at));
            }
            table.deadlines.pop_first();
            if let Some(entry) = table.entries.get_mut(&key) {
                match what {
                    Due::Notice => entry.notice = None,
                    Due::End => entry.end = None,
                }
                due.push((entry.who.clone(), entry.user.clone(), what));
            }
        }
        (due, None)
    }

    fn set_deadlines(&self, table: &mut Table, key: u64) {
        let Some(mut entry) = table.entries.remove(&key) else { return };
        table.forget(key, &entry);
        let left = entry
            .user
            .expires_at
            .map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        // What ends in a thousand years has no end.
        entry.end = left.and_then(|left| Instant::now().checked_add(left));
        entry.notice = entry.end.and_then(|end| end.checked_sub(self.notice));
        for (at, due) in [(entry.notice, Due::Notice), (entry.end, Due::End)] {
            if let Some(at) = at {
                table.deadlines.insert((at, key, due));
            }
        }
        table.entries.insert(key, entry);
        self.changed.notify_one();
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget(&mut self, key: u64, entry: &Entry) {
        for (at, due) in [(entry.notice, Due::Notice), (entry.end, Due::End)] {
            if let Some(at) = at {
                self.deadlines.remove(&(at, key, due));
            }
        }
    }
}

fn expired() -> Refusal {
    let message = "The token has ended; connect again with a new one.";
    Refusal::new(Code::AuthRequired, message).with(json!({ "reason": "expired" }))
}

fn tell(who: &Who, user: &User) {
    let Who::Socket(socket) = who else { return };
    let end = user.expires_at.map(|end| humantime::format_rfc3339_millis(end).to_string());
    listen::tell(socket, "auth:expiring", &json!({ "expiresAt": end }));
}

fn end(who: &Who, why: &Refusal) {
    match who {
        Who::Socket(socket) => {
            let answer = why.answer(SystemTime::now());
            listen::tell(socket, "error", answer.error());
            socket.disconnect(true);
        }
        Who::Stream(cancel) => cancel.cancel(),
    }
}
