//! A real-time server for unmodified Socket.IO clients.
//!
//! ```no_run
//! use fanfare::{Ack, Args, Io, Server, Socket};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let io = Io::with(|settings| settings.max_rooms = 100)?;
//! io.main()
//!     .on_connect(|socket: Socket| async move { println!("{} is here", socket.id()) })
//!     .on("chat", |socket: Socket, (room, text): (String, String)| async move {
//!         let sent = socket.io().to(room).emit("chat", (text,));
//!         println!("{sent:?}");
//!     })
//!     .on("echo", |_: Socket, args: Args, ack: Ack| async move { ack.send(args) });
//!
//! let server = Server::new(io.clone(), io.router());
//! # drop(server);
//! # Ok(())
//! # }
//! ```
//!
//! **Threads.** [`Io`] owns threads, one per core unless set otherwise. A connection lives on one
//! of them, and so do its listeners: they start in the order in which its events arrived and must
//! not block. Everything public may be used from any thread.
//!
//! **Order.** What one task does to a socket, joining, emitting, disconnecting, is done in that
//! order. All sockets get the events of a namespace in one order.

mod ack;
mod broadcast;
mod counters;
mod disconnect;
mod drain;
mod emit;
mod handler;
mod handshake;
mod history;
mod http;
mod io;
mod namespace;
mod publish;
pub mod rate;
mod recorder;
mod recording;
mod recovery;
mod registry;
mod replay;
pub mod server;
mod settings;
mod shard;
mod socket;
mod sse;
mod transport;
mod waiting;

pub use ack::{Ack, AckError, Unanswered};
pub use broadcast::Broadcast;
pub use counters::{Counters, Counts, LATENCY_BOUNDS, LatencyCounts};
pub use disconnect::{Disconnect, DisconnectReason};
pub use drain::Drain;
pub use emit::{EmitError, IntoArgs, IntoRooms};
pub use handler::{EventError, EventHandler, FromArgs, Refused, Unfit};
pub use handshake::Handshake;
pub use history::{
    DEFAULT_HISTORY_EVENTS, Gap, History, HistoryError, HistoryQuery, MAX_HISTORY_BYTES,
    MAX_HISTORY_EVENTS, RecordedEvent,
};
pub use io::{BuildError, Io};
pub use namespace::{DynamicNamespace, Event, Namespace};
pub use recorder::{Log, Published, recorded_args};
pub use recording::{MAX_PATTERN_BYTES, MAX_PATTERNS, PatternError, Recording, RoomPattern};
pub use replay::{Replay, Replayed};
pub use server::Server;
pub use settings::{OutboxLimits, ReadRate, RecoverySettings, Settings, StreamSettings};
pub use shard::{Busiest, Load, Sample};
pub use socket::{Expired, RemoteSocket, Socket};
pub use sse::{EventStream, StreamCut, StreamError, StreamOptions};
pub use waiting::MAX_WAITING;

pub use engineio;
pub use eventlog;
pub use hub::{JoinError, Room, RoomNameError, SocketId};
pub use socketio::{Args, ArgsError, EncodeError, EventName, NamespaceError, Parser};
