//! A chat: people with names, rooms, who is typing, who came and went.
//!
//! `cargo run -p fanfare --example chat`, then open <http://127.0.0.1:3000> in two windows. Another
//! address can be given as an argument.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use anyhow::{Result, ensure};
use axum::response::Html;
use axum::routing::get;
use fanfare::{Ack, Disconnect, Io, Refused, Server, Socket};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a client gives as `auth`.
#[derive(Deserialize)]
struct Introduction {
    name: String,
}

/// The longest name, in bytes: everybody in the room has to read it.
const MAX_NAME_BYTES: usize = 40;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let io = Io::with(|settings| settings.engine.max_payload_bytes = 10_000)?;
    chat(&io);

    let page = get(|| async { Html(include_str!("index.html")) });
    let server = Server::new(io.clone(), io.router().route("/", page));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let bound = server.bind(address.parse()?)?;
    println!("listening on http://{}", bound.local_addr());
    bound.serve(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await?;
    Ok(())
}

fn chat(io: &Io) {
    io.main()
        // Who has no name does not get in: the client sees a `connect_error`.
        .middleware(|socket: Socket| async move {
            match socket.auth::<Introduction>() {
                Ok(Introduction { name }) if (1..=MAX_NAME_BYTES).contains(&name.len()) => {
                    socket.set_data(json!({ "name": name }));
                    Ok(())
                }
                _ => Err(Refused::new("a name is needed").with_data(json!({ "code": "NO_NAME" }))),
            }
        })
        .on("enter", |socket: Socket, (room,): (String,), ack: Ack| async move {
            ack.send((answer(enter(&socket, &room).await),));
        })
        .on("say", |socket: Socket, (room, text): (String, String), ack: Ack| async move {
            ack.send((answer(say(&socket, &room, &text).await),));
        })
        // Nobody misses it if it is lost: it is dropped for those who cannot take it at once.
        .on("typing", |socket: Socket, (room,): (String,)| async move {
            let news = json!({ "room": room, "name": name(&socket) });
            report(socket.to(chat_room(&room)).volatile().emit("typing", (news,)));
        })
        .on_disconnect(|socket: Socket, end: Disconnect| async move {
            for room in end.rooms {
                if let Some(short) = room.as_str().strip_prefix("chat:") {
                    let news = json!({ "room": short, "name": name(&socket) });
                    report(socket.to(&room).emit("left", (news,)));
                }
            }
        });
}

async fn enter(socket: &Socket, room: &str) -> Result<Value> {
    let target = chat_room(room);
    socket.join(&target)?.await?;
    socket.to(&target).emit("entered", (json!({ "room": room, "name": name(socket) }),))?;
    let present = socket.namespace().to(&target).fetch_sockets().await?;
    let names: Vec<Value> = present.iter().map(|other| name_in(other.data())).collect();
    Ok(json!({ "ok": true, "present": names }))
}

async fn say(socket: &Socket, room: &str, text: &str) -> Result<Value> {
    let target = chat_room(room);
    let is_here = socket.rooms().await.iter().any(|joined| joined.as_str() == target);
    ensure!(is_here, "enter the room first");
    let news = json!({ "room": room, "name": name(socket), "text": text });
    // To all of the room, the sender too: everybody sees the same messages in the same order.
    socket.namespace().to(&target).emit("said", (news,))?;
    Ok(json!({ "ok": true }))
}

/// The prefix keeps clients out of rooms that are not meant for them: the id of a socket is the
/// name of a room too.
fn chat_room(name: &str) -> String {
    format!("chat:{name}")
}

fn name(socket: &Socket) -> Value {
    name_in(&socket.data())
}

fn name_in(data: &Value) -> Value {
    data.get("name").cloned().unwrap_or_default()
}

fn answer(outcome: Result<Value>) -> Value {
    outcome.unwrap_or_else(|error| json!({ "ok": false, "error": error.to_string() }))
}

fn report(sent: Result<(), fanfare::EmitError>) {
    if let Err(error) = sent {
        eprintln!("not sent: {error}");
    }
}
