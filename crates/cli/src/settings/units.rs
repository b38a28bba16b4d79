//! Durations and sizes as a person writes them: a whole number and a unit, `25s`, `1MB`.
//!
//! A bare number is refused on purpose: `25000` is seconds to one reader and milliseconds to the
//! next, and both would start a server.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// The units of a duration, smallest first, in milliseconds.
const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The units of a size in bytes. Decimal first: `1MB` is what a client calls a million bytes.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("B", 1),
    ("KB", 1_000), // as most people write it; shown as kB
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// How durations are written, for messages and documentation.
pub(crate) const DURATION_FORM: &str = "a whole number with a unit: ms, s, m, h or d";

/// How sizes are written, for messages and documentation.
pub(crate) const SIZE_FORM: &str = "a whole number with a unit: B, kB, MB, GB, KiB, MiB or GiB";

/// A length of time in whole milliseconds, written with its unit (`25s`, `20ms`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

/// A number of bytes, written with its unit (`1MB`, `64KiB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Size(pub(crate) u64);

/// Why a text is no quantity with a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitError {
    /// `25`: a number, but of what?
    #[error("has no unit")]
    NoUnit,
    /// `25sec`: a unit that is not one of ours.
    #[error("has the unknown unit `{0}`")]
    UnknownUnit(String),
    /// `fast`, `-1s`, `1.5s`: does not begin with a whole number.
    #[error("does not begin with a whole number")]
    NotANumber,
    /// More than fits.
    #[error("is too large")]
    TooLarge,
}

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        quantity(text, &DURATION_UNITS).map(|millis| Self(Duration::from_millis(millis)))
    }
}

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        quantity(text, &SIZE_UNITS).map(Self)
    }
}

impl TryFrom<String> for Span {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl TryFrom<String> for Size {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        write_largest(f, millis, &DURATION_UNITS)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_largest(f, self.0, &SIZE_UNITS)
    }
}

/// Reads `<digits><unit>`; one space between them is allowed, nothing else.
fn quantity(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if digits.is_empty() || unit.starts_with(['.', ',', '_']) {
        return Err(UnitError::NotANumber);
    }
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    let known = units.iter().find(|(name, _)| *name == unit);
    let (_, factor) = known.ok_or_else(|| UnitError::UnknownUnit(unit.to_owned()))?;
    let number: u64 = digits.parse().map_err(|_| UnitError::TooLarge)?;
    number.checked_mul(*factor).ok_or(UnitError::TooLarge)
}

/// Writes a quantity in the largest unit that divides it, so that it reads back the same.
fn write_largest(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)]) -> fmt::Result {
    let fits = |factor: u64| amount != 0 && amount.is_multiple_of(factor);
    let best = units.iter().filter(|(_, factor)| fits(*factor)).max_by_key(|(_, factor)| *factor);
    match best.or(units.first()) {
        Some((unit, factor)) => write!(f, "{}{unit}", amount / factor),
        None => write!(f, "{amount}"),
    }
}

#[cfg(test)]
mod tests {
    //! What is accepted, what is refused and why, and that what is written reads back.

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_with_a_unit_are_read() {
        for (text, millis) in
            [("20ms", 20), ("25s", 25_000), ("25 s", 25_000), ("2m", 120_000), ("1d", 86_400_000)]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
    }

    #[test]
    fn sizes_with_a_unit_are_read() {
        for (text, bytes) in [
            ("1MB", 1_000_000),
            ("1MiB", 1_048_576),
            ("0B", 0),
            ("64 kB", 64_000),
            ("64KB", 64_000),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let unknown = |unit: &str| UnitError::UnknownUnit(unit.to_owned());
        for (text, error) in [
            ("25", UnitError::NoUnit),
            ("25 ", UnitError::NoUnit),
            ("", UnitError::NotANumber),
            ("s", UnitError::NotANumber),
            ("-1s", UnitError::NotANumber),
            ("1.5s", UnitError::NotANumber),
            ("1_000s", UnitError::NotANumber),
            ("٣s", UnitError::NotANumber),
            ("25sec", unknown("sec")),
            ("25  s", unknown(" s")),
            ("25S", unknown("S")),
            ("1h30m", unknown("h30m")),
            ("99999999999999999999s", UnitError::TooLarge),
            ("18446744073709551615d", UnitError::TooLarge),
        ] {
            assert_eq!(text.parse::<Span>(), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_back(millis in any::<u64>()) {
            let span = Span(Duration::from_millis(millis));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn a_written_size_reads_back(bytes in any::<u64>()) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = text.parse::<Span>();
            let _ = text.parse::<Size>();
        }
    }
}
