#![cfg(test)]
//! Shows that the test client speaks as the real client does, against a server that follows a
//! script of bytes recorded from a Node server, and that it tells each end of a connection apart.

use fanfare_testkit::{Client, Closed, Error, Options, Transport};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use websocket::{Incoming, Limits, Opcode, Reader, Role, frame};

const OPEN: &str = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const CONNECTED: &str = r#"40{"sid":"wZX3oN0bSVIhsaknAAAI","pid":"p1"}"#;

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Reads one request: its head and its body.
async fn request(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
                return (head.to_owned(), body.to_owned());
            }
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "half a request: {text}");
    }
}

async fn respond(stream: &mut TcpStream, body: &str) {
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(response.as_bytes()).await.unwrap();
}

/// Takes one polling request, checks its method and body, and answers.
async fn exchange(listener: &TcpListener, method: &str, body: &str, answer: &str) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let (head, received) = request(&mut stream).await;
    assert!(head.starts_with(&format!("{method} /socket.io/?EIO=4&transport=polling")), "{head}");
    assert_eq!(received, body);
    respond(&mut stream, answer).await;
}

/// The server's side of a WebSocket.
struct Peer {
    stream: TcpStream,
    reader: Reader,
    input: Vec<u8>,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (head, _) = request(&mut stream).await;
        assert!(head.starts_with("GET /socket.io/?EIO=4&transport=websocket"), "{head}");
        let response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(response.as_bytes()).await.unwrap();
        Self { stream, reader: Reader::new(Role::Server, None), input: Vec::new() }
    }

    async fn say(&mut self, text: &str) {
        self.stream.write_all(&frame::text(text)).await.unwrap();
    }

    async fn attach(&mut self, bytes: &[u8]) {
        self.stream.write_all(&frame::binary(bytes)).await.unwrap();
    }

    async fn hear(&mut self) -> String {
        loop {
            let before = self.input.len();
            let mut rest = &mut self.input[..];
            let heard = self.reader.read(&Limits::default(), &mut rest).unwrap();
            let heard = heard.map(|incoming| match incoming {
                Incoming::Text(text) => text.into_owned(),
                other => panic!("{other:?}"),
            });
            let consumed = before - rest.len();
            self.input.drain(..consumed);
            match heard {
                Some(text) => return text,
                None => assert_ne!(self.stream.read_buf(&mut self.input).await.unwrap(), 0),
            }
        }
    }

    async fn expect(&mut self, text: &str) {
        assert_eq!(self.hear().await, text);
    }

    /// Handshake and CONNECT; returns the CONNECT payload.
    async fn welcome(&mut self) -> Value {
        self.say(OPEN).await;
        let connect = self.hear().await;
        self.say(CONNECTED).await;
        match connect.strip_prefix("40").unwrap() {
            "" => Value::Null,
            payload => serde_json::from_str(payload).unwrap(),
        }
    }
}

