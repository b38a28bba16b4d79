//! One node's rooms and targets: who is where, and who is meant, without I/O.
//!
//! A [`Hub`] holds the sockets of one namespace on one shard and the rooms they are in. A
//! [`Target`] says which sockets an event is meant for; [`Hub::for_each_target`] walks them, each
//! once. The hub calls nobody: what changed (a room was created, a room became empty) is in the
//! returned values.
//!
//! ```
//! use hub::{Hub, Room, SocketId, Target};
//!
//! let mut hub = Hub::new(hub::DEFAULT_MAX_ROOMS);
//! let ada = SocketId::new([1; 12], 0);
//! let member = hub.insert(ada, 7_u32)?; // 7: whatever the shard knows the socket by
//! let room = Room::new("news")?;
//! assert!(hub.join(member, &room)?.created);
//!
//! let mut reached = Vec::new();
//! hub.for_each_target(&Target::room(room), |_, key| reached.push(key));
//! assert_eq!(reached, [7]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod hub;
mod id;
mod index;
mod outcome;
mod room;
mod target;

pub use hub::{DEFAULT_MAX_ROOMS, Hub, Member};
pub use id::{SocketId, SocketIdError};
pub use outcome::{InsertError, JoinError, Joined, Left, LeftRoom, Removed};
pub use room::{MAX_ROOM_BYTES, Room, RoomNameError};
pub use target::Target;
