//! A run of several steps: each is timed and counted, all are told at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How many cases of a step passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Cases that passed.
    pub(crate) passed: u64,
    /// Cases that failed.
    pub(crate) failed: u64,
}

impl Counts {
    /// A step that is a single case.
    pub(crate) fn one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed) }
    }

    /// Adds the numbers of a line such as `12 passed; 0 failed` or `12 passed, 0 failed`.
    pub(crate) fn add_line(&mut self, line: &str) {
        self.passed += number_before(line, " passed").unwrap_or(0);
        self.failed += number_before(line, " failed").unwrap_or(0);
    }
}

fn number_before(line: &str, word: &str) -> Option<u64> {
    let before = line.split(word).next().filter(|before| before.len() < line.len())?;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The steps done so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
    left_out: Vec<(&'static str, String)>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    counts: Counts,
    took: Duration,
}

impl Report {
    /// Does a step. A step that fails does not keep the later ones from telling what they find.
    pub(crate) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<Counts>) {
        println!("\n── {name}");
        let started = Instant::now();
        let counts = work().unwrap_or_else(|error| {
            eprintln!("{name}: {error:#}");
            Counts::one(false)
        });
        let took = started.elapsed();
        println!("── {name}: {} in {:.1} s", tell(counts), took.as_secs_f64());
        self.steps.push(Step { name, counts, took });
    }

    /// Names a step that cannot be done on this machine, and why.
    pub(crate) fn leave_out(&mut self, name: &'static str, reason: String) {
        self.left_out.push((name, reason));
    }

    /// Prints the table and the sum.
    ///
    /// # Errors
    /// When something failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!();
        let mut sum = Counts::default();
        for Step { name, counts, took } in &self.steps {
            let mark = if counts.failed == 0 { "ok  " } else { "FAIL" };
            println!("{mark} {name:<28} {:>7.1} s   {}", took.as_secs_f64(), tell(*counts));
            sum.passed += counts.passed;
            sum.failed += counts.failed;
        }
        for (name, reason) in &self.left_out {
            println!("left out: {name}. {reason}");
        }
        println!("{}", tell(sum));
        if sum.failed > 0 {
            let failed = self.steps.iter().filter(|step| step.counts.failed > 0);
            let names: Vec<_> = failed.map(|step| step.name).collect();
            bail!("failed: {}", names.join(", "));
        }
        Ok(())
    }
}

fn tell(Counts { passed, failed }: Counts) -> String {
    format!("{passed} passed, {failed} failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_test_runners_are_read() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "test a_failed_case ... ok",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored",
            "conformance: 700 passed, 1 failed in 12.3 s",
            " passed",
        ] {
            counts.add_line(line);
        }
        assert_eq!(counts, Counts { passed: 713, failed: 3 });
    }

    #[test]
    fn a_failed_step_fails_the_run_and_is_named() {
        let mut report = Report::default();
        report.step("first", || bail!("broken"));
        report.step("second", || Ok(Counts::one(true)));
        let error = report.finish().unwrap_err().to_string();
        assert_eq!(error, "failed: first");
    }
}
