//! A backend that works on its own time and tells those whom it concerns: users start jobs, a
//! worker tells their devices how far it is, and learns how many of them know that it is done.
//!
//! The worker has no socket and no request in its hands, only an `Io`, which may be cloned to any
//! task or thread. A backend that is another process publishes by HTTP instead: see
//! `docs/http-api.md`.
//!
//! `cargo run -p fanfare --example backend_publish`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use anyhow::Result;
use fanfare::{Ack, Args, EmitError, Io, Refused, Server, Socket};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;

/// Jobs that wait for the worker; more are refused.
const MAX_WAITING_JOBS: usize = 16;

/// How long the devices of a user may take to confirm that they know.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// Who may come, in place of a user database.
const TOKENS: [(&str, &str); 2] = [("token-of-ada", "ada"), ("token-of-ben", "ben")];

struct User(&'static str);

struct Job {
    user: &'static str,
    title: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let io = Io::with(|_| ())?;
    let (queue, jobs) = mpsc::channel(MAX_WAITING_JOBS);
    serve(&io, queue);
    tokio::spawn(work(io.clone(), jobs));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let bound = Server::new(io.clone(), io.router()).bind(address.parse()?)?;
    println!("listening on http://{}", bound.local_addr());
    bound.serve(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await?;
    Ok(())
}

fn serve(io: &Io, queue: mpsc::Sender<Job>) {
    io.main()
        // The room of a user is joined by the server for who proved to be that user. A middleware
        // may do that: the rooms are there when the client learns that it is connected.
        .middleware(|socket: Socket| async move {
            let user = user_of(&socket).ok_or_else(|| Refused::new("unknown token"))?;
            drop(socket.join(user_room(user)).map_err(|error| Refused::new(error.to_string()))?);
            socket.insert(User(user)); // for the listeners
            Ok(())
        })
        .on("job:start", move |socket: Socket, (title,): (String,), ack: Ack| {
            let user = socket.extension::<User>();
            let queued =
                user.is_some_and(|user| queue.try_send(Job { user: user.0, title }).is_ok());
            async move { ack.send((json!({ "ok": queued }),)) }
        });
}

fn user_of(socket: &Socket) -> Option<&'static str> {
    let auth: Value = socket.auth().unwrap_or_default();
    let given = auth.get("token")?.as_str()?;
    TOKENS.iter().find(|(token, _)| *token == given).map(|(_, user)| *user)
}

/// Does one job after the other.
async fn work(io: Io, mut jobs: mpsc::Receiver<Job>) {
    while let Some(Job { user, title }) = jobs.recv().await {
        if let Err(error) = run(&io, user, &title).await {
            eprintln!("{title}: {error}");
        }
    }
}

async fn run(io: &Io, user: &str, title: &str) -> Result<(), EmitError> {
    for percent in [0, 25, 50, 75, 100] {
        let progress = json!({ "title": title, "percent": percent });
        // The next step replaces it, so a device that is behind need not get it.
        io.to(user_room(user)).volatile().emit("job:progress", (progress,))?;
        // What computes for long has no place on the threads that serve clients.
        let _ = tokio::task::spawn_blocking(|| (0..200_000_u64).fold(0, u64::wrapping_add)).await;
    }
    let done = io.to(user_room(user)).timeout(CONFIRM_WITHIN);
    let answers: Vec<Args> = match done.emit_with_ack("job:done", (title,)).await? {
        Ok(all) => all,
        Err(some) => some.answers,
    };
    let seen = json!({ "title": title, "devices": answers.len() });
    // Not volatile: this one counts. The server may be too busy at the moment.
    let mut sent = io.to(user_room(user)).emit("job:seen", (&seen,));
    while let Err(EmitError::Overloaded) = sent {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sent = io.to(user_room(user)).emit("job:seen", (&seen,));
    }
    sent
}

fn user_room(user: &str) -> String {
    format!("user:{user}")
}
