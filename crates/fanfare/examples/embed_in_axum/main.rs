//! An axum application that tells its clients what happens: its own routes and Socket.IO share one
//! port and one state.
//!
//! `cargo run -p fanfare --example embed_in_axum`, connect a client, then
//!
//! ```sh
//! curl http://127.0.0.1:3000/notes -H 'Content-Type: application/json' -d '{"text":"milk"}'
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to a person")]

use anyhow::Result;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use fanfare::{Io, Socket};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// How many notes are kept; the oldest goes.
const MAX_NOTES: usize = 100;

/// How long clients may take to read what was sent before the end.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Clone, Serialize)]
struct Note {
    number: u64,
    text: String,
}

#[derive(Deserialize)]
struct NewNote {
    text: String,
}

/// The application's state: handlers of both sides have it.
#[derive(Clone)]
struct App {
    io: Io,
    notes: Arc<Mutex<VecDeque<Note>>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let io = Io::with(|_| ())?;
    let app = App { io: io.clone(), notes: Arc::default() };

    // Whoever connects gets what there is, and from then on what is added.
    let of_sockets = app.clone();
    io.main().on_connect(move |socket: Socket| {
        let notes = of_sockets.all();
        async move {
            if let Err(error) = socket.emit("notes", (notes,)) {
                eprintln!("not sent: {error}");
            }
        }
    });

    let router =
        Router::new().route("/notes", get(list).post(add)).with_state(app).merge(io.router()); // all that mounting takes

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // With the address of the peer, which `socket.handshake().address` then knows.
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async move {
            tokio::signal::ctrl_c().await.unwrap_or_default();
            io.close(GRACE).await; // ends the long polls that axum would wait for
        })
        .await?;
    Ok(())
}

impl App {
    fn all(&self) -> Vec<Note> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().cloned().collect()
    }

    fn keep(&self, text: String) -> Note {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let note = Note { number: notes.back().map_or(1, |last| last.number + 1), text };
        if notes.len() == MAX_NOTES {
            notes.pop_front();
        }
        notes.push_back(note.clone());
        note
    }
}

async fn list(State(app): State<App>) -> Json<Vec<Note>> {
    Json(app.all())
}

async fn add(
    State(app): State<App>,
    Json(NewNote { text }): Json<NewNote>,
) -> (StatusCode, Json<Note>) {
    let note = app.keep(text);
    if let Err(error) = app.io.emit("note", (&note,)) {
        eprintln!("not sent: {error}");
    }
    (StatusCode::CREATED, Json(note))
}
