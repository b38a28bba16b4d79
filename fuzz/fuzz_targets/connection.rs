//! A whole connection: bytes to WebSocket frames to Engine.IO packets to Socket.IO events, by
//! WebSocket, by polling and across the upgrade, in simulated time.
//!
//! Input: one byte of flags (bit 0: begins on a WebSocket; bit 1: revision 3 and version 2; bit 2:
//! MessagePack; bit 3: permessage-deflate), then steps: a byte that selects one (see `step`) and,
//! where one is needed, a length and as many bytes.
//!
//! Shows that whatever a client does: nothing panics; only a member's events come through, and none
//! after the end; what the session asks for fits what is there; each deadline leads on, so that no
//! timer fires in a circle; memory stays in proportion; and a client that falls silent is gone when
//! its heartbeat is overdue.
#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engineio::packet::{decode_binary, decode_text};
use engineio::payload::{self, Packets};
use engineio::{Message, Output, Packet, PostForm, Revision, Session, Transport};
use libfuzzer_sys::fuzz_target;
use socketio::{Connection, Encoded, Incoming as Asked, Parser, Version};
use websocket::deflate::Agreed;
use websocket::{Incoming, Opcode, Reader, Role, frame};

const WEBSOCKET_LIMITS: websocket::Limits =
    websocket::Limits { max_message_bytes: 1_024, max_fragments: 8, max_control_frames: 8 };

/// How long after its last sign of life any session is gone: an interval, a timeout, and one more
/// for a message that was in the way; or what a closed session waits for its last poll.
const LONGEST_SILENCE: Duration = Duration::from_secs(25 + 20 + 20);

/// Noops of an upgrade come ten times a second, for ten seconds; everything else is rarer.
const MOST_DEADLINES: usize = 200;

fuzz_target!(|data: &[u8]| {
    let Some((flags, script)) = data.split_first() else { return };
    let mut world = World::new(*flags);
    world.drain();
    let mut rest = script;
    while let Some((step, after)) = rest.split_first() {
        rest = after;
        world.step(step % 16, &mut rest);
        world.drain();
        world.check(script.len());
    }
    let silent_since = world.now;
    world.advance(LONGEST_SILENCE);
    assert!(world.session.is_closed(), "silent since {silent_since:?}");
    assert!(world.ended, "the end was told");
});

struct World {
    engine: engineio::Settings,
    now: Instant,
    session: Session,
    connection: Connection,
    deflate: Option<Agreed>,
    /// The WebSocket the session is on.
    socket: Option<Reader>,
    /// The WebSocket that wants to take over.
    probe: Option<Reader>,
    poll: bool,
    post: bool,
    ended: bool,
    received_bytes: usize,
    acked_bytes: usize,
}

impl World {
    fn new(flags: u8) -> Self {
        let engine = engineio::Settings {
            max_payload_bytes: WEBSOCKET_LIMITS.max_message_bytes,
            max_packets_per_payload: 32,
            allow_v3: true,
            ..engineio::Settings::default()
        };
        let (revision, version) = match flags & 2 {
            0 => (Revision::V4, Version::V5),
            _ => (Revision::V3, Version::V2),
        };
        let transport = if flags & 1 == 0 { Transport::Polling } else { Transport::Websocket };
        let parser = if flags & 4 == 0 { Parser::Json } else { Parser::MsgPack };
        let limits = socketio::Limits {
            max_packet_bytes: WEBSOCKET_LIMITS.max_message_bytes,
            max_connect_bytes: 256,
            max_namespaces: 4,
            max_refusals: 4,
            ..socketio::Limits::default()
        };
        let settings = Arc::new(socketio::Settings { parser, limits });
        let deflate = (flags & 8 != 0).then(Agreed::default);
        let now = Instant::now();
        let mut world = Self {
            session: Session::new(now, revision, transport, &engine),
            connection: Connection::new(settings, version),
            socket: (flags & 1 != 0).then(|| Reader::new(Role::Server, deflate)),
            probe: None,
            engine,
            now,
            deflate,
            poll: false,
            post: false,
            ended: false,
            received_bytes: 0,
            acked_bytes: 0,
        };
        let asked = world.connection.open();
        assert_eq!(asked.is_some(), version == Version::V2);
        world.answer(Ok(asked));
        world
    }

    fn step(&mut self, step: u8, rest: &mut &[u8]) {
        match step {
            // Bytes on the session's WebSocket, as they are or framed.
            0 => self.on_socket(&mut take(rest).to_vec()),
            1 => self.on_socket(&mut masked(Opcode::Text, take(rest))),
            2 => self.on_socket(&mut masked(Opcode::Binary, take(rest))),
            // The polling transport.
            3 => self.poll(),
            4 => self.post(take(rest)),
            5 => self.post_head(),
            6 => self.abort(),
            // The WebSocket that wants to take over.
            7 => self.open_probe(),
            8 => self.on_probe(&mut take(rest).to_vec()),
            9 => self.on_probe(&mut masked(Opcode::Text, take(rest))),
            10 => self.lose_probe(),
            // Time, and what the server does by itself.
            11 => self.advance(Duration::from_millis(50)),
            12 => self.advance(Duration::from_secs(5)),
            13 => self.leave(),
            14 => self.session.close(self.now, &self.engine, false),
            _ => self.session.transport_error(),
        }
    }

