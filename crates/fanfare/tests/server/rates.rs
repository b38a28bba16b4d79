//! How fast a client is read, and how many sessions an address may open in a time.

use crate::support::{Client, Running, WEBSOCKET, opened, status};
use fanfare::{Ack, Args, Io, Settings, Socket};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const OPEN: &str = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n";

/// An application whose listener says how long the text was that it got.
fn measuring(change: impl FnOnce(&mut Settings)) -> Io {
    let io = Io::with(|settings| {
        settings.shards = 1;
        change(settings);
    });
    let io = io.unwrap();
    io.main().on("measure", |_: Socket, (text,): (String,), ack: Ack| async move {
        ack.send((text.len(),));
    });
    io
}

/// A WebSocket client whose pings are answered behind what it sends, as browsers do it.
struct WebSocket {
    write: Arc<Mutex<TcpStream>>,
    read: TcpStream,
}

impl WebSocket {
    /// Opens a session and joins `/`.
    fn joined(server: &Running) -> WebSocket {
        let Client { mut stream } = server.connect();
        stream.write_all(WEBSOCKET.as_bytes()).unwrap();
        opened(&mut stream);
        let read = stream.try_clone().unwrap();
        let mut socket = WebSocket { write: Arc::new(Mutex::new(stream)), read };
        socket.send(["40".to_owned()]);
        assert!(socket.hear().starts_with("40{"));
        socket
    }

    /// Sends texts, one behind the other and nothing in between.
    fn send(&self, texts: impl IntoIterator<Item = String>) {
        let mut stream = self.write.lock().unwrap();
        for text in texts {
            stream.write_all(&masked(&text)).unwrap();
        }
    }

    /// The next message. Pings are answered as soon as what is being sent is sent.
    fn hear(&mut self) -> String {
        loop {
            let text = self.frame();
            if text != "2" {
                return text;
            }
            let write = self.write.clone();
            std::thread::spawn(move || write.lock().unwrap().write_all(&masked("3")));
        }
    }

