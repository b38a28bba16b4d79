//! The few WebSocket frames a load generator meets, read and written at the lowest cost.
//!
//! The server's codec is not used here on purpose: what is measured must not share its faults with
//! what measures, and a generator only needs whole, unmasked, unfragmented text frames.
//!
//! Spec: RFC 6455 § 5.2.

/// Operation code of a text frame.
pub(super) const TEXT: u8 = 0x1;
/// Operation code of a close frame.
pub(super) const CLOSE: u8 = 0x8;

/// The mask of every frame sent. A browser needs an unpredictable one against proxies; here it only
/// has to be different from zero, so that no server can skip the unmasking.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One frame from a server, and how many bytes it took.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Operation code.
    pub(super) opcode: u8,
    /// What it carries.
    pub(super) payload: &'a [u8],
    /// Header and payload together.
    pub(super) size: usize,
}

/// The first frame in `bytes`, or nothing when it is not complete yet.
pub(super) fn split(bytes: &[u8]) -> Option<Frame<'_>> {
    let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
    let (length, header) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let size = length.checked_add(header)?;
    let payload = bytes.get(header..size)?;
    Some(Frame { opcode: first & 0x0f, payload, size })
}

/// Appends `text` as one masked text frame.
pub(super) fn append_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(0x80 | TEXT);
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(short @ 0..=125), _) => out.push(0x80 | short),
        (_, Ok(medium)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(text.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A server's frame around `payload`, with the shortest length field.
    fn from_server(payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        append_text(&mut masked, payload);
        let header = masked.len() - payload.len() - MASK.len();
        let mut frame = masked[..header].to_vec();
        frame[1] &= 0x7f;
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn frames_of_every_length_form_are_split() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let frame = from_server(&payload);
            let found = split(&frame).unwrap();
            assert_eq!((found.opcode, found.payload), (TEXT, &payload[..]), "length {length}");
            assert_eq!(found.size, frame.len());
            assert_eq!(split(&frame[..frame.len() - 1]), None, "length {length}, cut by one byte");
        }
    }

    proptest! {
        /// Any bytes: no panic, and a frame never claims more than there is.
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(frame) = split(&bytes) {
                prop_assert!(frame.size >= 2 && frame.size <= bytes.len());
            }
        }

        /// What is sent says the same once its mask is taken off.
        #[test]
        fn masking_is_undone_by_the_mask(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            append_text(&mut out, &text);
            let body: Vec<u8> = out[out.len() - text.len()..]
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            prop_assert_eq!(body, text);
        }
    }
}
