//! Agreeing on permessage-deflate in the handshake. Spec: RFC 7692 § 5, § 7.1; RFC 6455 § 9.1.

/// What our client offers.
pub const OFFER: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

const NAME: &[u8] = b"permessage-deflate";
/// Bytes of `Sec-WebSocket-Extensions` that are looked at: an honest offer has some 150; more than
/// this is answered as if nothing was offered.
const MAX_OFFER_BYTES: usize = 4096;

/// The compression that both sides agreed on. Without context takeover in both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The largest window the client can inflate with, as a power of two; `None` is 15.
    server_max_window_bits: Option<u8>,
}

/// The server's answer about extensions is not one to our offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unacceptable;

impl Agreed {
    /// Chooses from a client's offers, the first that is acceptable; `None` is to go without.
    ///
    /// `fields` are the values of all `Sec-WebSocket-Extensions` fields. An offer with an unknown,
    /// repeated or wrong parameter is passed over, as are other extensions.
    #[must_use]
    pub fn choose(fields: &[&[u8]]) -> Option<Self> {
        if fields.iter().map(|field| field.len()).sum::<usize>() > MAX_OFFER_BYTES {
            return None;
        }
        fields.iter().flat_map(|field| split(field, b',')).find_map(|offer| {
            let Parameters { server_max_window_bits, .. } = Parameters::parse(offer)?;
            let server_max_window_bits = match server_max_window_bits {
                None => None,
                Some(bits) => Some(bits?),
            };
            Some(Self { server_max_window_bits })
        })
    }

    /// What the server's answer agrees to, for a client that offered [`OFFER`].
    ///
    /// # Errors
    /// The answer is not one to that offer.
    pub(crate) fn from_answer(fields: &[&[u8]]) -> Result<Option<Self>, Unacceptable> {
        if fields.iter().map(|field| field.len()).sum::<usize>() > MAX_OFFER_BYTES {
            return Err(Unacceptable);
        }
        let mut answers = fields.iter().flat_map(|field| split(field, b','));
        let Some(answer) = answers.next() else { return Ok(None) };
        let parameters = Parameters::parse(answer).ok_or(Unacceptable)?;
        // Without it the server could refer to earlier messages, which are not kept. The window of
        // our own side may not be limited, as that was not offered.
        if !parameters.server_no_context_takeover
            || parameters.client_max_window_bits.is_some()
            || answers.next().is_some()
        {
            return Err(Unacceptable);
        }
        match parameters.server_max_window_bits {
            Some(None) => Err(Unacceptable),
            _ => Ok(Some(Self::default())),
        }
    }

    /// The server's `Sec-WebSocket-Extensions` field. Spec: RFC 7692 § 7.1.
    #[must_use]
    pub fn field(&self) -> String {
        match self.server_max_window_bits {
            None => OFFER.to_owned(),
            Some(bits) => format!("{OFFER}; server_max_window_bits={bits}"),
        }
    }

    /// Whether the receiver can inflate a message of `message_bytes`; else send it uncompressed.
    ///
    /// Without context takeover no reference reaches further back than the message's own start, so
    /// a message that fits the receiver's window is right for it, whatever window we compress with.
    #[must_use]
    pub const fn takes(&self, message_bytes: usize) -> bool {
        match self.server_max_window_bits {
            None => true,
            Some(bits) => bits >= 15 || message_bytes <= 1 << bits,
        }
    }
}

/// The parameters of one offer or answer. A window's value is itself optional.
#[derive(Debug, Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<Option<u8>>,
    client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    /// `None` if it is another extension or breaks a rule.
    fn parse(extension: &[u8]) -> Option<Self> {
        let mut parts = split(extension, b';');
        if !parts.next()?.eq_ignore_ascii_case(NAME) {
            return None;
        }
        let mut parsed = Self::default();
        for part in parts {
            let mut sides = part.splitn(2, |byte| *byte == b'=');
            let name = sides.next()?.trim_ascii();
            let value = sides.next().map(<[u8]>::trim_ascii);
            let repeated = match name {
                b"server_no_context_takeover" if value.is_none() => {
                    std::mem::replace(&mut parsed.server_no_context_takeover, true)
                }
                b"client_no_context_takeover" if value.is_none() => {
                    std::mem::replace(&mut parsed.client_no_context_takeover, true)
                }
                b"server_max_window_bits" => {
                    let bits = Some(window_bits(value?)?);
                    parsed.server_max_window_bits.replace(bits).is_some()
                }
                b"client_max_window_bits" => {
                    let bits = match value {
                        None => None,
                        Some(value) => Some(window_bits(value)?),
                    };
                    parsed.client_max_window_bits.replace(bits).is_some()
                }
                _ => return None,
            };
            if repeated {
                return None;
            }
        }
        Some(parsed)
    }
}