    fn on_socket(&mut self, bytes: &mut [u8]) {
        let Some(mut reader) = self.socket.take() else { return };
        self.received_bytes += bytes.len();
        let mut input = bytes;
        loop {
            match reader.read(&WEBSOCKET_LIMITS, &mut input) {
                Ok(None) => break,
                Ok(Some(incoming)) => self.frame(incoming),
                Err(_) => self.session.transport_error(),
            }
            self.drain();
        }
        if !self.ended {
            self.socket = Some(reader);
        }
    }

    fn frame(&mut self, incoming: Incoming<'_>) {
        let revision = self.session.revision();
        match incoming {
            Incoming::Text(text) => match decode_text(revision, &text) {
                Ok(packet) => self.packet(packet),
                Err(_) => self.session.parse_error(),
            },
            Incoming::Binary(bytes) => match decode_binary(revision, &bytes) {
                Ok(packet) => self.packet(packet),
                Err(_) => self.session.parse_error(),
            },
            Incoming::Ping(payload) => assert!(frame::pong(&payload).len() <= 127),
            Incoming::Pong(_) => {}
            Incoming::Close(_) => self.session.transport_closed(),
        }
    }

    fn packet(&mut self, packet: Packet<'_>) {
        let was_open = self.session.is_open();
        let Some(message) = self.session.handle_packet(self.now, &self.engine, packet) else {
            return;
        };
        assert!(was_open, "nothing comes through after the end");
        let asked = match message {
            Message::Text(text) => self.connection.handle_text(text),
            Message::Binary(bytes) => self.connection.handle_binary(Bytes::copy_from_slice(&bytes)),
        };
        self.answer(asked);
    }

    /// A server with the namespaces `/` and `/ok…`, and with `/later…`, where it hesitates.
    fn answer(&mut self, asked: Result<Option<Asked>, socketio::Violation>) {
        match asked {
            Ok(None) => {}
            Err(_) => self.session.close(self.now, &self.engine, true),
            Ok(Some(Asked::Connect { namespace, .. })) => {
                assert!(!self.connection.is_joined(&namespace));
                if namespace.is_root() || namespace.as_str().starts_with("/ok") {
                    self.connection.accepted(&namespace);
                    assert!(self.connection.is_joined(&namespace));
                } else if !namespace.as_str().starts_with("/later") {
                    self.connection.refused(&namespace);
                }
            }
            Ok(Some(Asked::Event { namespace, args, ack, .. })) => {
                assert!(self.connection.is_joined(&namespace), "only a member's events");
                assert!(args.byte_len() <= self.received_bytes);
                if let Some(id) = ack {
                    let parser = self.connection.settings().parser;
                    let encoded = socketio::encode_ack(parser, &namespace, id, &args);
                    self.acked_bytes += encoded_bytes(&encoded);
                    if self.poll {
                        self.poll = false;
                        self.session.poll_answered();
                    }
                }
            }
            Ok(Some(Asked::Ack { namespace, args, .. })) => {
                assert!(self.connection.is_joined(&namespace), "only a member's acks");
                assert!(args.byte_len() <= self.received_bytes);
            }
            Ok(Some(Asked::Disconnect { namespace })) => {
                assert!(!self.connection.is_joined(&namespace));
            }
        }
    }

    fn poll(&mut self) {
        let refused = self.session.poll_opened().is_err();
        if !refused {
            assert!(!self.poll, "one poll at a time");
            self.poll = true;
        }
    }

    /// A whole POST.
    fn post(&mut self, body: &[u8]) {
        self.post_head();
        self.drain();
        if !self.post {
            return;
        }
        self.received_bytes += body.len();
        self.post = false;
        if self.session.post_received().is_err() {
            return;
        }
        let Ok(body) = payload::text(body) else { return self.session.parse_error() };
        let settings = self.engine.clone();
        for packet in Packets::text(self.session.revision(), body, &settings) {
            match packet {
                Ok(packet) => self.packet(packet),
                Err(_) => self.session.parse_error(),
            }
            self.drain();
        }
        self.session.post_finished();
    }

    fn post_head(&mut self) {
        if self.session.post_opened(PostForm::Text).is_ok() {
            assert!(!self.post, "one post at a time");
            self.post = true;
        }
    }

    /// The client drops what it has open by polling.
    fn abort(&mut self) {
        if std::mem::take(&mut self.post) {
            self.session.post_aborted();
        } else if std::mem::take(&mut self.poll) {
            self.session.poll_aborted();
        }
    }

