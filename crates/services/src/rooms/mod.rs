//! Rooms: joining and leaving, what is kept of them, and who is in them.

mod join;
mod members;
mod registry;
mod routes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use fanfare::{Disconnect, Namespace, RoomPattern, Socket, SocketId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;
use utoipa::ToSchema;

use self::members::{Members, RoomKey};
use self::registry::Made;
use crate::access::Right;
use crate::caller::{Author, Caller};
use crate::code::Code;
use crate::context::Context;
use crate::listen::listen;
use crate::names;
use crate::outbox::Told;
use crate::presence::Presence;
use crate::refusal::Refusal;
use crate::store::StoreError;
use crate::webhooks::Webhooks;

pub(crate) use self::join::not_joined;
pub use self::registry::{NewRoom, RoomChange, RoomRecord};
pub(crate) use self::routes::routes;

/// How many devices of a room are told at most.
const MAX_DEVICES: usize = 1_000;

/// The settings of rooms.
#[derive(Debug, Clone)]
pub struct RoomsSettings {
    /// Whether only rooms can be joined that were made. Default: no; a room costs nothing.
    pub must_exist: bool,
    /// Whether clients may make rooms. Default: no; backends do.
    pub clients_create: bool,
    /// Rooms whose members hear who comes and goes (`user:joined`, `user:left`). Default: all.
    pub announced: Vec<RoomPattern>,
    /// In rooms with more users than this nobody hears it: each of n would hear n times. Default: 200.
    pub announced_up_to: usize,
}

impl Default for RoomsSettings {
    fn default() -> Self {
        RoomsSettings {
            must_exist: false,
            clients_create: false,
            announced: "*".parse().into_iter().collect(),
            announced_up_to: 200,
        }
    }
}

/// Rooms. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rooms {
    context: Context,
    members: Arc<Mutex<Members>>,
    changed: Arc<Notify>,
    webhooks: Option<Webhooks>,
}

/// A user in a room, with the devices.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MemberRecord {
    /// Who it is.
    #[schema(value_type = Object)]
    pub user: Author,
    /// The devices.
    pub devices: Vec<Device>,
}

/// One connection of a user.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Its socket.
    pub socket_id: String,
    /// When it connected.
    #[schema(value_type = String)]
    pub connected_at: Value,
}

/// What the members of a room hear. The socket by which it happened does not: it knows, and after a
/// leaving it may be in the room again by now.
#[derive(Debug, Clone, Copy)]
enum News {
    Came(SocketId),
    /// By a socket, or because nobody came back in time.
    Left(Option<SocketId>),
}

impl Rooms {
    pub(crate) fn begin(context: &Context, webhooks: Option<Webhooks>) -> Result<Self, StoreError> {
        context.store().migrate("rooms", registry::STEPS)?;
        let (members, changed) = (Arc::default(), Arc::default());
        let rooms = Rooms { context: context.clone(), members, changed, webhooks };
        context.spawn(rooms.clone().mind());
        Ok(rooms)
    }

    fn settings(&self) -> &RoomsSettings {
        &self.context.settings().rooms
    }

    /// Makes a room.
    ///
    /// # Errors
    ///
    /// [`Code::Conflict`] if it exists, [`Code::InvalidRequest`] for what it may not be, those of the store.
    pub async fn create(
        &self,
        room: NewRoom,
        creator: Option<String>,
    ) -> Result<RoomRecord, Refusal> {
        let name = room.name.as_deref();
        registry::check(Code::InvalidRequest, Some(&room.room_id), name, Some(&room.metadata))?;
        let namespace = self.namespace(room.namespace.as_deref())?;
        let (store, namespace) = (self.context.store(), namespace.name().to_owned());
        let made = store.write(move |transaction| {
            registry::insert(transaction, &namespace, &room, creator.as_deref())
        });
        match made.await? {
            Made::New(room) => Ok(room),
            Made::Exists => Err(Refusal::new(Code::Conflict, "There is such a room already.")),
            Made::TooMany => {
                Err(Refusal::new(Code::Overloaded, "There are as many rooms as there may be."))
            }
        }
    }

