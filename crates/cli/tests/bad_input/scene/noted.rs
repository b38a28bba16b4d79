//! What a client keeps of what it heard, to come back with.

/// The secret of its socket and the last position it was sent.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    pub(super) pid: String,
    pub(super) offset: String,
    /// All secrets so far.
    pub(crate) pids: Vec<String>,
}

/// The shortest text of a position, and the longest.
const POSITION_LENGTHS: std::ops::RangeInclusive<usize> = 13..=23;

impl Noted {
    /// A text from the server.
    pub(super) fn hear(&mut self, text: &str) {
        if let Some((_, rest)) = text.split_once(r#""pid":""#)
            && let Some((pid, _)) = rest.split_once('"')
        {
            pid.clone_into(&mut self.pid);
            self.pids.push(self.pid.clone());
        }
        let last = text.strip_suffix("\"]").and_then(|rest| rest.rsplit_once('"'));
        if let Some((_, last)) = last.filter(|_| text.starts_with("42"))
            && POSITION_LENGTHS.contains(&last.len())
        {
            last.clone_into(&mut self.offset);
        }
    }
}
