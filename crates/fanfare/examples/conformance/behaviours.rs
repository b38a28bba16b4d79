//! What every namespace of the conformance server does, in the order of the table in
//! `conformance/README.md`.

use fanfare::engineio::Transport;
use fanfare::{
    Ack, Args, Broadcast, Disconnect, EmitError, Event, EventError, Namespace, Refused, Socket,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How many events a socket has sent.
#[derive(Default)]
struct Seen(AtomicU32);

#[derive(Deserialize, Default)]
#[serde(default)]
struct Options {
    #[serde(rename = "self")]
    with_self: bool,
    to: Vec<String>,
    except: Vec<String>,
    volatile: bool,
    local: bool,
    compress: Option<bool>,
    timeout: Option<u64>,
}

impl Options {
    fn broadcast(self, socket: &Socket) -> Broadcast {
        let mut broadcast =
            if self.with_self { socket.namespace().broadcast() } else { socket.broadcast() };
        if !self.to.is_empty() {
            broadcast = broadcast.to(self.to);
        }
        broadcast = broadcast.except(self.except).compress(self.compress.unwrap_or(true));
        if self.volatile {
            broadcast = broadcast.volatile();
        }
        if self.local {
            broadcast = broadcast.local();
        }
        match self.timeout {
            Some(ms) => broadcast.timeout(Duration::from_millis(ms)),
            None => broadcast,
        }
    }
}

/// The arguments behind the first `skip`.
fn rest(args: &Args, skip: usize) -> Args {
    let values: Vec<Box<serde_json::value::RawValue>> = args.parse().unwrap_or_default();
    let rest: Vec<_> = values.iter().skip(skip).map(|value| value.get()).collect();
    let array = format!("[{}]", rest.join(","));
    Args::from_json(&array, args.attachments().to_vec()).unwrap_or_else(|_| Args::none())
}

fn report(sent: Result<(), EmitError>) {
    if let Err(error) = sent {
        tracing::error!(%error, "not sent");
    }
}

fn join_list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(rooms) => rooms.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        other => other.as_str().map(str::to_owned).into_iter().collect(),
    }
}

/// Gives a namespace all behaviours.
pub(crate) fn add(namespace: &Namespace) {
    life(namespace);
    messages(namespace);
    rooms(namespace);
    broadcasts(namespace);
    others(namespace);
    bulk(namespace);
}

fn life(namespace: &Namespace) {
    namespace
        .on_connect(|socket: Socket| async move {
            socket.insert(Seen::default());
            let auth: Value = socket.auth().unwrap_or_default();
            report(socket.emit("auth", (auth,)));
        })
        .on_disconnect(|socket: Socket, end: Disconnect| async move {
            let (id, reason) = (socket.id().to_string(), end.reason.as_str());
            let mut rooms: Vec<&str> = end.rooms.iter().map(|room| room.as_str()).collect();
            rooms.sort_unstable();
            let observers = socket.to("observers");
            report(observers.clone().emit("going", (&id, reason, rooms)));
            report(observers.emit("gone", (&id, reason)));
        })
        .on_any(|socket: &Socket, _: &Event| {
            if let Some(seen) = socket.extension::<Seen>() {
                seen.0.fetch_add(1, Ordering::Relaxed);
            }
        })
        .event_middleware(|_: &Socket, event: &Event| match event.name.as_str() {
            "forbidden" => Err(Refused::new("forbidden event")),
            _ => Ok(()),
        })
        .on_error(|socket: &Socket, _: &Event, error: &EventError, _: Ack| {
            if let EventError::Refused(refused) = error {
                report(socket.emit("refused", refused.to_string()));
            }
        });
}

fn messages(namespace: &Namespace) {
    namespace
        .on("message", |socket: Socket, args: Args| async move {
            report(socket.emit("message-back", args));
        })
        .on("message-with-ack", |_: Socket, args: Args, ack: Ack| async move { ack.send(args) })
        // An ack is used up by answering: a second answer does not compile.
        .on("ack-twice", |_: Socket, (): (), ack: Ack| async move { ack.send("first") })
        .on("set-data", |socket: Socket, (value,): (Value,), ack: Ack| async move {
            socket.set_data(value);
            ack.send(());
        })
        .on("id", |socket: Socket, (): (), ack: Ack| async move {
            ack.send(socket.id().as_str());
        })
        .on("handshake", |socket: Socket, (): (), ack: Ack| async move {
            let auth: Value = socket.auth().unwrap_or_default();
            let mut handshake = socket.handshake().to_json(&auth);
            let transport = socket.transport().await.map(Transport::as_str);
            if let Some(fields) = handshake.as_object_mut() {
                fields.insert("transport".to_owned(), json!(transport));
            }
            ack.send(handshake);
        })
        .on("seen", |socket: Socket, (): (), ack: Ack| async move {
            let seen = socket.extension::<Seen>();
            let count = seen.map_or(0, |seen: Arc<Seen>| seen.0.load(Ordering::Relaxed));
            ack.send((count,));
        })
        .on("request", |socket: Socket, args: Args, ack: Ack| async move {
            let Ok((ms, event)) = args.parse::<(u64, String)>() else { return };
            let deadline = Duration::from_millis(ms);
            match socket.emit_with_ack(&event, rest(&args, 2), deadline).await {
                Ok(answer) => {
                    let array = match answer.json() {
                        elements if elements.is_empty() => "[null]".to_owned(),
                        elements => format!("[null,{elements}]"),
                    };
                    let attachments = answer.attachments().to_vec();
                    ack.send(Args::from_json(&array, attachments).unwrap_or_else(|_| Args::none()));
                }
                Err(_) => ack.send("operation has timed out"),
            }
        });
}