    /// A room that was made.
    ///
    /// # Errors
    ///
    /// [`Code::ChannelNotFound`], those of the store.
    pub async fn find(&self, namespace: &str, id: &str) -> Result<RoomRecord, Refusal> {
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        let found = self.context.store().read(move |it| registry::find(it, &namespace, &id));
        found.await?.ok_or_else(unknown)
    }

    /// The rooms of a namespace that were made, by their ids, from behind one on.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn list(
        &self,
        namespace: &str,
        after: &str,
        limit: u16,
    ) -> Result<Vec<RoomRecord>, Refusal> {
        let (namespace, after) = (namespace.to_owned(), after.to_owned());
        let limit = limit.clamp(1, registry::MAX_PAGE);
        let page =
            self.context.store().read(move |it| registry::page(it, &namespace, &after, limit));
        Ok(page.await?)
    }

    /// Changes a room's name or metadata. Its members hear `room:updated`.
    ///
    /// # Errors
    ///
    /// [`Code::ChannelNotFound`], [`Code::InvalidRequest`], those of the store.
    pub async fn change(
        &self,
        namespace: &str,
        id: &str,
        change: RoomChange,
    ) -> Result<RoomRecord, Refusal> {
        let metadata = change.metadata.as_ref();
        registry::check(Code::InvalidRequest, None, change.name.as_deref(), metadata)?;
        let (namespace, id) = (namespace.to_owned(), id.to_owned());
        let written = self.context.outbox().write(move |transaction| {
            let room = registry::change(transaction, &namespace, &id, &change)?;
            let told = room
                .iter()
                .map(|room| Told::new(&namespace, vec![id.clone()], "room:updated", room));
            let told = told.collect();
            Ok((room, told))
        });
        written.await?.0.ok_or_else(unknown)
    }

    /// Removes a room: its members hear `room:deleted` and are taken out of it.
    ///
    /// # Errors
    ///
    /// [`Code::ChannelNotFound`], those of the store.
    pub async fn delete(&self, namespace: &str, id: &str) -> Result<(), Refusal> {
        let (of, room) = (namespace.to_owned(), id.to_owned());
        let written = self.context.outbox().write(move |transaction| {
            let removed = registry::remove(transaction, &of, &room)?;
            let told =
                Told::new(&of, vec![room.clone()], "room:deleted", &json!({ "roomId": room }));
            Ok((removed, if removed { vec![told] } else { Vec::new() }))
        });
        if !written.await?.0 {
            return Err(unknown());
        }
        if let Ok(leaving) = self.context.namespace(namespace)?.to(id).sockets_leave(id) {
            leaving.await;
        }
        if let Some(key) = Self::key(namespace, id) {
            let was_occupied = self.lock().dissolve(&key);
            if let Some(webhooks) = self.webhooks.as_ref().filter(|_| was_occupied) {
                webhooks.room(namespace, id, false);
            }
        }
        Ok(())
    }

    /// Who is in a room now, by users, with their devices; at most 1 000 of these.
    ///
    /// # Errors
    ///
    /// [`Code::UnknownNamespace`], [`Code::InvalidRequest`].
    pub async fn members(&self, namespace: &str, room: &str) -> Result<Vec<MemberRecord>, Refusal> {
        let sockets = self.context.namespace(namespace)?.to(room).fetch_sockets().await;
        let invalid = |_| Refusal::field(Code::InvalidRequest, "room", names::ROOM_FORM);
        let mut users: BTreeMap<String, MemberRecord> = BTreeMap::new();
        for socket in sockets.map_err(invalid)?.iter().take(MAX_DEVICES) {
            let user = Author::of_data(socket.data(), socket.id());
            let connected_at = socket.handshake().get("issued").and_then(Value::as_u64);
            let device = Device {
                socket_id: socket.id().to_string(),
                connected_at: connected_at.map_or(Value::Null, crate::time::json),
            };
            let member = users.entry(user.id.clone());
            member
                .or_insert_with(|| MemberRecord { user, devices: Vec::new() })
                .devices
                .push(device);
        }
        Ok(users.into_values().collect())
    }

    fn namespace(&self, name: Option<&str>) -> Result<&Namespace, Refusal> {
        self.context.namespace(name.unwrap_or("/"))
    }

    /// Whether a room may be joined although nobody made it.
    async fn check_exists(&self, namespace: &str, room: &str) -> Result<(), Refusal> {
        if !self.settings().must_exist || names::user_of(room).is_some() {
            return Ok(());
        }
        self.find(namespace, room).await.map(drop)
    }
}

