//! What a session asks its caller to do.

use crate::{CloseCause, CloseReason, Piece};

/// A packet of the session itself, sent on its present transport like a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Revision 4: our heartbeat.
    Ping,
    /// Revision 3: the answer to the client's heartbeat.
    Pong,
}

impl Control {
    /// The encoded packet.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "2",
            Self::Pong => "3",
        }
    }
}

/// What a pending `GET` is answered with. Messages that are queued at that moment go into the same
/// response, before these packets, where [`PollAnswer::takes_messages`] says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollAnswer {
    /// `6`: nothing, come again (or, while upgrading, do not). Not needed beside messages.
    Noop,
    /// `1`: the session ended.
    Close,
    /// `1`: the session goes on on its WebSocket. Queued messages go there and not into this
    /// response, which the client may no longer read.
    Moved,
    /// `6` and `1`: the session was closed before this `GET` came.
    NoopThenClose,
}

impl PollAnswer {
    /// Whether queued messages go into the response too.
    pub const fn takes_messages(self) -> bool {
        !matches!(self, Self::Moved)
    }

    /// The packets, ready for [`crate::payload::encode`].
    pub const fn pieces(self) -> &'static [Piece<'static>] {
        match self {
            Self::Noop => &[Piece::Text("6")],
            Self::Close | Self::Moved => &[Piece::Text("1")],
            Self::NoopThenClose => &[Piece::Text("6"), Piece::Text("1")],
        }
    }
}

/// Something the caller must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Queue this packet behind the messages.
    Send(Control),
    /// Send [`Output::PROBE_PONG`] on the WebSocket that wants to take over.
    SendProbe,
    /// Answer the pending `GET` with this. It counts as answered.
    AnswerPoll(PollAnswer),
    /// Close the WebSocket that wanted to take over, with an empty close frame.
    CloseProbe,
    /// The WebSocket has taken over: abandon a `POST` that is still being read, and send the queue
    /// and everything after it on the WebSocket.
    Switched,
    /// The session ended. Nothing follows. A WebSocket that is still there is closed with an empty
    /// close frame, a `POST` that is still being read is abandoned, the id is forgotten.
    /// [`crate::Session::close_cause`] tells more.
    Closed(CloseReason),
}

impl Output {
    /// The packet that answers a probe.
    pub const PROBE_PONG: &'static str = "3probe";
}

/// The outputs not yet taken: one bit each, taken from the lowest up. The bits stand in the order
/// in which the caller must act, and each kind can be wanted only once between two drains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pending(u16);

impl Pending {
    pub(super) const PROBE_PONG: u16 = 1;
    pub(super) const PONG: u16 = 1 << 1;
    pub(super) const PING: u16 = 1 << 2;
    const NOOP: u16 = 1 << 3;
    const CLOSE: u16 = 1 << 4;
    const NOOP_THEN_CLOSE: u16 = 1 << 5;
    const MOVED: u16 = 1 << 6;
    pub(super) const CLOSE_PROBE: u16 = 1 << 7;
    pub(super) const SWITCHED: u16 = 1 << 8;
    pub(super) const CLOSED: u16 = 1 << 9;

    pub(super) const fn answer(answer: PollAnswer) -> u16 {
        match answer {
            PollAnswer::Noop => Self::NOOP,
            PollAnswer::Close => Self::CLOSE,
            PollAnswer::NoopThenClose => Self::NOOP_THEN_CLOSE,
            PollAnswer::Moved => Self::MOVED,
        }
    }

    pub(super) fn add(&mut self, output: u16) {
        self.0 |= output;
    }

    /// Drops what a session that is ending no longer sends.
    pub(super) fn forget_heartbeat(&mut self) {
        self.0 &= !(Self::PROBE_PONG | Self::PING | Self::PONG);
    }

    pub(super) fn pop(&mut self, cause: Option<CloseCause>) -> Option<Output> {
        let lowest = self.0 & self.0.wrapping_neg();
        self.0 &= !lowest;
        match lowest {
            Self::PROBE_PONG => Some(Output::SendProbe),
            Self::PONG => Some(Output::Send(Control::Pong)),
            Self::PING => Some(Output::Send(Control::Ping)),
            Self::NOOP => Some(Output::AnswerPoll(PollAnswer::Noop)),
            Self::CLOSE => Some(Output::AnswerPoll(PollAnswer::Close)),
            Self::NOOP_THEN_CLOSE => Some(Output::AnswerPoll(PollAnswer::NoopThenClose)),
            Self::MOVED => Some(Output::AnswerPoll(PollAnswer::Moved)),
            Self::CLOSE_PROBE => Some(Output::CloseProbe),
            Self::SWITCHED => Some(Output::Switched),
            Self::CLOSED => cause.map(|cause| Output::Closed(cause.reason())),
            _ => None,
        }
    }
}
