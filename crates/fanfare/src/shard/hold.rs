//! Clients that are not read from for a while: they sent faster than they may, or too many of
//! their listeners are unfinished. Their heartbeats cannot be heard meanwhile, and are excused.

use super::session::Session;
use super::{SessionKey, Shard};
use crate::counters::Counters;
use crate::transport::Link;
use std::time::{Duration, Instant};

impl Shard {
    /// The connection is not read from until then: it sent too fast.
    pub(crate) fn hold(&self, key: SessionKey, link: &Link, until: Instant) {
        Counters::add(&self.io.inner().counters.reads_held, 1);
        // What comes on a probe is not what shows that the session lives.
        if link.is_probing() {
            return;
        }
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(key) {
            session.held_until = Some(until);
        }
    }

    /// How long the body of a POST has to wait until it is read.
    pub(super) fn hold_post(&self, session: &mut Session, now: Instant) -> Duration {
        let wait = self.read_rate.as_ref().and_then(|rate| rate.wait(session.posted, now));
        let Some(wait) = wait else { return Duration::ZERO };
        Counters::add(&self.io.inner().counters.reads_held, 1);
        session.held_until = Some(now + wait);
        wait
    }

    /// The body of a POST was read.
    pub(super) fn post_read(&self, session: &mut Session, bytes: usize) {
        if let Some(rate) = &self.read_rate {
            rate.charge(&mut session.posted, bytes as u64, Instant::now());
        }
    }

    /// To be called before the session's deadlines are looked at: what the client has to say in
    /// time could not be heard while it was not read from.
    pub(super) fn excuse(&self, session: &mut Session, now: Instant) {
        let settings = self.io.settings();
        if session.running >= settings.max_running_handlers {
            session.held_until = Some(now);
        }
        if let Some(until) = session.held_until {
            session.protocol.not_read_until(until, &settings.engine);
        }
    }
}
