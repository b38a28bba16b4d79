//! The session's rules, one by one, in simulated time.

use super::*;
use crate::CloseReason::{ForcedClose, ParseError, PingTimeout, TransportClose, TransportError};
use crate::{Action, Request, route};
use Output::{AnswerPoll, CloseProbe, Closed, Send, SendProbe, Switched};
use std::sync::LazyLock;

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| Settings {
    ping_interval: Duration::from_millis(300),
    ping_timeout: Duration::from_millis(200),
    upgrade_timeout: Duration::from_millis(250),
    allow_v3: true,
    ..Settings::default()
});

/// The clock may be read in tests: only differences count.
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn start() -> Instant {
    Instant::now()
}

/// A session and its simulated time.
struct Run {
    session: Session,
    now: Instant,
}

impl Run {
    fn new(revision: Revision, transport: Transport) -> Self {
        let now = start();
        Self { session: Session::new(now, revision, transport, &SETTINGS), now }
    }

    fn polling() -> Self {
        Self::new(Revision::V4, Transport::Polling)
    }

    /// A polling session with a `GET` pending.
    fn polled() -> Self {
        let mut run = Self::polling();
        run.session.poll_opened().unwrap();
        run
    }

    fn websocket() -> Self {
        Self::new(Revision::V4, Transport::Websocket)
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.next_output()).collect()
    }

    fn packet(&mut self, packet: Packet<'static>) -> Option<Message<'static>> {
        self.session.handle_packet(self.now, &SETTINGS, packet)
    }

    fn probe(&mut self, packet: &Packet<'static>) -> Vec<Output> {
        self.session.handle_probe_packet(self.now, &SETTINGS, packet);
        self.outputs()
    }

    fn open_probe(&mut self) -> Result<(), ProbeRefusal> {
        self.session.probe_opened(self.now, &SETTINGS)
    }

    fn close(&mut self, discard: bool) -> Vec<Output> {
        self.session.close(self.now, &SETTINGS, discard);
        self.outputs()
    }

    /// Lets time pass, step by step through every deadline, and gives back what was wanted when.
    fn pass(&mut self, millis: u64) -> Vec<(u64, Output)> {
        let begin = self.now;
        let end = begin + Duration::from_millis(millis);
        let mut wanted = Vec::new();
        while let Some(due) = self.session.deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.session.handle_deadline(self.now, &SETTINGS);
            let at = u64::try_from((self.now - begin).as_millis()).unwrap();
            wanted.extend(self.outputs().into_iter().map(|output| (at, output)));
        }
        self.now = end;
        wanted
    }
}

const PING: Output = Send(Control::Ping);
const PONG: Output = Send(Control::Pong);
const NOOP: Output = AnswerPoll(PollAnswer::Noop);
const CLOSE: Output = AnswerPoll(PollAnswer::Close);

/// Shows that a session stays small: there is one per connection.
#[test]
fn is_small() {
    assert!(size_of::<Session>() <= 96, "{}", size_of::<Session>());
}

/// Shows the handshake, byte for byte, in the reference server's order of keys.
#[test]
fn opens_with_the_handshake() {
    let settings = Settings::default();
    let sid = Sid::new([0; 15], 1);
    let open = |transport, settings: &Settings| {
        Session::new(start(), Revision::V4, transport, settings).open_packet(&sid, settings)
    };
    assert_eq!(
        open(Transport::Polling, &settings),
        "0{\"sid\":\"AAAAAAAAAAAAAAAAAAAAAB\",\"upgrades\":[\"websocket\"],\
         \"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}"
    );
    assert!(open(Transport::Websocket, &settings).contains("\"upgrades\":[],"));
    let settings = Settings { allow_upgrades: false, ..settings };
    assert!(open(Transport::Polling, &settings).contains("\"upgrades\":[],"));
}

