//! Arguments as the log keeps them.
//!
//! Without binary data it is the JSON array as it is sent. With it: a byte 1, the number of
//! attachments, and for each its length, all as 32 bits in big-endian order; then the attachments,
//! then the JSON array with placeholders.

use bytes::{BufMut, Bytes, BytesMut};
use socketio::Args;

/// What begins a payload with attachments; no JSON text begins with it.
const WITH_ATTACHMENTS: u8 = 1;

pub(super) fn encode(args: &Args) -> Bytes {
    let args = args.to_json();
    let (json, attachments) = (args.json(), args.attachments());
    let attached: usize = attachments.as_slice().iter().map(|it| it.len() + 4).sum();
    let mut payload = BytesMut::with_capacity(json.len() + attached + 8);
    let attachments = attachments.as_slice();
    if !attachments.is_empty() {
        payload.put_u8(WITH_ATTACHMENTS);
        payload.put_u32(count(attachments.len()));
        attachments.iter().for_each(|it| payload.put_u32(count(it.len())));
        attachments.iter().for_each(|it| payload.put_slice(it));
    }
    payload.put_u8(b'[');
    payload.put_slice(json.as_bytes());
    payload.put_u8(b']');
    payload.freeze()
}

/// A packet is limited to far less.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

pub(super) fn decode(payload: &Bytes) -> Option<Args> {
    let (json, attachments) = split(payload)?;
    Args::from_json(&json, attachments).ok()
}

/// The JSON array and the attachments.
pub(super) fn split(payload: &Bytes) -> Option<(String, Vec<Bytes>)> {
    let (json, attachments) = if payload.first() == Some(&WITH_ATTACHMENTS) {
        let number = |at: usize| -> Option<usize> {
            let bytes = payload.get(at..at.checked_add(4)?)?;
            usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok()
        };
        let count = number(1)?;
        let mut at = count.checked_mul(4)?.checked_add(5)?;
        payload.get(..at)?; // the lengths are there: what follows is bounded by what was read
        let mut attachments = Vec::with_capacity(count);
        for index in 0..count {
            let end = at.checked_add(number(5 + index * 4)?)?;
            payload.get(at..end)?;
            attachments.push(payload.slice(at..end));
            at = end;
        }
        (payload.slice(at..), attachments)
    } else {
        (payload.clone(), Vec::new())
    };
    let json = String::from_utf8(json.into()).ok()?;
    json.starts_with('[').then_some((json, attachments))
}

#[cfg(test)]
mod tests {
    //! What is recorded is read back, and other bytes are refused.

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arguments_survive_the_log(
            text in ".{0,20}", number in any::<i64>(), parts in prop::collection::vec(
                prop::collection::vec(any::<u8>(), 0..20), 0..4),
        ) {
            let mut json = format!("[{},{number}", serde_json::to_string(&text).unwrap());
            for index in 0..parts.len() {
                json.push_str(&format!(",{{\"_placeholder\":true,\"num\":{index}}}"));
            }
            json.push(']');
            let parts: Vec<Bytes> = parts.into_iter().map(Bytes::from).collect();
            let args = Args::from_json(&json, parts).unwrap();
            prop_assert_eq!(decode(&encode(&args)), Some(args));
        }

        #[test]
        fn other_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), tag in any::<bool>()) {
            let mut bytes = bytes;
            if tag && !bytes.is_empty() {
                bytes[0] = WITH_ATTACHMENTS;
            }
            if let Some(args) = decode(&Bytes::from(bytes)) {
                prop_assert_eq!(decode(&encode(&args)), Some(args));
            }
        }
    }

    #[test]
    fn without_binary_data_it_is_the_json_that_is_sent() {
        let args = Args::from_json(r#"[ 1.0, {"a":1,"a":2}]"#, Vec::new()).unwrap();
        assert_eq!(encode(&args).first(), Some(&b'['));
        assert_eq!(decode(&encode(&args)), Some(args));
    }
}
