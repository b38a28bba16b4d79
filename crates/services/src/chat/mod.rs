//! Chat: messages that are kept and told, typing, receipts, notifications.

mod events;
mod routes;
mod store;
mod typing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fanfare::eventlog::Position;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use self::store::{New, Page};
use self::typing::{Typing, Typist};
use crate::caller::Author;
use crate::code::Code;
use crate::context::Context;
use crate::names;
use crate::outbox::Told;
use crate::refusal::Refusal;
use crate::store::StoreError;

pub(crate) use self::events::serve;
pub(crate) use self::routes::routes;
pub use self::store::{Message, MessageKind, Receipt, Unread};

/// The most messages of a page.
pub const MAX_MESSAGES: u32 = 200;

/// The longest id a client gives a message, in bytes.
const MAX_CLIENT_ID_BYTES: usize = 64;

/// How many users one notification is for.
const MAX_USERS: usize = 1_000;

/// The settings of chat.
#[derive(Debug, Clone)]
pub struct ChatSettings {
    /// The largest content of a message, in bytes. Default: 16 KiB, some pages of text.
    pub max_content_bytes: usize,
    /// The largest metadata of a message, in bytes of JSON. Default: 4 KiB.
    pub max_metadata_bytes: usize,
    /// Whether somebody must be in a room to write there. Default: yes.
    pub members_only: bool,
    /// How many messages a room keeps. Default: 100 000; 0 keeps all.
    pub kept_per_room: u32,
    /// How long somebody is typing who says nothing more. Default: 5 s.
    pub typing_lasts: Duration,
}

impl Default for ChatSettings {
    fn default() -> Self {
        ChatSettings {
            max_content_bytes: 16 << 10,
            max_metadata_bytes: 4 << 10,
            members_only: true,
            kept_per_room: 100_000,
            typing_lasts: Duration::from_secs(5),
        }
    }
}

/// A message that is to be sent.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// What it is.
    pub kind: MessageKind,
    /// The text.
    pub content: String,
    /// What the application keeps with it.
    pub metadata: Map<String, Value>,
    /// Makes a second try safe: of several with the same, by the same author in the same room, the
    /// first counts.
    pub client_id: Option<String>,
}

/// Which messages of a room.
#[derive(Debug, Clone, Default)]
pub struct MessageQuery {
    /// Only older ones than this message, newest first.
    pub before: Option<String>,
    /// Only newer ones than this message, oldest first.
    pub after: Option<String>,
    /// So many are passed over.
    pub offset: u32,
    /// So many at most: 1 to [`MAX_MESSAGES`].
    pub limit: u32,
}

/// Who wants to change a message.
#[derive(Debug, Clone)]
pub enum Editor {
    /// Its author may, nobody else.
    Author(String),
    /// May change everybody's.
    Moderator,
}

/// Chat. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chat {
    context: Context,
    typing: Arc<Mutex<Typing>>,
    changed: Arc<Notify>,
}

impl Chat {
    pub(crate) fn begin(context: &Context) -> Result<Self, StoreError> {
        context.store().migrate("chat", store::STEPS)?;
        let (typing, changed) = (Arc::default(), Arc::default());
        let chat = Chat { context: context.clone(), typing, changed };
        context.spawn(chat.clone().mind());
        Ok(chat)
    }

    fn settings(&self) -> &ChatSettings {
        &self.context.settings().chat
    }

    /// Keeps a message and tells the room (`message`). Done when both are done: the message, its
    /// position, and whether it is new.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidMessage`], [`Code::UnknownNamespace`], those of the store and the log.
    pub async fn send(
        &self,
        namespace: &str,
        room: &str,
        user: Author,
        draft: Draft,
    ) -> Result<(Message, Option<Position>, bool), Refusal> {
        self.check(&draft)?;
        check_room(room)?;
        self.context.namespace(namespace)?;
        let keep = self.settings().kept_per_room;
        let Draft { kind, content, metadata, client_id: client } = draft;
        let (namespace, room) = (namespace.to_owned(), room.to_owned());
        let new = New { namespace, room, user, kind, content, metadata, client };
        let written = self.context.outbox().write(move |transaction| {
            let (message, fresh) = store::insert(transaction, &new)?;
            let mut told = Vec::new();
            if fresh {
                told.push(Told::new(&new.namespace, vec![new.room.clone()], "message", &message));
                // Now and then, so that most messages cost one insertion.
                if keep > 0 && message.seq % 16 == 0 {
                    store::trim(transaction, &new.namespace, &new.room, keep)?;
                }
            }
            Ok(((message, fresh), told))
        });
        let ((message, fresh), position) = written.await?;
        Ok((message, position, fresh))
    }

