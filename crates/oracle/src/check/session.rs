//! Each client for itself: its session stays its own, its acks come once, it comes back.

use super::Bench;
use crate::story::{Life, Moment, NEVER};
use crate::verdict::Check;

pub(super) fn check(bench: &mut Bench<'_>) {
    let story = bench.story;
    for (name, life) in &story.lives {
        let reconnects = life.connections.iter().skip(1);
        bench.verdict.figures.reconnects += reconnects.clone().count() as u64;
        bench.verdict.figures.recovered += reconnects.filter(|it| it.recovered).count() as u64;
        identity(bench, name, life);
        for (at, call) in &life.stray_acks {
            let detail = format!("call {call} was answered twice, or never asked");
            bench.find(Check::Acks, name, *at, detail);
        }
        for (at, detail) in &life.breaches {
            bench.find(Check::Protocol, name, *at, detail.clone());
        }
    }
    if let Some(healed) = story.healed {
        everybody_back(bench, healed);
    }
}

fn identity(bench: &mut Bench<'_>, name: &str, life: &Life) {
    for (before, after) in life.connections.iter().zip(life.connections.iter().skip(1)) {
        if after.recovered && before.id != after.id {
            let detail = format!("was {} and came back as {}", before.id, after.id);
            bench.find(Check::Identity, name, after.at, detail);
        }
    }
}

fn everybody_back(bench: &mut Bench<'_>, healed: Moment) {
    let story = bench.story;
    for (name, life) in &story.lives {
        if !life.is_connected {
            bench.find(Check::Back, name, healed, "did not come back".to_owned());
        }
        for (room, stays) in &life.stays {
            let open = stays.last().filter(|stay| stay.possible_until == NEVER);
            if open.is_some_and(|stay| stay.certain_from == NEVER && stay.certain_until == NEVER) {
                let detail = format!("asked to join {room} and was never answered");
                bench.find(Check::Back, name, healed, detail);
            }
        }
    }
    let publishes = || story.publishes.iter().filter(|it| it.invoked != NEVER);
    let resumed = publishes().any(|it| it.acked != NEVER && it.acked > healed);
    if !resumed && publishes().next().is_some() {
        let detail = "nothing that was published then was acknowledged".to_owned();
        bench.find(Check::Back, "publishers", healed, detail);
    }
}
