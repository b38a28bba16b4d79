//! How long a connection may take for what it is at.

use super::settings::ServerSettings;
use super::watch::{Notes, Phase};
use std::time::Duration;
use tokio::time::Instant;

/// What must pass within the stall deadline: little enough for the worst phone network, too much
/// for a client that takes a byte now and then in order to hold a place.
const MIN_PROGRESS_BYTES: u64 = 4 * 1024;

/// How long what a client still sends is thrown away after the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// How long a connection stays open for a request that is already on its way when the server ends.
const LAST_CALL: Duration = Duration::from_millis(100);

/// Why a connection is ended by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing was ever sent.
    Silent,
    /// A head that does not end.
    Head,
    /// A body that does not come on.
    Body,
    /// An answer that is not read.
    Answer,
    /// No further request.
    Idle,
    /// Everything is said; the client does not close.
    Linger,
}

impl Overdue {
    /// The name in the counters, unless it is an ordinary end.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Overdue::Silent => Some("silent_connection"),
            Overdue::Head => Some("header_deadline"),
            Overdue::Body => Some("slow_body"),
            Overdue::Answer => Some("slow_reader"),
            Overdue::Idle | Overdue::Linger => None,
        }
    }

    /// Whether unsent bytes are given up.
    pub(super) fn is_stall(self) -> bool {
        matches!(self, Overdue::Body | Overdue::Answer)
    }
}

/// The deadlines of one connection.
#[derive(Debug)]
pub(super) struct Clock {
    deadlines: Deadlines,
    changes: u32,
    since: Instant,
    /// When a connection without a request is closed because the server ends.
    last_call: Option<Instant>,
    body: Option<Stretch>,
    answer: Option<Stretch>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    header: Duration,
    idle: Duration,
    stall: Duration,
}

/// A stretch of waiting for the client, and where it began.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    since: Instant,
    from: u64,
}

impl Deadlines {
    pub(super) fn new(settings: &ServerSettings) -> Deadlines {
        Deadlines {
            header: settings.header_deadline,
            idle: settings.idle_deadline,
            stall: settings.stall_deadline,
        }
    }
}

impl Clock {
    pub(super) fn new(deadlines: Deadlines, now: Instant) -> Clock {
        Clock { deadlines, changes: 0, since: now, last_call: None, body: None, answer: None }
    }

    /// The server ends.
    pub(super) fn call_last(&mut self, now: Instant) {
        self.last_call = Some(now + LAST_CALL);
    }

    /// The next moment to look again, if there is one, or what is overdue now.
    pub(super) fn look(&mut self, notes: Notes, now: Instant) -> Result<Option<Instant>, Overdue> {
        if notes.changes != self.changes {
            self.changes = notes.changes;
            self.since = now;
        }
        let phase = match notes.phase {
            Phase::Head => {
                let overdue = if notes.read == 0 { Overdue::Silent } else { Overdue::Head };
                Some((self.deadlines.header, overdue))
            }
            Phase::Answer => None,
            Phase::Idle => Some((self.deadlines.idle, Overdue::Idle)),
            Phase::Linger => Some((LINGER, Overdue::Linger)),
        };
        let mut next = None;
        if let Some((deadline, overdue)) = phase {
            next = Some(due(self.since + deadline, overdue, now)?);
        }
        if let Some(at) = self.last_call.filter(|_| notes.is_without_request()) {
            let at = due(at, Overdue::Idle, now)?;
            next = Some(next.map_or(at, |next: Instant| next.min(at)));
        }
        let stall = self.deadlines.stall;
        let body = judge(&mut self.body, notes.body_awaited.then_some(notes.read), stall, now);
        let answer = judge(&mut self.answer, notes.blocked.then_some(notes.written), stall, now);
        for (at, overdue) in [(body, Overdue::Body), (answer, Overdue::Answer)] {
            if let Some(at) = at {
                let at = due(at, overdue, now)?;
                next = Some(next.map_or(at, |next: Instant| next.min(at)));
            }
        }
        Ok(next)
    }
}

fn due(at: Instant, overdue: Overdue, now: Instant) -> Result<Instant, Overdue> {
    if at <= now { Err(overdue) } else { Ok(at) }
}