    fn check(&self, draft: &Draft) -> Result<(), Refusal> {
        self.check_content(&draft.content)?;
        let settings = self.settings();
        let size = serde_json::to_string(&draft.metadata).map_or(usize::MAX, |text| text.len());
        if size > settings.max_metadata_bytes {
            let expected =
                format!("an object of at most {} bytes of JSON", settings.max_metadata_bytes);
            return Err(Refusal::field(Code::InvalidMessage, "metadata", &expected));
        }
        let fits = |id: &String| (1..=MAX_CLIENT_ID_BYTES).contains(&id.len());
        if !draft.client_id.as_ref().is_none_or(fits) {
            let expected = format!("1 to {MAX_CLIENT_ID_BYTES} bytes");
            return Err(Refusal::field(Code::InvalidMessage, "clientId", &expected));
        }
        Ok(())
    }

    fn check_content(&self, content: &str) -> Result<(), Refusal> {
        let max = self.settings().max_content_bytes;
        if content.is_empty() || content.len() > max {
            let expected = format!("1 to {max} bytes of text");
            return Err(Refusal::field(Code::InvalidMessage, "content", &expected));
        }
        Ok(())
    }

    /// Messages of a room: newest first, or with `after` oldest first.
    ///
    /// # Errors
    ///
    /// [`Code::ChannelNotFound`] if the message it is asked from is not there; those of the store.
    pub async fn messages(
        &self,
        namespace: &str,
        room: &str,
        query: MessageQuery,
    ) -> Result<Vec<Message>, Refusal> {
        let page = Page {
            namespace: namespace.to_owned(),
            room: room.to_owned(),
            before: query.before,
            after: query.after,
            offset: query.offset,
            limit: query.limit.clamp(1, MAX_MESSAGES),
        };
        let page = self.context.store().read(move |it| store::page(it, &page)).await?;
        page.ok_or_else(unknown)
    }

    /// A message.
    ///
    /// # Errors
    ///
    /// [`Code::ChannelNotFound`], those of the store.
    pub async fn message(&self, id: &str) -> Result<Message, Refusal> {
        let id = id.to_owned();
        self.context.store().read(move |it| store::find(it, &id)).await?.ok_or_else(unknown)
    }

    /// Changes what a message says; the room hears `message:updated`.
    ///
    /// # Errors
    ///
    /// [`Code::ChannelNotFound`], [`Code::PermissionDenied`], [`Code::InvalidMessage`], those of the
    /// store and the log.
    pub async fn edit(&self, id: &str, content: &str, by: Editor) -> Result<Message, Refusal> {
        self.check_content(content)?;
        let content = content.to_owned();
        self.alter(id, by, "message:updated", move |transaction, id| {
            store::edit(transaction, id, &content)
        })
        .await
    }

    /// Deletes a message: what it said is gone from the store; the room hears `message:deleted`. What the
    /// event log has kept of it goes with the log's retention.
    ///
    /// # Errors
    ///
    /// As of [`edit`](Self::edit).
    pub async fn delete(&self, id: &str, by: Editor) -> Result<Message, Refusal> {
        self.alter(id, by, "message:deleted", store::delete).await
    }

    async fn alter<F>(
        &self,
        id: &str,
        by: Editor,
        event: &'static str,
        alter: F,
    ) -> Result<Message, Refusal>
    where
        F: FnOnce(&rusqlite::Transaction<'_>, &str) -> rusqlite::Result<Option<Message>>
            + Send
            + 'static,
    {
        let id = id.to_owned();
        let written = self.context.outbox().write(move |transaction| {
            let Some(found) = store::find(transaction, &id)?.filter(|it| it.deleted_at.is_none())
            else {
                return Ok((Err(unknown()), Vec::new()));
            };
            if matches!(&by, Editor::Author(user) if *user != found.user.id) {
                return Ok((Err(not_yours()), Vec::new()));
            }
            let Some(message) = alter(transaction, &id)? else {
                return Ok((Err(unknown()), Vec::new()));
            };
            let rooms = vec![message.room_id.clone()];
            let told = Told::new(&message.namespace, rooms, event, &message);
            Ok((Ok(message), vec![told]))
        });
        written.await?.0
    }

    /// Says that a user has read a room up to a message; the room hears `read`. Only forward.
    ///
    /// # Errors
    ///
    /// [`Code::ChannelNotFound`], those of the store and the log.
    pub async fn read(
        &self,
        namespace: &str,
        room: &str,
        user: &Author,
        message: &str,
    ) -> Result<bool, Refusal> {
        let (namespace, room) = (namespace.to_owned(), room.to_owned());
        let (user, id) = (user.clone(), message.to_owned());
        let written = self.context.outbox().write(move |transaction| {
            let found = store::find(transaction, &id)?;
            let found = found.filter(|it| it.namespace == namespace && it.room_id == room);
            let Some(message) = found else { return Ok((None, Vec::new())) };
            let news = store::read_up_to(transaction, &user.id, &message)?;
            let told = json!({ "roomId": room, "user": user, "messageId": id });
            let told = Told::new(&namespace, vec![room.clone()], "read", &told);
            Ok((Some(news), if news { vec![told] } else { Vec::new() }))
        });
        written.await?.0.ok_or_else(unknown)
    }

    /// What a user has not read, in the rooms in which it has read something.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn unread(&self, namespace: &str, user: &str) -> Result<Vec<Unread>, Refusal> {
        let (namespace, user) = (namespace.to_owned(), user.to_owned());
        Ok(self.context.store().read(move |it| store::unread(it, &namespace, &user)).await?)
    }

