//! What is kept of a message that has not arrived whole.

use std::borrow::Cow;

use crate::head::{Head, MAX_HEAD_BYTES, Opcode, Role};
use crate::reader::{admit, control, owned};
use crate::{Incoming, Limits, Violation, deflate, mask};

/// A piece of a head, an open frame, an unfinished message: each may be there or not.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    head: [u8; MAX_HEAD_BYTES],
    head_bytes: u8,
    frame: Option<Frame>,
    /// The payload of an open control frame: it may stand between a message's fragments.
    control: Vec<u8>,
    message: Option<Message>,
}

/// A frame whose payload is still arriving.
#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    masked: bool,
    /// The key for the next byte.
    key: [u8; 4],
    remaining: usize,
}

/// The message that data frames add to.
#[derive(Debug)]
struct Message {
    opcode: Opcode,
    compressed: bool,
    fragments: u32,
    bytes: Vec<u8>,
    /// How many of the bytes are known to be UTF-8; the rest is the beginning of a character.
    checked: usize,
}

impl Partial {
    pub(crate) const fn has_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// Whether nothing is kept.
    pub(crate) const fn is_spent(&self) -> bool {
        self.head_bytes == 0 && self.frame.is_none() && self.message.is_none()
    }

    pub(crate) fn held_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.bytes.capacity());
        size_of::<Self>() + self.control.capacity() + message
    }

    /// Completes the head from `input`; `None` when `input` ends before it.
    pub(crate) fn take_head(
        &mut self,
        input: &mut &mut [u8],
        role: Role,
        deflate: bool,
    ) -> Result<Option<Head>, Violation> {
        let kept = usize::from(self.head_bytes);
        let mut known = kept;
        for (slot, byte) in self.head.iter_mut().skip(kept).zip(input.iter()) {
            *slot = *byte;
            known += 1;
        }
        let bytes = self.head.get(..known).unwrap_or_default();
        let Some(head) = Head::parse(bytes, role, deflate)? else {
            // Shorter than any head, so all of the input is in it.
            *input = &mut [];
            self.head_bytes = u8::try_from(known).unwrap_or(0);
            return Ok(None);
        };
        let _already_in_the_head = input.split_off_mut(..head.size.saturating_sub(kept));
        self.head_bytes = 0;
        Ok(Some(head))
    }

    /// Begins the frame of `head`.
    pub(crate) fn open(&mut self, head: &Head, limits: &Limits) -> Result<(), Violation> {
        let Head { opcode, fin, masked, key, .. } = *head;
        let remaining = match (opcode, &mut self.message) {
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation::UnfinishedMessage),
            (Opcode::Text | Opcode::Binary, message @ None) => {
                let remaining = admit(head, limits, 0)?;
                *message = Some(Message::new(opcode, head.compressed));
                remaining
            }
            (Opcode::Continuation, None) => return Err(Violation::UnexpectedContinuation),
            (Opcode::Continuation, Some(message)) => {
                message.fragments = message.fragments.saturating_add(1);
                if message.fragments > limits.max_fragments {
                    return Err(Violation::TooManyFragments);
                }
                let head = Head { compressed: message.compressed, ..*head };
                admit(&head, limits, message.bytes.len())?
            }
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => admit(head, limits, 0)?,
        };
        self.frame = Some(Frame { opcode, fin, masked, key, remaining });
        Ok(())
    }

    /// Moves payload from `input` into the open frame; a message if that completes one.
    pub(crate) fn take_payload<'a>(
        &mut self,
        input: &mut &mut [u8],
        limits: &Limits,
    ) -> Result<Option<Incoming<'a>>, Violation> {
        let Some(frame) = &mut self.frame else { return Ok(None) };
        let Some(chunk) = input.split_off_mut(..frame.remaining.min(input.len())) else {
            return Ok(None);
        };
        if frame.masked {
            mask::apply(chunk, frame.key);
            frame.key = mask::advance(frame.key, chunk.len());
        }
        if frame.opcode.is_control() {
            self.control.extend_from_slice(chunk);
        } else if let Some(message) = &mut self.message {
            let rest = if frame.fin { frame.remaining } else { usize::MAX };
            message.push(chunk, rest)?;
        }
        frame.remaining -= chunk.len();
        let Frame { opcode, fin, remaining, .. } = *frame;
        if remaining > 0 {
            return Ok(None);
        }
        self.frame = None;
        if opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return control(opcode, Cow::Owned(payload)).map(Some);
        }
        match self.message.take_if(|_| fin) {
            Some(message) => message.finish(limits).map(Some),
            None => Ok(None),
        }
    }
}

impl Message {
    const fn new(opcode: Opcode, compressed: bool) -> Self {
        Self { opcode, compressed, fragments: 1, bytes: Vec::new(), checked: 0 }
    }

    /// Appends `chunk`, the first of at most `rest` further bytes of the message.
    ///
    /// The buffer doubles as bytes arrive, and the last frame stops it at the message's end: a claim
    /// alone costs nothing, and a true one wastes nothing.
    fn push(&mut self, chunk: &[u8], rest: usize) -> Result<(), Violation> {
        if self.bytes.capacity() - self.bytes.len() < chunk.len() {
            let step = chunk.len().max(self.bytes.len()).min(rest);
            self.bytes.reserve_exact(step);
        }
        self.bytes.extend_from_slice(chunk);
        if self.opcode == Opcode::Text && !self.compressed {
            self.check_text()?;
        }
        Ok(())
    }

    /// Checks what was not yet checked; a character that may still be completed stays unchecked, at
    /// most three bytes.
    fn check_text(&mut self) -> Result<(), Violation> {
        let unchecked = self.bytes.get(self.checked..).unwrap_or_default();
        match simdutf8::compat::from_utf8(unchecked) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::InvalidUtf8),
        }
        Ok(())
    }

    fn finish<'a>(self, limits: &Limits) -> Result<Incoming<'a>, Violation> {
        if self.compressed {
            let inflated = deflate::inflate(&self.bytes, limits.max_message_bytes)?;
            return owned(self.opcode, inflated);
        }
        owned(self.opcode, self.bytes)
    }
}
