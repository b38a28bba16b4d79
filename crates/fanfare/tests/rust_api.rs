#![cfg(test)]
//! `docs/rust-api.md` shows code that works: each of its snippets stands in this file, in a
//! function that is used below with real clients.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::Bytes;
use fanfare::eventlog::{self, MemoryLog};
use fanfare::{
    Ack, AckError, Args, Disconnect, EmitError, Event, EventError, HistoryQuery, Io, Log, Refused,
    Replay, Server, Socket, StreamOptions,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::{Client, EngineConnection, EnginePacket, EventStream, Options};

const PAGE: &str = include_str!("../../../docs/rust-api.md");

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn settings() -> Outcome<Io> {
    let io = Io::with(|settings| {
        settings.engine.ping_interval = Duration::from_secs(10);
        settings.max_rooms = 50;
    })?;
    Ok(io)
}

async fn serve(io: &Io, shutdown: impl Future<Output = ()>) -> Outcome {
    let server = Server::new(io.clone(), io.router());
    let bound = server.bind(([127, 0, 0, 1], 0).into())?;
    println!("listening on {}", bound.local_addr());
    bound.serve(shutdown).await?;
    Ok(())
}

fn remembering(log: MemoryLog) -> Outcome<Io> {
    let io = Io::with(|settings| settings.log = Some(Log::new(log)))?;
    Ok(io)
}

async fn history(io: &Io) -> Outcome {
    let last_ten = HistoryQuery { limit: 10, ..HistoryQuery::default() };
    let page = io.main().history("news", last_ten).await?;
    for event in &page.events {
        println!("{} {} {}", event.position, event.name, event.args.json());
    }
    // Waits until something comes, for a minute at most.
    let in_a_minute = Instant::now() + Duration::from_secs(60);
    if io.main().wait_beyond("news", page.head, in_a_minute).await? {
        let new = io.main().history("news", HistoryQuery::after(page.head)).await?;
        // Only then it is all that came.
        assert!(new.complete && !new.more);
    }
    Ok(())
}

fn past(io: &Io) {
    io.main().middleware(|socket: Socket| async move {
        // All since a position, for the rooms it is in; or the last events of a room.
        if let Some(seen) = socket.handshake().query("seen").and_then(|seen| seen.parse().ok()) {
            socket.begin_from(seen);
        }
        let joined = match socket.join_with("news", Replay::Last(20)) {
            Ok(joining) => joining.await.is_ok(),
            Err(_) => false,
        };
        if joined { Ok(()) } else { Err(Refused::new("no room left")) }
    });
    io.main().on("enter", |socket: Socket, (room,): (String,), ack: Ack| async move {
        let Ok(joining) = socket.join_with_history(room, Replay::LastValue) else { return };
        if let Ok(past) = joining.await {
            // Cut exactly at the join: what comes later is sent to the socket.
            ack.send((past.events.last().map(|event| event.args.json().into_owned()),));
        }
    });
}

#[derive(Serialize, Deserialize)]
struct Move {
    from: String,
    to: String,
}

fn listeners(io: &Io) {
    io.main()
        .on_connect(|socket: Socket| async move {
            let greeted = socket.emit("hello", ("you are", socket.id().as_str()));
            if let Err(error) = greeted {
                tracing::warn!(%error, "not greeted");
            }
        })
        // Typed arguments, one per element of the tuple, by serde.
        .on("move", |socket: Socket, (game, it): (String, Move)| async move {
            if let Err(error) = socket.to(&game).emit("moved", (it.from, it.to)) {
                tracing::warn!(%error, "not sent");
            }
        })
        // With an answer.
        .on("join", |socket: Socket, (game,): (String,), ack: Ack| async move {
            let joined = match socket.join(&game) {
                Ok(joining) => joining.await.is_ok(),
                Err(_) => false,
            };
            ack.send((joined,));
        })
        // Whatever came, undecoded: what is sent on is what was sent, byte for byte.
        .on("relay", |socket: Socket, args: Args| async move {
            socket.broadcast().emit("relayed", args).unwrap_or_default();
        })
        .on_disconnect(|socket: Socket, end: Disconnect| async move {
            tracing::info!(id = %socket.id(), reason = %end.reason, rooms = end.rooms.len());
        });
}

fn binary(io: &Io) {
    io.main().on("upload", |_: Socket, (name, file): (String, ByteBuf), ack: Ack| async move {
        ack.send((name, file.len(), file)); // goes back as binary
    });
}

fn guards(io: &Io) {
    io.allow_request(|handshake| async move {
        match handshake.header("x-blocked") {
            Some(_) => Err("not from there".to_owned()),
            None => Ok(()),
        }
    });
    io.main()
        .middleware(|socket: Socket| async move {
            let auth: Value = socket.auth().unwrap_or_default();
            let Some(name) = auth.get("name").and_then(Value::as_str) else {
                return Err(Refused::new("who are you?").with_data(json!({ "missing": "name" })));
            };
            socket.set_data(json!({ "name": name }));
            Ok(())
        })
        .event_middleware(|socket: &Socket, event: &Event| {
            if event.name.as_str() == "admin" && socket.extension::<Admin>().is_none() {
                return Err(Refused::new("administrators only"));
            }
            Ok(())
        });
}

struct Admin;

fn other_errors(io: &Io) -> Outcome {
    io.of("/strict")?.on("number", |_: Socket, (number,): (u8,), ack: Ack| async move {
        ack.send((number,));
    });
    io.of("/strict")?.on_error(|_: &Socket, event: &Event, error: &EventError, ack: Ack| {
        tracing::debug!(event = event.name.as_str(), ?error);
        ack.send((Value::Null,));
    });
    Ok(())
}

fn targets(io: &Io, socket: &Socket) -> Result<(), EmitError> {
    socket.emit("to-you", ())?; // this socket
    socket.to("red").emit("to-others", ("in red",))?; // the room without this socket
    io.to("red").emit("to-room", (1,))?; // the room
    io.to(["red", "blue"]).except("muted").emit("to-rooms", (2,))?; // each socket once
    io.to(socket.id()).volatile().emit("to-id", (3,))?; // dropped if it cannot be taken at once
    io.emit("to-all", json!({ "of": "the main namespace" }))?;
    Ok(())
}

async fn answers(io: &Io, socket: &Socket) -> Outcome<usize> {
    let answer = socket.emit_with_ack("ping?", (), Duration::from_secs(5)).await;
    match answer {
        Ok(args) => tracing::info!(answer = %args.json()),
        Err(AckError::TimedOut(after)) => tracing::info!(?after, "no answer"),
        Err(error) => tracing::info!(%error, "gone"),
    }

    let asked = io.to("red").timeout(Duration::from_secs(2)).emit_with_ack("ready?", ()).await?;
    let ready = match asked {
        Ok(all) => all.len(),
        Err(some) => some.answers.len(), // of some.expected
    };
    Ok(ready)
}

async fn many(io: &Io) -> Outcome<usize> {
    let sockets = io.to("red").fetch_sockets().await?;
    for socket in &sockets {
        tracing::info!(id = %socket.id(), data = %socket.data(), rooms = socket.rooms().len());
    }
    io.to("red").sockets_join("blue")?.await;
    io.to("red").sockets_leave("red")?.await;
    io.to("blue").disconnect_sockets(false)?.await;
    Ok(sockets.len())
}

fn namespaces(io: &Io) -> Outcome {
    let chat = io.of("/chat")?;
    chat.on("say", |socket: Socket, (text,): (String,)| async move {
        socket.namespace().emit("said", (text,)).unwrap_or_default();
    });

    // One for each document, made when the first client comes, gone with the last.
    let documents = io.of_matching(regex::Regex::new(r"/documents/\d+")?);
    documents.each().on_connect(|socket: Socket| async move {
        socket.emit("document", socket.namespace().name()).unwrap_or_default();
    });

    // A function decides, by the name and what the client gave as `auth`.
    let tenants = io.of_dynamic(|name, auth| async move {
        auth.get("tenant").and_then(Value::as_str).is_some_and(|it| name == format!("/of-{it}"))
    });
    tenants.each().on("ping", |_: Socket, (): (), ack: Ack| async move { ack.send(()) });
    Ok(())
}

#[expect(clippy::let_and_return, reason = "as the page shows it")]
fn streams(io: &Io) -> axum::Router {
    let streams = io.clone();
    let news = axum::routing::get(async move |request: axum::extract::Request| {
        let (head, _) = request.into_parts();
        // Where the client was (`Last-Event-ID`), its origin and its connection.
        // It ends with its token, say.
        let end = Instant::now() + Duration::from_secs(3600);
        let options = StreamOptions::of_request(&head).expires_at(end);
        match streams.main().stream("news", options) {
            Ok(stream) => stream.into_response(),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
        }
    });
    let router = io.router().route("/news", news);
    router
}

/// The lines of a text without indentation, and without empty ones.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn every_snippet_of_the_page_stands_in_this_file() {
    let source = lines(include_str!("rust_api.rs"));
    let snippets: Vec<&str> = PAGE
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the snippet ends").0)
        .collect();
    assert!(snippets.len() >= 8, "{}", snippets.len());
    for snippet in snippets {
        let wanted = lines(snippet);
        assert!(source.windows(wanted.len()).any(|part| part == wanted), "not here:\n{snippet}");
    }
}