    /// How far everybody has read in a room; the 1 000 latest.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn receipts(&self, namespace: &str, room: &str) -> Result<Vec<Receipt>, Refusal> {
        let (namespace, room) = (namespace.to_owned(), room.to_owned());
        Ok(self.context.store().read(move |it| store::receipts(it, &namespace, &room)).await?)
    }

    /// Sends users a `notification`: whether one with this `key` was sent before, and its position. With
    /// a key a retry is safe for seven days, also over a restart.
    ///
    /// # Errors
    ///
    /// [`Code::InvalidRequest`], [`Code::UnknownNamespace`], those of the log.
    pub async fn notify(
        &self,
        namespace: &str,
        users: &[String],
        notification: &Value,
        key: Option<&str>,
    ) -> Result<(bool, Option<Position>), Refusal> {
        let rooms: Vec<String> = users.iter().map(|user| names::room_of_user(user)).collect();
        let named = rooms.iter().all(|room| names::check_name(room).is_ok());
        if !named || !(1..=MAX_USERS).contains(&rooms.len()) {
            let expected = format!("1 to {MAX_USERS} ids of users");
            return Err(Refusal::field(Code::InvalidRequest, "users", &expected));
        }
        self.context.namespace(namespace)?;
        let told = Told::new(namespace, rooms, "notification", notification);
        self.context
            .outbox()
            .tell_once(told, key.map(|key| format!("notification:{namespace}:{key}")))
            .await
    }

    /// Sends everybody in a namespace a `system:announcement`; as [`notify`](Self::notify) does.
    ///
    /// # Errors
    ///
    /// [`Code::UnknownNamespace`], those of the log.
    pub async fn announce(
        &self,
        namespace: &str,
        announcement: &Value,
        key: Option<&str>,
    ) -> Result<(bool, Option<Position>), Refusal> {
        self.context.namespace(namespace)?;
        let told = Told::new(namespace, Vec::new(), "system:announcement", announcement);
        self.context
            .outbox()
            .tell_once(told, key.map(|key| format!("announcement:{namespace}:{key}")))
            .await
    }
}

fn unknown() -> Refusal {
    Refusal::new(Code::ChannelNotFound, "There is no such message.")
}

fn not_yours() -> Refusal {
    Refusal::new(Code::PermissionDenied, "Only its author and moderators may change a message.")
}

fn check_room(room: &str) -> Result<(), Refusal> {
    names::check_name(room)
        .map_err(|_| Refusal::field(Code::InvalidMessage, "roomId", names::ROOM_FORM))
}

/// Typing.
impl Chat {
    fn lock(&self) -> MutexGuard<'_, Typing> {
        self.typing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody types, or no longer.
    fn types(&self, typist: &Typist, who: &Author, is_typing: bool) {
        let now = Instant::now();
        let told = if is_typing {
            self.lock().begin(typist.clone(), who, now, self.settings().typing_lasts)
        } else {
            self.lock().end(typist)
        };
        if told {
            self.tell_typing(typist, who, is_typing);
        }
        self.changed.notify_one();
    }

    /// For nobody who is not here to see it: never kept, dropped for who cannot take it at once.
    fn tell_typing(&self, (namespace, room, socket): &Typist, who: &Author, is_typing: bool) {
        let Ok(namespace) = self.context.namespace(namespace) else { return };
        let told = namespace.to(room.as_str()).except(*socket).volatile();
        let argument = json!({ "roomId": room, "user": who, "isTyping": is_typing });
        if let Err(error) = told.emit("typing", (argument,)) {
            tracing::debug!(%error, "who is typing could not be told");
        }
    }

    /// Ends the typing of those who say nothing more, for as long as it is run.
    async fn mind(self) {
        loop {
            let changed = self.changed.notified();
            let (over, next) = {
                let mut typing = self.lock();
                (typing.expire(Instant::now()), typing.next())
            };
            for (typist, who) in over {
                self.tell_typing(&typist, &who, false);
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