/// Shows revision 4's heartbeat: ours is sent after the interval, the answer is awaited for the
/// timeout, and each answer starts the next interval.
#[test]
fn pings_and_waits_for_the_pong() {
    let mut run = Run::websocket();
    assert_eq!(run.pass(299), []);
    assert_eq!(run.pass(1), [(1, PING)]);
    assert_eq!(run.pass(150), []);
    assert_eq!(run.packet(Packet::Pong("")), None);
    assert_eq!(run.pass(299), []);
    assert_eq!(run.pass(500), [(1, PING), (201, Closed(PingTimeout))]);
    assert_eq!(run.session.close_cause(), Some(CloseCause::HeartbeatMissed));
    assert_eq!(run.session.deadline(), None);
}

/// Shows that a packet puts the missing pong off once, and only once.
#[test]
fn another_packet_extends_the_wait_once() {
    let mut run = Run::websocket();
    run.pass(300);
    run.pass(100);
    assert_eq!(run.packet(Packet::Text("a")), Some(Message::Text("a")));
    assert_eq!(run.pass(100), []);
    run.packet(Packet::Text("b"));
    assert_eq!(run.pass(1_000), [(100, Closed(PingTimeout))]);
}

/// Shows that pongs nobody asked for do not keep a session alive.
#[test]
fn a_flood_of_pongs_puts_nothing_off() {
    let mut run = Run::websocket();
    for _ in 0..29 {
        assert_eq!(run.pass(10), []);
        run.packet(Packet::Pong(""));
    }
    assert_eq!(run.pass(10), [(10, PING)]);
}

/// Shows that an answer is waited for as long as it can be heard, and no longer.
#[test]
fn who_is_not_read_from_is_not_late() {
    // The ping is at 300, its answer due at 500.
    let mut run = Run::websocket();
    assert_eq!(run.pass(400), [(300, PING)]);
    let resumed = run.now + Duration::from_millis(50);
    run.session.not_read_until(resumed, &SETTINGS);
    // Earlier times and repetitions change nothing.
    run.session.not_read_until(run.now, &SETTINGS);
    run.session.not_read_until(resumed, &SETTINGS);
    assert_eq!(run.pass(249), []);
    assert_eq!(run.pass(1), [(1, Closed(PingTimeout))]);

    // It puts off neither our next ping nor the end of a client that was read from since.
    let mut run = Run::websocket();
    run.session.not_read_until(run.now + Duration::from_millis(100), &SETTINGS);
    assert_eq!(run.pass(499), [(300, PING)]);
    assert_eq!(run.pass(1), [(1, Closed(PingTimeout))]);

    let mut run = Run::new(Revision::V3, Transport::Websocket);
    run.session.not_read_until(run.now + Duration::from_millis(100), &SETTINGS);
    assert_eq!(run.pass(599), []);
    assert_eq!(run.pass(1), [(1, Closed(PingTimeout))]);
}

/// Shows revision 3's heartbeat: the client's, answered at once, and its absence.
#[test]
fn revision_3_answers_pings() {
    let mut run = Run::new(Revision::V3, Transport::Websocket);
    assert_eq!(run.pass(499), []);
    run.packet(Packet::Ping("probe"));
    assert_eq!(run.outputs(), [PONG]);
    assert_eq!(run.pass(499), []);
    assert_eq!(run.pass(1), [(1, Closed(PingTimeout))]);
}