    fn open_probe(&mut self) {
        if self.session.probe_opened(self.now, &self.engine).is_ok() {
            assert!(self.probe.is_none() && self.socket.is_none(), "one transport at a time");
            self.probe = Some(Reader::new(Role::Server, self.deflate));
        }
    }

    fn on_probe(&mut self, bytes: &mut [u8]) {
        let Some(mut reader) = self.probe.take() else { return };
        let mut input = bytes;
        // A socket that has taken over is the session's: what is left of the bytes goes there.
        while self.session.is_upgrading() {
            match reader.read(&WEBSOCKET_LIMITS, &mut input) {
                Ok(None) => break,
                Ok(Some(Incoming::Text(text))) => {
                    match decode_text(self.session.revision(), &text) {
                        Ok(packet) => {
                            self.session.handle_probe_packet(self.now, &self.engine, &packet);
                        }
                        Err(_) => self.session.probe_error(),
                    }
                }
                Ok(Some(Incoming::Ping(_) | Incoming::Pong(_))) => {}
                Ok(Some(_)) | Err(_) => self.session.probe_error(),
            }
            if self.session.transport() == Transport::Websocket {
                break;
            }
        }
        self.probe = Some(reader);
        self.drain();
        if self.socket.is_some() {
            self.on_socket(&mut input.to_vec());
        }
    }

    fn lose_probe(&mut self) {
        if self.probe.take().is_some() {
            self.session.probe_closed();
        }
    }

    /// The server makes the client leave the first namespace it is in.
    fn leave(&mut self) {
        let first = self.connection.joined().next().cloned();
        if let Some(namespace) = first {
            self.connection.left(&namespace);
            assert!(!self.connection.is_joined(&namespace));
        }
    }

    fn advance(&mut self, wait: Duration) {
        let until = self.now + wait;
        for _ in 0..MOST_DEADLINES {
            match self.session.deadline() {
                Some(deadline) if deadline <= until => {
                    self.now = self.now.max(deadline);
                    self.session.handle_deadline(self.now, &self.engine);
                    self.drain();
                    let next = self.session.deadline();
                    assert!(next.is_none_or(|next| next > deadline), "a deadline leads on");
                }
                next => {
                    assert_eq!(next.is_none(), self.session.is_closed());
                    self.now = until;
                    return;
                }
            }
        }
        panic!("{MOST_DEADLINES} deadlines within {wait:?}");
    }

    /// Does what the session asks for, as far as it can be done without a network.
    fn drain(&mut self) {
        while let Some(output) = self.session.next_output() {
            assert!(!self.ended, "{output:?} after the end");
            match output {
                Output::Send(control) => assert_eq!(control.as_str().len(), 1),
                Output::SendProbe => assert!(self.probe.is_some()),
                Output::AnswerPoll(answer) => {
                    assert!(self.poll, "{answer:?} for no poll");
                    assert!(!answer.pieces().is_empty());
                    self.poll = false;
                }
                Output::CloseProbe => assert!(self.probe.take().is_some()),
                Output::Switched => {
                    self.post = false;
                    self.socket = self.probe.take();
                    assert!(self.socket.is_some() && !self.poll);
                }
                Output::Closed(reason) => {
                    let cause = self.session.close_cause().expect("an end has a cause");
                    assert_eq!(cause.reason(), reason);
                    (self.ended, self.post, self.socket) = (true, false, None);
                    assert!(!self.poll && self.probe.is_none(), "nothing is left open");
                }
            }
        }
        assert_eq!(self.session.is_poll_pending(), self.poll);
        assert_eq!(self.session.is_closed(), self.ended);
    }

    fn check(&self, script_bytes: usize) {
        let most = 2 * WEBSOCKET_LIMITS.max_message_bytes + 2_048;
        for reader in self.socket.iter().chain(&self.probe) {
            assert!(reader.held_bytes() <= most);
        }
        let limits = &self.connection.settings().limits;
        assert!(self.connection.joined().count() <= limits.max_namespaces);
        // An answer has the question's arguments; a step of two bytes asks at most once.
        assert!(self.acked_bytes <= 2 * self.received_bytes + 64 * script_bytes);
    }
}

/// A length of one byte, and as many bytes as there are.
fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, after)) = rest.split_first() else { return &[] };
    let (bytes, after) = after.split_at(usize::from(*length).min(after.len()));
    *rest = after;
    bytes
}

fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    frame::masked(opcode, payload, [1, 2, 3, 4]).to_vec()
}

fn encoded_bytes(encoded: &Encoded) -> usize {
    match encoded {
        Encoded::Text { text, attachments } => {
            text.len() + attachments.iter().map(Bytes::len).sum::<usize>()
        }
        Encoded::Binary(bytes) => bytes.len(),
    }
}
