//! Inflating one message, within a limit.

use miniz_oxide::inflate::TINFLStatus as Status;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::Violation;

/// What the sender cut off, and a last block (final, empty, fixed codes): the stream of a whole
/// message ends exactly here, that of a broken one hardly ever. Spec: RFC 7692 § 7.2.2; RFC 1951 § 3.2.3.
const END: [u8; 6] = [0x00, 0x00, 0xff, 0xff, 0x03, 0x00];

/// How long a message of `message_bytes` can be when a sender compressed it in vain: stored blocks,
/// or the codes of a level that does not look.
pub(crate) const fn compressed_bound(message_bytes: usize) -> usize {
    message_bytes.saturating_add(message_bytes / 32).saturating_add(64)
}

/// Inflates a message of at most `max_bytes`. Spec: RFC 7692 § 7.2.2.
///
/// The inflater (some 10 KB) lives for this call only. It writes into the message itself, which is
/// also its window: a reference to before the message's start has nothing to refer to and is found.
///
/// # Errors
/// The message is larger, or is not DEFLATE.
pub(crate) fn inflate(payload: &[u8], max_bytes: usize) -> Result<Vec<u8>, Violation> {
    let input = [payload, &END].concat();
    let mut input = input.as_slice();
    // One byte more than allowed: filling it shows that it is too much.
    let most = max_bytes.saturating_add(1);
    let mut output = vec![0; input.len().saturating_mul(2).min(most)];
    let mut length = 0;
    let mut inflater = Box::<DecompressorOxide>::default();
    loop {
        let (status, taken, given) = decompress(
            &mut inflater,
            input,
            &mut output,
            length,
            TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
        );
        input = input.get(taken..).unwrap_or_default();
        length += given;
        if length > max_bytes {
            return Err(Violation::InflatedTooBig);
        }
        match status {
            Status::Done if input.is_empty() => break,
            // The sender ended its stream inside the message; what follows continues it.
            Status::Done => inflater.init(),
            Status::HasMoreOutput => output.resize(output.len().saturating_mul(2).min(most), 0),
            _ => return Err(Violation::CorruptDeflate),
        }
    }
    output.truncate(length);
    Ok(output)
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec;
    use proptest::prelude::*;

    use super::*;

    /// The examples of RFC 7692 § 7.2.3 and what stands at their edges.
    #[test]
    fn examples_of_the_specification() {
        let check = |payload: &[u8], expected: Result<&[u8], Violation>| {
            assert_eq!(
                inflate(payload, 100).as_deref(),
                expected.as_ref().copied(),
                "{payload:x?}"
            );
        };
        check(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], Ok(b"Hello"));
        // One stored block.
        check(&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], Ok(b"Hello"));
        // A stream that ends, and the empty block behind it.
        check(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], Ok(b"Hello"));
        // Two blocks.
        check(
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            Ok(b"Hello"),
        );
        check(&[0x00], Ok(b""));
        // A block type that does not exist.
        check(&[0x07, 0xff], Err(Violation::CorruptDeflate));
        // A distance that reaches before the message: another message's window is not there.
        check(&[0xf2, 0x00, 0x11, 0x00, 0x00], Err(Violation::CorruptDeflate));
    }

    /// A message is inflated up to the limit and not a byte further.
    #[test]
    fn the_limit_is_exact() {
        let deflated = |bytes: usize| {
            let mut out = compress_to_vec(&vec![b'x'; bytes], 9);
            out.push(0); // the empty block's beginning
            out
        };
        for limit in [1, 5, 1023, 1024, 1025, 2048, 10_000, 70_000] {
            assert_eq!(inflate(&deflated(limit), limit), Ok(vec![b'x'; limit]));
            assert_eq!(inflate(&deflated(limit + 1), limit), Err(Violation::InflatedTooBig));
            assert_eq!(inflate(&deflated(limit), 0), Err(Violation::InflatedTooBig));
        }
        // A thousandfold bomb costs the limit, not its size.
        assert_eq!(inflate(&deflated(50_000_000), 1_000), Err(Violation::InflatedTooBig));
    }

    /// A message cut anywhere is never taken for the whole one.
    #[test]
    fn truncated() {
        let text = b"The quick brown fox jumps over the lazy dog";
        let mut whole = compress_to_vec(text, 9);
        whole.push(0);
        assert_eq!(inflate(&whole, 100).as_deref(), Ok(&text[..]));
        for cut in 0..whole.len() - 1 {
            assert_ne!(inflate(&whole[..cut], 100).as_deref(), Ok(&text[..]), "{cut}");
        }
    }

    /// Streams that end inside the message are one message.
    #[test]
    fn many_streams() {
        let mut payload = [0x03, 0x00].repeat(1000);
        payload.push(0);
        assert_eq!(inflate(&payload, 100), Ok(Vec::new()));
        let mut payload = compress_to_vec(b"Hel", 9);
        payload.extend(compress_to_vec(b"lo", 9));
        payload.push(0);
        assert_eq!(inflate(&payload, 100).as_deref(), Ok(&b"Hello"[..]));
    }

    proptest! {
        /// Any bytes: no panic, and never more than the limit.
        #[test]
        fn any_bytes(payload: Vec<u8>, max_bytes in 0usize..5000) {
            if let Ok(message) = inflate(&payload, max_bytes) {
                prop_assert!(message.len() <= max_bytes);
            }
        }
    }
}
