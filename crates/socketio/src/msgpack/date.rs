//! A date as JavaScript writes it.

const MS_PER_DAY: i64 = 86_400_000;

/// The last moment of JavaScript's dates, on either side of 1970, in milliseconds.
const LAST_MS: i64 = 8_640_000_000_000_000;

/// What `Date.prototype.toISOString` gives; `None` for an invalid date.
pub(super) fn iso_text(ms: i64) -> Option<String> {
    if !(-LAST_MS..=LAST_MS).contains(&ms) {
        return None;
    }
    let (year, month, day) = civil(ms.div_euclid(MS_PER_DAY));
    let time = ms.rem_euclid(MS_PER_DAY);
    let (seconds, millis) = (time / 1000, time % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    Some(format!("{year}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z"))
}

/// Year, month and day of a number of days since 1970-01-01, by eras of 400 years that begin in
/// March (Howard Hinnant's algorithm).
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Node.js prints them.
    #[test]
    fn as_javascript() {
        let cases = [
            (0, Some("1970-01-01T00:00:00.000Z")),
            (-1, Some("1969-12-31T23:59:59.999Z")),
            (1_000_000_000_001, Some("2001-09-09T01:46:40.001Z")),
            (951_782_400_000, Some("2000-02-29T00:00:00.000Z")),
            (-62_167_219_200_001, Some("-000001-12-31T23:59:59.999Z")),
            (253_402_300_800_000, Some("+010000-01-01T00:00:00.000Z")),
            (LAST_MS, Some("+275760-09-13T00:00:00.000Z")),
            (-LAST_MS, Some("-271821-04-20T00:00:00.000Z")),
            (LAST_MS + 1, None),
            (i64::MIN, None),
        ];
        for (ms, expected) in cases {
            assert_eq!(iso_text(ms).as_deref(), expected, "{ms}");
        }
    }
}
