//! What goes over the wire in other encodings: compressed, as MessagePack, and to old clients.

use crate::support::{PATIENCE, Site, packet, within};
use bytes::{Bytes, BytesMut};
use fanfare::{Ack, Args, Parser, Socket};
use testkit::{Dial, EngineConnection, EnginePacket, Message, Request, Transport, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use websocket::deflate::Agreed;
use websocket::{Incoming, Limits, Opcode, Reader, Role, frame};

/// A WebSocket on which compression was agreed.
struct Deflating {
    stream: TcpStream,
    input: BytesMut,
    reader: Reader,
    /// The answer to the offer.
    agreed: Option<String>,
    /// Bytes that came as frames.
    received: usize,
}

impl Deflating {
    async fn connect(site: &Site, offer: &str) -> Deflating {
        let url = format!("{}/socket.io/?EIO=4&transport=websocket", site.url);
        let mut exchange = Request::new("GET", &url)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Extensions", offer)
            .start()
            .await
            .unwrap();
        let response = exchange.response().await.unwrap();
        assert_eq!(response.status, 101);
        let agreed = response.header("Sec-WebSocket-Extensions").map(ToOwned::to_owned);
        let deflate = agreed.as_ref().and_then(|field| Agreed::choose(&[field.as_bytes()]));
        assert_eq!(agreed.is_some(), deflate.is_some(), "{agreed:?}");
        let (stream, input) = exchange.into_parts();
        let (reader, received) = (Reader::new(Role::Client, deflate), input.len());
        Deflating { stream, input, reader, agreed, received }
    }

    async fn send(&mut self, text: &str) {
        let frame = frame::masked(Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn next(&mut self) -> String {
        within(async {
            loop {
                let mut bytes = self.input.split();
                let mut input = &mut bytes[..];
                let read = self.reader.read(&Limits::default(), &mut input).unwrap();
                let text = match read {
                    Some(Incoming::Text(text)) => Some(text.into_owned()),
                    Some(other) => panic!("{other:?}"),
                    None => None,
                };
                self.input = BytesMut::from(&*input);
                if let Some(text) = text {
                    return text;
                }
                let before = self.input.len();
                assert_ne!(self.stream.read_buf(&mut self.input).await.unwrap(), 0);
                self.received += self.input.len() - before;
            }
        })
        .await
    }
}

/// With compression on, long messages are compressed for who offered it, shared or not, unless it
/// is asked not to; everybody gets the same.
#[tokio::test]
async fn deflate() {
    let site = Site::with(|settings| settings.message_compression = Some(1000));
    let mut plain = site.joined(Transport::WebSocket).await;
    let mut deflating =
        Deflating::connect(&site, "permessage-deflate; client_max_window_bits").await;
    assert!(deflating.agreed.is_some());
    assert!(deflating.next().await.starts_with("0{"));
    deflating.send("40").await;
    assert!(deflating.next().await.starts_with("40{"));
    site.io.main().on("direct", |socket: Socket, args: Args, ack: Ack| async move {
        socket.emit("direct", &args).unwrap();
        ack.send(args);
    });
    let long = "abcd".repeat(5000);
    let expected = format!(r#"42["e","{long}"]"#);
    let before = deflating.received;
    for _ in 0..3 {
        site.io.emit("e", (&long,)).unwrap();
        site.io.emit("e", ("short",)).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(deflating.next().await, expected);
        assert_eq!(deflating.next().await, r#"42["e","short"]"#);
        assert_eq!(packet(&mut plain).await, expected);
        assert_eq!(packet(&mut plain).await, r#"42["e","short"]"#);
    }
    assert!(deflating.received - before < 3000, "{}", deflating.received - before);
    deflating.send(&format!(r#"421["direct","{long}"]"#)).await;
    let before = deflating.received;
    assert_eq!(deflating.next().await, format!(r#"42["direct","{long}"]"#));
    assert_eq!(deflating.next().await, format!(r#"431["{long}"]"#));
    assert!(deflating.received - before < 3000, "{}", deflating.received - before);
    let before = deflating.received;
    site.io.broadcast().compress(false).emit("e", (&long,)).unwrap();
    assert_eq!(deflating.next().await, expected);
    assert!(deflating.received - before > long.len());
    assert_eq!(packet(&mut plain).await, expected);
    drop((plain, deflating));
    site.end().await;
}

/// Without the setting nothing is agreed on.
#[tokio::test]
async fn no_deflate_by_default() {
    let site = Site::new();
    let mut client = Deflating::connect(&site, "permessage-deflate").await;
    assert_eq!(client.agreed, None);
    assert!(client.next().await.starts_with("0{"));
    drop(client);
    site.end().await;
}

/// A string as MessagePack has it.
fn text(text: &str) -> Vec<u8> {
    assert!(text.len() < 32);
    [&[0xa0 | u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A packet as the msgpack parser sends it.
fn msgpack(kind: u8, data: Option<&[u8]>, id: Option<u8>) -> EnginePacket {
    let count = 2 + u8::from(data.is_some()) + u8::from(id.is_some());
    let mut bytes = vec![0x80 | count];
    bytes.extend([text("type"), vec![kind]].concat());
    if let Some(data) = data {
        bytes.extend([&text("data"), data].concat());
    }
    if let Some(id) = id {
        bytes.extend([text("id"), vec![id]].concat());
    }
    bytes.extend([text("nsp"), text("/")].concat());
    EnginePacket::Binary(bytes.into())
}

/// The next binary packet.
async fn binary(engine: &mut EngineConnection) -> Bytes {
    loop {
        match engine.next_within(PATIENCE).await.unwrap() {
            EnginePacket::Ping(_) | EnginePacket::Noop => {}
            EnginePacket::Binary(bytes) => return bytes,
            other => panic!("{other:?}"),
        }
    }
}

/// Whether bytes occur in a packet: the order of its keys is nobody's business.
fn has(packet: &[u8], part: &[u8]) -> bool {
    packet.windows(part.len()).any(|window| window == part)
}

/// With the MessagePack parser: typed arguments, binary in its place, acks both ways, broadcasts.
#[tokio::test]
async fn message_pack() {
    let site = Site::with(|settings| settings.parser = Parser::MsgPack);
    site.io
        .main()
        .on("add", |_: Socket, (a, b): (u8, u8), ack: Ack| async move { ack.send((a + b,)) })
        .on("bytes", |socket: Socket, (bytes,): (serde_bytes::ByteBuf,)| async move {
            socket.io().emit("bytes", (bytes,)).unwrap();
        })
        .on("ask", |socket: Socket, _: Args| async move {
            let answer = socket.emit_with_ack("q", (), PATIENCE).await.unwrap();
            socket.emit("answer", answer).unwrap();
        });
    for transport in [Transport::WebSocket, Transport::Polling, Transport::Upgrade] {
        let mut engine = site.engine(transport).await;
        if transport == Transport::Upgrade {
            engine.upgrade().await.unwrap();
        }
        engine.send(msgpack(0, None, None)).await.unwrap();
        let connected = binary(&mut engine).await;
        assert!(has(&connected, &[text("type"), vec![0]].concat()), "{connected:?}");
        assert!(has(&connected, &text("sid")), "{connected:?}");

        let add = [&[0x93], &text("add")[..], &[2, 3]].concat();
        engine.send(msgpack(2, Some(&add), Some(9))).await.unwrap();
        let ack = binary(&mut engine).await;
        assert!(has(&ack, &[text("type"), vec![3]].concat()), "{ack:?}");
        assert!(has(&ack, &[text("data"), vec![0x91, 5]].concat()), "{ack:?}");
        assert!(has(&ack, &[text("id"), vec![9]].concat()), "{ack:?}");

        let bytes = [&[0x92], &text("bytes")[..], &[0xc4, 3, 1, 2, 255]].concat();
        engine.send(msgpack(2, Some(&bytes), None)).await.unwrap();
        let event = binary(&mut engine).await;
        assert!(has(&event, &[&text("data")[..], &bytes].concat()), "{event:?}");

        let ask = [&[0x91], &text("ask")[..]].concat();
        engine.send(msgpack(2, Some(&ask), None)).await.unwrap();
        let question = binary(&mut engine).await;
        let id = [text("id"), Vec::new()].concat();
        let at = question.windows(id.len()).position(|window| window == id).unwrap() + id.len();
        let id = question[at];
        assert!(id < 128, "{question:?}");
        let answer = [&[0x91], &text("yes")[..]].concat();
        engine.send(msgpack(3, Some(&answer), Some(id))).await.unwrap();
        let event = binary(&mut engine).await;
        let data = [&[0x92], &text("answer")[..], &text("yes")].concat();
        assert!(has(&event, &[&text("data")[..], &data].concat()), "{event:?}");

        engine.send(msgpack(1, None, None)).await.unwrap();
        site.until("left", |counts| counts.sockets == 0).await;
    }
    site.end().await;
}

/// The next message that is no pong, binary ones in hexadecimal.
async fn old(socket: &mut WebSocket) -> String {
    loop {
        match socket.next_within(PATIENCE).await.unwrap() {
            Message::Text(text) if text == "3" => {}
            Message::Text(text) => return text,
            Message::Binary(bytes) => return format!("{bytes:?}"),
            other => panic!("{other:?}"),
        }
    }
}

/// A client of version 2 on a WebSocket: in `/` without asking, pings by itself, binary with a
/// type byte; it gets the same broadcasts as others.
#[tokio::test]
async fn version_2_on_a_websocket() {
    let site = Site::with(|settings| settings.engine.allow_v3 = true);
    site.io.main().on("file", |socket: Socket, (bytes,): (serde_bytes::ByteBuf,)| async move {
        socket.io().emit("file", (bytes,)).unwrap();
    });
    let url = format!("{}/socket.io/?EIO=3&transport=websocket", site.url);
    let mut client = WebSocket::connect(&url, &[], Dial::default()).await.unwrap();
    assert!(old(&mut client).await.starts_with("0{\"sid\":"));
    assert_eq!(old(&mut client).await, "40");
    let mut new = site.joined(Transport::WebSocket).await;
    client.send_text("2").await.unwrap();
    assert_eq!(client.next_within(PATIENCE).await.unwrap(), Message::Text("3".into()));
    client.send_text(r#"427["sync"]"#).await.unwrap();
    assert_eq!(old(&mut client).await, "437[]");
    client.send_text(r#"451-["file",{"_placeholder":true,"num":0}]"#).await.unwrap();
    client.send(Opcode::Binary, &[4, 7, 8]).await.unwrap();
    let header = r#"451-["file",{"_placeholder":true,"num":0}]"#;
    assert_eq!(old(&mut client).await, header);
    assert_eq!(old(&mut client).await, format!("{:?}", Bytes::from_static(&[4, 7, 8])));
    assert_eq!(packet(&mut new).await, header);
    assert_eq!(binary(&mut new).await, [7, 8][..]);
    site.io.broadcast().disconnect_sockets(false).unwrap().await;
    assert_eq!(old(&mut client).await, "41");
    drop((client, new));
    site.end().await;
}

/// The same by polling, with its own framing; and refused where it is not allowed.
#[tokio::test]
async fn version_2_by_polling() {
    let site = Site::with(|settings| settings.engine.allow_v3 = true);
    let url = format!("{}/socket.io/?EIO=3&transport=polling", site.url);
    let get = |url: String| async move {
        let response = testkit::http_get(&url).await.unwrap();
        assert_eq!(response.status, 200, "{}", response.text());
        response.text()
    };
    let mut opening = get(url.clone()).await;
    let sid = opening.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let url = format!("{url}&sid={sid}");
    if !opening.ends_with("2:40") {
        opening = get(url.clone()).await;
    }
    assert!(opening.ends_with("2:40"), "{opening}");
    let posted = Request::new("POST", &url)
        .header("Content-Type", "text/plain;charset=UTF-8")
        .body(r#"11:420["sync"]11:421["sync"]"#)
        .send()
        .await
        .unwrap();
    assert_eq!((posted.status, posted.text().as_str()), (200, "ok"));
    let mut answers = String::new();
    while answers.len() < "5:430[]5:431[]".len() {
        answers.push_str(&get(url.clone()).await);
    }
    assert_eq!(answers, "5:430[]5:431[]");
    site.io.emit("\u{20ac}", ()).unwrap();
    assert_eq!(get(url.clone()).await, "7:42[\"\u{20ac}\"]");
    site.end().await;

    let site = Site::with(|settings| settings.engine.allow_v3 = false);
    let url = format!("{}/socket.io/?EIO=3&transport=polling", site.url);
    assert_eq!(testkit::http_get(&url).await.unwrap().status, 400);
    site.end().await;
}
