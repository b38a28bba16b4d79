//! One session: what has to happen, when, and in which order.
//!
//! The session knows the heartbeat, the requests under way, the upgrade and the way to the end. It
//! does not know the messages to the client: those are in the caller's queue.

mod output;

pub use output::{Control, Output, PollAnswer};

use crate::packet::Packet;
use crate::request::Intent;
use crate::{
    Address, CloseCause, Message, PostForm, ProbeRefusal, Refusal, Revision, Settings, Sid,
    Transport,
};
use output::Pending;
use std::time::{Duration, Instant};

/// How often a pending poll is ended by a noop while the client moves to a WebSocket. It repeats,
/// because the client may have polled again before it got the answer to its probe.
///
/// Spec: the reference server's `_maybeUpgrade`.
const UPGRADE_NOOP_INTERVAL: Duration = Duration::from_millis(100);

/// No deadline is further away, so that a setting nobody checked cannot overflow the clock.
const FURTHEST: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// The state machine of one session; a few words of memory, no allocation.
///
/// After each call, drain [`Session::next_output`] before the next call, and compare
/// [`Session::deadline`] with the timer that is armed: it may have moved in either direction. A
/// timer that fires early does no harm, so a deadline that was only put off needs no new timer.
///
/// Spec: Engine.IO protocol 4, § Transports and § Heartbeat; revision 3, § Transport upgrading.
#[derive(Debug)]
pub struct Session {
    /// When what `phase` waits for is overdue.
    due: Instant,
    probe: Probe,
    pending: Pending,
    phase: Phase,
    cause: Option<CloseCause>,
    revision: Revision,
    transport: Transport,
    /// A `GET` waits for its answer.
    poll_pending: bool,
    /// A `POST` is being read.
    post_open: bool,
}

/// What the session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Revision 4: the time of our next ping.
    PingTime,
    /// Revision 4: the answer to our ping. It is waited for once longer when another packet shows
    /// that the client lives: a large message may be in its way.
    Pong { extended: bool },
    /// Revision 3: the client's next ping.
    ClientPing,
    /// Polling, closed by the server: a `GET` that takes the close packet.
    LastPoll,
    /// Nothing more.
    Closed,
}

/// The WebSocket that wants to take over, and what it is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    Idle,
    Ping { until: Instant },
    Upgrade { until: Instant, noop_at: Instant },
}

impl Session {
    /// A session right after its handshake; the caller answers with [`Session::open_packet`].
    ///
    /// The `GET` of a polling handshake is answered at once and does not count as a poll.
    pub fn new(
        now: Instant,
        revision: Revision,
        transport: Transport,
        settings: &Settings,
    ) -> Self {
        let (phase, wait) = match revision {
            Revision::V4 => (Phase::PingTime, settings.ping_interval),
            Revision::V3 => (Phase::ClientPing, client_ping_wait(settings)),
        };
        Self {
            due: after(now, wait),
            probe: Probe::Idle,
            pending: Pending::default(),
            phase,
            cause: None,
            revision,
            transport,
            poll_pending: false,
            post_open: false,
        }
    }

    /// The first packet: type digit and handshake. After it, in the same response, comes
    /// [`Settings::initial_packet`] as a message.
    ///
    /// Spec: Engine.IO protocol 4, § Handshake.
    pub fn open_packet(&self, sid: &Sid, settings: &Settings) -> String {
        let upgrades = match settings.upgrades(self.transport) {
            [] => "[]",
            _ => "[\"websocket\"]",
        };
        format!(
            "0{{\"sid\":\"{}\",\"upgrades\":{upgrades},\"pingInterval\":{},\"pingTimeout\":{},\
             \"maxPayload\":{}}}",
            sid.as_str(),
            settings.ping_interval.as_millis(),
            settings.ping_timeout.as_millis(),
            settings.max_payload_bytes,
        )
    }

    /// Whether a request that names this session may go on to it.
    ///
    /// # Errors
    ///
    /// The first check it fails, in the reference server's order; the session is unharmed.
    pub fn admit(&self, address: &Address) -> Result<(), Refusal> {
        if self.is_closed() {
            return Err(Refusal::UnknownSession);
        }
        if address.intent != Intent::Upgrade && address.transport != self.transport {
            return Err(Refusal::TransportMismatch);
        }
        if address.revision != self.revision {
            return Err(Refusal::RevisionMismatch);
        }
        match (address.intent, address.transport) {
            (Intent::Unsupported, _) => Err(Refusal::MethodNotAllowed),
            (Intent::Upgrade, Transport::Polling) => Err(Refusal::UpgradeToPolling),
            (Intent::Poll | Intent::Post, Transport::Websocket) => Err(Refusal::PlainWebsocket),
            (Intent::Upgrade, Transport::Websocket)
            | (Intent::Poll | Intent::Post, Transport::Polling) => Ok(()),
        }
    }

