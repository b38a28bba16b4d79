//! What the client project's own tests want of their server: the table in
//! `conformance/client-suite/README.md`.

use fanfare::{Ack, Args, Io, Namespace, NamespaceError, Refused, Socket};
use serde::Deserialize;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// A handshake is answered this much later, so that a client may lose patience first.
pub(crate) const HANDSHAKE_DELAY: Duration = Duration::from_millis(10);

const TEXTS: [&str; 5] = ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"];

/// The events of a series a socket has sent so far, in the right order.
#[derive(Default)]
struct Series(Mutex<Vec<&'static str>>);

#[derive(Deserialize)]
struct Mixed {
    hello: String,
    #[expect(dead_code, reason = "that it is bytes is what is tested")]
    message: ByteBuf,
    goodbye: String,
}

/// Gives the namespaces to a server.
pub(crate) fn add(io: &Io) -> Result<(), NamespaceError> {
    for name in ["/timeout_socket", "/valid", "/asd"] {
        io.of(name)?;
    }
    tell_id(&io.of("/foo")?);
    io.of("/abc")?.on_connect(|socket: Socket| async move {
        send(&socket, "handshake", (handshake(&socket),));
    });
    io.of("/no")?
        .middleware(|_: Socket| async { Err(Refused::new("Auth failed (custom namespace)")) });
    let main = io.main();
    main.middleware(|socket: Socket| async move {
        match socket.handshake().query("fail") {
            Some(_) => Err(Refused::new("Auth failed (main namespace)")),
            None => Ok(()),
        }
    });
    main.on_connect(|socket: Socket| async move { socket.insert(Series::default()) });
    tell_id(&main);
    answers(&main);
    bytes(&main);
    Ok(())
}

fn send(socket: &Socket, event: &str, args: impl fanfare::IntoArgs) {
    if let Err(error) = socket.emit(event, args) {
        tracing::error!(%error, "not sent");
    }
}

fn handshake(socket: &Socket) -> Value {
    socket.handshake().to_json(&socket.auth().unwrap_or_default())
}

fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}

fn tell_id(namespace: &Namespace) {
    namespace.on("getId", |socket: Socket, (): (), ack: Ack| async move {
        ack.send(socket.id().as_str());
    });
}

fn answers(namespace: &Namespace) {
    namespace
        .on("hi", |socket: Socket, (): ()| async move { send(&socket, "hi", ()) })
        .on("echo", |_: Socket, (value,): (Value,), ack: Ack| async move { ack.send(value) })
        .on("ack", |socket: Socket, (): ()| async move {
            let answer = socket.emit_with_ack("ack", (), Duration::from_secs(10)).await;
            let answer = answer.ok().and_then(|args| args.parse::<(Value, Value)>().ok());
            let right = answer.is_some_and(|(number, object)| {
                number == json!(5) && object.get("test") == Some(&json!(true))
            });
            if right {
                send(&socket, "got it", ());
            }
        })
        .on("false", |socket: Socket, (): ()| async move { send(&socket, "false", (false,)) })
        .on("getAckDate", |_: Socket, _: Args, ack: Ack| async move { ack.send(now()) })
        .on("getDate", |socket: Socket, (): ()| async move { send(&socket, "takeDate", now()) })
        .on("getDateObj", |socket: Socket, (): ()| async move {
            send(&socket, "takeDateObj", (json!({ "date": now() }),));
        })
        .on("getUtf8", |socket: Socket, (): ()| async move {
            TEXTS.iter().for_each(|text| send(&socket, "takeUtf8", *text));
        })
        .on("getHandshake", |socket: Socket, (): (), ack: Ack| async move {
            ack.send(handshake(&socket));
        });
}

fn bytes(namespace: &Namespace) {
    let some_bytes = || (ByteBuf::from(b"asdfasdf".to_vec()),);
    namespace
        .on("doge", move |socket: Socket, (): ()| async move {
            send(&socket, "doge", some_bytes());
        })
        .on("getbin", move |socket: Socket, (): ()| async move {
            send(&socket, "takebin", some_bytes());
        });
    for (event, answer) in [("buffa", "buffack"), ("blob", "back")] {
        namespace.on(event, move |socket: Socket, (_,): (ByteBuf,)| async move {
            send(&socket, answer, ());
        });
    }
    for (event, answer) in [("jsonbuff", "jsonbuff-ack"), ("jsonblob", "jsonblob-ack")] {
        namespace.on(event, move |socket: Socket, (value,): (Mixed,)| async move {
            if value.hello == "lol" && value.goodbye == "gotcha" {
                send(&socket, answer, ());
            }
        });
    }
    series(namespace, &["abuff1", "abuff2"], "abuff2-ack");
    series(namespace, &["blob1", "blob2", "blob3"], "blob3-ack");
}

/// The last event of a series is answered if the others came before it, in order.
fn series(namespace: &Namespace, names: &'static [&'static str], answer: &'static str) {
    for (index, name) in names.iter().copied().enumerate() {
        namespace.on(name, move |socket: Socket, args: Args| async move {
            let is_text = args.parse::<(String,)>().is_ok_and(|(text,)| text == "second");
            if args.attachments().is_empty() && !is_text {
                return;
            }
            let Some(seen) = socket.extension::<Series>() else { return };
            let in_order = {
                let Ok(mut seen) = seen.0.lock() else { return };
                let earlier = names.get(..index).unwrap_or_default();
                let in_order = earlier.iter().all(|name| seen.contains(name));
                seen.push(name);
                in_order
            };
            if in_order && index + 1 == names.len() {
                send(&socket, answer, ());
            }
        });
    }
}