/// Shows what each packet means on each transport.
#[test]
fn packets_mean() {
    use Revision::{V3, V4};
    use Transport::{Polling, Websocket};
    let error = |cause| Some((Closed(TransportError), cause));
    for (revision, transport, packet, expected) in [
        (V4, Websocket, Packet::Ping(""), error(CloseCause::PingFromClient)),
        (V4, Polling, Packet::Ping("probe"), error(CloseCause::PingFromClient)),
        (V3, Websocket, Packet::Pong(""), error(CloseCause::PongFromClient)),
        (V4, Polling, Packet::Close, Some((Closed(TransportClose), CloseCause::ClosePacket))),
        (V3, Polling, Packet::Close, Some((Closed(TransportClose), CloseCause::ClosePacket))),
        (V4, Websocket, Packet::Close, None),
        (V4, Websocket, Packet::Open, None),
        (V4, Websocket, Packet::Upgrade, None),
        (V4, Websocket, Packet::Noop, None),
        (V4, Polling, Packet::Open, None),
        (V4, Polling, Packet::Upgrade, None),
        (V4, Polling, Packet::Noop, None),
        (V4, Polling, Packet::Pong(""), None),
    ] {
        let mut run = Run::new(revision, transport);
        assert_eq!(run.packet(packet.clone()), None);
        let found = run.session.close_cause();
        assert_eq!(run.outputs().pop().zip(found), expected, "{revision:?} {packet:?}");
    }
}

/// Shows that a closed session takes nothing more.
#[test]
fn nothing_counts_after_the_end() {
    let mut run = Run::polled();
    run.session.parse_error();
    assert_eq!(run.outputs(), [CLOSE, Closed(ParseError)]);
    assert_eq!(run.packet(Packet::Text("late")), None);
    run.session.transport_error();
    run.session.transport_closed();
    assert_eq!(run.close(false), []);
    assert_eq!(run.close(true), []);
    assert_eq!(run.session.poll_opened(), Err(Refusal::UnknownSession));
    assert_eq!(run.session.post_opened(PostForm::Text), Err(Refusal::UnknownSession));
    assert_eq!(run.open_probe(), Err(ProbeRefusal::Ended));
    assert_eq!(run.pass(10_000), []);
}

/// Shows the second `GET`: it is refused, the first gets the close packet, the session ends.
#[test]
fn overlapping_polls_end_the_session() {
    let mut run = Run::polled();
    assert_eq!(run.session.poll_opened(), Err(Refusal::OverlappingPoll));
    assert_eq!(run.outputs(), [CLOSE, Closed(TransportError)]);
    assert_eq!(run.session.close_cause(), Some(CloseCause::OverlappingPoll));
}

/// Shows the second `POST`: the body of neither is applied.
#[test]
fn overlapping_posts_end_the_session() {
    let mut run = Run::polled();
    run.session.post_opened(PostForm::Text).unwrap();
    assert_eq!(run.session.post_opened(PostForm::Text), Err(Refusal::OverlappingPost));
    assert_eq!(run.outputs(), [CLOSE, Closed(TransportError)]);
    assert_eq!(run.session.post_received(), Err(Refusal::UnknownSession));
}

/// Shows that requests one after the other are fine, and what a dropped one does.
#[test]
fn requests_begin_and_end() {
    let mut run = Run::polled();
    run.session.poll_answered();
    run.session.poll_aborted();
    run.session.poll_opened().unwrap();
    run.session.post_opened(PostForm::Text).unwrap();
    assert_eq!(run.session.post_received(), Ok(()));
    run.session.post_finished();
    run.session.post_aborted();
    assert_eq!(run.outputs(), []);
    run.session.post_opened(PostForm::Text).unwrap();
    run.session.post_aborted();
    assert_eq!(run.outputs(), [CLOSE, Closed(TransportError)]);
    assert_eq!(run.session.close_cause(), Some(CloseCause::PostAborted));

    let mut run = Run::polled();
    run.session.poll_aborted();
    assert_eq!(run.outputs(), [Closed(TransportError)]);
    assert_eq!(run.session.close_cause(), Some(CloseCause::PollAborted));
}

/// Shows that only revision 3 takes binary payloads.
#[test]
fn binary_posts_are_for_revision_3() {
    let mut run = Run::polling();
    assert_eq!(run.session.post_opened(PostForm::Binary), Err(Refusal::BinaryPost));
    assert_eq!(run.outputs(), [Closed(TransportError)]);
    let mut run = Run::new(Revision::V3, Transport::Polling);
    assert_eq!(run.session.post_opened(PostForm::Binary), Ok(()));
}