/// A server on a free port, on a thread of its own runtime's.
fn start(io: &Io) -> String {
    let bound = Server::new(io.clone(), io.router()).bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", bound.local_addr());
    tokio::spawn(bound.serve(std::future::pending()));
    url
}

async fn connect(url: &str, auth: Value) -> Client {
    Client::connect(url, Options::default().auth(auth)).await.unwrap()
}

async fn next(client: &mut Client) -> (String, Vec<Value>) {
    let event = client.next_event().await.unwrap();
    (event.name, event.args)
}

fn event(name: &str, args: Value) -> (String, Vec<Value>) {
    (name.to_owned(), serde_json::from_value(args).unwrap())
}

#[tokio::test]
async fn listeners_get_typed_arguments_and_answer() {
    let io = settings().unwrap();
    listeners(&io);
    binary(&io);
    let url = start(&io);
    let mut ada = connect(&url, json!({})).await;
    let mut ben = connect(&url, json!({})).await;
    for client in [&mut ada, &mut ben] {
        let id = json!(client.id());
        assert_eq!(next(client).await, event("hello", json!(["you are", id])));
        assert_eq!(
            client.emit_with_ack("join", [json!("game")]).await.unwrap().args,
            [json!(true)]
        );
    }
    ada.emit("move", [json!("game"), json!({ "from": "e2", "to": "e4" })]).await.unwrap();
    assert_eq!(next(&mut ben).await, event("moved", json!(["e2", "e4"])));
    ben.emit("relay", [json!(1), json!([null])]).await.unwrap();
    assert_eq!(next(&mut ada).await, event("relayed", json!([1, [null]])));
    // What does not fit is answered, not listened to.
    let unfit = ada.emit_with_ack("join", [json!(1)]).await.unwrap().args;
    assert_eq!(unfit.first().unwrap()["error"]["code"], "INVALID_MESSAGE");

    let mut engine = EngineConnection::connect(&url, &Options::default()).await.unwrap();
    engine.send_raw("40").await.unwrap();
    engine.send_raw(r#"451-7["upload","a",{"_placeholder":true,"num":0}]"#).await.unwrap();
    engine.send(EnginePacket::Binary(Bytes::from_static(b"bytes"))).await.unwrap();
    while engine.next_raw().await.unwrap() != r#"461-7["a",5,{"_placeholder":true,"num":0}]"# {}
    assert_eq!(engine.next().await.unwrap(), EnginePacket::Binary(Bytes::from_static(b"bytes")));
    io.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn guards_refuse_with_a_reason() {
    let io = settings().unwrap();
    guards(&io);
    other_errors(&io).unwrap();
    let url = start(&io);
    let blocked = Options::default().header("X-Blocked", "1");
    assert!(Client::connect(&url, blocked).await.is_err());
    assert!(Client::connect(&url, Options::default()).await.is_err());
    let ada = connect(&url, json!({ "name": "Ada" })).await;
    let refused = ada.emit_with_ack("admin", []).await.unwrap().args;
    assert_eq!(refused.first().unwrap()["error"]["message"], "administrators only");
    let strict = Options::default().namespace("/strict");
    let strict = Client::connect(&url, strict).await.unwrap();
    assert_eq!(strict.emit_with_ack("number", [json!(7)]).await.unwrap().args, [json!(7)]);
    assert_eq!(strict.emit_with_ack("number", [json!(-7)]).await.unwrap().args, [Value::Null]);
    io.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn targets_answers_and_many_sockets() {
    let io = settings().unwrap();
    let (sender, mut sockets) = tokio::sync::mpsc::unbounded_channel();
    io.main().on_connect(move |socket: Socket| {
        drop(socket.join("red"));
        sender.send(socket).unwrap();
        async {}
    });
    let url = start(&io);
    let mut ada = connect(&url, json!({})).await;
    let mut ben = connect(&url, json!({})).await;
    let socket = sockets.recv().await.unwrap();
    sockets.recv().await.unwrap();
    let (mut mine, mut others) = match socket.id().as_str() == ada.id() {
        true => (&mut ada, &mut ben),
        false => (&mut ben, &mut ada),
    };
    targets(&io, &socket).unwrap();
    for (name, to_mine, to_others) in [
        ("to-you", true, false),
        ("to-others", false, true),
        ("to-room", true, true),
        ("to-rooms", true, true),
        ("to-id", true, false),
        ("to-all", true, true),
    ] {
        for (client, expected) in [(&mut mine, to_mine), (&mut others, to_others)] {
            if expected {
                assert_eq!(next(client).await.0, name);
            }
        }
    }
    let asking = answers(&io, &socket);
    let answering = async {
        for (client, questions) in [(&mut mine, 2), (&mut others, 1)] {
            for _ in 0..questions {
                let question = client.next_event().await.unwrap();
                client.answer(&question, [json!("yes")]).await.unwrap();
            }
        }
    };
    let (ready, ()) = tokio::join!(asking, answering);
    assert_eq!(ready.unwrap(), 2);
    assert_eq!(many(&io).await.unwrap(), 2);
    assert!(!socket.is_connected());
    io.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn namespaces_are_fixed_or_made_on_demand() {
    let io = settings().unwrap();
    namespaces(&io).unwrap();
    let url = start(&io);
    let connect_to = |name: &str, auth: Value| {
        let (url, options) = (url.clone(), Options::default().namespace(name).auth(auth));
        async move { Client::connect(&url, options).await }
    };
    let mut chat = connect_to("/chat", json!({})).await.unwrap();
    chat.emit("say", [json!("hi")]).await.unwrap();
    assert_eq!(next(&mut chat).await, event("said", json!(["hi"])));
    let mut document = connect_to("/documents/7", json!({})).await.unwrap();
    assert_eq!(next(&mut document).await, event("document", json!(["/documents/7"])));
    let tenant = connect_to("/of-us", json!({ "tenant": "us" })).await.unwrap();
    assert_eq!(tenant.emit_with_ack("ping", []).await.unwrap().args, [] as [Value; 0]);
    assert!(connect_to("/of-them", json!({ "tenant": "us" })).await.is_err());
    assert!(connect_to("/documents/x", json!({})).await.is_err());
    io.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn streams_bring_what_is_sent_to_rooms() {
    let io = settings().unwrap();
    let bound = Server::new(io.clone(), streams(&io)).bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}/news", bound.local_addr());
    tokio::spawn(bound.serve(std::future::pending()));
    let mut stream = EventStream::open(&url, None).await.unwrap();
    assert_eq!(stream.next().await.unwrap().name, "ready");
    io.to("news").emit("said", ("hello", 1)).unwrap();
    assert_eq!(stream.next().await.unwrap().data, r#"["hello",1]"#);
    drop(stream);
    io.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_server_serves_until_it_is_told_to_stop() {
    let io = settings().unwrap();
    serve(&io, std::future::ready(())).await.unwrap();
    assert!(io.is_closing());
}

/// The past is read, waited for, and given to those who come.
#[tokio::test]
async fn the_past() -> Outcome {
    let io = remembering(MemoryLog::new(eventlog::Settings::default())?)?;
    past(&io);
    io.to("news").publish("news", ("first",)).await?;
    let waiting = tokio::spawn({
        let io = io.clone();
        async move { history(&io).await.map_err(|error| error.to_string()) }
    });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = Server::new(io.clone(), io.router()).bind(([127, 0, 0, 1], 0).into())?;
    let url = format!("http://{}", server.local_addr());
    let serving = tokio::spawn(server.serve(async { stopped.await.unwrap_or_default() }));
    let mut client = Client::connect(&url, Options::default()).await?;
    assert_eq!(client.next_event().await?.args[0], "first");
    while !waiting.is_finished() {
        io.to("news").publish("news", ("second",)).await?;
        tokio::task::yield_now().await;
    }
    waiting.await??;
    let answer = client.emit_with_ack("enter", [json!("news")]).await?;
    assert_eq!(answer.args, [json!(r#""second""#)]);
    client.disconnect().await?;
    stop.send(()).unwrap_or_default();
    serving.await??;
    Ok(())
}
