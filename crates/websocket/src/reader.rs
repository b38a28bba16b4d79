//! Taking messages out of received bytes.

use std::borrow::Cow;

use crate::deflate::Agreed;
use crate::head::{Head, Opcode, Role};
use crate::partial::Partial;
use crate::{CloseReason, Violation, deflate, mask};

/// What a peer may send before it breaks a rule. One value serves all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one message, after inflating. Default 1 000 000, as the reference server's
    /// `maxHttpBufferSize`: a client that knows one knows the other.
    pub max_message_bytes: usize,
    /// Frames in one message. Default 1 024: a megabyte in kilobyte pieces. Senders in use cut
    /// far less; without the limit empty fragments could follow one another for ever.
    pub max_fragments: u32,
    /// Pings and pongs between two messages, or two calls of [`Reader::forgive_controls`].
    /// Default 100. An Engine.IO heartbeat is a message, so a living client has this many for each
    /// heartbeat; browsers send none.
    pub max_control_frames: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message_bytes: 1_000_000, max_fragments: 1_024, max_control_frames: 100 }
    }
}

/// One message or control frame from the peer; borrowed from the input when it was whole there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A text message, checked to be UTF-8.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// A ping: answer it with [`frame::pong`](crate::frame::pong) or [`Pings`](crate::Pings).
    Ping(Cow<'a, [u8]>),
    /// A pong, asked for or not: nothing to do.
    Pong(Cow<'a, [u8]>),
    /// The peer closes: answer with [`frame::close_reply`](crate::frame::close_reply) unless our own
    /// close frame was sent, then close the transport. What follows in the input is ignored.
    Close(Option<CloseReason<'a>>),
}

/// Reads one direction of one connection. 16 bytes between messages; what is partial lives in a box
/// that grows as bytes arrive and is freed when the message is complete.
///
/// After a [`Violation`] or a close frame it discards all further input. Spec: RFC 6455 § 5–8.
#[derive(Debug)]
pub struct Reader {
    partial: Option<Box<Partial>>,
    control_frames: u32,
    role: Role,
    deflate: bool,
    ended: bool,
}

impl Reader {
    /// A reader for our side's `role`; `deflate` is what the handshake agreed on.
    #[must_use]
    pub const fn new(role: Role, deflate: Option<Agreed>) -> Self {
        Self { partial: None, control_frames: 0, role, deflate: deflate.is_some(), ended: false }
    }

    /// Takes the next message out of `input`, which is advanced behind it.
    ///
    /// Call it until it answers `None`: then all of `input` is consumed, and what was partial is
    /// kept. The input is unmasked in place. Work and memory are bounded by the input's length and
    /// `limits`; a length that a frame claims is never allocated before its bytes are there.
    ///
    /// # Errors
    /// The peer broke a rule. The connection is over; see [`Violation`].
    #[inline]
    pub fn read<'a>(
        &mut self,
        limits: &Limits,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, Violation> {
        if self.ended {
            *input = &mut [];
            return Ok(None);
        }
        let read = match self.take_whole(limits, input) {
            Ok(None) if !input.is_empty() => self.take_partial(limits, input),
            read => read,
        };
        match &read {
            Ok(Some(Incoming::Close(_))) | Err(_) => {
                self.ended = true;
                self.partial = None;
                *input = &mut [];
            }
            Ok(_) => {}
        }
        read
    }

    /// Whether no message is partially read. If it stays `false` for long, the peer is slow on
    /// purpose or gone: the owner sets the deadline.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Whether a close frame or a violation ended the reading.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether messages may come compressed.
    #[must_use]
    pub const fn inflates(&self) -> bool {
        self.deflate
    }

    /// Heap bytes held for a partial message.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.partial.as_deref().map_or(0, Partial::held_bytes)
    }

    /// Starts the count of control frames anew, as a message does: for an owner that measures them
    /// by time.
    pub const fn forgive_controls(&mut self) {
        self.control_frames = 0;
    }

    /// The common case: no message is partial, and the next one is unfragmented and whole in
    /// `input`. Else `None`, with `input` as it was.
    #[inline]
    fn take_whole<'a>(
        &mut self,
        limits: &Limits,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, Violation> {
        if self.partial.is_some() {
            return Ok(None);
        }
        let Some(head) = Head::parse(input, self.role, self.deflate)? else { return Ok(None) };
        if head.opcode == Opcode::Continuation {
            return Err(Violation::UnexpectedContinuation);
        }
        let payload_bytes = admit(&head, limits, 0)?;
        if !head.fin || input.len() - head.size < payload_bytes {
            return Ok(None);
        }
        let Some(frame) = input.split_off_mut(..head.size + payload_bytes) else { return Ok(None) };
        let Some((_, payload)) = frame.split_at_mut_checked(head.size) else { return Ok(None) };
        if head.masked {
            mask::apply(payload, head.key);
        }
        if head.opcode.is_control() {
            count_control(&mut self.control_frames, limits)?;
            return control(head.opcode, Cow::Borrowed(payload)).map(Some);
        }
        self.control_frames = 0;
        if head.compressed {
            let inflated = deflate::inflate(payload, limits.max_message_bytes)?;
            return owned(head.opcode, inflated).map(Some);
        }
        if head.opcode == Opcode::Text {
            let text = simdutf8::basic::from_utf8(payload).map_err(|_| Violation::InvalidUtf8)?;
            return Ok(Some(Incoming::Text(Cow::Borrowed(text))));
        }
        Ok(Some(Incoming::Binary(Cow::Borrowed(payload))))
    }

    #[cold]
    fn take_partial<'a>(
        &mut self,
        limits: &Limits,
        input: &mut &'a mut [u8],
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let mut partial = self.partial.take().unwrap_or_default();
        while !input.is_empty() {
            if !partial.has_frame() {
                let Some(head) = partial.take_head(input, self.role, self.deflate)? else { break };
                if head.opcode.is_control() {
                    count_control(&mut self.control_frames, limits)?;
                }
                partial.open(&head, limits)?;
            }
            if let Some(incoming) = partial.take_payload(input, limits)? {
                if matches!(incoming, Incoming::Text(_) | Incoming::Binary(_)) {
                    self.control_frames = 0;
                }
                if !partial.is_spent() {
                    self.partial = Some(partial);
                }
                return Ok(Some(incoming));
            }
        }
        self.partial = Some(partial);
        Ok(None)
    }
}

