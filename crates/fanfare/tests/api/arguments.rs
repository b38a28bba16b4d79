//! Arguments of events: typed ones, misfits, binary ones.

use crate::support::{Site, TRANSPORTS, got, next, packet};
use bytes::Bytes;
use fanfare::{Ack, Args, EmitError, EventError, Refused, Socket};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use testkit::{EnginePacket, Transport};

#[derive(Serialize, Deserialize)]
struct Point {
    x: i32,
    #[serde(default)]
    label: Option<String>,
}

/// `point` wants a point and a list.
async fn point(_: Socket, (point, list): (Point, Vec<u8>), ack: Ack) {
    ack.send((point, list.len()));
}

/// Arguments that fit reach the listener; more than it wants are ignored.
#[tokio::test]
async fn that_fit() {
    let site = Site::new();
    site.io.main().on("point", point);
    for transport in TRANSPORTS {
        let client = site.client_over(transport).await;
        let cases = [
            vec![json!({ "x": 1 }), json!([1, 2])],
            vec![json!({ "x": 1, "y": 2 }), json!([1, 2]), json!("more"), json!(null)],
        ];
        for args in cases {
            let ack = client.emit_with_ack("point", args).await.unwrap();
            assert_eq!(ack.args, [json!({ "x": 1, "label": null }), json!(2)]);
        }
    }
    site.end().await;
}

/// Arguments that do not fit are answered in the ack, or by an `error` event; the socket lives on.
#[tokio::test]
async fn that_do_not_fit() {
    let site = Site::new();
    site.io.main().on("point", point);
    let bad = [vec![], vec![json!({ "x": 1 })], vec![json!({ "x": "1" }), json!([])]];
    for transport in TRANSPORTS {
        let mut client = site.client_over(transport).await;
        for args in bad.clone() {
            let ack = client.emit_with_ack("point", args.clone()).await.unwrap();
            let [answer] = &ack.args[..] else { panic!("{ack:?}") };
            assert_eq!(
                (&answer["ok"], &answer["error"]["code"]),
                (&json!(false), &json!("INVALID_MESSAGE"))
            );
            assert_eq!(answer["error"]["details"], json!({ "event": "point" }));
            assert!(answer["error"]["message"].as_str().is_some_and(|text| !text.is_empty()));
            client.emit("point", args).await.unwrap();
            let event = client.next_event().await.unwrap();
            assert_eq!((event.name.as_str(), &event.args[0]), ("error", &answer["error"]));
        }
        assert_eq!(got(&mut client).await, [] as [&str; 0]);
    }
    assert_eq!(site.counts().rejected["arguments_unfit"], 18);
    site.end().await;
}

/// An event middleware refuses: the listener does not run and the client is told why. Catch-alls
/// see everything first.
#[tokio::test]
async fn of_refused_events() {
    let site = Site::new();
    let log = crate::support::Log::default();
    let noting = log.clone();
    site.io
        .main()
        .on_any(move |_, event| noting.note(event.name.as_str()))
        .event_middleware(|_, event| match event.name.as_str() {
            "no" => Err(Refused::new("not now")),
            "data" => Err(Refused::new("not so").with_data(json!([1]))),
            _ => Ok(()),
        })
        .on("no", |_: Socket, _: Args| async { panic!("refused") })
        .on("data", |_: Socket, _: Args| async { panic!("refused") });
    let mut client = site.client().await;
    let answer = |code: &str, message: &str, details: Value| json!({ "code": code, "message": message, "details": details });
    let no = answer("PERMISSION_DENIED", "not now", json!({ "event": "no" }));
    let data = answer("PERMISSION_DENIED", "not so", json!([1]));
    for (name, error) in [("no", no), ("data", data)] {
        let ack = client.emit_with_ack(name, []).await.unwrap();
        assert_eq!(ack.args, [json!({ "ok": false, "error": error })]);
        client.emit(name, []).await.unwrap();
        assert_eq!(next(&mut client, 1).await, [format!("error({error})")]);
    }
    client.emit_with_ack("sync", []).await.unwrap();
    assert_eq!(log.take(), ["no", "no", "data", "data", "sync"]);
    assert_eq!(site.counts().rejected["event_refused"], 4);
    drop(client);
    site.end().await;
}

