//! What a parser that is lenient about a request's head does not tell.

use std::sync::atomic::{AtomicU8, Ordering};

const CONTENT_LENGTH: &[u8] = b"content-length:";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";
/// As much of a line as must be kept: the longer name, and two bytes of its value.
const KEPT_BYTES: usize = TRANSFER_ENCODING.len() + 2;

/// What was seen in a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Framing {
    /// One way to tell the body's end, or none.
    Clear = 0,
    /// Content-Length with Transfer-Encoding, or one of them twice.
    Ambiguous = 1,
    /// A length that does not follow its header after at most one space.
    OddLength = 2,
    /// A line that ends with LF alone.
    BareLineFeed = 3,
}

/// Looks at a head as it comes in, in any number of pieces.
///
/// hyper resolves two lengths for one body in the way the specification allows: chunked wins, and
/// the connection is closed after the answer. But it takes the other header away, so that nobody
/// after it can refuse the request, which is the better answer: whoever sends both is testing
/// what a proxy in front of us made of it. A head that came in the same read as the request before
/// it is not seen here; for that, hyper's way holds.
///
/// Spec: RFC 9112 § 6.1, § 6.3.
#[derive(Debug)]
pub(super) struct HeadScan {
    line: [u8; KEPT_BYTES],
    /// The line's bytes so far, those not kept included.
    length: usize,
    last: u8,
    /// The request line is over.
    begun: bool,
    lengths: u8,
    encodings: u8,
    done: bool,
}

impl Default for HeadScan {
    fn default() -> Self {
        HeadScan {
            line: [0; KEPT_BYTES],
            length: 0,
            // What comes may be the rest of a head whose beginning came with the request before
            // it, and begin between CR and LF.
            last: b'\r',
            begun: false,
            lengths: 0,
            encodings: 0,
            done: false,
        }
    }
}

impl HeadScan {
    /// Goes on with the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8], found: &Found) {
        if self.done {
            return;
        }
        for &byte in bytes {
            if byte != b'\n' {
                if let Some(kept) = self.line.get_mut(self.length) {
                    *kept = byte.to_ascii_lowercase();
                }
                self.length += 1;
                self.last = byte;
                continue;
            }
            if self.last != b'\r' {
                found.set(Framing::BareLineFeed);
            }
            let blank = self.length <= 1;
            self.end_line(found);
            // Empty lines before the request line are to be skipped, and cannot be told from the
            // head's end: stopping here only means that hyper's way holds for what follows.
            if blank {
                self.done = true;
                return;
            }
        }
    }

    fn end_line(&mut self, found: &Found) {
        if self.begun {
            self.judge_header(found);
        }
        self.begun = true;
        self.length = 0;
        self.last = 0;
    }

    fn judge_header(&mut self, found: &Found) {
        let kept = self.line.get(..self.length.min(KEPT_BYTES)).unwrap_or_default();
        if let Some(value) = kept.strip_prefix(CONTENT_LENGTH) {
            self.lengths = self.lengths.saturating_add(1);
            let value = value.strip_prefix(b" ").unwrap_or(value);
            if !value.first().is_some_and(u8::is_ascii_digit) {
                found.set(Framing::OddLength);
            }
        } else if kept.starts_with(TRANSFER_ENCODING) {
            self.encodings = self.encodings.saturating_add(1);
        }
        if self.lengths.saturating_add(self.encodings) > 1 {
            found.set(Framing::Ambiguous);
        }
    }
}

/// Carries what was seen from where bytes are read to where the request is answered.
#[derive(Debug, Default)]
pub(super) struct Found(AtomicU8);

impl Found {
    fn set(&self, framing: Framing) {
        self.0.store(framing as u8, Ordering::Relaxed);
    }

    /// What was seen since the last time.
    pub(super) fn take(&self) -> Framing {
        match self.0.swap(Framing::Clear as u8, Ordering::Relaxed) {
            1 => Framing::Ambiguous,
            2 => Framing::OddLength,
            3 => Framing::BareLineFeed,
            _ => Framing::Clear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(pieces: &[&[u8]]) -> Framing {
        let (mut scan, found) = (HeadScan::default(), Found::default());
        for piece in pieces {
            scan.feed(piece, &found);
        }
        found.take()
    }

    /// Which heads are refused, whole and byte by byte.
    #[test]
    fn framing() {
        #[track_caller]
        fn check(head: &str, expected: Framing) {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{head}");
            assert_eq!(scan(&[head.as_bytes()]), expected, "{head:?}");
            let bytes: Vec<&[u8]> = head.as_bytes().chunks(1).collect();
            assert_eq!(scan(&bytes), expected, "{head:?} in single bytes");
        }
        check("Content-Length: 5\r\n\r\n", Framing::Clear);
        check("Content-Length:5\r\n\r\n", Framing::Clear);
        check("Transfer-Encoding: chunked\r\n\r\n", Framing::Clear);
        check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Framing::Ambiguous);
        check("TRANSFER-encoding:chunked\r\ncontent-LENGTH:5\r\n\r\n", Framing::Ambiguous);
        check("Content-Length: 5\r\nContent-Length: 5\r\n\r\n", Framing::Ambiguous);
        check(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing::Ambiguous,
        );
        check("Content-Length:  5\r\n\r\n", Framing::OddLength);
        check("Content-Length: +5\r\n\r\n", Framing::OddLength);
        check("Content-Length:\r\n\r\n", Framing::OddLength);
        check("X: 1\nY: 2\r\n\r\n", Framing::BareLineFeed);
        check("X: 1\r\n\n", Framing::BareLineFeed);
        check("Content-Lengths: x\r\nX-Content-Length: y\r\n\r\n", Framing::Clear);
        // What follows the head is a body, whatever it looks like.
        check("Content-Length: 90\r\n\r\nContent-Length: 5\n\n", Framing::Clear);
    }

    /// The rest of a head is not judged by where it was cut.
    #[test]
    fn rests_of_heads() {
        for rest in ["\nHost: a\r\n\r\n", "Content-Length: x\r\nHost: a\r\n\r\n", "\r\n"] {
            assert_eq!(scan(&[rest.as_bytes()]), Framing::Clear, "{rest:?}");
        }
        assert_eq!(scan(&[b"GET / HTTP/1.1\nHost: a\r\n\r\n"]), Framing::BareLineFeed);
    }

    proptest! {
        /// However a head is cut into pieces, the same is found in it.
        #[test]
        fn pieces_do_not_matter(
            lines in proptest::collection::vec(
                prop_oneof![
                    Just("Content-Length: 1\r\n"), Just("Transfer-Encoding: chunked\r\n"),
                    Just("A: b\r\n"), Just("C: d\n"), Just("\r\n"), Just("Content-Length : 1\r\n"),
                ],
                0..6,
            ),
            size in 1usize..9,
        ) {
            let head = lines.concat();
            let pieces: Vec<&[u8]> = head.as_bytes().chunks(size).collect();
            prop_assert_eq!(scan(&[head.as_bytes()]), scan(&pieces));
        }
    }
}
