//! Nothing invented, no duplicate, no leak: each receipt for itself.

use std::collections::HashSet;

use super::{Bench, began_after, stays};
use crate::story::{Life, Publish, Receipt, Story};
use crate::verdict::Check;

pub(super) fn check(bench: &mut Bench<'_>) {
    let story = bench.story;
    for (name, life) in &story.lives {
        let mut seen = HashSet::new();
        for receipt in &life.receipts {
            let Some(publish) = story.publish(receipt.event) else { continue };
            let mut find = |check, what: &str| {
                let shown = bench.shown(receipt.event);
                bench.find(check, name, receipt.at, format!("got {shown}, {what}"));
            };
            if publish.invoked > receipt.at {
                find(Check::Invented, "which nobody had published");
            } else if publish.is_refused() {
                find(Check::Invented, "which was refused");
            } else if let Some(why) = not_for(story, life, publish, receipt) {
                find(Check::Leak, why);
            }
            if seen.insert(receipt.event) {
                bench.verdict.figures.deliveries += 1;
            } else {
                find(Check::Duplicate, "again");
                bench.verdict.figures.duplicates += 1;
            }
        }
    }
}

/// Why the event was certainly not for the client, if so.
fn not_for(
    story: &Story,
    life: &Life,
    publish: &Publish,
    receipt: &Receipt,
) -> Option<&'static str> {
    let excepted = stays(life, &publish.except).any(|stay| {
        stay.window == receipt.window
            && stay.certain_from < publish.invoked
            && receipt.at < stay.certain_until
    });
    if excepted {
        return Some("though its room was excepted");
    }
    let mut was_member = false;
    for stay in stays(life, &publish.rooms) {
        was_member = true;
        let is_member = stay.window == receipt.window
            && stay.asked < receipt.at
            && receipt.at < stay.possible_until;
        if is_member && !began_after(story, stay, publish) {
            return None;
        }
    }
    Some(if was_member {
        "when it was not in the room any more, or was not yet when it was sent"
    } else {
        "of a room it never was in"
    })
}
