//! What clients ask of chat.

use fanfare::{Namespace, Socket};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Chat, Draft, Editor, MAX_MESSAGES, MessageKind, MessageQuery};
use crate::access::Right;
use crate::caller::Caller;
use crate::code::Code;
use crate::listen::listen;
use crate::refusal::Refusal;
use crate::rooms::RoomName;

/// How many messages are given when nobody says.
const DEFAULT_MESSAGES: u32 = 50;

/// How many messages may be passed over: who is further back goes on from a message.
pub(super) const MAX_OFFSET: u32 = 10_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    #[serde(flatten)]
    room: RoomName,
    content: String,
    #[serde(rename = "type")]
    kind: Option<MessageKind>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    client_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(flatten)]
    room: RoomName,
    before: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
    offset: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edited {
    message_id: String,
    content: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    message_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Types {
    #[serde(flatten)]
    room: RoomName,
    is_typing: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    #[serde(flatten)]
    room: RoomName,
    message_id: String,
}

#[derive(Debug, Deserialize)]
struct Nothing {}

/// Lets the clients of a namespace chat.
pub(crate) fn serve(chat: &Chat, namespace: &Namespace) {
    on(chat, namespace, "message", Chat::on_message);
    on(chat, namespace, "message:history", Chat::on_history);
    on(chat, namespace, "message:edit", Chat::on_edit);
    on(chat, namespace, "message:delete", Chat::on_delete);
    on(chat, namespace, "typing", Chat::on_typing);
    on(chat, namespace, "read", Chat::on_read);
    on(chat, namespace, "unread", Chat::on_unread);
}

fn on<T, H, F>(chat: &Chat, namespace: &Namespace, event: &'static str, handler: H)
where
    T: serde::de::DeserializeOwned + 'static,
    H: Fn(Chat, Socket, T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Value, Refusal>> + 'static,
{
    let chat = chat.clone();
    listen(namespace, event, move |socket, argument| handler(chat.clone(), socket, argument));
}

impl Chat {
    async fn on_message(self, socket: Socket, sent: Sent) -> Result<Value, Refusal> {
        let room = sent.room.name()?;
        let kind = sent.kind.unwrap_or_default();
        if kind == MessageKind::System {
            let message = "Messages of type system are sent by backends.";
            return Err(Refusal::new(Code::PermissionDenied, message));
        }
        self.may_write(&socket, &room).await?;
        let author = Caller::of(&socket).author(&socket);
        let draft = Draft {
            kind,
            content: sent.content,
            metadata: sent.metadata.unwrap_or_default(),
            client_id: sent.client_id,
        };
        let (message, position, fresh) =
            self.send(socket.namespace().name(), &room, author, draft).await?;
        let position = position.map(|position| position.to_string());
        let (id, time) = (message.id, message.timestamp);
        Ok(json!({ "id": id, "timestamp": time, "position": position, "repeated": !fresh }))
    }

    /// The right, and, unless it is set otherwise, being there.
    async fn may_write(&self, socket: &Socket, room: &str) -> Result<(), Refusal> {
        let is_in = socket.rooms();
        self.context.allow(socket, Right::Publish, room, "roomId").await?;
        let is_in = is_in.await.iter().any(|joined| joined.as_str() == room);
        if is_in || !self.settings().members_only {
            return Ok(());
        }
        let message = "Only who is in the room may write there; join it first.";
        Err(Refusal::new(Code::PermissionDenied, message).with(json!({ "field": "roomId" })))
    }

    async fn on_history(self, socket: Socket, asked: Asked) -> Result<Value, Refusal> {
        let room = asked.room.name()?;
        self.context.allow(&socket, Right::History, &room, "roomId").await?;
        let limit = asked.limit.unwrap_or(DEFAULT_MESSAGES);
        if limit == 0 || limit > MAX_MESSAGES {
            let expected = format!("a whole number from 1 to {MAX_MESSAGES}");
            return Err(Refusal::field(Code::InvalidMessage, "limit", &expected));
        }
        let offset = asked.offset.unwrap_or(0);
        if offset > MAX_OFFSET {
            let expected = format!("a whole number up to {MAX_OFFSET}; beyond it, `before`");
            return Err(Refusal::field(Code::InvalidMessage, "offset", &expected));
        }
        let query = MessageQuery { before: asked.before, after: asked.after, offset, limit };
        let messages = self.messages(socket.namespace().name(), &room, query).await?;
        let more = messages.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(json!({ "roomId": room, "messages": messages, "more": more }))
    }

    /// A message somebody may know of, and as whom it may be changed.
    async fn editor(&self, socket: &Socket, id: &str) -> Result<Editor, Refusal> {
        let message = self.message(id).await?;
        let caller = Caller::of(socket);
        let here = message.namespace == socket.namespace().name();
        let may = self.context.allow(socket, Right::Publish, &message.room_id, "messageId").await;
        // Who may not be there does not learn that there is such a message.
        if !here || may.is_err() {
            return Err(super::unknown());
        }
        let moderator = caller.user().is_some_and(|user| user.moderator);
        let author = || Editor::Author(caller.author(socket).id);
        Ok(if moderator { Editor::Moderator } else { author() })
    }

    async fn on_edit(self, socket: Socket, edited: Edited) -> Result<Value, Refusal> {
        let by = self.editor(&socket, &edited.message_id).await?;
        let message = self.edit(&edited.message_id, &edited.content, by).await?;
        Ok(json!({ "message": message }))
    }

    async fn on_delete(self, socket: Socket, deleted: Deleted) -> Result<Value, Refusal> {
        let by = self.editor(&socket, &deleted.message_id).await?;
        let message = self.delete(&deleted.message_id, by).await?;
        Ok(json!({ "message": message }))
    }

    async fn on_typing(self, socket: Socket, types: Types) -> Result<Value, Refusal> {
        let room = types.room.name()?;
        self.may_write(&socket, &room).await?;
        let who = Caller::of(&socket).author(&socket);
        let typist = (socket.namespace().name().to_owned(), room, socket.id());
        self.types(&typist, &who, types.is_typing);
        Ok(json!({}))
    }

    async fn on_read(self, socket: Socket, read: Read) -> Result<Value, Refusal> {
        let room = read.room.name()?;
        self.context.allow(&socket, Right::History, &room, "roomId").await?;
        let who = Caller::of(&socket).author(&socket);
        let namespace = socket.namespace().name();
        let news = self.read(namespace, &room, &who, &read.message_id).await?;
        Ok(json!({ "news": news }))
    }

    async fn on_unread(self, socket: Socket, _: Nothing) -> Result<Value, Refusal> {
        let who = Caller::of(&socket).author(&socket);
        Ok(json!({ "rooms": self.unread(socket.namespace().name(), &who.id).await? }))
    }
}