#[tokio::test]
async fn events_acks_pings_and_attachments() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        assert_eq!(peer.welcome().await, json!({"token": "x"}));
        peer.say("2").await;
        peer.expect("3").await;
        peer.say(r#"42["greeting",1,"off1"]"#).await;
        peer.expect(r#"42["hello","world"]"#).await;
        peer.expect(r#"420["sum",1,2]"#).await;
        peer.say("430[3]").await;
        peer.say(r#"451-["file",{"_placeholder":true,"num":0}]"#).await;
        peer.attach(&[1, 2, 3]).await;
        peer.say(r#"427["question"]"#).await;
        peer.expect(r#"437["yes"]"#).await;
        peer.say("41").await;
        // Held until the client has gone, so that what it saw was the packet.
        let _ = peer.stream.read(&mut [0; 64]).await;
    });

    let options = Options::default().auth(json!({"token": "x"}));
    let mut client = Client::connect(&url, options).await.unwrap();
    assert_eq!((client.id(), client.pid()), ("wZX3oN0bSVIhsaknAAAI", Some("p1")));
    let event = client.next_event().await.unwrap();
    assert_eq!((event.name.as_str(), &event.args[0]), ("greeting", &json!(1)));
    assert_eq!(client.offset(), Some("off1"));
    client.emit("hello", [json!("world")]).await.unwrap();
    assert_eq!(client.emit_with_ack("sum", [json!(1), json!(2)]).await.unwrap().args, [json!(3)]);
    let event = client.next_event().await.unwrap();
    assert_eq!(event.attachments, [vec![1, 2, 3]]);
    let question = client.next_event().await.unwrap();
    client.answer(&question, [json!("yes")]).await.unwrap();
    assert_eq!(client.closed().await.unwrap(), Closed::Namespace);
    drop(client);
    server.await.unwrap();
}

#[tokio::test]
async fn a_session_is_resumed_from_the_last_event_that_was_taken() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut first = Peer::accept(&listener).await;
        assert_eq!(first.welcome().await, Value::Null);
        first.say(r#"42["a","off1"]"#).await;
        first.say(r#"42["b","off2"]"#).await;
        let mut second = Peer::accept(&listener).await;
        assert_eq!(second.welcome().await, json!({"pid": "p1", "offset": "off1"}));
        second.say(r#"42["b","off2"]"#).await;
        let _ = second.stream.read(&mut [0; 64]).await;
    });

    let mut client = Client::connect(&url, Options::default()).await.unwrap();
    assert!(!client.recovered());
    assert_eq!(client.next_event().await.unwrap().name, "a");
    client.reconnect().await.unwrap();
    assert!(client.recovered());
    assert_eq!(client.next_event().await.unwrap().name, "b");
    assert_eq!(client.offset(), Some("off2"));
    drop(client);
    server.await.unwrap();
}

#[tokio::test]
async fn polling_is_upgraded_with_a_poll_outstanding() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        exchange(&listener, "GET", "", OPEN).await;
        exchange(&listener, "POST", "40", "ok").await;
        exchange(&listener, "GET", "", &format!("{CONNECTED}\u{1e}42[\"early\"]")).await;
        let (mut poll, _) = listener.accept().await.unwrap();
        request(&mut poll).await;
        let mut peer = Peer::accept(&listener).await;
        peer.expect("2probe").await;
        peer.say("3probe").await;
        respond(&mut poll, "42[\"last\"]\u{1e}6").await;
        peer.expect("5").await;
        peer.say(r#"42["over websocket"]"#).await;
        let _ = peer.stream.read(&mut [0; 64]).await;
    });

    let mut client = Client::connect(&url, Options::over(Transport::Upgrade)).await.unwrap();
    for name in ["early", "last", "over websocket"] {
        assert_eq!(client.next_event().await.unwrap().name, name);
    }
    drop(client);
    server.await.unwrap();
}

#[tokio::test]
async fn a_refused_namespace_shows_message_and_data() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.say(OPEN).await;
        peer.expect("40/mw,").await;
        peer.say(r#"44/mw,{"message":"not authorized","data":{"retry":true}}"#).await;
    });

    let refused = Client::connect(&url, Options::default().namespace("/mw")).await.unwrap_err();
    let Error::Refused { message, data } = refused else { panic!("{refused:?}") };
    assert_eq!((message.as_str(), data), ("not authorized", Some(json!({"retry": true}))));
    server.await.unwrap();
}

#[tokio::test]
async fn each_end_of_a_connection_has_its_own_name() {
    let cases: [(&[u8], Closed); 6] = [
        (b"", Closed::Eof),
        (b"\x88\0", Closed::WebSocket { code: None, reason: String::new() }),
        (b"\x88\x02\x03\xf1", Closed::WebSocket { code: Some(1009), reason: String::new() }),
        (b"\x81\x011", Closed::Engine),
        (b"\x81\x0241", Closed::Namespace),
        (b"\x82\x01x", Closed::Protocol(String::new())),
    ];
    for (bytes, want) in cases {
        let (listener, url) = listen().await;
        let server = tokio::spawn(async move {
            let mut peer = Peer::accept(&listener).await;
            peer.welcome().await;
            peer.stream.write_all(bytes).await.unwrap();
        });
        let client = Client::connect(&url, Options::default()).await.unwrap();
        server.await.unwrap();
        let closed = client.closed().await.unwrap();
        match (&closed, &want) {
            (Closed::Protocol(_), Closed::Protocol(_)) => {}
            _ => assert_eq!(closed, want),
        }
        let error = client.emit_with_ack("late", []).await.unwrap_err();
        assert!(matches!(&error, Error::Closed(end) if *end == closed), "{error:?}");
    }
}

#[tokio::test]
async fn a_response_that_is_no_upgrade_is_an_http_error() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        let response = "HTTP/1.1 400 Bad Request\r\nContent-Length: 9\r\n\r\nForbidden";
        stream.write_all(response.as_bytes()).await.unwrap();
    });
    let refused = Client::connect(&url, Options::default()).await.unwrap_err();
    assert!(matches!(&refused, Error::Http { status: 400, body } if body == "Forbidden"));
    server.await.unwrap();
}

/// A frame that a client must not take: the server's frames are not masked.
#[tokio::test]
async fn a_masked_frame_from_the_server_is_found() {
    let (listener, url) = listen().await;
    let server = tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        let masked = frame::masked(Opcode::Text, b"2", [1, 2, 3, 4]);
        peer.stream.write_all(&masked).await.unwrap();
    });
    let client = Client::connect(&url, Options::default()).await.unwrap();
    server.await.unwrap();
    assert!(matches!(client.closed().await.unwrap(), Closed::Protocol(_)));
}
