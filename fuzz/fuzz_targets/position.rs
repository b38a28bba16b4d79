//! Positions: what a client sends as offset, `Last-Event-ID` or `eventId`.
//!
//! Input: any text; and, of the same bytes, an epoch and a sequence.
//!
//! Shows that for any bytes: nothing panics; whatever parses is the one text of its position; and
//! each position has a short text that needs no escape and parses back.
#![no_main]

use eventlog::{Epoch, MAX_POSITION_BYTES, MAX_SEQUENCE, Position};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        match text.parse::<Position>() {
            Ok(position) => {
                assert!(position.sequence <= MAX_SEQUENCE);
                assert_eq!(position.to_string(), text, "one text for each position");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let Some((numbers, _)) = data.split_first_chunk::<16>() else { return };
    let number = |at: usize| {
        let bytes = numbers.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    };
    let position = Position { epoch: Epoch(number(0)), sequence: number(8) & MAX_SEQUENCE };
    let text = position.to_string();
    assert!(text.len() <= MAX_POSITION_BYTES);
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
    assert_eq!(text.parse(), Ok(position));
    assert!(text.starts_with(&position.epoch.to_string()));
});