/// Shows the client's close packet: the pending `GET` ends with a noop.
#[test]
fn a_close_packet_ends_polling_at_once() {
    let mut run = Run::polled();
    run.packet(Packet::Close);
    assert_eq!(run.outputs(), [NOOP, Closed(TransportClose)]);
}

/// Shows every way the server's own close goes out.
#[test]
fn closes_from_the_server() {
    assert_eq!(Run::websocket().close(false), [Closed(ForcedClose)]);
    assert_eq!(Run::websocket().close(true), [Closed(ForcedClose)]);
    assert_eq!(Run::polled().close(false), [CLOSE, Closed(ForcedClose)]);
    assert_eq!(Run::polled().close(true), [CLOSE, Closed(ForcedClose)]);
    assert_eq!(Run::polling().close(true), [Closed(ForcedClose)]);

    let mut run = Run::polling();
    assert_eq!(run.close(false), []);
    assert!(!run.session.is_open() && !run.session.is_closed());
    assert_eq!(run.packet(Packet::Text("late")), None);
    assert_eq!(run.pass(29_999), []);
    run.session.poll_opened().unwrap();
    assert_eq!(run.outputs(), [AnswerPoll(PollAnswer::NoopThenClose), Closed(ForcedClose)]);

    let mut run = Run::polling();
    run.close(false);
    run.pass(20_000);
    assert_eq!(run.close(false), []);
    assert_eq!(run.pass(20_000), [(10_000, Closed(ForcedClose))]);
    assert_eq!(run.session.close_cause(), Some(CloseCause::ByServerUnheard));

    let mut run = Run::polling();
    run.close(false);
    assert_eq!(run.close(true), [Closed(ForcedClose)]);

    let mut run = Run::polling();
    run.close(false);
    run.packet(Packet::Close);
    assert_eq!(run.outputs(), [Closed(TransportClose)]);
}

/// Shows the upgrade as clients do it, with the noop that frees the pending poll, repeated.
#[test]
fn upgrades_by_probe() {
    let mut run = Run::polled();
    run.open_probe().unwrap();
    assert!(run.session.is_upgrading());
    assert_eq!(run.probe(&Packet::Ping("probe")), [SendProbe]);
    assert_eq!(run.pass(99), []);
    assert_eq!(run.pass(1), [(1, NOOP)]);
    run.session.poll_opened().unwrap();
    assert_eq!(run.pass(100), [(100, NOOP)]);
    assert_eq!(run.session.transport(), Transport::Polling);
    assert_eq!(run.probe(&Packet::Upgrade), [Switched]);
    assert_eq!(run.session.transport(), Transport::Websocket);
    assert!(!run.session.is_upgrading());
    assert_eq!(run.packet(Packet::Text("a")), Some(Message::Text("a")));
    assert_eq!(run.pass(100), [(100, PING)]);
}

/// Shows the unusual upgrades the reference server knows.
#[test]
fn upgrades_in_other_ways() {
    // A `GET` that is still pending learns that its transport ended.
    let mut run = Run::polled();
    run.open_probe().unwrap();
    assert_eq!(run.probe(&Packet::Upgrade), [AnswerPoll(PollAnswer::Moved), Switched]);
    // A `POST` that is still being read no longer counts.
    let mut run = Run::polling();
    run.session.post_opened(PostForm::Text).unwrap();
    run.open_probe().unwrap();
    assert_eq!(run.probe(&Packet::Upgrade), [Switched]);
    assert_eq!(run.session.post_received(), Err(Refusal::TransportMismatch));
    run.session.post_aborted();
    assert_eq!(run.session.poll_opened(), Err(Refusal::TransportMismatch));
    assert_eq!(run.outputs(), []);
    // Probing twice is answered twice.
    let mut run = Run::polling();
    run.open_probe().unwrap();
    assert_eq!(run.probe(&Packet::Ping("probe")), [SendProbe]);
    assert_eq!(run.probe(&Packet::Ping("probe")), [SendProbe]);
}

