//! Scripts of pushes, ticks and moves, against what a client would read.

use super::super::form::SharedPacket;
use super::*;
use crate::namespace::{Event, NamespaceCore};
use hub::Target;
use socketio::{Args, EventName, Namespace, Parser};

/// How the steps of a script are written: an event for several, a packet for this session
/// alone, an Engine.IO packet, the end of a tick, and the move to a WebSocket.
const STEPS: [char; 5] = ['r', 'p', 'c', '|', 'u'];

/// Frames have a header of two bytes, as all here are short.
const HEADER: usize = 2;

fn packet(number: usize) -> Encoded {
    let (namespace, name) = (Namespace::root(), EventName::new(&number.to_string()).unwrap());
    let args = Args::none();
    let event = socketio::Event {
        namespace: &namespace,
        name: &name,
        args: &args,
        ack: None,
        offset: None,
    };
    socketio::encode_event(Parser::Json, &event)
}

/// How the packet of that number looks to a client.
fn text(number: usize) -> String {
    format!(r#"42["{number}"]"#)
}

fn broadcasting(number: usize) -> Arc<Broadcasting> {
    let name = EventName::new(&number.to_string()).unwrap();
    let event = Event { name, args: Args::none() };
    Arc::new(Broadcasting {
        core: NamespaceCore::new(Namespace::root(), 0, false, Arc::default(), false),
        target: Target::all(),
        packet: SharedPacket::new(Parser::Json, Namespace::root(), event, None, None),
        volatile: false,
        asks: false,
        kept: false,
        overheard: false,
        sequence: None,
        since: std::time::Instant::now(),
    })
}

/// An outbox, and what a shard does with it.
#[derive(Default)]
struct Desk {
    outbox: Outbox,
    open: Option<Rc<Run>>,
    detached: bool,
    form: Option<Form>,
    /// What was pushed, as a client is to see it.
    pushed: Vec<String>,
}

impl Desk {
    fn on_websocket() -> Desk {
        Desk { form: Some(Form::Plain), ..Desk::default() }
    }

    /// Takes the steps of a script, each with a number of its own.
    fn take(&mut self, script: &str) {
        script.chars().for_each(|step| self.step(step));
    }

    fn step(&mut self, step: char) {
        let number = self.pushed.len();
        match step {
            'r' => self.share(number),
            'p' => {
                self.detach();
                self.outbox.push_packet(packet(number), None, self.form);
            }
            'c' => {
                self.detach();
                self.outbox.push_control(&text(number), self.form.is_some());
            }
            'u' => {
                self.open = None;
                self.form = Some(Form::Plain);
                self.outbox.bind(Form::Plain);
            }
            _ => self.open = None,
        }
        if matches!(step, 'r' | 'p' | 'c') {
            self.pushed.push(text(number));
        }
    }

    fn share(&mut self, number: usize) {
        let event = broadcasting(number);
        if let Some(run) = &self.open {
            let from = u32::try_from(run.len()).unwrap();
            run.append(event);
            if std::mem::take(&mut self.detached) {
                self.outbox.push_run(run, from);
            }
        } else {
            let run = Rc::new(Run::new(event));
            self.outbox.push_run(&run, 0);
            (self.open, self.detached) = (Some(run), false);
        }
    }

    fn detach(&mut self) {
        if let Some(open) = &self.open
            && self.outbox.close_run(open)
        {
            assert!(!std::mem::replace(&mut self.detached, true), "detached twice");
        }
    }

    /// Writes as a transport does that takes `at_most` bytes at a time, from at most `slices`.
    fn write(&mut self, slices: usize, at_most: usize) -> Vec<u8> {
        self.open = None;
        let mut written = Vec::new();
        while !self.outbox.is_empty() {
            written.extend(self.write_once(slices, at_most));
        }
        written
    }

    fn write_once(&mut self, slices: usize, at_most: usize) -> Vec<u8> {
        let mut places = vec![IoSlice::new(&[]); slices];
        let count = self.outbox.fill(Form::Plain, &mut places);
        assert!(count > 0);
        let mut bytes: Vec<u8> = places[..count].iter().flat_map(|it| it.to_vec()).collect();
        bytes.truncate(at_most);
        self.outbox.advance(Form::Plain, bytes.len());
        bytes
    }

    fn backlog(&mut self) -> (usize, usize) {
        self.open = None;
        let Backlog { events, bytes } = self.outbox.backlog();
        (events, bytes)
    }
}

/// The texts of frames.
fn texts(mut frames: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let [0x81, length, rest @ ..] = frames {
        let (text, rest) = rest.split_at(usize::from(*length));
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        frames = rest;
    }
    assert!(frames.is_empty(), "{frames:?}");
    texts
}

/// Every script of that many steps.
fn scripts(length: u32) -> impl Iterator<Item = String> {
    (0..STEPS.len().pow(length)).map(move |mut number| {
        let mut script = String::new();
        for _ in 0..length {
            script.push(STEPS[number % STEPS.len()]);
            number /= STEPS.len();
        }
        script
    })
}

/// What is written is what was pushed, in order, whatever is pushed between the events of a
/// run, and whenever the session moves.
#[test]
fn order() {
    for script in scripts(6) {
        let mut desk = Desk::default();
        desk.take(&script);
        if desk.form.is_none() {
            let payload = std::mem::take(&mut desk.outbox).take_payload(Revision::V4, false);
            let Payload::Text(payload) = payload else { panic!("{script}: binary") };
            let packets: Vec<&str> = payload.split('\u{1e}').collect();
            let expected = if desk.pushed.is_empty() { vec![""] } else { vec![] };
            let pushed = desk.pushed.iter().map(String::as_str);
            assert_eq!(packets, expected.into_iter().chain(pushed).collect::<Vec<_>>(), "{script}");
        } else {
            assert_eq!(texts(&desk.write(64, usize::MAX)), desk.pushed, "{script}");
        }
    }
}

/// Writing in pieces of any size writes the same, and leaves nothing behind.
#[test]
fn pieces() {
    for script in ["r", "rrr", "rpr", "prprp", "rr|rcc|pr", "rprpcr|r|rp", "pcrrru|rpr"] {
        for (slices, at_most) in [(1, 1), (1, 7), (2, 3), (2, 20), (64, 1), (64, 25), (3, 99)] {
            let mut desk = Desk::default();
            desk.take(script);
            desk.step('u');
            let written = desk.write(slices, at_most);
            assert_eq!(texts(&written), desk.pushed, "{script} {slices} {at_most}");
            assert_eq!(desk.backlog(), (0, 0), "{script}");
            assert_eq!(desk.outbox.rest.capacity(), 0, "an empty outbox owns no memory");
        }
    }
}

/// What is pushed while a part is written follows it, also what is joined to the session's
/// own frames.
#[test]
fn between_writes() {
    for script in scripts(4).filter(|script| !script.contains('u')) {
        for first in 0..20 {
            let mut desk = Desk::on_websocket();
            desk.take("rp");
            desk.open = None; // what is written is not appended to
            let mut written = desk.write_once(64, first);
            desk.outbox.backlog();
            desk.take(&script);
            written.extend(desk.write(64, usize::MAX));
            assert_eq!(texts(&written), desk.pushed, "{script} after {first}");
        }
    }
}

/// How much waits: events and about their bytes.
#[test]
fn backlog() {
    // An event's size is that of its text without the type, and five for what is around it.
    let (own, shared) = (text(0).len() + HEADER, text(0).len() - 1 + 5);
    let cases = [
        ("", 0, 0),
        ("r", 1, shared),
        ("rrr", 3, 3 * shared),
        ("p", 1, own),
        ("pp", 2, 2 * own),
        ("rpr", 3, 2 * shared + own),
        ("rr|r", 3, 3 * shared),
        ("rcpr|p", 5, 2 * shared + 3 * own),
    ];
    for (script, events, bytes) in cases {
        let mut desk = Desk::on_websocket();
        desk.take(script);
        assert_eq!(desk.backlog(), (events, bytes), "{script}");
        assert_eq!(desk.backlog(), (events, bytes), "{script}: asked again");
        desk.take("p");
        assert_eq!(desk.backlog(), (events + 1, bytes + own), "{script}: one more");
        desk.take("r");
        let all = (events + 2, bytes + own + shared);
        assert_eq!(desk.backlog(), all, "{script}: and one more");
        desk.outbox.clear();
        assert_eq!(desk.backlog(), (0, 0), "{script}: cleared");
    }
}

/// What was written no longer waits; an entry counts until its last byte is written.
#[test]
fn backlog_while_writing() {
    let mut desk = Desk::on_websocket();
    desk.take("rr|r");
    let whole = text(0).len() + HEADER;
    let shared = text(0).len() - 1 + 5;
    assert_eq!(desk.backlog(), (3, 3 * shared));
    desk.write_once(64, 2 * whole - 1);
    assert_eq!(desk.backlog(), (3, 3 * shared), "one byte of the first run is left");
    desk.write_once(64, 1);
    assert_eq!(desk.backlog(), (1, shared));
    desk.write_once(64, whole);
    assert_eq!(desk.backlog(), (0, 0));
    desk.take("p");
    assert_eq!(desk.backlog(), (1, whole));
}

/// Packets of a session alone are one entry as long as nobody has counted it.
#[test]
fn own_frames_are_joined() {
    let mut desk = Desk::on_websocket();
    desk.take("pcpcp");
    assert!(desk.outbox.rest.is_empty());
    desk.backlog();
    desk.take("pp");
    assert_eq!(desk.outbox.rest.len(), 1);
    desk.take("rp|p");
    assert_eq!(desk.outbox.rest.len(), 3);
    assert_eq!(texts(&desk.write(64, usize::MAX)), desk.pushed);
}

/// A run that is not the last entry, or not the open one, is not closed again.
#[test]
fn close_run() {
    let mut desk = Desk::on_websocket();
    let open = Rc::new(Run::new(broadcasting(0)));
    assert!(!desk.outbox.close_run(&open), "nothing there");
    desk.take("r");
    assert!(!desk.outbox.close_run(&open), "another run");
    desk.outbox.push_run(&open, 0);
    assert!(desk.outbox.close_run(&open));
    assert!(!desk.outbox.close_run(&open), "closed already");
    open.append(broadcasting(1));
    assert_eq!(texts(&desk.write(64, usize::MAX)), [text(0), text(0)], "without the later one");
}
