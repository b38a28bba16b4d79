//! Participants of live polling who vote, and when they see it: each has a screen that is connected, and
//! all see all results.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::order::Faults;
use super::process::Cost;
use super::requests::{Answer, Requests};
use super::swarm::{Sink, Swarm};
use super::{LoadError, Report, Target};

/// Connections that votes are sent over.
const LINES: usize = 200;

/// How long a vote may wait for a connection before the server counts as overrun.
const MAX_LATE: Duration = Duration::from_secs(10);

/// Without news for this long, what is missing is lost.
const STALL: Duration = Duration::from_secs(5);

/// How long one wait may take while nothing is due.
const WAIT: Duration = Duration::from_millis(5);

/// The longest latency that is told apart, in microseconds.
const MAX_LATENCY_US: u64 = 60_000_000;

/// The screen of the presenter.
const PRESENTER: usize = 0;

/// All of a session vote, at a rate, on one poll after the other.
#[derive(Debug, Clone, Deserialize)]
pub struct Votes {
    /// How many participants there are.
    pub participants: usize,
    /// How many votes are sent per second.
    pub per_second: u32,
    /// On how many polls all of them vote.
    pub polls: usize,
    /// The pause between two results, in milliseconds: what the server is set to.
    pub interval_ms: u64,
}

/// What all screens see, of the poll that is voted on.
#[derive(Debug)]
struct Screens {
    now: Instant,
    seats: Vec<Seat>,
    /// From when a vote was due to the results with it on its voter's screen.
    shown: Histogram<u64>,
    /// `vote:accepted` at the presenter's screen.
    told: u64,
    /// Results with fewer votes than those before.
    back: u64,
    deliveries: u64,
}

/// A screen.
#[derive(Debug, Clone, Copy, Default)]
struct Seat {
    /// When its vote was due.
    due: Option<Instant>,
    /// `vote:accepted` of its own.
    accepted: u64,
    /// Whether results with its vote came.
    shown: bool,
    /// The votes of the newest results.
    votes: u64,
}

impl Sink for Screens {
    fn readable(&mut self) {
        self.now = Instant::now();
    }

    fn packet(&mut self, link: usize, packet: &[u8], _reply: &mut Vec<u8>) {
        let Some(seat) = self.seats.get_mut(link) else { return };
        match kind(packet) {
            Some(b"vote:accepted") if link == PRESENTER => self.told += 1,
            Some(b"vote:accepted") => seat.accepted += 1,
            Some(b"results:updated") => {
                self.deliveries += 1;
                let votes = total(packet).unwrap_or_default();
                self.back += u64::from(votes < seat.votes);
                seat.votes = votes;
                // Results behind the word that a vote was taken have that vote.
                if let Some(due) = seat.due.filter(|_| seat.accepted > 0 && !seat.shown) {
                    seat.shown = true;
                    record(&mut self.shown, self.now.saturating_duration_since(due));
                }
            }
            _ => {}
        }
    }
}

/// The type of an event in its envelope.
fn kind(packet: &[u8]) -> Option<&[u8]> {
    const MARKER: &[u8] = b"\"eventType\":\"";
    let begin = memmem::find(packet, MARKER)? + MARKER.len();
    let rest = packet.get(begin..)?;
    rest.split(|byte| *byte == b'"').next()
}

/// The votes of results: the last number of that name, behind those of the options.
fn total(packet: &[u8]) -> Option<u64> {
    const MARKER: &[u8] = b"\"votes\":";
    let begin = memmem::rfind(packet, MARKER)? + MARKER.len();
    let digits = packet.get(begin..)?.iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |sum, digit| sum * 10 + u64::from(digit & 0x0f)))
}

fn record(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
}

fn histogram() -> Result<Histogram<u64>, LoadError> {
    Histogram::new_with_bounds(1, MAX_LATENCY_US, 3).map_err(|_| LoadError::Histogram)
}

/// A text in an answer.
fn text(value: &Value, field: &str) -> Result<String, LoadError> {
    let text = value.get(field).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| LoadError::Refused { answer: value.to_string() })
}

/// A session, and what its people hold.
struct Room {
    requests: Requests,
    swarm: Swarm,
    screens: Screens,
    session: String,
    presenter: String,
    tokens: Vec<String>,
    /// From when a vote was due to its answer.
    answered: Histogram<u64>,
    accepted: u64,
    faults: Vec<String>,
}