    fn frame(&mut self) -> String {
        let mut head = [0; 2];
        self.read.read_exact(&mut head).unwrap();
        assert!(head[0] == 0x81 && head[1] < 126, "{head:?}");
        let mut text = vec![0; usize::from(head[1])];
        self.read.read_exact(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }
}

/// A text frame with a mask that changes nothing.
fn masked(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        medium @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

fn measure(id: usize, bytes: usize) -> String {
    format!(r#"42{id}["measure","{}"]"#, "x".repeat(bytes))
}

fn reads_held(server: &Running) -> u64 {
    server.io.counters().counts().reads_held
}

/// A client that sends faster than it is read becomes slower; nothing of it is lost, nothing comes
/// in another order, and another client does not notice.
#[test]
fn a_flood_is_read_at_its_rate() {
    const PIECES: usize = 40;
    const PIECE: usize = 50_000;
    let io = measuring(|settings| {
        settings.read_rate.bytes_per_second = 2_000_000;
        settings.read_rate.burst_bytes = 500_000;
    });
    let server = Running::of(io, |_| ());
    let mut flooding = WebSocket::joined(&server);
    let mut other = WebSocket::joined(&server);
    let begun = Instant::now();
    flooding.send((0..PIECES).map(|id| measure(id, PIECE)));
    other.send([measure(0, 100_000)]);
    assert_eq!(other.hear(), "430[100000]");
    for id in 0..PIECES {
        assert_eq!(flooding.hear(), format!("43{id}[{PIECE}]"));
    }
    // All but the burst and what one read takes had to wait for its turn.
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    assert!(reads_held(&server) > 0);
    server.expect_rejected(&[]);
}

/// What may come at once comes at once, also when it is much; and no rate is no limit.
#[test]
fn a_burst_is_not_held() {
    let default = measuring(|_| ());
    let unlimited = measuring(|settings| {
        settings.read_rate.bytes_per_second = 0;
        settings.read_rate.burst_bytes = 0;
    });
    for (io, pieces) in [(default, 7), (unlimited, 12)] {
        let server = Running::of(io, |_| ());
        let mut socket = WebSocket::joined(&server);
        socket.send((0..pieces).map(|id| measure(id, 999_000)));
        for id in 0..pieces {
            assert_eq!(socket.hear(), format!("43{id}[999000]"));
        }
        assert_eq!(reads_held(&server), 0);
    }
}

/// A client whose answer to a ping is not read, because the server does not read, lives on: both
/// when it sent too fast and when too many of its listeners are unfinished.
#[test]
fn who_is_held_misses_no_heartbeat() {
    let quick = |settings: &mut Settings| {
        settings.engine.ping_interval = Duration::from_millis(50);
        settings.engine.ping_timeout = Duration::from_millis(200);
    };
    let io = measuring(|settings| {
        quick(settings);
        settings.read_rate.bytes_per_second = 400_000;
        settings.read_rate.burst_bytes = 1_000;
    });
    let server = Running::of(io, |_| ());
    let mut socket = WebSocket::joined(&server);
    // One message of two seconds: nothing else shows meanwhile that the client lives.
    socket.send([measure(0, 800_000)]);
    assert_eq!(socket.hear(), "430[800000]");
    socket.send([measure(1, 1)]);
    assert_eq!(socket.hear(), "431[1]");
    assert!(reads_held(&server) > 0);

    let io = measuring(|settings| {
        quick(settings);
        settings.max_running_handlers = 1;
    });
    io.main().on("think", |_: Socket, _: Args, ack: Ack| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ack.send(());
    });
    let server = Running::of(io, |_| ());
    let mut socket = WebSocket::joined(&server);
    for id in 0..2 {
        socket.send([format!(r#"42{id}["think"]"#)]);
        assert_eq!(socket.hear(), format!("43{id}[]"));
    }
}

/// A polling client's posts wait for their turn, each with its answer, and so does its heartbeat.
#[test]
fn posts_are_read_at_their_rate() {
    let io = measuring(|settings| {
        settings.engine.ping_interval = Duration::from_millis(50);
        settings.engine.ping_timeout = Duration::from_millis(200);
        settings.read_rate.bytes_per_second = 200_000;
        settings.read_rate.burst_bytes = 1_000;
    });
    let server = Running::of(io, |_| ());
    let mut poster = server.connect();
    poster.send(OPEN);
    let target = target_of(&poster.answer());
    let mut post = |body: &str| {
        let length = body.len();
        poster.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"));
        poster.send(format!("Content-Type: text/plain\r\n\r\n{body}"));
        poster.answer()
    };
    // The second one waits half a second, longer than a ping may stay unanswered.
    let begun = Instant::now();
    assert_eq!(status(&post("40")), "200");
    assert_eq!(status(&post(&measure(0, 100_000))), "200");
    assert_eq!(status(&post("3")), "200");
    assert!(begun.elapsed() >= Duration::from_millis(490), "{:?}", begun.elapsed());
    assert_eq!(reads_held(&server), 1);
    let mut poll = server.connect();
    poll.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let answer = poll.answer();
    assert!(answer.contains("430[100000]"), "{answer}");
}

/// The target of a session's requests, from the answer that opened it.
fn target_of(answer: &str) -> String {
    let sid = answer.split_once("\"sid\":\"").unwrap().1.split_once('"').unwrap().0;
    format!("/socket.io/?EIO=4&transport=polling&sid={sid}")
}

/// An address that opens sessions too fast, or guesses at ids, is told to come back later. What it
/// has goes on.
#[test]
fn sessions_per_address() {
    let server = Running::new(|settings| {
        settings.max_sessions_per_address_per_second = 1;
        settings.session_burst_per_address = 3;
        settings.limit_loopback = true;
    });
    let mut client = server.connect();
    let mut ask = |request: &str| {
        client.send(request);
        client.answer()
    };
    let first = ask(OPEN);
    let answers: Vec<_> = std::iter::repeat_with(|| ask(OPEN)).take(20).collect();
    assert!(answers.iter().take(2).all(|answer| status(answer) == "200"), "{answers:?}");
    let refused: Vec<_> = answers.iter().filter(|answer| status(answer) == "429").collect();
    let told = refused.first().unwrap();
    assert!(told.contains("\r\nretry-after: 1\r\n"), "{told}");
    assert!(told.ends_with(r#"{"code":4,"message":"Too many requests"}"#), "{told}");
    server.expect_rejected(&[("session_rate", refused.len() as u64)]);

    // Guesses are answered by the same measure.
    let guess = OPEN.replace(" HTTP", "&sid=AAAAAAAAAAAAAAAAAAAAAA HTTP");
    let mut known = refused.len() as u64;
    let mut unknown = 0;
    while unknown < 3 {
        match status(&ask(&guess)) {
            "400" => unknown += 1,
            "429" => known += 1,
            other => panic!("{other}"),
        }
    }
    server.expect_rejected(&[("session_rate", known), ("unknown_session", 3)]);
    let target = target_of(&first);
    let post = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n6");
    for _ in 0..20 {
        assert_eq!(status(&ask(&post)), "200");
    }

    // A WebSocket that is refused hears it in HTTP.
    let answers = std::iter::repeat_with(|| server.ask(WEBSOCKET.replace("4&t", "4&sid=x&t")));
    let told = answers.take(100).find(|answer| status(answer) == "429").unwrap();
    assert!(told.ends_with("\r\n\r\nToo many requests"), "{told}");
    assert!(told.contains("\r\nretry-after: 1\r\n"), "{told}");
}

/// Other addresses, and loopback unless asked for, are not hindered.
#[test]
fn loopback_may_open_any_number() {
    let server = Running::new(|settings| {
        settings.max_sessions_per_address_per_second = 1;
        settings.session_burst_per_address = 1;
    });
    let mut client = server.connect();
    for _ in 0..50 {
        client.send(OPEN);
        assert_eq!(status(&client.answer()), "200");
    }
    server.expect_rejected(&[]);
}
