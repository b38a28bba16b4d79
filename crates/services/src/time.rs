//! Times as they are told: ISO 8601 in UTC, with milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// The first millisecond that ISO 8601 has no four-digit year for.
const END_OF_TIME_MS: u64 = 253_402_300_800_000;

/// A time as text; one beyond the year 9999, which only a damaged file has, as its number.
#[must_use]
pub fn json(time_ms: u64) -> Value {
    match UNIX_EPOCH.checked_add(Duration::from_millis(time_ms)) {
        Some(time) if time_ms < END_OF_TIME_MS => {
            humantime::format_rfc3339_millis(time).to_string().into()
        }
        _ => time_ms.into(),
    }
}

/// Now, in milliseconds since 1970. A clock before that is at its beginning.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Now, as text.
#[must_use]
pub fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_utc() {
        for (ms, expected) in [
            (0, "\"1970-01-01T00:00:00.000Z\""),
            (1_795_187_735_553, "\"2026-11-20T15:15:35.553Z\""),
            (END_OF_TIME_MS - 1, "\"9999-12-31T23:59:59.999Z\""),
            (END_OF_TIME_MS, "253402300800000"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(json(ms).to_string(), expected);
        }
    }
}