/// The frame's payload length, if the message stays within the limit with `earlier` bytes of it
/// read before. Judged by the claim alone, before anything is allocated.
#[inline]
pub(crate) fn admit(head: &Head, limits: &Limits, earlier: usize) -> Result<usize, Violation> {
    let limit = if head.compressed {
        deflate::compressed_bound(limits.max_message_bytes)
    } else {
        limits.max_message_bytes
    };
    match usize::try_from(head.payload_bytes) {
        // A control frame's length was judged by its head.
        Ok(payload_bytes) if head.opcode.is_control() => Ok(payload_bytes),
        Ok(payload_bytes) if payload_bytes <= limit.saturating_sub(earlier) => Ok(payload_bytes),
        _ => Err(Violation::MessageTooBig),
    }
}

fn count_control(count: &mut u32, limits: &Limits) -> Result<(), Violation> {
    *count = count.saturating_add(1);
    if *count > limits.max_control_frames {
        return Err(Violation::TooManyControlFrames);
    }
    Ok(())
}

/// What a whole control frame says.
pub(crate) fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Violation> {
    Ok(match opcode {
        Opcode::Ping => Incoming::Ping(payload),
        Opcode::Close => Incoming::Close(CloseReason::parse(payload)?),
        _ => Incoming::Pong(payload),
    })
}

