#![cfg(test)]
//! The oracle on trial: a simulated server with a seed. While it keeps the promise no alarm is
//! raised; each of ten planted faults is caught by the check that is there for it.

mod server;
mod world;

use std::collections::BTreeMap;

use fanfare_oracle::{Check, Figures, What, judge};
use server::Fault;

#[test]
fn a_hundred_clean_runs_raise_no_alarm() {
    let mut sum = Figures::default();
    let mut unknown = 0;
    for seed in 0..100 {
        let (lines, _) = world::run(seed, None);
        let verdict = judge(&lines);
        assert!(verdict.is_clean(), "seed {seed}: {}", shown(&verdict));
        let figures = verdict.figures;
        unknown += lines.iter().filter(|line| matches!(line.what, What::Unknown { .. })).count();
        sum.acked += figures.acked;
        sum.due += figures.due;
        sum.deliveries += figures.deliveries;
        sum.reconnects += figures.reconnects;
        sum.recovered += figures.recovered;
        sum.pessimistic += figures.pessimistic;
        sum.lost_told += figures.lost_told;
    }
    // The runs were worth judging: nearly all deliveries were certain, clients came back both ways.
    println!("{sum:?}, {unknown} unknown");
    assert!(sum.acked > 30_000 && unknown > 500, "{sum:?}, {unknown} unknown");
    assert!(sum.due * 10 > sum.deliveries * 8, "{sum:?}");
    assert!(sum.recovered > 1_000 && sum.reconnects - sum.recovered > 100, "{sum:?}");
    assert!(sum.lost_told > 1_000 && sum.pessimistic * 10 < sum.reconnects, "{sum:?}");
}

#[test]
fn each_planted_fault_is_caught_by_its_check() {
    for (fault, check) in [
        (Fault::Drop, Check::SilentLoss),
        (Fault::Duplicate, Check::Duplicate),
        (Fault::Swap, Check::Order),
        (Fault::Leak, Check::Leak),
        (Fault::RecoveredAfterTrimming, Check::Honesty),
        (Fault::AckBeforeAppend, Check::Log),
        (Fault::HandOverOffByOne, Check::Honesty),
        (Fault::OffsetReused, Check::Position),
        (Fault::DeliveryAfterLeave, Check::Leak),
        (Fault::WrongPid, Check::Identity),
    ] {
        let (mut by_check, mut strikes) = (BTreeMap::new(), 0);
        for seed in 0..20 {
            let (lines, struck) = world::run(seed, Some(fault));
            let verdict = judge(&lines);
            for (check, count) in &verdict.counts {
                *by_check.entry(*check).or_insert(0) += count;
            }
            strikes += struck;
            assert!(
                struck == 0 || verdict.count(check) > 0,
                "{fault:?} struck {struck} times with seed {seed}, and {check:?} did not see it: {}",
                shown(&verdict)
            );
        }
        assert!(strikes >= 20, "{fault:?} struck {strikes} times");
        println!("{fault:?} struck {strikes} times: {by_check:?}");
    }
}

fn shown(verdict: &fanfare_oracle::Verdict) -> String {
    let witnesses: Vec<_> = verdict.witnesses.iter().map(ToString::to_string).collect();
    format!("{:?}\n{}", verdict.counts, witnesses.join("\n"))
}
