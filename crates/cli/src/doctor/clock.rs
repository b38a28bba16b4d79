//! Whether the clock of this machine can be believed: tokens and the age of events are judged by it.

use std::time::{Duration, Instant, SystemTime};

use super::report::Report;

/// What this is called in the report.
const CHECK: &str = "clock";

/// No clock that goes right is before this: 2026-01-01.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

/// Further away than this from another machine's clock one of both is not set by the network. The other's
/// is told in whole seconds.
const TOLERATED: Duration = Duration::from_secs(2);

/// More than this within a second, and the clock is being set by hand or by a broken service.
const STEP: Duration = Duration::from_millis(500);

/// The clock while other things are looked at.
#[derive(Debug)]
pub(super) struct Clock {
    began: (Instant, SystemTime),
    /// How far another machine's clock is away, and whether it is ahead.
    other: Option<(Duration, bool)>,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: (Instant::now(), SystemTime::now()), other: None }
    }

    /// Takes the `Date` of an answer that came just now.
    pub(super) fn compare(&mut self, date: &str) {
        let Ok(theirs) = httpdate::parse_http_date(date) else { return };
        let ours = SystemTime::now();
        self.other = Some(match theirs.duration_since(ours) {
            Ok(ahead) => (ahead, true),
            Err(behind) => (behind.duration(), false),
        });
    }

    pub(super) fn finish(self, report: &mut Report) {
        let (began, wall) = self.began;
        let now = SystemTime::now();
        let passed = began.elapsed();
        let moved = now.duration_since(wall).unwrap_or_default();
        let is_early = now.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|it| it < EARLIEST);
        let remedy = "let a time service set it (systemd-timesyncd, chrony)";
        if is_early {
            return report.fail(CHECK, "it is set to a time before this program was made", remedy);
        }
        if passed.abs_diff(moved) > STEP {
            let jump = passed.abs_diff(moved).as_millis();
            return report.warn(CHECK, format!("it jumped by {jump} ms just now"), remedy);
        }
        match self.other {
            None => report.ok(CHECK, "plausible; compared with nobody (--url does)"),
            Some((away, _)) if away <= TOLERATED => {
                report.ok(CHECK, "agrees with the public address");
            }
            Some((away, is_ahead)) => {
                let direction = if is_ahead { "behind" } else { "ahead of" };
                let found =
                    format!("{} s {direction} the clock of the public address", away.as_secs());
                let leeway = services::LEEWAY;
                if away > leeway {
                    let why = format!("{found}: tokens are taken for expired, or not valid yet");
                    report.fail(CHECK, why, remedy);
                } else {
                    report.warn(CHECK, found, remedy);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn a_clock_is_compared_with_another() {
        for (away, is_ahead, verdict, part) in [
            (0, true, Verdict::Ok, "agrees"),
            (1, false, Verdict::Ok, "agrees"),
            (8, true, Verdict::Warn, "s behind the clock"),
            (8, false, Verdict::Warn, "s ahead of the clock"),
            (86_400, true, Verdict::Fail, "tokens"),
        ] {
            let mut clock = Clock::start();
            let away = Duration::from_secs(away);
            let now = SystemTime::now();
            let theirs = if is_ahead { now + away } else { now - away };
            clock.compare(&httpdate::fmt_http_date(theirs));
            let mut report = Report::default();
            clock.finish(&mut report);
            let finding = &report.0[0];
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.found.contains(part), "{finding:?}");
        }
    }

    #[test]
    fn a_clock_that_jumps_is_told() {
        let mut clock = Clock::start();
        clock.began.1 -= Duration::from_secs(60);
        let mut report = Report::default();
        clock.finish(&mut report);
        assert!(report.0[0].found.contains("it jumped by "), "{report:?}");
    }
}