/// A message that was copied or inflated.
///
/// Text is checked as a whole here even if it was checked piece by piece before: only this turns
/// bytes into a `String` without `unsafe`, and it finds a character cut off at the end.
pub(crate) fn owned<'a>(opcode: Opcode, bytes: Vec<u8>) -> Result<Incoming<'a>, Violation> {
    if opcode == Opcode::Text {
        let text = String::from_utf8(bytes).map_err(|_| Violation::InvalidUtf8)?;
        return Ok(Incoming::Text(Cow::Owned(text)));
    }
    Ok(Incoming::Binary(Cow::Owned(bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    const SMALL: Limits =
        Limits { max_message_bytes: 1_000, max_fragments: 10, max_control_frames: 10 };

    /// A client's frame with the first byte chosen freely.
    fn sent(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = bytes::BytesMut::new();
        frame::put_masked(&mut frame, first, payload, KEY);
        frame.to_vec()
    }

    fn unborrowed(incoming: Incoming<'_>) -> Incoming<'static> {
        match incoming {
            Incoming::Text(text) => Incoming::Text(text.into_owned().into()),
            Incoming::Binary(bytes) => Incoming::Binary(bytes.into_owned().into()),
            Incoming::Ping(bytes) => Incoming::Ping(bytes.into_owned().into()),
            Incoming::Pong(bytes) => Incoming::Pong(bytes.into_owned().into()),
            Incoming::Close(reason) => Incoming::Close(reason.map(|reason| CloseReason {
                code: reason.code,
                reason: reason.reason.into_owned().into(),
            })),
        }
    }

    /// Everything read from `bytes` when it arrives in pieces of `piece` bytes, up to a violation.
    fn read_in(
        bytes: &[u8],
        piece: usize,
        reader: &mut Reader,
    ) -> (Vec<Incoming<'static>>, Option<Violation>) {
        let mut all = Vec::new();
        let mut received = 0;
        for chunk in bytes.to_vec().chunks_mut(piece) {
            received += chunk.len();
            let mut input = chunk;
            loop {
                match reader.read(&SMALL, &mut input) {
                    Ok(Some(incoming)) => all.push(unborrowed(incoming)),
                    Ok(None) => break,
                    Err(violation) => return (all, Some(violation)),
                }
            }
            assert!(input.is_empty(), "all of the input is consumed");
            assert!(reader.held_bytes() <= 2 * received + 2 * size_of::<Partial>());
        }
        (all, None)
    }

    fn server() -> Reader {
        Reader::new(Role::Server, None)
    }

    /// An idle connection's reader is tiny and owns nothing.
    #[test]
    fn idle_is_small() {
        assert!(size_of::<Reader>() <= 16);
        assert_eq!(server().held_bytes(), 0);
        let mut reader = server();
        let (all, violation) = read_in(&sent(0x81, b"Hello"), 3, &mut reader);
        assert_eq!((all.len(), violation), (1, None));
        assert!(reader.is_idle(), "freed when complete");
    }

    /// A whole frame is borrowed from the input, not copied.
    #[test]
    fn whole_frames_are_borrowed() {
        for (first, text) in [(0x81, true), (0x82, false)] {
            let mut bytes = sent(first, &[b'x'; 500]);
            let mut input = &mut bytes[..];
            match server().read(&SMALL, &mut input).unwrap().unwrap() {
                Incoming::Text(Cow::Borrowed(_)) => assert!(text),
                Incoming::Binary(Cow::Borrowed(_)) => assert!(!text),
                other => panic!("{other:?}"),
            }
        }
    }

    /// A claimed length allocates nothing before its bytes are there.
    #[test]
    fn claims_are_not_allocated() {
        let limits = Limits { max_message_bytes: 1 << 40, ..SMALL };
        let mut bytes = vec![0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5];
        let mut reader = server();
        assert_eq!(reader.read(&limits, &mut &mut bytes[..]), Ok(None));
        assert!(reader.held_bytes() < 512, "{}", reader.held_bytes());
    }

    /// After the end nothing is read, whatever comes.
    #[test]
    fn after_the_end_input_is_discarded() {
        for end in [sent(0x88, b""), sent(0xff, b"")] {
            let mut reader = server();
            read_in(&end, 100, &mut reader);
            assert!(reader.is_ended());
            let (all, violation) = read_in(&sent(0x81, b"late"), 1, &mut reader);
            assert_eq!((all, violation, reader.is_idle()), (vec![], None, true));
        }
    }

    /// Wrong text is refused at the byte that makes it wrong, not at the message's end.
    #[test]
    fn text_fails_fast() {
        let check = |text: &[u8], wrong_at: Option<usize>| {
            // A frame that claims more than it has so far.
            let mut bytes = sent(0x01, &[text, &[b'x'; 50]].concat());
            bytes.truncate(6 + text.len());
            let mut reader = server();
            for (at, byte) in bytes.iter_mut().enumerate() {
                match reader.read(&SMALL, &mut std::slice::from_mut(byte)) {
                    Ok(None) => {}
                    Err(Violation::InvalidUtf8) => {
                        assert_eq!(Some(at - 6), wrong_at, "{text:x?}");
                        return;
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(wrong_at, None, "{text:x?}");
        };
        check("aß€😀".as_bytes(), None);
        check(b"ab\xff", Some(2));
        check(b"\xc0\x80", Some(0)); // overlong
        check(b"\xe0\x80\x80", Some(1)); // overlong
        check(b"\xed\xa0\x80", Some(1)); // a surrogate
        check(b"\xf4\x90\x80\x80", Some(1)); // beyond U+10FFFF
        check(b"\xf0\x9f\x98x", Some(3)); // a character cut off
    }

    /// The budget of control frames is refilled by a message and by the owner.
    #[test]
    fn control_budget() {
        let pongs = sent(0x8a, b"").repeat(10);
        let text = sent(0x81, b"");
        let mut reader = server();
        let (all, violation) = read_in(&[&pongs[..], &text, &pongs].concat(), 7, &mut reader);
        assert_eq!((all.len(), violation), (21, None));
        reader.forgive_controls();
        assert_eq!(read_in(&pongs, 1000, &mut reader).1, None);
        let (_, violation) = read_in(&sent(0x89, b""), 1000, &mut reader);
        assert_eq!(violation, Some(Violation::TooManyControlFrames));
    }

    /// One message as frames, with control frames between them.
    fn frames() -> impl Strategy<Value = Vec<u8>> {
        let payload = prop_oneof![
            "\\PC{0,60}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..300),
        ];
        let pieces = prop::collection::vec(payload, 1..4);
        (pieces, any::<bool>(), any::<bool>()).prop_map(|(pieces, text, pings)| {
            let last = pieces.len() - 1;
            let mut bytes = Vec::new();
            for (at, piece) in pieces.iter().enumerate() {
                let opcode = if at > 0 { 0 } else { 2 - u8::from(text) };
                let fin = if at == last { 0x80 } else { 0 };
                bytes.extend(sent(fin | opcode, piece));
                if pings {
                    bytes.extend(sent(0x89, b"?"));
                }
            }
            bytes
        })
    }

    proptest! {
        /// What is read does not depend on how the bytes arrive.
        #[test]
        fn pieces_do_not_matter(
            messages in prop::collection::vec(frames(), 0..6),
            piece in 1usize..40,
        ) {
            let bytes = messages.concat();
            let whole = read_in(&bytes, usize::MAX, &mut server());
            let pieces = read_in(&bytes, piece, &mut server());
            prop_assert_eq!(whole, pieces);
        }

        /// What a peer's frame builder writes is read, in both roles.
        #[test]
        fn round_trip(text: String, bytes: Vec<u8>, key: [u8; 4]) {
            let limits = Limits::default();
            let expected = [Incoming::Text(text.as_str().into()), Incoming::Binary(bytes[..].into())];
            let mut up = frame::masked(Opcode::Text, text.as_bytes(), key).to_vec();
            up.extend(frame::masked(Opcode::Binary, &bytes, key));
            let down = [frame::text(&text), frame::binary(&bytes)].concat();
            for (role, mut sent) in [(Role::Server, up), (Role::Client, down)] {
                let mut input = &mut sent[..];
                let mut reader = Reader::new(role, None);
                for expected in &expected {
                    let read = reader.read(&limits, &mut input).unwrap();
                    prop_assert_eq!(read.as_ref(), Some(expected));
                }
                prop_assert!(input.is_empty());
            }
        }

        /// Any bytes: no panic, bounded memory (asserted inside), the same end in any pieces.
        #[test]
        fn any_bytes(bytes: Vec<u8>, piece in 1usize..20, client: bool, deflate: bool) {
            let role = if client { Role::Client } else { Role::Server };
            let agreed = deflate.then(Agreed::default);
            let whole = read_in(&bytes, usize::MAX, &mut Reader::new(role, agreed));
            let pieces = read_in(&bytes, piece, &mut Reader::new(role, agreed));
            prop_assert_eq!(whole, pieces);
        }
    }
}
