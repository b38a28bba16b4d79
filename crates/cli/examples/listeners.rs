//! The library with listeners that the binary does not have: one that asks its client, and a
//! namespace with a door. The table of bad input (`tests/bad_input`) is played against it too.
//!
//! It offers what the harness needs of the binary: `room:join`, `POST /v1/publish`, `GET /v1/stats`,
//! a log in JSON and the end on SIGTERM. Nobody is asked for a key: it is for loopback only.

use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::{get, post};
use fanfare::{Ack, Args, Io, Namespace, Refused, Server, Socket};
use serde_json::{Value, json};
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// As in the binary: what is free goes back to the system.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How long the client has to answer a question.
const PATIENCE: Duration = Duration::from_millis(300);

/// The token that opens the door.
const TOKEN: &str = "open sesame";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter("info,fanfare=trace")
        .with_writer(std::io::stderr)
        .json()
        .init();
    let io = Io::with(|settings| settings.shards = 2)?;
    rooms(&io.main());
    questions(&io.main());
    rooms(&io.of("/guarded")?);
    io.of("/guarded")?.middleware(|socket: Socket| async move {
        let auth: Value = socket.auth().unwrap_or_default();
        if auth.get("token").and_then(Value::as_str) == Some(TOKEN) {
            return Ok(());
        }
        Err(Refused::new("forbidden").with_data(json!({ "code": "FORBIDDEN" })))
    });

    let server = Server::new(io.clone(), io.router().merge(api(&io)));
    let bound = server.bind(([127, 0, 0, 1], 0).into())?;
    tracing::info!(address = %bound.local_addr(), "listening");
    let mut terminate = signal(SignalKind::terminate())?;
    bound
        .serve(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}

/// `room:join`, as the binary answers it when it works.
fn rooms(namespace: &Namespace) {
    namespace.on("room:join", |socket: Socket, args: Args, ack: Ack| async move {
        let asked: Option<(Value,)> = args.parse().ok();
        let room = asked.and_then(|(asked,)| Some(asked.get("roomId")?.as_str()?.to_owned()));
        let joined = match room.map(|room| socket.join(room)) {
            Some(Ok(joining)) => joining.await.is_ok(),
            _ => false,
        };
        ack.send((json!({ "ok": joined }),));
    });
}

/// `ask`: asks the client back, and tells it how that ended. `ask:many` asks so many times at once
/// and tells how many were answered.
fn questions(namespace: &Namespace) {
    namespace
        .on("ask", |socket: Socket, _: Args| async move {
            let outcome = match socket.emit_with_ack("question", (), PATIENCE).await {
                Ok(answer) => format!("[{}]", answer.json()),
                Err(error) => error.to_string(),
            };
            // The client may be gone by now.
            let _ = socket.emit("outcome", (outcome,));
        })
        .on("ask:many", |socket: Socket, (count,): (u32,)| async move {
            let mut questions = JoinSet::new();
            for _ in 0..count {
                questions.spawn(socket.emit_with_ack("question", (), PATIENCE));
            }
            let mut answered = 0;
            while let Some(question) = questions.join_next().await {
                answered += u32::from(matches!(question, Ok(Ok(_))));
            }
            let _ = socket.emit("outcome", (answered,));
        });
}

fn api(io: &Io) -> Router {
    let (stats, publish) = (io.clone(), io.clone());
    Router::new()
        .route("/health", get(|| async { "ok" }))
        .route("/v1/stats", get(async move || json!(stats.counters().counts()).to_string()))
        .route(
            "/v1/publish",
            post(async move |request: Request| {
                let body = to_bytes(request.into_body(), 2_000_000).await.unwrap_or_default();
                if relay(&publish, &body).is_some() {
                    StatusCode::OK
                } else {
                    StatusCode::BAD_REQUEST
                }
            }),
        )
}

/// Sends what a publish says, if it says it as the harness does.
fn relay(io: &Io, body: &Bytes) -> Option<()> {
    let wanted: Value = serde_json::from_slice(body).ok()?;
    let rooms: Vec<String> = wanted
        .get("rooms")?
        .as_array()?
        .iter()
        .filter_map(|it| Some(it.as_str()?.to_owned()))
        .collect();
    let args = Args::from_json(&wanted.get("args")?.to_string(), Vec::new()).ok()?;
    io.main().to(rooms).emit(wanted.get("event")?.as_str()?, args).ok()
}
