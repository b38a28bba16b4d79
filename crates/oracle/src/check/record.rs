//! The final log holds exactly what was acknowledged and perhaps what is unknown, in order; one
//! position is one event; one idempotency key is one entry.

use std::collections::HashSet;

use eventlog::{Epoch, Position};

use super::Bench;
use crate::story::{Entry, EventRef, With};
use crate::verdict::Check;

pub(super) fn check(bench: &mut Bench<'_>) {
    positions(bench);
    let story = bench.story;
    let mut all_entries = story.log.values().flatten();
    let epoch = all_entries.find_map(|entry| entry.position).map(|position| position.epoch);
    for (room, entries) in &story.log {
        let there = entries_of(bench, room, entries);
        acked(bench, room, &there, epoch);
    }
}

/// One position, one event.
fn positions(bench: &mut Bench<'_>) {
    let story = bench.story;
    for conflict in &story.conflicts {
        let has_key = story.publish(conflict.event).is_some_and(|it| it.has_key);
        let shown = bench.shown(conflict.event);
        let at = conflict.position;
        let (check, detail) = match conflict.with {
            With::Tenant(other) => (
                Check::Position,
                format!("{shown} stands at {at}, where {} is", bench.shown(other)),
            ),
            With::Place(other) if has_key => {
                (Check::Key, format!("{shown} stands at {at}, and at {other} under the same key"))
            }
            With::Place(other) => (Check::Position, format!("{shown} stands at {at} and {other}")),
        };
        bench.find(check, &conflict.who, conflict.at, detail);
    }
}

/// What stands in a room's history, checked entry by entry.
fn entries_of(bench: &mut Bench<'_>, room: &str, entries: &[Entry]) -> HashSet<EventRef> {
    let story = bench.story;
    let reader = format!("history of {room}");
    let mut there = HashSet::new();
    let mut last: Option<Position> = None;
    for entry in entries {
        let Some(publish) = story.publish(entry.event) else { continue };
        let shown = bench.shown(entry.event);
        if !there.insert(entry.event) {
            let check = if publish.has_key { Check::Key } else { Check::Log };
            bench.find(check, &reader, entry.at, format!("{shown} stands there twice"));
        }
        if publish.invoked > entry.at {
            let detail = format!("{shown} stands there, and nobody published it");
            bench.find(Check::Invented, &reader, entry.at, detail);
        } else if publish.is_refused() {
            let detail = format!("{shown} stands there, and was refused");
            bench.find(Check::Invented, &reader, entry.at, detail);
        } else if !publish.rooms.iter().any(|it| it == room) {
            let detail = format!("{shown} stands there, and was for {:?}", publish.rooms);
            bench.find(Check::Leak, &reader, entry.at, detail);
        }
        let ascends = match (last, entry.position) {
            (Some(last), Some(this)) => last.epoch == this.epoch && last.sequence < this.sequence,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if !ascends {
            let last = last.map_or_else(|| "the start".to_owned(), |last| last.to_string());
            bench.find(Check::Log, &reader, entry.at, format!("{shown} stands after {last}"));
        }
        last = entry.position.or(last);
    }
    there
}

/// What was acknowledged is there. What another life of the log acknowledged may be gone: then the
/// clients were told, or the check of losses finds it.
fn acked(bench: &mut Bench<'_>, room: &str, there: &HashSet<EventRef>, epoch: Option<Epoch>) {
    let story = bench.story;
    for (event, publish) in story.publishes.iter().enumerate() {
        let of_other_life = epoch.is_some_and(|epoch| {
            !publish.positions.is_empty() && publish.position_in(epoch).is_none()
        });
        let is_here = publish.rooms.iter().any(|it| it == room);
        if publish.is_acked() && is_here && !of_other_life && !there.contains(&event) {
            let shown = bench.shown(event);
            let reader = format!("history of {room}");
            let detail = format!("{shown} was acknowledged and is not there");
            bench.find(Check::Log, &reader, publish.acked, detail);
        }
    }
}
