//! The session id: the secret that names a session on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

/// Characters that carry the 120 random bits.
const SECRET_LEN: usize = 20;
/// All characters: the secret and two for the shard.
const LEN: usize = SECRET_LEN + 2;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The id of a session: 20 base64url characters of 120 random bits, then two naming the shard
/// that holds the session.
///
/// It is a bearer secret: who knows it can read and write the session. So `Debug` shows the shard
/// only, there is no `Display`, and it belongs neither in logs nor in metrics. The shard is not a
/// secret; it lets any thread route a request without a shared table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid([u8; LEN]);

impl Sid {
    /// An id from 15 random bytes, which the caller takes from the system's secure source.
    pub fn new(random: [u8; 15], shard: u8) -> Self {
        let mut text = [b'A'; LEN];
        let (secret, place) = text.split_at_mut(SECRET_LEN);
        // 15 bytes are exactly 20 characters, so the slice is never too small.
        let _written = URL_SAFE_NO_PAD.encode_slice(random, secret);
        for (slot, bits) in place.iter_mut().zip([shard >> 6, shard & 0x3f]) {
            *slot = ALPHABET.get(usize::from(bits)).copied().unwrap_or(b'A');
        }
        Self(text)
    }

    /// Which shard holds the session.
    pub fn shard(&self) -> u8 {
        let [.., high, low] = self.0;
        (sextet(high).unwrap_or(0) << 6) | sextet(low).unwrap_or(0)
    }

    /// The id as it stands on the wire.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever stored, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn sextet(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

/// The text is not an id this server could have given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: expected 22 base64url characters")]
pub struct ParseSidError;

impl FromStr for Sid {
    type Err = ParseSidError;

    fn from_str(text: &str) -> Result<Self, ParseSidError> {
        let bytes: [u8; LEN] = text.as_bytes().try_into().map_err(|_| ParseSidError)?;
        if !bytes.iter().all(|&byte| sextet(byte).is_some()) {
            return Err(ParseSidError);
        }
        // Eight bits in two characters: the first carries the upper two only.
        let [.., high, _] = bytes;
        if sextet(high).is_some_and(|bits| bits > 3) {
            return Err(ParseSidError);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid(secret, shard {})", self.shard())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Shows that an id survives the wire with its shard, and that nothing else parses.
    #[test]
    fn parses_what_it_wrote_and_nothing_else() {
        let sid = Sid::new([0xff; 15], 255);
        assert_eq!(sid.as_str(), "____________________D_");
        assert_eq!(sid.as_str().parse(), Ok(sid));
        for bad in [
            "",
            "__proto__",
            "lv_VI97HAXpY6yYWAAAC",
            "____________________E_",
            "___________________ D_",
            "____________________D_A",
            "___________________+D_",
            "é___________________D",
        ] {
            assert_eq!(bad.parse::<Sid>(), Err(ParseSidError), "{bad}");
        }
    }

    /// Shows that a debug print gives nothing of the secret away.
    #[test]
    fn debug_hides_the_secret() {
        assert_eq!(format!("{:?}", Sid::new([1; 15], 7)), "Sid(secret, shard 7)");
    }

    proptest! {
        #[test]
        fn round_trip(random: [u8; 15], shard: u8) {
            let sid = Sid::new(random, shard);
            prop_assert_eq!(sid.shard(), shard);
            prop_assert_eq!(sid.as_str().len(), LEN);
            prop_assert_eq!(sid.as_str().parse::<Sid>(), Ok(sid));
        }

        #[test]
        fn any_text_is_refused_or_canonical(text in "\\PC{0,30}") {
            if let Ok(sid) = text.parse::<Sid>() {
                prop_assert_eq!(sid.as_str(), text);
            }
        }
    }
}
