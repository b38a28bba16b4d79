//! No silent loss, and honesty: who was in a room gets what was sent there, or is told.

use std::collections::HashSet;

use super::{Bench, began_after, stays};
use crate::story::{EventRef, Life, NEVER, Publish, Stay, Story};
use crate::verdict::Check;

pub(super) fn check(bench: &mut Bench<'_>) {
    let story = bench.story;
    let (mut told, mut silent) = (HashSet::new(), HashSet::new());
    for (name, life) in &story.lives {
        let received: HashSet<EventRef> = life.receipts.iter().map(|it| it.event).collect();
        // In each window but the last one, whether the client missed anything.
        let mut missed = vec![false; life.told.len()];
        for (event, publish) in story.publishes.iter().enumerate() {
            let Some(stay) = due(story, life, event, publish) else { continue };
            bench.verdict.figures.due += 1;
            if received.contains(&event) {
                continue;
            }
            if let Some(missed) = missed.get_mut(stay.window) {
                *missed = true;
                if !heard_later(story, life, event, stay.window) {
                    told.insert(event);
                    bench.verdict.figures.lost_told_deliveries += 1;
                    continue;
                }
            }
            silent.insert(event);
            bench.verdict.figures.lost_silently_deliveries += 1;
            blame(bench, name, life, event);
        }
        let figures = &mut bench.verdict.figures;
        figures.pessimistic += missed.iter().filter(|missed| !**missed).count() as u64;
    }
    bench.verdict.figures.lost_told = told.len() as u64;
    bench.verdict.figures.lost_silently = silent.len() as u64;
}

/// The stay for which the event was certainly meant; nothing when it is not certain.
fn due<'a>(
    story: &Story,
    life: &'a Life,
    event: EventRef,
    publish: &'a Publish,
) -> Option<&'a Stay> {
    // It is recorded if it was acknowledged, or if somebody saw where it stands.
    if publish.is_refused() || (!publish.is_acked() && publish.positions.is_empty()) {
        return None;
    }
    let excepted = stays(life, &publish.except)
        .any(|stay| stay.possible_until > publish.invoked && !began_after(story, stay, publish));
    if excepted {
        return None;
    }
    stays(life, &publish.rooms).find(|stay| {
        let was_there = stay.certain_from < publish.invoked
            && (publish.acked < stay.certain_until || stay.certain_until == NEVER);
        // Recorded is not yet sent: who leaves meanwhile need not get it. Who got what came later
        // must have got it before.
        was_there
            && stay.heard_at_leave.is_none_or(|heard| {
                let last = heard.checked_sub(1).and_then(|last| life.receipts.get(last));
                last.is_some_and(|last| story.precedes(event, last.event))
            })
    })
}

/// Whether the client received something later within the window: then what it was told at the
/// window's end does not speak of this event.
fn heard_later(story: &Story, life: &Life, event: EventRef, window: usize) -> bool {
    let last = life.receipts.iter().rfind(|receipt| receipt.window == window);
    last.is_some_and(|last| story.precedes(event, last.event))
}

/// Says who lost the event: the recovery that should have brought it, or the live connection.
fn blame(bench: &mut Bench<'_>, name: &str, life: &Life, event: EventRef) {
    let story = bench.story;
    let Some(publish) = story.publish(event) else { return };
    let next = life.connections.iter().find(|it| it.at > publish.invoked);
    let gap = next.filter(|next| next.recovered).filter(|next| {
        let last = next.heard.checked_sub(1).and_then(|last| life.receipts.get(last));
        last.is_none_or(|last| !story.precedes(event, last.event))
    });
    let shown = bench.shown(event);
    match gap {
        Some(connection) => bench.find(
            Check::Honesty,
            name,
            connection.at,
            format!("told `recovered: true`, but never got {shown}, published before"),
        ),
        None => bench.find(
            Check::SilentLoss,
            name,
            publish.invoked,
            format!("never got {shown}, and was not told"),
        ),
    }
}