/// `on_error` takes the place of the answer, and has the event, the reason and the ack.
#[tokio::test]
async fn the_application_answers() {
    let site = Site::new();
    site.io
        .main()
        .on("point", point)
        .event_middleware(|_, event| match event.name.as_str() {
            "no" => Err(Refused::new("no")),
            _ => Ok(()),
        })
        .on_error(|socket, event, error, ack| {
            let kind = match error {
                EventError::Refused(refused) => format!("refused: {refused}"),
                EventError::Arguments(_) => "arguments".to_owned(),
                _ => "else".to_owned(),
            };
            let answer = (event.name.as_str().to_owned(), kind);
            if ack.is_wanted() {
                ack.send(answer);
            } else {
                socket.emit("mine", answer).unwrap();
            }
        });
    let mut client = site.client().await;
    for (name, kind) in [("point", "arguments"), ("no", "refused: no")] {
        let ack = client.emit_with_ack(name, []).await.unwrap();
        assert_eq!(ack.args, [json!(name), json!(kind)]);
        client.emit(name, []).await.unwrap();
        assert_eq!(next(&mut client, 1).await, [format!("mine({},{})", json!(name), json!(kind))]);
    }
    drop(client);
    site.end().await;
}

/// What came is sent on byte for byte; JSON keeps its numbers and its order.
#[tokio::test]
async fn that_are_relayed() {
    let site = Site::new();
    site.io.main().on("relay", |socket: Socket, args: Args| async move {
        socket.io().emit("relayed", args).unwrap();
    });
    let body = r#"{"z":1,"a":1e400,"n":123456789012345678901234567890,"u":"\u00e9é"}"#;
    for transport in [Transport::WebSocket, Transport::Polling] {
        let mut engine = site.joined(transport).await;
        engine.send_raw(&format!(r#"42["relay",{body},[],null]"#)).await.unwrap();
        let expected = format!(r#"42["relayed",{body},[],null]"#);
        assert_eq!(packet(&mut engine).await, expected, "{transport:?}");
        engine.send_raw("41").await.unwrap();
    }
    site.end().await;
}

/// Binary arguments go both ways, to those who poll too, and inside of typed arguments.
#[tokio::test]
async fn that_are_binary() {
    let site = Site::new();
    site.io.main().on("file", |socket: Socket, (name, data): (String, ByteBuf), ack: Ack| {
        let reversed: ByteBuf = data.iter().rev().copied().collect::<Vec<u8>>().into();
        async move {
            socket.io().emit("file", (name, reversed.clone())).unwrap();
            ack.send((json!({ "size": reversed.len() }), data));
        }
    });
    let header = r#"451-1["file","a",{"_placeholder":true,"num":0}]"#;
    for transport in TRANSPORTS {
        let mut engine = site.joined(transport).await;
        if transport == Transport::Upgrade {
            engine.upgrade().await.unwrap();
        }
        let data = EnginePacket::Binary(Bytes::from_static(&[1, 2, 254]));
        engine.send_all(&[EnginePacket::parse(header).unwrap(), data.clone()]).await.unwrap();
        let expected = [
            r#"451-["file","a",{"_placeholder":true,"num":0}]"#.to_owned(),
            EnginePacket::Binary(Bytes::from_static(&[254, 2, 1])).to_text(),
            r#"461-1[{"size":3},{"_placeholder":true,"num":0}]"#.to_owned(),
            data.to_text(),
        ];
        for expected in expected {
            assert_eq!(packet(&mut engine).await, expected, "{transport:?}");
        }
        engine.send_raw("41").await.unwrap();
    }
    site.end().await;
}

/// What cannot be sent is an error, and nothing is sent.
#[tokio::test]
async fn that_cannot_be_sent() {
    let site = Site::new();
    let mut client = site.client().await;
    let io = &site.io;
    let no_keys = std::collections::HashMap::from([((1, 2), 3)]);
    let errors = [
        (io.emit("connect", ()), "reserved"),
        (io.emit("a", (no_keys,)), "key"),
        (io.to(Vec::<String>::new()).emit("a", ()), "empty"),
        (io.to("").emit("a", ()), "room"),
        (io.to("a\n").emit("a", ()), "room"),
        (io.to("x".repeat(256)).emit("a", ()), "room"),
        (io.except("").emit("a", ()), "room"),
    ];
    for (outcome, expected) in errors {
        let error: EmitError = outcome.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}: {expected}");
    }
    // An empty list of exceptions excludes nobody.
    io.except(Vec::<String>::new()).emit("b", ()).unwrap();
    assert_eq!(got(&mut client).await, ["b()"]);
    drop(client);
    site.end().await;
}