fn rooms(namespace: &Namespace) {
    namespace
        .on("join", |socket: Socket, (rooms,): (Value,), ack: Ack| async move {
            if let Ok(joined) = socket.join(join_list(&rooms)) {
                drop(joined);
            }
            ack.send(());
        })
        .on("leave", |socket: Socket, (room,): (String,), ack: Ack| async move {
            if let Err(error) = socket.leave(room) {
                tracing::error!(%error, "not left");
            }
            ack.send(());
        })
        .on("rooms", |socket: Socket, (): (), ack: Ack| async move {
            let rooms = socket.rooms().await;
            let mut names: Vec<&str> = rooms.iter().map(|room| room.as_str()).collect();
            names.sort_unstable();
            ack.send((names,));
        });
}

fn broadcasts(namespace: &Namespace) {
    namespace
        .on("broadcast", |socket: Socket, args: Args, ack: Ack| async move {
            let Ok((options, event)) = args.parse::<(Options, String)>() else { return };
            report(options.broadcast(&socket).emit(&event, rest(&args, 2)));
            ack.send(());
        })
        .on("broadcast-with-ack", |socket: Socket, args: Args, ack: Ack| async move {
            let Ok((options, event)) = args.parse::<(Options, String)>() else { return };
            let broadcast = options.broadcast(&socket);
            let asked = broadcast.emit_with_ack(&event, rest(&args, 2)).await;
            let (error, answers) = match asked {
                Ok(Ok(answers)) => (None, answers),
                Ok(Err(some)) => (Some("operation has timed out".to_owned()), some.answers),
                Err(error) => (Some(error.to_string()), Vec::new()),
            };
            let answers: Vec<Value> = answers
                .iter()
                .map(|answer| answer.parse::<(Option<Value>,)>().ok().and_then(|(value,)| value))
                .map(Option::unwrap_or_default)
                .collect();
            ack.send((error, answers));
        });
}

fn others(namespace: &Namespace) {
    namespace
        .on("fetch-sockets", |socket: Socket, (room,): (String,), ack: Ack| async move {
            let sockets = socket.namespace().to(room).fetch_sockets().await.unwrap_or_default();
            let described: Vec<Value> = sockets
                .iter()
                .map(|socket| {
                    let mut rooms: Vec<&str> =
                        socket.rooms().iter().map(|room| room.as_str()).collect();
                    rooms.sort_unstable();
                    json!({ "id": socket.id().as_str(), "rooms": rooms, "data": socket.data() })
                })
                .collect();
            ack.send((described,));
        })
        .on(
            "sockets-join",
            |socket: Socket, (room, other): (String, String), ack: Ack| async move {
                if let Ok(done) = socket.namespace().to(room).sockets_join(other) {
                    done.await;
                }
                ack.send(());
            },
        )
        .on(
            "sockets-leave",
            |socket: Socket, (room, other): (String, String), ack: Ack| async move {
                if let Ok(done) = socket.namespace().to(room).sockets_leave(other) {
                    done.await;
                }
                ack.send(());
            },
        )
        .on("disconnect-sockets", |socket: Socket, (room, close): (String, bool)| async move {
            if let Ok(done) = socket.namespace().to(room).disconnect_sockets(close) {
                done.await;
            }
        })
        .on("disconnect-me", |socket: Socket, (close,): (Option<bool>,)| async move {
            socket.disconnect(close.unwrap_or(false));
        })
        .on("emit-then-disconnect", |socket: Socket, (close,): (Option<bool>,)| async move {
            report(socket.emit("last-words", (1,)));
            report(socket.emit("last-words", (2,)));
            socket.disconnect(close.unwrap_or(false));
        });
}

fn bulk(namespace: &Namespace) {
    namespace
        .on("burst", |socket: Socket, (count,): (u32,), ack: Ack| async move {
            for number in 0..count {
                report(socket.emit("burst", (number,)));
            }
            ack.send(());
        })
        .on("volatile-burst", |socket: Socket, (count,): (u32,), ack: Ack| async move {
            for number in 0..count {
                report(socket.emit_volatile("tick", (number,)));
            }
            ack.send(());
        })
        .on("make-text", |_: Socket, (size,): (usize,), ack: Ack| async move {
            ack.send("x".repeat(size));
        })
        .on("make-binary", |_: Socket, (size,): (usize,), ack: Ack| async move {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(size).collect();
            ack.send((serde_bytes::ByteBuf::from(bytes),));
        });
}