fn unknown() -> Refusal {
    Refusal::new(Code::ChannelNotFound, "There is no such room.").with(json!({ "field": "roomId" }))
}

/// Who came and who left, told to the others.
impl Rooms {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of a room that stands for people who are in it together, and not for what they look at.
    fn key(namespace: &str, room: &str) -> Option<RoomKey> {
        let shared = names::check_joinable(room).is_ok() && !names::is_subscription(room);
        shared.then(|| RoomKey { namespace: namespace.to_owned(), room: room.to_owned() })
    }

    fn entered(&self, socket: &Socket, room: &str) {
        let Some(key) = Self::key(socket.namespace().name(), room) else { return };
        let who = Caller::of(socket).author(socket);
        let (fresh, count) = self.lock().enter(&key, &who, socket.id());
        if fresh {
            self.announce(&key, News::Came(socket.id()), &who, count);
        }
        // Gone meanwhile: its end came before its beginning, and was nobody's.
        if !socket.is_connected() {
            self.lock().lose(&key, &who.id, socket.id(), Instant::now() + Members::GRACE);
            self.changed.notify_one();
        }
    }

    fn left(&self, socket: &Socket, room: &str) {
        let Some(key) = Self::key(socket.namespace().name(), room) else { return };
        let who = Caller::of(socket).author(socket);
        let (gone, count) = self.lock().leave(&key, &who.id, socket.id());
        if gone {
            self.announce(&key, News::Left(Some(socket.id())), &who, count);
        }
    }

    /// Who left while it was still joining has left: the leaving was nobody's then.
    async fn confirm(&self, socket: &Socket, room: &str) {
        let Some(key) = Self::key(socket.namespace().name(), room) else { return };
        let coming = self.lock().coming(&key, socket.id());
        let rooms = socket.rooms().await;
        let is_in = rooms.iter().any(|joined| joined.as_str() == room);
        // It may have left and come again meanwhile: that coming is looked at by itself.
        if !is_in && socket.is_connected() && self.lock().coming(&key, socket.id()) == coming {
            self.left(socket, room);
        }
    }

    fn lost(&self, socket: &Socket, end: &Disconnect) {
        let at = Instant::now() + Members::GRACE;
        let rooms = self.lock().rooms_of(socket.id());
        for key in rooms {
            let who = Caller::of(socket).author(socket);
            if end.reason.is_recoverable() {
                self.lock().lose(&key, &who.id, socket.id(), at);
                self.changed.notify_one();
            } else {
                self.left(socket, &key.room);
            }
        }
    }

