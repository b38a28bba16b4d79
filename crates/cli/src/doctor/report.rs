//! What was found, and how it is told.

use std::fmt::Write as _;

use serde::Serialize;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It was not looked at.
    Skipped,
    /// It works, and should be looked at.
    Warn,
    /// It does not work, or will not when it matters.
    Fail,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) check: &'static str,
    /// What there is.
    pub(super) found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Debug, Default)]
pub(super) struct Report(pub(super) Vec<Finding>);

impl Report {
    pub(super) fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Finding { verdict: Verdict::Ok, check, found: found.into(), remedy: None });
    }

    pub(super) fn skipped(
        &mut self,
        check: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(Verdict::Skipped, check, found, remedy);
    }

    pub(super) fn warn(
        &mut self,
        check: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(Verdict::Warn, check, found, remedy);
    }

    pub(super) fn fail(
        &mut self,
        check: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(Verdict::Fail, check, found, remedy);
    }

    fn add(
        &mut self,
        verdict: Verdict,
        check: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (found, remedy) = (found.into(), Some(remedy.into()));
        self.0.push(Finding { verdict, check, found, remedy });
    }

    /// Whether something does not work.
    pub(super) fn is_wrong(&self) -> bool {
        self.count(Verdict::Fail) > 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// A line for each finding, and one with what to do.
    pub(super) fn as_text(&self) -> String {
        let width = self.0.iter().map(|it| it.check.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { verdict, check, found, remedy } in &self.0 {
            let _ = writeln!(text, "{:4}  {check:width$}  {found}", verdict.word());
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "{:4}  {:width$}  do this: {remedy}", "", "");
            }
        }
        let (wrong, look) = (self.count(Verdict::Fail), self.count(Verdict::Warn));
        let _ =
            writeln!(text, "\n{wrong} wrong, {look} to look at, {} fine", self.count(Verdict::Ok));
        text
    }

    pub(super) fn as_json(&self) -> serde_json::Value {
        serde_json::json!({ "wrong": self.is_wrong(), "findings": self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_at_a_glance() {
        let mut report = Report::default();
        report.ok("files", "enough");
        assert!(!report.is_wrong());
        report.warn("clock", "3 s behind", "use NTP");
        assert!(!report.is_wrong());
        report.fail("port", "taken", "take another");
        assert!(report.is_wrong());
        assert_eq!(
            report.as_text(),
            "ok    files  enough\n\
             warn  clock  3 s behind\n             do this: use NTP\n\
             fail  port   taken\n             do this: take another\n\n\
             1 wrong, 1 to look at, 1 fine\n"
        );
        assert_eq!(report.as_json()["findings"][2]["remedy"], "take another");
    }
}
