//! `fanfare log info`.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eventlog::{Overview, Position, SqliteView};
use serde_json::json;

use super::{of, span};
use crate::print;

/// Says how the log stands, without reading more of it than its ends.
///
/// # Errors
///
/// When there is no log or it cannot be read.
pub(super) fn run(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let view = SqliteView::open(path).map_err(of(path))?;
    let overview = view.overview().map_err(|fault| super::unreadable(path, &fault))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = if json { as_json(path, &overview, now) } else { as_text(path, &overview, now) };
    print(&text).map(|()| ExitCode::SUCCESS)
}

fn as_text(path: &Path, overview: &Overview, now: Duration) -> String {
    let Overview { epoch, entries, sessions, keys, .. } = overview;
    let position = |sequence| Position { epoch: *epoch, sequence };
    let when = |time_ms: Option<u64>| match time_ms {
        Some(time_ms) => {
            let age = Duration::from_secs(age(now, time_ms).as_secs());
            let time = services::time::json(time_ms);
            let time = time.as_str().map_or_else(|| format!("{time} ms"), str::to_owned);
            format!("{time} ({} ago)", humantime::format_duration(age))
        }
        None => "nothing yet".to_owned(),
    };
    format!(
        "event log  {}\n  \
         epoch      {epoch}\n  \
         entries    {entries}{}, {}\n  \
         oldest     {}, {}\n  \
         newest     {}, {}\n  \
         sessions   {sessions}\n  \
         keys       {keys}\n  \
         on disk    {}\n  \
         open       {}\n",
        path.display(),
        span(overview.first, overview.head),
        size(overview.bytes),
        position(overview.first),
        when(overview.oldest_ms),
        position(overview.head),
        when(overview.newest_ms),
        size(overview.file_bytes),
        if overview.is_open { "in a running server" } else { "no" },
    )
}

fn as_json(path: &Path, overview: &Overview, now: Duration) -> String {
    let position = |sequence| Position { epoch: overview.epoch, sequence }.to_string();
    let age = overview.oldest_ms.map(|time_ms| age(now, time_ms).as_millis());
    let overview = json!({
        "file": path.display().to_string(),
        "epoch": overview.epoch.to_string(),
        "first": overview.first,
        "head": overview.head,
        "first_position": position(overview.first),
        "head_position": position(overview.head),
        "entries": overview.entries,
        "bytes": overview.bytes,
        "oldest": overview.oldest_ms.map(services::time::json),
        "oldest_age_ms": age.and_then(|age| u64::try_from(age).ok()),
        "newest": overview.newest_ms.map(services::time::json),
        "sessions": overview.sessions,
        "keys": overview.keys,
        "file_bytes": overview.file_bytes,
        "open": overview.is_open,
    });
    format!("{overview:#}\n")
}

/// How long ago; nothing for a time that is still to come.
fn age(now: Duration, time_ms: u64) -> Duration {
    now.saturating_sub(Duration::from_millis(time_ms))
}

/// A number of bytes with three digits or so.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match UNITS.iter().find(|(_, factor)| bytes >= *factor) {
        Some((unit, factor)) => {
            format!("{}.{} {unit}", bytes / factor, bytes % factor * 10 / factor)
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use eventlog::Epoch;

    use super::*;

    #[test]
    fn an_overview_is_read_at_a_glance() {
        let overview = Overview {
            epoch: Epoch(7),
            first: 41,
            head: 100,
            entries: 60,
            bytes: 12_345,
            sessions: 5,
            keys: 9,
            oldest_ms: Some(1_000),
            newest_ms: Some(3_000),
            file_bytes: 1_050_000_000,
            is_open: true,
        };
        let text = as_text(Path::new("/data/events.db"), &overview, Duration::from_millis(91_500));
        assert_eq!(
            text,
            "event log  /data/events.db\n  \
             epoch      AAAAAAAAAAH\n  \
             entries    60 (41 to 100), 12.3 kB\n  \
             oldest     AAAAAAAAAAH.p, 1970-01-01T00:00:01.000Z (1m 30s ago)\n  \
             newest     AAAAAAAAAAH.Bk, 1970-01-01T00:00:03.000Z (1m 28s ago)\n  \
             sessions   5\n  \
             keys       9\n  \
             on disk    1.0 GB\n  \
             open       in a running server\n"
        );
    }
}
