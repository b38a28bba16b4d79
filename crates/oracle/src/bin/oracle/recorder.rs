//! The trace while it is being written, and what can be seen from it at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use fanfare_oracle::trace::MAX_LINES;
use fanfare_oracle::{Line, What, now};

/// What the ids of fences begin with: events that everybody must receive in the end.
pub(crate) const FENCE: &str = "fence-";

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Everybody writes here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    lines: Vec<Line>,
    clients: BTreeMap<String, Seen>,
    /// How many publishes were refused or not answered.
    refused: u64,
    is_full: bool,
}

/// What is known of a client.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) is_connected: bool,
    pub(crate) disconnects: u64,
    /// When it last lost its connection.
    pub(crate) left_at: Option<u64>,
    /// The number of the last fence it has got.
    pub(crate) last_fence: Option<u64>,
    /// Questions that were not answered on this connection, the last one of each room.
    asked: BTreeMap<String, u64>,
}

impl Seen {
    /// Connected, and in all rooms it asked for.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_connected && self.asked.is_empty()
    }
}

impl Recorder {
    fn record(&self) -> MutexGuard<'_, Record> {
        // A panic of another holder leaves a record that is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what happens now.
    pub(crate) fn write(&self, who: &str, what: What) {
        let mut record = self.record();
        // Under the lock, so that one actor's lines carry ascending times.
        let line = Line { at: now(), who: who.to_owned(), what };
        record.push(line);
    }

    /// Takes a line that another process wrote.
    pub(crate) fn push(&self, line: Line) {
        self.record().push(line);
    }

    /// How many publishes were refused so far, or not answered.
    pub(crate) fn refused(&self) -> u64 {
        self.record().refused
    }

    /// What is known of the clients.
    pub(crate) fn clients(&self) -> BTreeMap<String, Seen> {
        self.record().clients.clone()
    }

    /// Waits until something holds for every client.
    ///
    /// # Errors
    /// When it does not within the time; the error names those who lack it.
    pub(crate) async fn all(
        &self,
        what: &str,
        patience: Duration,
        holds: impl Fn(&str, &Seen) -> bool,
    ) -> Result<()> {
        let begin = Instant::now();
        loop {
            let clients = self.clients();
            let lacking: Vec<&str> = clients
                .iter()
                .filter(|(name, it)| !holds(name, it))
                .map(|(name, _)| name.as_str())
                .collect();
            if lacking.is_empty() {
                return Ok(());
            }
            if begin.elapsed() > patience {
                bail!("not {what} within {patience:?}: {}", lacking.join(", "));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Names a client before it says anything, so that it is waited for.
    pub(crate) fn expect(&self, client: &str) {
        self.record().clients.entry(client.to_owned()).or_default();
    }

    /// The trace.
    ///
    /// # Errors
    /// When it was too long to be kept.
    pub(crate) fn lines(&self) -> Result<Vec<Line>> {
        let mut record = self.record();
        ensure!(!record.is_full, "the run has more than {MAX_LINES} lines: make it shorter");
        Ok(std::mem::take(&mut record.lines))
    }
}

impl Record {
    fn push(&mut self, line: Line) {
        if self.lines.len() == MAX_LINES {
            self.is_full = true;
            return;
        }
        self.note(&line);
        self.lines.push(line);
    }

    fn note(&mut self, line: &Line) {
        if matches!(line.what, What::Failed { .. } | What::Unknown { .. }) {
            self.refused += 1;
        }
        let Some(seen) = self.clients.get_mut(&line.who) else { return };
        match &line.what {
            What::Connect { .. } => {
                seen.is_connected = true;
                seen.asked.clear();
            }
            What::Disconnect { .. } => {
                seen.is_connected = false;
                seen.disconnects += 1;
                seen.left_at = Some(line.at);
            }
            What::Join { call, room } | What::Leave { call, room } => {
                seen.asked.insert(room.clone(), *call);
            }
            What::Done { call } => seen.asked.retain(|_, asked| asked != call),
            What::Receive { id, .. } => {
                let number = id.strip_prefix(FENCE).and_then(|number| number.parse().ok());
                seen.last_fence = seen.last_fence.max(number);
            }
            _ => {}
        }
    }
}