impl Votes {
    /// Runs the scenario: how late answers and results came. A vote that does not count once is a
    /// fault.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, falls behind the rate, or its process cannot be read.
    pub fn run(&self, target: &Target) -> Result<Report, LoadError> {
        let mut room = self.gather(target)?;
        let before = Cost::now(target.pid)?;
        for _ in 0..self.polls {
            self.poll(&mut room)?;
        }
        let spent = Cost::now(target.pid)?.since(&before);
        let mut report = Report::new(Faults::default(), room.swarm.closed());
        report.faults.append(&mut room.faults);
        spent.report(&mut report, room.accepted, "vote");
        report.metric("votes", room.accepted as f64);
        report.metric("result_deliveries", room.screens.deliveries as f64);
        for (what, histogram) in [("answer", &room.answered), ("results", &room.screens.shown)] {
            for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
                let ms = histogram.value_at_quantile(quantile) as f64 / 1_000.0;
                report.metric(&format!("{what}_{name}_ms"), ms);
                if what == "results" {
                    let behind = ms - self.interval_ms as f64;
                    report.metric(&format!("results_behind_interval_{name}_ms"), behind);
                }
            }
        }
        Ok(report)
    }

    /// A started session, its participants, and a screen for each.
    fn gather(&self, target: &Target) -> Result<Room, LoadError> {
        let mut requests = Requests::new(target, LINES)?;
        let title = json!({ "title": "All hands" }).to_string();
        let opened = requests.ask(("POST", "/sessions"), "", &title)?;
        let [session, code, presenter] =
            [text(&opened, "id")?, text(&opened, "code")?, text(&opened, "presenterToken")?];
        requests.ask(("POST", &format!("/sessions/{session}/start")), &presenter, "")?;
        let joins = (0..self.participants).map(|number| {
            json!({ "code": code, "displayName": format!("Participant {number}") }).to_string()
        });
        let joined = requests.ask_all(("POST", "/sessions/join"), &joins.collect::<Vec<_>>())?;
        let tokens = joined.iter().map(|it| text(it, "token")).collect::<Result<Vec<_>, _>>()?;
        let mut swarm = Swarm::new()?;
        let screens = Screens {
            now: Instant::now(),
            seats: vec![Seat::default(); self.participants + 1],
            shown: histogram()?,
            told: 0,
            back: 0,
            deliveries: 0,
        };
        let screen = |token: &str| format!("/livepoll,{{\"token\":\"{token}\"}}");
        swarm.connect_as(target, &screen(&presenter))?;
        for token in &tokens {
            swarm.connect_as(target, &screen(token))?;
        }
        let (answered, accepted, faults) = (histogram()?, 0, Vec::new());
        Ok(Room {
            requests,
            swarm,
            screens,
            session,
            presenter,
            tokens,
            answered,
            accepted,
            faults,
        })
    }

    /// All vote on one poll.
    fn poll(&self, room: &mut Room) -> Result<(), LoadError> {
        let draft = json!({
            "question": "Which one?", "kind": "single_choice", "options": ["A", "B", "C", "D"],
        });
        let path = format!("/sessions/{}/polls", room.session);
        let made = room.requests.ask(("POST", &path), &room.presenter, &draft.to_string())?;
        let id = text(&made, "id")?;
        room.requests.ask(("POST", &format!("/polls/{id}/activate")), &room.presenter, "")?;
        // What came before is not this poll's.
        let calm = Instant::now() + Duration::from_millis(self.interval_ms * 3);
        while Instant::now() < calm {
            room.swarm.pump(&mut room.screens, WAIT)?;
        }
        room.screens.seats.fill(Seat::default());
        room.screens.told = 0;

        let statuses = self.vote(room, &format!("/polls/{id}/votes"))?;
        self.wait_for_results(room, statuses)?;
        let path = format!("/polls/{id}/results");
        let results = room.requests.ask(("GET", &path), &room.presenter, "")?;
        self.judge(room, statuses, &results);
        room.requests.ask(("POST", &format!("/polls/{id}/close")), &room.presenter, "")?;
        room.accepted += statuses;
        Ok(())
    }

    /// Sends all votes when they are due, and waits for the answers: how many were accepted.
    fn vote(&self, room: &mut Room, path: &str) -> Result<u64, LoadError> {
        room.requests.refresh()?;
        let every = Duration::from_secs(1) / self.per_second.max(1);
        let begin = Instant::now();
        let due = |number: usize| begin + every * u32::try_from(number).unwrap_or(u32::MAX);
        let (mut sent, mut back, mut accepted) = (0, 0, 0);
        let mut last = Instant::now();
        while back < self.participants {
            let now = Instant::now();
            while sent < self.participants && due(sent) <= now {
                let body = format!("{{\"optionIds\":[\"opt_{}\"]}}", sent % 4 + 1);
                let token = room.tokens.get(sent).map(String::as_str).unwrap_or_default();
                if !room.requests.send(sent, ("POST", path), token, &body)? {
                    break;
                }
                if let Some(seat) = room.screens.seats.get_mut(sent + 1) {
                    seat.due = Some(due(sent));
                }
                sent += 1;
            }
            let late = now.saturating_duration_since(due(sent)) > MAX_LATE;
            if sent < self.participants && late {
                return Err(LoadError::Overrun);
            }
            let (answered, faults) = (&mut room.answered, &mut room.faults);
            room.requests.pump(Duration::ZERO, |Answer { tag, status, body }| {
                back += 1;
                last = Instant::now();
                record(answered, last.saturating_duration_since(due(tag)));
                if status == 201 {
                    accepted += 1;
                } else {
                    let body = String::from_utf8_lossy(&body);
                    faults.push(format!("a vote was refused: {status} {body}"));
                }
            })?;
            room.swarm.pump(&mut room.screens, Duration::ZERO)?;
            if sent == self.participants && last.elapsed() > STALL {
                return Err(LoadError::NoAnswer { awaited: "the answers to all votes" });
            }
        }
        Ok(accepted)
    }

    /// Until all screens show all votes, or nothing more comes.
    fn wait_for_results(&self, room: &mut Room, votes: u64) -> Result<(), LoadError> {
        let (mut since, mut deliveries) = (Instant::now(), 0);
        loop {
            let screens = &room.screens;
            let complete = screens.seats.iter().all(|seat| seat.votes == votes);
            if complete && screens.told >= votes {
                break;
            }
            if screens.deliveries != deliveries {
                (since, deliveries) = (Instant::now(), screens.deliveries);
            }
            if since.elapsed() > STALL {
                break;
            }
            room.swarm.pump(&mut room.screens, WAIT)?;
        }
        Ok(())
    }

    fn judge(&self, room: &mut Room, accepted: u64, results: &Value) {
        let number = |value: &Value| value.get("votes").and_then(Value::as_u64).unwrap_or_default();
        let options = results.get("options").and_then(Value::as_array);
        let sum: u64 = options.map(|all| all.iter().map(number).sum()).unwrap_or_default();
        let screens = &mut room.screens;
        let participants = screens.seats.get(1..).unwrap_or_default();
        let behind = screens.seats.iter().filter(|seat| seat.votes != accepted).count();
        let untold = participants.iter().filter(|seat| seat.accepted != 1).count();
        let unseen = participants.iter().filter(|seat| !seat.shown).count();
        for (wrong, what) in [
            (
                number(results) != accepted,
                format!("{accepted} accepted, {} counted", number(results)),
            ),
            (sum != accepted, format!("{accepted} accepted, {sum} in the options")),
            (screens.told != accepted, format!("{accepted} accepted, {} told", screens.told)),
            (untold > 0, format!("{untold} voters were not told once that their vote was taken")),
            (unseen > 0, format!("{unseen} voters never saw results with their vote")),
            (behind > 0, format!("{behind} screens do not show the last results")),
            (screens.back > 0, format!("results went back {} times", screens.back)),
        ] {
            if wrong {
                room.faults.push(what);
            }
        }
        screens.back = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart_and_results_are_read() {
        let results = br#"42/livepoll,["event",{"eventId":"evt_1","eventType":"results:updated","timestamp":"t","sessionId":"s","payload":{"pollId":"p","results":{"kind":"single_choice","options":[{"id":"opt_1","label":"A","votes":7}],"pollId":"p","state":"active","votes":12}}},"offset"]"#;
        assert_eq!((kind(results), total(results)), (Some(&b"results:updated"[..]), Some(12)));
        assert_eq!((kind(b"42[]"), total(b"42[]")), (None, None));
    }
}