/// When a stretch of waiting ends; a new one begins if enough has passed in it.
fn judge(
    stretch: &mut Option<Stretch>,
    waiting_at: Option<u64>,
    stall: Duration,
    now: Instant,
) -> Option<Instant> {
    let Some(position) = waiting_at else {
        *stretch = None;
        return None;
    };
    let fresh = Stretch { since: now, from: position };
    let current = stretch.get_or_insert(fresh);
    if position - current.from >= MIN_PROGRESS_BYTES {
        *current = fresh;
    }
    Some(current.since + stall)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: Notes = Notes {
        phase: Phase::Head,
        changes: 0,
        read: 0,
        written: 0,
        blocked: false,
        body_awaited: false,
    };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn clock(start: Instant) -> Clock {
        Clock::new(Deadlines::new(&ServerSettings::default()), start)
    }

    /// What is overdue when nothing changes, and when.
    #[test]
    fn deadlines_of_phases() {
        #[track_caller]
        fn check(notes: Notes, expected: Option<(u64, Overdue)>) {
            let start = Instant::now();
            let mut clock = clock(start);
            let next = clock.look(notes, start);
            assert_eq!(next, Ok(expected.map(|(after, _)| at(start, after))));
            let Some((after, overdue)) = expected else { return };
            assert_eq!(clock.look(notes, at(start, after - 1)), next);
            assert_eq!(clock.look(notes, at(start, after)), Err(overdue));
        }
        check(NOTES, Some((10, Overdue::Silent)));
        check(Notes { read: 1, ..NOTES }, Some((10, Overdue::Head)));
        check(Notes { phase: Phase::Idle, ..NOTES }, Some((75, Overdue::Idle)));
        check(Notes { phase: Phase::Linger, ..NOTES }, Some((2, Overdue::Linger)));
        let answer = Notes { phase: Phase::Answer, ..NOTES };
        check(answer, None);
        check(Notes { blocked: true, ..answer }, Some((30, Overdue::Answer)));
        check(Notes { body_awaited: true, ..answer }, Some((30, Overdue::Body)));
        check(Notes { phase: Phase::Idle, blocked: true, ..NOTES }, Some((30, Overdue::Answer)));
    }

    /// A phase that was left and entered again begins anew.
    #[test]
    fn going_round_begins_anew() {
        let start = Instant::now();
        let mut clock = clock(start);
        let idle = Notes { phase: Phase::Idle, changes: 3, ..NOTES };
        assert_eq!(clock.look(idle, start), Ok(Some(at(start, 75))));
        let later = Notes { changes: 6, ..idle };
        assert_eq!(clock.look(later, at(start, 70)), Ok(Some(at(start, 145))));
    }

    /// When the server ends, a request that was begun keeps its deadlines; without one there is a
    /// moment left.
    #[test]
    fn last_call() {
        let start = Instant::now();
        let look = |notes| {
            let mut clock = clock(start);
            clock.call_last(start);
            (clock.look(notes, start), clock.look(notes, start + LAST_CALL))
        };
        let soon = (Ok(Some(start + LAST_CALL)), Err(Overdue::Idle));
        assert_eq!(look(NOTES), soon);
        assert_eq!(look(Notes { phase: Phase::Idle, ..NOTES }), soon);
        assert_eq!(look(Notes { read: 1, ..NOTES }).1, Ok(Some(at(start, 10))));
        assert_eq!(look(Notes { phase: Phase::Answer, ..NOTES }).1, Ok(None));
    }

    /// A client that takes a byte a second is cut, one that takes 4 KiB in time is not.
    #[test]
    fn progress_is_measured() {
        let start = Instant::now();
        let blocked = |written| Notes { phase: Phase::Answer, blocked: true, written, ..NOTES };
        let mut trickle = clock(start);
        for second in 0..30 {
            assert_eq!(trickle.look(blocked(second), at(start, second)), Ok(Some(at(start, 30))));
        }
        assert_eq!(trickle.look(blocked(30), at(start, 30)), Err(Overdue::Answer));

        let mut slow = clock(start);
        for step in 0..10 {
            let now = at(start, step * 29);
            let next = slow.look(blocked(step * MIN_PROGRESS_BYTES), now);
            assert_eq!(next, Ok(Some(now + Duration::from_secs(30))));
        }
        // Whoever has taken everything is not waited for.
        let done = Notes { blocked: false, ..blocked(0) };
        assert_eq!(slow.look(done, at(start, 1_000)), Ok(None));
    }
}
