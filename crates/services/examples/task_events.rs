//! An application with the server inside: a route creates tasks, and the users whom a task concerns are
//! told at once, on all their devices.
//!
//! `cargo run -p fanfare-services --example task_events`, which prints a token for Ada; then, with it,
//! `node examples/task_events/client.mjs`, and
//!
//! ```sh
//! curl http://127.0.0.1:3000/tasks -H 'Content-Type: application/json' \
//!   -d '{"id":7,"title":"Write the minutes","assignees":["ada"]}'
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use anyhow::Result;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use fanfare::eventlog::{self, MemoryLog};
use fanfare::{Io, Log, Server};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use services::{
    Context, IdentitySettings, KeyDigest, Mint, Refusal, SecretText, SendOptions, Services,
    Settings, mint,
};
use std::time::Duration;

/// What tokens are signed with. Your own comes from where your secrets are.
const SECRET: &str = "a-secret-of-this-example-and-of-nobody-else";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Task {
    id: u64,
    title: String,
    assignees: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // So that what is sent again is known, and who was away gets what it missed; in memory here.
    let log = MemoryLog::new(eventlog::Settings::default())?;
    let io = Io::with(|settings| settings.log = Some(Log::new(log)))?;
    let identity = IdentitySettings {
        jwt_secret: Some(SecretText(SECRET.to_owned())),
        ..IdentitySettings::default()
    };
    let settings = Settings { identity, ..Settings::default() };
    // Rooms, chat, jobs, presence and the HTTP API too. `None`: what they keep is in memory as well.
    let services = Services::begin(&io, settings, KeyDigest::of("the API key"), None)?;
    let app = Router::new()
        .route("/tasks", post(create))
        .with_state(services.context().clone())
        .merge(services.router())
        .merge(io.router());

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let bound = Server::new(io, services.guard(app)).bind(address.parse()?)?;
    println!("listening on http://{}", bound.local_addr());
    let ada = Mint {
        subject: "ada".to_owned(),
        lifetime: Duration::from_secs(3_600),
        claims: Map::new(),
    };
    println!("TOKEN={}", mint(SECRET, ada)?);
    bound.serve(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await?;
    Ok(())
}

/// Done when it is recorded: whoever is away for a moment gets it too.
async fn create(
    State(context): State<Context>,
    Json(task): Json<Task>,
) -> Result<Json<Value>, Refusal> {
    // Who tries again after a timeout creates the same task: it is told once.
    let key = Some(format!("task-{}-created", task.id));
    let options = SendOptions { idempotency_key: key, ..SendOptions::default() };
    let sent = context.emit_to_users(&task.assignees, "task.created", (&task,), options).await?;
    let mut online = Vec::new();
    for user in &task.assignees {
        if context.is_online(user).await? {
            online.push(user);
        }
    }
    Ok(Json(json!({ "repeated": sent.repeated, "online": online })))
}