/// Shows what ends an upgrade without harming the session.
#[test]
fn upgrades_fail_alone() {
    for packet in [
        Packet::Text("x"),
        Packet::Ping(""),
        Packet::Ping("other"),
        Packet::Pong("probe"),
        Packet::Close,
        Packet::Noop,
        Packet::Open,
    ] {
        let mut run = Run::polled();
        run.open_probe().unwrap();
        assert_eq!(run.probe(&packet), [CloseProbe], "{packet:?}");
        assert!(run.session.is_open() && run.session.is_poll_pending());
        assert_eq!(run.probe(&Packet::Upgrade), [], "a closed probe is heard no more");
    }
    let mut run = Run::polling();
    run.open_probe().unwrap();
    run.session.probe_error();
    assert_eq!(run.outputs(), [CloseProbe]);
    run.session.probe_error();
    assert_eq!(run.outputs(), []);
    run.open_probe().unwrap();
    assert_eq!(run.pass(299), [(250, CloseProbe)]);
    run.open_probe().unwrap();
    run.session.probe_closed();
    assert_eq!(run.pass(1), [(1, PING)]);
    run.open_probe().unwrap();
}

/// Shows that the time for an upgrade also ends when the client probes but does not move.
#[test]
fn a_probe_does_not_extend_the_upgrade_timeout() {
    let mut run = Run::polling();
    run.open_probe().unwrap();
    run.pass(200);
    run.probe(&Packet::Ping("probe"));
    assert_eq!(run.pass(99), [(50, CloseProbe)]);
}

/// Shows when no other `WebSocket` may take over.
#[test]
fn one_upgrade_at_a_time() {
    let mut run = Run::polling();
    run.open_probe().unwrap();
    assert_eq!(run.open_probe(), Err(ProbeRefusal::Upgrading));
    run.probe(&Packet::Upgrade);
    assert_eq!(run.open_probe(), Err(ProbeRefusal::Upgraded));
    assert_eq!(Run::websocket().open_probe(), Err(ProbeRefusal::Upgraded));
}

/// Shows closing while a WebSocket is taking over.
#[test]
fn closes_during_an_upgrade() {
    let mut run = Run::polled();
    run.open_probe().unwrap();
    run.probe(&Packet::Ping("probe"));
    assert_eq!(run.close(false), [CLOSE, CloseProbe, Closed(ForcedClose)]);
    // Without a poll the upgrade may still complete; then the WebSocket takes the close.
    let mut run = Run::polling();
    run.open_probe().unwrap();
    run.probe(&Packet::Ping("probe"));
    assert_eq!(run.close(false), []);
    assert_eq!(run.probe(&Packet::Upgrade), [Switched, Closed(ForcedClose)]);
}

/// Shows that a heartbeat under way at the switch is still awaited, with its full time.
#[test]
fn the_heartbeat_survives_the_switch() {
    let mut run = Run::polling();
    assert_eq!(run.pass(300), [(300, PING)]);
    run.pass(100);
    run.open_probe().unwrap();
    run.probe(&Packet::Upgrade);
    assert_eq!(run.pass(1_000), [(200, Closed(PingTimeout))]);

    let mut run = Run::new(Revision::V3, Transport::Polling);
    run.pass(400);
    run.open_probe().unwrap();
    run.probe(&Packet::Upgrade);
    assert_eq!(run.pass(1_000), [(500, Closed(PingTimeout))]);
}

/// Shows that a polling session nobody polls ends by itself.
#[test]
fn abandoned_polling_sessions_end() {
    let mut run = Run::polling();
    assert_eq!(run.pass(1_000), [(300, PING), (500, Closed(PingTimeout))]);
}

/// Shows that a timer that fires early, late or twice does no harm.
#[test]
fn timers_may_be_lazy() {
    let mut run = Run::websocket();
    run.session.handle_deadline(run.now, &SETTINGS);
    assert_eq!(run.outputs(), []);
    run.now += Duration::from_secs(30);
    run.session.handle_deadline(run.now, &SETTINGS);
    run.session.handle_deadline(run.now, &SETTINGS);
    assert_eq!(run.outputs(), [PING]);
    assert_eq!(run.session.deadline(), Some(run.now + SETTINGS.ping_timeout));
}

