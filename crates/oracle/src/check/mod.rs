//! The checks. Each is pure: a story in, findings out.
//!
//! They judge what is certain and leave the rest: whether an event that was published while a
//! client was joining is for it, nobody can say from outside.

mod loss;
mod order;
mod receipts;
mod record;
mod session;

use crate::story::{EventRef, Life, Moment, Publish, Stay, Story};
use crate::trace::Line;
use crate::verdict::{Check, Verdict};

/// How long after it was acknowledged an event may still be on its way to those who are in the
/// room, in nanoseconds. Who asks to join within that time may get it or not.
const BORDER: u64 = 2_000_000_000;

/// Judges a trace.
#[must_use]
pub fn judge(lines: &[Line]) -> Verdict {
    let story = Story::of(lines);
    let mut bench = Bench { story: &story, verdict: Verdict::default() };
    bench.verdict.figures.acked = count(story.publishes.iter().filter(|it| it.is_acked()));
    bench.verdict.figures.clients = count(story.lives.values());
    loss::check(&mut bench);
    receipts::check(&mut bench);
    order::check(&mut bench);
    record::check(&mut bench);
    session::check(&mut bench);
    bench.verdict
}

fn count(items: impl Iterator) -> u64 {
    items.count() as u64
}

/// What a check works with.
struct Bench<'a> {
    story: &'a Story,
    verdict: Verdict,
}

impl Bench<'_> {
    fn find(&mut self, check: Check, who: &str, at: Moment, detail: String) {
        let time = self.story.times.get(at).copied().unwrap_or(0);
        self.verdict.find(check, who, time, detail);
    }

    /// An event for a witness: its id, and its position if there is one.
    fn shown(&self, event: EventRef) -> String {
        let Some(publish) = self.story.publish(event) else { return String::new() };
        match publish.positions.first() {
            Some(position) => format!("{} [{position}]", publish.id),
            None => publish.id.clone(),
        }
    }
}

/// The stays of a client in any of these rooms.
fn stays<'a>(life: &'a Life, rooms: &'a [String]) -> impl Iterator<Item = &'a Stay> {
    rooms.iter().filter_map(|room| life.stays.get(room)).flatten()
}

/// Whether a stay began so long after the event that it cannot have been on its way any more.
fn began_after(story: &Story, stay: &Stay, publish: &Publish) -> bool {
    publish.is_acked() && story.between(publish.acked, stay.asked) > BORDER
}