    fn announce(&self, key: &RoomKey, news: News, who: &Author, count: usize) {
        let RoomKey { namespace, room } = key;
        let occupied = matches!(news, News::Came(_)) && count == 1;
        if let Some(webhooks) = self.webhooks.as_ref().filter(|_| occupied || count == 0) {
            webhooks.room(namespace, room, occupied);
        }
        let mut announced = self.settings().announced.iter();
        let announced = announced.any(|pattern| pattern.matches(namespace, room));
        if !announced || count > self.settings().announced_up_to {
            return;
        }
        let Ok(namespace) = self.context.namespace(namespace) else { return };
        let told = json!({ "roomId": room, "user": who, "members": count });
        // Not a part of the room's past: who comes later asks who is there.
        let mut others = namespace.to(room.as_str()).unrecorded();
        if let News::Came(socket) | News::Left(Some(socket)) = news {
            others = others.except(socket);
        }
        let told = match news {
            News::Came(_) => others.emit("user:joined", (told,)),
            News::Left(_) => others.emit("user:left", (told,)),
        };
        if let Err(error) = told {
            tracing::debug!(%error, "who came or left could not be told");
        }
    }

    /// Minds those who were lost, for as long as it is run.
    async fn mind(self) {
        loop {
            let changed = self.changed.notified();
            let (gone, next) = {
                let mut members = self.lock();
                (members.expire(Instant::now()), members.next())
            };
            for (key, who, count) in gone {
                self.announce(&key, News::Left(None), &who, count);
            }
            match next {
                Some(next) => {
                    let _ = tokio::time::timeout_at(next.into(), changed).await;
                }
                None => changed.await,
            }
        }
    }
}

/// A room as clients name it: `{roomId}`, or `{chatId}` for `chat:<id>`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoomName {
    room_id: Option<String>,
    chat_id: Option<String>,
}

/// Lets the clients of a namespace use rooms.
pub(crate) fn serve(rooms: &Rooms, presence: &Presence, namespace: &Namespace) {
    join::serve(rooms, presence, namespace);
    let this = rooms.clone();
    namespace.on_connect(move |socket: Socket| {
        let this = this.clone();
        async move {
            for room in socket.rooms().await {
                this.entered(&socket, room.as_str());
            }
        }
    });
    let this = rooms.clone();
    namespace.on_disconnect(move |socket: Socket, end: Disconnect| {
        this.lost(&socket, &end);
        async {}
    });
    let this = rooms.clone();
    listen(namespace, "room:create", move |socket: Socket, room: NewRoom| {
        let this = this.clone();
        async move {
            if !this.settings().clients_create {
                let message =
                    "Clients do not make rooms here; the setting is rooms.clients_create.";
                return Err(Refusal::new(Code::PermissionDenied, message));
            }
            let name = room.name.as_deref();
            registry::check(Code::InvalidMessage, Some(&room.room_id), name, Some(&room.metadata))?;
            this.context.allow(&socket, Right::Join, &room.room_id, "roomId").await?;
            let creator = Caller::of(&socket).author(&socket).id;
            let room = NewRoom { namespace: Some(socket.namespace().name().to_owned()), ..room };
            Ok(json!({ "room": this.create(room, Some(creator)).await? }))
        }
    });
    let this = rooms.clone();
    listen(namespace, "room:get", move |socket: Socket, named: RoomName| {
        let this = this.clone();
        async move {
            let id = named.name()?;
            this.context.allow(&socket, Right::Join, &id, "roomId").await?;
            Ok(json!({ "room": this.find(socket.namespace().name(), &id).await? }))
        }
    });
    let this = rooms.clone();
    listen(namespace, "room:members", move |socket: Socket, named: RoomName| {
        let this = this.clone();
        async move {
            let id = named.name()?;
            this.context.allow(&socket, Right::Presence, &id, "roomId").await?;
            Ok(json!({ "members": this.members(socket.namespace().name(), &id).await? }))
        }
    });
}

impl RoomName {
    /// The room's name.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidMessage`].
    pub(crate) fn name(self) -> Result<String, Refusal> {
        match (self.room_id, self.chat_id) {
            (Some(room), None) => Ok(room),
            (None, Some(chat)) => Ok(chat_room(&chat)),
            _ => Err(Refusal::field(Code::InvalidMessage, "roomId", "either `roomId` or `chatId`")),
        }
    }
}

/// The room of a chat.
pub(crate) fn chat_room(chat: &str) -> String {
    format!("chat:{chat}")
}
