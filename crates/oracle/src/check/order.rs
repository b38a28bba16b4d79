//! One order: any two clients have the events both got in the same order, and it is the log's.

use std::collections::HashSet;

use super::Bench;
use crate::story::{EventRef, Life, Moment};
use crate::verdict::Check;

pub(super) fn check(bench: &mut Bench<'_>) {
    let story = bench.story;
    let mut disordered = HashSet::new();
    let lives: Vec<(&String, Sequence)> = story
        .lives
        .iter()
        .map(|(name, life)| (name, Sequence::of(life, story.publishes.len())))
        .collect();
    for (at, (name, sequence)) in lives.iter().enumerate() {
        for (before, event) in sequence.pairs() {
            if story.stands_after(before.0, event.0) {
                disordered.insert(event.0);
                let (before, after) = (bench.shown(before.0), bench.shown(event.0));
                let detail = format!("got {before} before {after}; the log has them reversed");
                bench.find(Check::Order, name, event.1, detail);
            }
        }
        for (other_name, other) in lives.iter().skip(at + 1) {
            for (before, event) in other.pairs_in(sequence) {
                disordered.insert(event.0);
                let (before, after) = (bench.shown(before.0), bench.shown(event.0));
                let detail = format!("got {before} before {after}; {name} got them reversed");
                bench.find(Check::Order, other_name, event.1, detail);
            }
        }
    }
    bench.verdict.figures.disordered = disordered.len() as u64;
}

/// What a client received, each event once, in its order.
struct Sequence {
    events: Vec<(EventRef, Moment)>,
    /// Where each event stands in it.
    places: Vec<Option<usize>>,
}

impl Sequence {
    fn of(life: &Life, events: usize) -> Self {
        let mut sequence = Self { events: Vec::new(), places: vec![None; events] };
        for receipt in &life.receipts {
            if let Some(place @ None) = sequence.places.get_mut(receipt.event) {
                *place = Some(sequence.events.len());
                sequence.events.push((receipt.event, receipt.at));
            }
        }
        sequence
    }

    /// Neighbours.
    fn pairs(&self) -> impl Iterator<Item = ((EventRef, Moment), (EventRef, Moment))> {
        self.events.iter().copied().zip(self.events.iter().copied().skip(1))
    }

    /// Neighbours among the common events that stand the other way round in `other`.
    fn pairs_in<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = ((EventRef, Moment), (EventRef, Moment))> + 'a {
        let place = |event: EventRef| other.places.get(event).copied().flatten();
        let mut last: Option<(usize, (EventRef, Moment))> = None;
        self.events.iter().filter_map(move |&event| {
            let place = place(event.0)?;
            let before = last.replace((place, event));
            before.filter(|(before, _)| *before > place).map(|(_, before)| (before, event))
        })
    }
}