/// Shows that the settings' longest time does not overflow the clock.
#[test]
fn endless_settings_do_no_harm() {
    let settings = Settings {
        ping_interval: Duration::MAX,
        ping_timeout: Duration::MAX,
        close_timeout: Duration::MAX,
        upgrade_timeout: Duration::MAX,
        ..Settings::default()
    };
    for revision in [Revision::V3, Revision::V4] {
        let mut session = Session::new(start(), revision, Transport::Polling, &settings);
        session.probe_opened(start(), &settings).unwrap();
        session.close(start(), &settings, false);
        assert!(session.deadline().is_some());
    }
}

/// Shows which requests reach which session, and that those refused do no harm.
#[test]
fn admits_matching_requests_only() {
    use Revision::{V3, V4};
    use Transport::{Polling, Websocket};
    let no = |refusal| Err(refusal);
    for (revision, transport, method, upgrade, query, expected) in [
        (V4, Polling, "GET", false, "EIO=4&transport=polling", Ok(())),
        (V4, Polling, "POST", false, "EIO=4&transport=polling", Ok(())),
        (V3, Polling, "GET", false, "transport=polling", Ok(())),
        (V4, Polling, "GET", true, "EIO=4&transport=websocket", Ok(())),
        (V4, Websocket, "GET", true, "EIO=4&transport=websocket", Ok(())),
        (V4, Websocket, "GET", false, "EIO=4&transport=polling", no(Refusal::TransportMismatch)),
        (V4, Websocket, "POST", false, "EIO=4&transport=polling", no(Refusal::TransportMismatch)),
        (V4, Polling, "GET", false, "EIO=4&transport=websocket", no(Refusal::TransportMismatch)),
        (V4, Websocket, "GET", false, "EIO=4&transport=websocket", no(Refusal::PlainWebsocket)),
        (V4, Websocket, "GET", false, "EIO=3&transport=polling", no(Refusal::TransportMismatch)),
        (V4, Polling, "GET", false, "EIO=3&transport=polling", no(Refusal::RevisionMismatch)),
        (V4, Polling, "PUT", false, "EIO=3&transport=polling", no(Refusal::RevisionMismatch)),
        (V4, Polling, "PUT", false, "EIO=4&transport=polling", no(Refusal::MethodNotAllowed)),
        (V4, Polling, "OPTIONS", false, "EIO=4&transport=polling", no(Refusal::MethodNotAllowed)),
        (V4, Polling, "HEAD", false, "EIO=4&transport=polling", no(Refusal::MethodNotAllowed)),
        (V4, Polling, "POST", true, "EIO=4&transport=polling", no(Refusal::MethodNotAllowed)),
        (V4, Polling, "GET", true, "EIO=4&transport=polling", no(Refusal::UpgradeToPolling)),
        (V4, Polling, "GET", true, "EIO=3&transport=websocket", no(Refusal::RevisionMismatch)),
    ] {
        let mut run = Run::new(revision, transport);
        let sid = Sid::new([1; 15], 0);
        let query = format!("{query}&sid={}", sid.as_str());
        let request = Request { method, query: &query, upgrade, ..Request::default() };
        let address = match route(&request, &SETTINGS) {
            Ok(
                Action::Poll(address)
                | Action::Post(address, _)
                | Action::Upgrade(address)
                | Action::Unsupported(address),
            ) => address,
            other => panic!("{query}: {other:?}"),
        };
        assert_eq!(run.session.admit(&address), expected, "{method} {query}");
        assert_eq!((address.sid, run.outputs()), (sid, vec![]));
        run.session.parse_error();
        assert_eq!(run.session.admit(&address), Err(Refusal::UnknownSession));
    }
}