/// 8 to 15 in decimal without leading zeros, possibly quoted.
fn window_bits(value: &[u8]) -> Option<u8> {
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    };
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// The trimmed pieces between `separator`, which does not count inside quotes.
fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    bytes
        .split(move |byte| {
            quoted ^= *byte == b'"';
            *byte == separator && !quoted
        })
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(fields: &[&str]) -> Option<String> {
        let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
        Agreed::choose(&fields).map(|agreed| agreed.field())
    }

    /// What is answered to each offer: those of browsers, of the specification, and hostile ones.
    #[test]
    fn offers() {
        let with = |bits: &str| Some(format!("{OFFER}; server_max_window_bits={bits}"));
        let plain = || Some(OFFER.to_owned());
        let check = |offer: &str, expected: Option<String>| {
            assert_eq!(choose(&[offer]), expected, "{offer}");
        };
        check("permessage-deflate", plain());
        check("permessage-deflate; client_max_window_bits", plain());
        check("Permessage-Deflate ;client_max_window_bits=15", plain());
        check(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            plain(),
        );
        check("permessage-deflate; server_max_window_bits=10", with("10"));
        check("permessage-deflate; server_max_window_bits=\"15\"", with("15"));
        check("permessage-deflate; server_max_window_bits=8", with("8"));
        check("x-webkit-deflate-frame, permessage-deflate", plain());
        check("x; a=\"p, permessage-deflate; q\"", None);
        // The first acceptable one of several.
        check("permessage-deflate; server_max_window_bits=99, permessage-deflate", plain());
        check("permessage-deflate; server_max_window_bits=9, permessage-deflate", with("9"));
        for wrong in [
            "",
            ",,,;;;===",
            "constructor",
            "__proto__",
            "permessage-deflate; constructor",
            "permessage-deflate; __proto__=1",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=99",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate;",
            "permessage-deflate; \"",
        ] {
            check(wrong, None);
        }
        assert_eq!(choose(&["permessage-deflate; x", "permessage-deflate"]), plain());
        assert_eq!(choose(&[&format!("permessage-deflate{}", "; a=1".repeat(1000))]), None);
        assert_eq!(choose(&[&format!("{}permessage-deflate", "x,".repeat(10_000))]), None);
    }

    /// A receiver with a small window gets what fits into it compressed, and the rest plain.
    #[test]
    fn small_windows() {
        let small = Agreed { server_max_window_bits: Some(9) };
        assert!(small.takes(512));
        assert!(!small.takes(513));
        assert!(Agreed { server_max_window_bits: Some(15) }.takes(usize::MAX));
        assert!(Agreed::default().takes(usize::MAX));
    }

    /// A client takes only an answer that its offer allows.
    #[test]
    fn answers() {
        let check = |answer: &str, expected: Result<bool, Unacceptable>| {
            let read = Agreed::from_answer(&[answer.as_bytes()]);
            assert_eq!(read.map(|agreed| agreed.is_some()), expected, "{answer}");
        };
        check(OFFER, Ok(true));
        check("permessage-deflate; server_no_context_takeover", Ok(true));
        check("permessage-deflate; server_no_context_takeover; server_max_window_bits=9", Ok(true));
        check("permessage-deflate", Err(Unacceptable));
        check(
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
            Err(Unacceptable),
        );
        check(&format!("{OFFER}, {OFFER}"), Err(Unacceptable));
        check("permessage-bzip2", Err(Unacceptable));
        assert_eq!(Agreed::from_answer(&[]), Ok(None));
    }
}