    /// The revision the client speaks.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The transport messages travel on now; it changes with [`Output::Switched`].
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether messages can still be sent: neither closed nor waiting for the last poll.
    pub const fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::LastPoll | Phase::Closed)
    }

    /// Whether it has ended; the caller forgets its id.
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether a `GET` waits for packets.
    pub const fn is_poll_pending(&self) -> bool {
        self.poll_pending
    }

    /// Whether a WebSocket is about to take over. Messages still go by polling until then.
    pub const fn is_upgrading(&self) -> bool {
        !matches!(self.probe, Probe::Idle)
    }

    /// What exactly ended the session; the reason for the application is `cause.reason()`.
    pub const fn close_cause(&self) -> Option<CloseCause> {
        self.cause
    }

    /// The next thing to do, in the order it must be done.
    pub fn next_output(&mut self) -> Option<Output> {
        self.pending.pop(self.cause)
    }

    /// When [`Session::handle_deadline`] wants to be called, at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        if self.is_closed() {
            return None;
        }
        let probe = match self.probe {
            Probe::Idle => self.due,
            Probe::Ping { until } => until,
            Probe::Upgrade { until, noop_at } => until.min(noop_at),
        };
        Some(self.due.min(probe))
    }

    /// Does what is due. Calling it early does nothing.
    pub fn handle_deadline(&mut self, now: Instant, settings: &Settings) {
        match self.probe {
            Probe::Ping { until } | Probe::Upgrade { until, .. } if until <= now => {
                self.drop_probe();
            }
            Probe::Upgrade { until, noop_at } if noop_at <= now => {
                self.probe = Probe::Upgrade { until, noop_at: now + UPGRADE_NOOP_INTERVAL };
                self.answer_poll(PollAnswer::Noop);
            }
            Probe::Idle | Probe::Ping { .. } | Probe::Upgrade { .. } => {}
        }
        if now < self.due {
            return;
        }
        match self.phase {
            Phase::PingTime => {
                self.pending.add(Pending::PING);
                self.phase = Phase::Pong { extended: false };
                // A timer that fires a little late must not put off the end, but a server that was
                // stalled must not end everybody.
                let pinged = if now - self.due < PROMPT { self.due } else { now };
                self.due = after(pinged, settings.ping_timeout);
            }
            Phase::Pong { .. } | Phase::ClientPing => self.end(CloseCause::HeartbeatMissed),
            Phase::LastPoll => self.end(CloseCause::ByServerUnheard),
            Phase::Closed => {}
        }
    }

    /// The caller reads, or has read, nothing from the client until this moment, by its own choice:
    /// an answer that is waited for may be among what is not read, and gets its whole time from
    /// there. Call it before [`Session::handle_deadline`].
    pub fn not_read_until(&mut self, resumed: Instant, settings: &Settings) {
        let wait = match self.phase {
            Phase::Pong { .. } => settings.ping_timeout,
            Phase::ClientPing => client_ping_wait(settings),
            Phase::PingTime | Phase::LastPoll | Phase::Closed => return,
        };
        self.due = self.due.max(after(resumed, wait));
    }

    /// Takes a packet that came on the session's transport, and gives back what it brought.
    ///
    /// On polling, call it for each packet of a body whose [`Session::post_received`] was `Ok`.
    pub fn handle_packet<'a>(
        &mut self,
        now: Instant,
        settings: &Settings,
        packet: Packet<'a>,
    ) -> Option<Message<'a>> {
        if matches!(packet, Packet::Close) && self.transport == Transport::Polling {
            self.end_with(CloseCause::ClosePacket, PollAnswer::Noop);
            return None;
        }
        if !self.is_open() {
            return None;
        }
        if self.phase == (Phase::Pong { extended: false }) && !matches!(packet, Packet::Pong(_)) {
            self.phase = Phase::Pong { extended: true };
            self.due = after(now, settings.ping_timeout);
        }
        match packet {
            Packet::Text(text) => return Some(Message::Text(text)),
            Packet::Binary(bytes) => return Some(Message::Binary(bytes)),
            Packet::Ping(_) => self.handle_ping(now, settings),
            Packet::Pong(_) => self.handle_pong(now, settings),
            // A WebSocket client says goodbye by its close frame; the others are not for a server.
            Packet::Open | Packet::Close | Packet::Upgrade | Packet::Noop => {}
        }
        None
    }

    fn handle_ping(&mut self, now: Instant, settings: &Settings) {
        match self.revision {
            Revision::V4 => self.end(CloseCause::PingFromClient),
            Revision::V3 => {
                self.due = after(now, client_ping_wait(settings));
                self.pending.add(Pending::PONG);
            }
        }
    }

    fn handle_pong(&mut self, now: Instant, settings: &Settings) {
        match (self.revision, self.phase) {
            (Revision::V3, _) => self.end(CloseCause::PongFromClient),
            (Revision::V4, Phase::Pong { .. }) => {
                self.phase = Phase::PingTime;
                self.due = after(now, settings.ping_interval);
            }
            // Nobody asked: it must not put off our next ping, or a flood of pongs would keep a
            // dead session alive.
            (Revision::V4, _) => {}
        }
    }

    /// A `GET` has come. After `Ok`, answer it when there are messages, and say so by
    /// [`Session::poll_answered`]; or an [`Output::AnswerPoll`] asks for it.
    ///
    /// # Errors
    ///
    /// Another one is pending ([`Refusal::OverlappingPoll`], the session ends), or the session
    /// ended or moved on before this request reached it.
    pub fn poll_opened(&mut self) -> Result<(), Refusal> {
        self.expect_polling()?;
        if self.poll_pending {
            self.end(CloseCause::OverlappingPoll);
            return Err(Refusal::OverlappingPoll);
        }
        self.poll_pending = true;
        if self.phase == Phase::LastPoll {
            self.end_with(CloseCause::ByServer, PollAnswer::NoopThenClose);
        }
        Ok(())
    }

    /// The pending `GET` was answered with messages.
    pub fn poll_answered(&mut self) {
        self.poll_pending = false;
    }

    /// The client dropped the pending `GET`: the session ends, because nobody can know what of an
    /// answer was lost. Does nothing when none is pending.
    pub fn poll_aborted(&mut self) {
        if self.poll_pending {
            self.poll_pending = false;
            self.end(CloseCause::PollAborted);
        }
    }

    /// The head of a `POST` has come; its body may be read.
    ///
    /// # Errors
    ///
    /// Another one is being read, or it is binary in revision 4 (both end the session); or the
    /// session ended or moved on.
    pub fn post_opened(&mut self, form: PostForm) -> Result<(), Refusal> {
        self.expect_polling()?;
        if self.post_open {
            self.end(CloseCause::OverlappingPost);
            return Err(Refusal::OverlappingPost);
        }
        if form == PostForm::Binary && self.revision == Revision::V4 {
            self.end(CloseCause::BinaryPost);
            return Err(Refusal::BinaryPost);
        }
        self.post_open = true;
        Ok(())
    }

    /// The body of the `POST` is complete: whether its packets still count.
    ///
    /// # Errors
    ///
    /// The session ended or moved to a WebSocket meanwhile; nothing of the body may be applied.
    pub fn post_received(&self) -> Result<(), Refusal> {
        self.expect_polling()?;
        if self.post_open { Ok(()) } else { Err(Refusal::UnknownSession) }
    }

    /// The `POST` is answered, be it with `ok` or with 413; the next may come.
    pub fn post_finished(&mut self) {
        self.post_open = false;
    }

    /// The client dropped the `POST` before its end. Does nothing when none is open.
    pub fn post_aborted(&mut self) {
        if self.post_open {
            self.end(CloseCause::PostAborted);
        }
    }

    fn expect_polling(&self) -> Result<(), Refusal> {
        match (self.phase, self.transport) {
            (Phase::Closed, _) => Err(Refusal::UnknownSession),
            (_, Transport::Websocket) => Err(Refusal::TransportMismatch),
            (_, Transport::Polling) => Ok(()),
        }
    }

    /// A WebSocket wants to take the session over.
    ///
    /// # Errors
    ///
    /// It must be closed; the session goes on.
    pub fn probe_opened(&mut self, now: Instant, settings: &Settings) -> Result<(), ProbeRefusal> {
        if self.is_closed() {
            Err(ProbeRefusal::Ended)
        } else if self.is_upgrading() {
            Err(ProbeRefusal::Upgrading)
        } else if self.transport == Transport::Websocket {
            Err(ProbeRefusal::Upgraded)
        } else {
            self.probe = Probe::Ping { until: after(now, settings.upgrade_timeout) };
            Ok(())
        }
    }

    /// Takes a packet that came on the WebSocket that wants to take over. Bytes there that are no
    /// packet: [`Session::probe_error`].
    ///
    /// An upgrade packet without a probe before it counts too, as in the reference server.
    pub fn handle_probe_packet(&mut self, now: Instant, settings: &Settings, packet: &Packet<'_>) {
        let (Probe::Ping { until } | Probe::Upgrade { until, .. }) = self.probe else {
            return;
        };
        match packet {
            Packet::Ping("probe") => {
                self.probe = Probe::Upgrade { until, noop_at: now + UPGRADE_NOOP_INTERVAL };
                self.pending.add(Pending::PROBE_PONG);
            }
            Packet::Upgrade => self.switch(now, settings),
            _ => self.drop_probe(),
        }
    }

    /// Bytes that are no packet came on the WebSocket that wants to take over: it is closed, the
    /// polling session goes on.
    pub fn probe_error(&mut self) {
        if self.is_upgrading() {
            self.drop_probe();
        }
    }

    /// The WebSocket that wanted to take over is gone; polling goes on.
    pub fn probe_closed(&mut self) {
        self.probe = Probe::Idle;
    }

    fn drop_probe(&mut self) {
        self.probe = Probe::Idle;
        self.pending.add(Pending::CLOSE_PROBE);
    }

    fn switch(&mut self, now: Instant, settings: &Settings) {
        self.probe = Probe::Idle;
        self.answer_poll(PollAnswer::Moved);
        self.post_open = false;
        self.transport = Transport::Websocket;
        self.pending.add(Pending::SWITCHED);
        // A heartbeat under way may have been lost with the old transport: it gets its full time
        // again. The reference server stops waiting, and then never notices a dead client.
        match self.phase {
            Phase::PingTime | Phase::Closed => {}
            Phase::Pong { .. } => self.due = after(now, settings.ping_timeout),
            Phase::ClientPing => self.due = after(now, client_ping_wait(settings)),
            Phase::LastPoll => self.end(CloseCause::ByServer),
        }
    }

    /// Bytes that are no packet came on the session's transport.
    ///
    /// A `POST` that brought them is answered `ok` all the same, as in the reference server; only a
    /// body that is no text is refused ([`Refusal::InvalidUtf8`]).
    pub fn parse_error(&mut self) {
        self.end(CloseCause::Unparsable);
    }

    /// The client ended the session's WebSocket in good order.
    pub fn transport_closed(&mut self) {
        self.end(CloseCause::TransportEnded);
    }

    /// The session's WebSocket failed.
    pub fn transport_error(&mut self) {
        self.end(CloseCause::TransportFailed);
    }

    /// Closes the session from our side.
    ///
    /// A WebSocket ends at once: on [`Output::Closed`] flush the queue (unless `discard`) and close
    /// it. Polling ends when a `GET` took the close packet, at the latest after
    /// [`Settings::close_timeout`]; with `discard` it ends at once.
    pub fn close(&mut self, now: Instant, settings: &Settings, discard: bool) {
        if self.is_closed() || (self.phase == Phase::LastPoll && !discard) {
            return;
        }
        if discard || self.poll_pending || self.transport == Transport::Websocket {
            self.end(CloseCause::ByServer);
        } else {
            self.phase = Phase::LastPoll;
            self.due = after(now, settings.close_timeout);
            self.pending.forget_heartbeat();
        }
    }

    fn answer_poll(&mut self, answer: PollAnswer) {
        if self.poll_pending {
            self.poll_pending = false;
            self.pending.add(Pending::answer(answer));
        }
    }

    fn end(&mut self, cause: CloseCause) {
        self.end_with(cause, PollAnswer::Close);
    }

    fn end_with(&mut self, cause: CloseCause, answer: PollAnswer) {
        if self.is_closed() {
            return;
        }
        self.answer_poll(answer);
        if self.is_upgrading() {
            self.drop_probe();
        }
        self.post_open = false;
        self.phase = Phase::Closed;
        self.cause = Some(cause);
        self.pending.forget_heartbeat();
        self.pending.add(Pending::CLOSED);
    }
}

fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(FURTHEST)
}

/// A ping that is sent within this time counts as sent when it was due.
const PROMPT: Duration = Duration::from_millis(20);

/// How long a revision 3 client may be silent: its interval, and what a heartbeat may be late.
fn client_ping_wait(settings: &Settings) -> Duration {
    settings.ping_interval.saturating_add(settings.ping_timeout)
}

#[cfg(test)]
#[path = "session/tests.rs"]
mod tests;
