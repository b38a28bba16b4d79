//! Whatever is called in whatever order, a session stays within its contract.
//!
//! A model keeps only what the caller can see (is a `GET` pending, is there a second WebSocket) and
//! checks every output against it.
#![cfg(test)]

use fanfare_engineio::{
    Output, Packet, PollAnswer, PostForm, Revision, Session, Settings, Transport,
};
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
enum Call {
    Pass(u16),
    Packet(u8),
    ProbePacket(u8),
    PollOpened,
    PollAnswered,
    PollAborted,
    PostOpened(bool),
    PostReceived,
    PostFinished,
    PostAborted,
    ProbeOpened,
    ProbeClosed,
    ProbeError,
    ParseError,
    TransportClosed,
    TransportError,
    Close(bool),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (0..800_u16).prop_map(Call::Pass),
        4 => (0..8_u8).prop_map(Call::Packet),
        4 => (0..8_u8).prop_map(Call::ProbePacket),
        4 => Just(Call::PollOpened),
        3 => Just(Call::PollAnswered),
        1 => Just(Call::PollAborted),
        3 => any::<bool>().prop_map(Call::PostOpened),
        2 => Just(Call::PostReceived),
        3 => Just(Call::PostFinished),
        1 => Just(Call::PostAborted),
        3 => Just(Call::ProbeOpened),
        1 => Just(Call::ProbeClosed),
        1 => Just(Call::ProbeError),
        1 => Just(Call::ParseError),
        1 => Just(Call::TransportClosed),
        1 => Just(Call::TransportError),
        1 => any::<bool>().prop_map(Call::Close),
    ]
}

fn packet(kind: u8) -> Packet<'static> {
    match kind {
        0 => Packet::Open,
        1 => Packet::Close,
        2 => Packet::Ping("probe"),
        3 => Packet::Pong(""),
        4 => Packet::Text("text"),
        5 => Packet::Upgrade,
        6 => Packet::Noop,
        _ => Packet::Binary((&[1_u8, 2][..]).into()),
    }
}

/// What the caller knows.
struct Model {
    session: Session,
    settings: Settings,
    now: Instant,
    poll: bool,
    probe: bool,
    closed: bool,
}

impl Model {
    #[allow(clippy::disallowed_methods, reason = "simulated time needs a start")]
    fn new(revision: Revision, transport: Transport) -> Self {
        let settings = Settings {
            ping_interval: Duration::from_millis(500),
            ping_timeout: Duration::from_millis(300),
            upgrade_timeout: Duration::from_millis(400),
            close_timeout: Duration::from_millis(600),
            ..Settings::default()
        };
        let now = Instant::now();
        let session = Session::new(now, revision, transport, &settings);
        Self { session, settings, now, poll: false, probe: false, closed: false }
    }

    fn call(&mut self, call: &Call) {
        let Self { session, settings, now, .. } = self;
        match call {
            Call::Pass(millis) => {
                *now += Duration::from_millis(u64::from(*millis));
                session.handle_deadline(*now, settings);
            }
            Call::Packet(kind) => {
                let was_open = session.is_open();
                let message = session.handle_packet(*now, settings, packet(*kind));
                assert_eq!(message.is_some(), was_open && matches!(kind, 4 | 7));
            }
            Call::ProbePacket(kind) => session.handle_probe_packet(*now, settings, &packet(*kind)),
            Call::PollOpened => {
                let overlaps = self.poll;
                self.poll |= session.poll_opened().is_ok();
                assert!(!overlaps || session.is_closed());
            }
            Call::PollAnswered => {
                session.poll_answered();
                self.poll = false;
            }
            Call::PollAborted => {
                session.poll_aborted();
                self.poll = false;
            }
            Call::PostOpened(binary) => {
                let form = if *binary { PostForm::Binary } else { PostForm::Text };
                let _ = session.post_opened(form);
            }
            Call::PostReceived => {
                let counts = session.post_received().is_ok();
                assert!(!counts || session.transport() == Transport::Polling);
                assert!(!counts || !session.is_closed());
            }
            Call::PostFinished => session.post_finished(),
            Call::PostAborted => session.post_aborted(),
            Call::ProbeOpened => self.probe |= session.probe_opened(*now, settings).is_ok(),
            Call::ProbeClosed => {
                session.probe_closed();
                self.probe = false;
            }
            Call::ProbeError => session.probe_error(),
            Call::ParseError => session.parse_error(),
            Call::TransportClosed => session.transport_closed(),
            Call::TransportError => session.transport_error(),
            Call::Close(discard) => session.close(*now, settings, *discard),
        }
        self.drain();
    }

    fn drain(&mut self) {
        let mut outputs = 0;
        let mut moved = false;
        while let Some(output) = self.session.next_output() {
            outputs += 1;
            assert!(outputs <= 6, "bounded");
            assert!(!self.closed, "nothing follows the end: {output:?}");
            match output {
                Output::Send(_) => assert!(self.session.is_open()),
                Output::SendProbe => assert!(self.probe),
                Output::AnswerPoll(answer) => {
                    assert!(self.poll, "there is a GET to answer");
                    self.poll = false;
                    moved = answer == PollAnswer::Moved;
                }
                Output::CloseProbe => {
                    assert!(self.probe, "there is a WebSocket to close");
                    self.probe = false;
                }
                Output::Switched => {
                    assert!(self.probe, "a WebSocket took over");
                    self.probe = false;
                    moved = false;
                    assert_eq!(self.session.transport(), Transport::Websocket);
                }
                Output::Closed(reason) => {
                    self.closed = true;
                    assert_eq!(self.session.close_cause().unwrap().reason(), reason);
                }
            }
        }
        assert!(!moved, "a GET that moved is followed by the switch");
        self.agree();
    }

    /// What the session says of itself is what the model saw.
    fn agree(&self) {
        let Self { session, .. } = self;
        assert_eq!(session.is_closed(), self.closed);
        assert_eq!(session.deadline().is_none(), self.closed);
        assert_eq!(session.is_poll_pending(), self.poll);
        assert_eq!(session.is_upgrading(), self.probe);
        assert!(!(self.closed && (self.poll || self.probe)), "nobody is left waiting");
        assert!(!self.poll || session.transport() == Transport::Polling);
        assert!(session.is_open() || self.closed || !self.poll, "a closing session holds no GET");
        assert_eq!(session.close_cause().is_some(), self.closed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_calls_in_any_order(
        calls in prop::collection::vec(call(), 0..60),
        v3: bool,
        websocket: bool,
    ) {
        let revision = if v3 { Revision::V3 } else { Revision::V4 };
        let transport = if websocket { Transport::Websocket } else { Transport::Polling };
        let mut model = Model::new(revision, transport);
        for call in &calls {
            model.call(call);
        }
        // Left alone, every session ends: nothing is kept for ever.
        for _ in 0..8 {
            model.call(&Call::Pass(u16::MAX));
        }
        prop_assert!(model.closed);
    }
}
