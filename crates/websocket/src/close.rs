//! The close frame's code and reason.

use std::borrow::Cow;
use std::fmt;

use crate::Violation;

/// A close code that may stand in a close frame: 1000–1003, 1007–1014 or 3000–4999.
///
/// 1004, 1005, 1006 and 1015 are not sent on the wire and cannot be made.
/// Spec: RFC 6455 § 7.4, with 1012–1014 from the IANA registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server stops, or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: a kind of data that is not accepted here.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1007: data that contradicts its kind, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a rule of this server was broken.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message that is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: a fault of this server.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the server restarts; come back.
    pub const RESTART: Self = Self(1012);
    /// 1013: the server is overloaded; come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// The code, if it may be sent.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Why the peer closes. The reason is the peer's text: never log it raw, never send it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseReason<'a> {
    /// The code, already checked.
    pub code: CloseCode,
    /// At most 123 bytes, possibly empty.
    pub reason: Cow<'a, str>,
}

impl<'a> CloseReason<'a> {
    /// Reads a close frame's payload; an empty one has no reason.
    ///
    /// # Errors
    /// One byte only, a code that may not be sent, or a reason that is not UTF-8.
    pub(crate) fn parse(payload: Cow<'a, [u8]>) -> Result<Option<Self>, Violation> {
        let code = match payload.as_ref() {
            [] => return Ok(None),
            [_] => return Err(Violation::CloseTooShort),
            [high, low, ..] => u16::from_be_bytes([*high, *low]),
        };
        let code = CloseCode::new(code).ok_or(Violation::InvalidCloseCode)?;
        let reason = match payload {
            Cow::Borrowed(bytes) => str::from_utf8(bytes.get(2..).unwrap_or_default())
                .map(Cow::Borrowed)
                .map_err(|_| Violation::InvalidCloseReason)?,
            Cow::Owned(mut bytes) => {
                bytes.drain(..2);
                String::from_utf8(bytes)
                    .map(Cow::Owned)
                    .map_err(|_| Violation::InvalidCloseReason)?
            }
        };
        Ok(Some(Self { code, reason }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which codes may be sent, at each edge of the ranges.
    #[test]
    fn codes_that_may_be_sent() {
        let check = |code: u16, allowed: bool| {
            assert_eq!(CloseCode::new(code).is_some(), allowed, "{code}");
        };
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            check(code, true);
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            check(code, false);
        }
    }

    /// Borrowed and owned payloads read alike.
    #[test]
    fn payloads() {
        let check = |payload: &[u8], expected: Result<Option<(u16, &str)>, Violation>| {
            for payload in [Cow::Borrowed(payload), Cow::Owned(payload.to_vec())] {
                let read = CloseReason::parse(payload);
                let read = read.map(|r| r.map(|r| (r.code.value(), r.reason.into_owned())));
                assert_eq!(read, expected.map(|e| e.map(|(c, r)| (c, r.to_owned()))));
            }
        };
        check(b"", Ok(None));
        check(b"\x03", Err(Violation::CloseTooShort));
        check(b"\x03\xe8", Ok(Some((1000, ""))));
        check(b"\x03\xe8bye", Ok(Some((1000, "bye"))));
        check(b"\x03\xed", Err(Violation::InvalidCloseCode));
        check(b"\x13\x88", Err(Violation::InvalidCloseCode));
        check(b"\x03\xe8\xff", Err(Violation::InvalidCloseReason));
    }
}
