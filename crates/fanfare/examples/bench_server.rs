//! The server that benchmarks measure: rooms by query, `publish` to a room, `echo`.
//!
//! Prints one line of JSON, `{"port": .., "pid": ..}`, when it is ready.

#![allow(clippy::print_stdout, reason = "its address is its output")]

use anyhow::Result;
use clap::Parser;
use fanfare::eventlog::{SqliteLog, SqliteSettings};
use fanfare::{Ack, Args, Io, Log, Server, Socket};
use serde_json::value::RawValue;

#[derive(Parser)]
struct Flags {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Threads that own connections.
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// Records what is published, in a new log on the disk that builds are on.
    #[arg(long)]
    record: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    let log = if flags.record { Some(new_log()?) } else { None };
    let io = Io::with(|settings| {
        settings.shards = flags.shards;
        settings.log = log.map(Log::new);
        // One client stands for a backend that publishes as fast as it can: the rate is kept, and
        // is never reached.
        settings.read_rate.bytes_per_second = 1 << 40;
    })?;
    io.main()
        .on_connect(|socket: Socket| async move {
            if let Some(room) = socket.handshake().query("room").filter(|room| !room.is_empty()) {
                drop(socket.join(room));
            }
        })
        .on("publish", |socket: Socket, args: Args, ack: Ack| async move {
            // The payload is relayed as it came.
            let Ok((room, payload)) = args.parse::<(String, Box<RawValue>)>() else { return };
            if socket.io().to(room).emit("event", (payload,)).is_ok() {
                ack.send(());
            }
        })
        .on("echo", |_: Socket, args: Args, ack: Ack| async move { ack.send(args) });

    let bound = Server::new(io.clone(), io.router()).bind(([127, 0, 0, 1], flags.port).into())?;
    println!("{{\"port\": {}, \"pid\": {}}}", bound.local_addr().port(), std::process::id());
    bound.serve(std::future::pending()).await?;
    Ok(())
}

/// A log without a past, in the place of the one before.
fn new_log() -> Result<SqliteLog> {
    let folder = std::env::current_exe()?.with_extension("log");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir(&folder)?;
    Ok(SqliteLog::open(SqliteSettings::new(folder.join("events.db")))?)
}
