//! Documents that are edited together: `docs.<id>` rooms, in which edits are relayed in order and kept.

use fanfare::{EmitError, Namespace, Socket};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::access::Right;
use crate::caller::Caller;
use crate::code::Code;
use crate::context::Context;
use crate::listen::listen;
use crate::names;
use crate::publish::not_emitted;
use crate::refusal::Refusal;
use crate::time;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    document_id: String,
}

/// An edit as a client sends it: what it means is the application's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edit {
    document_id: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// Lets the clients of a namespace edit documents.
pub(crate) fn serve(context: &Context, namespace: &Namespace) {
    let this = context.clone();
    listen(namespace, "subscribe:document", move |socket: Socket, named: Named| {
        let context = this.clone();
        async move {
            let room = room_of(&named.document_id)?;
            context.allow(&socket, Right::Join, &room, "documentId").await?;
            let joined = socket.join(room).map_err(|_| no_id())?.await;
            joined.map_err(|error| crate::rooms::not_joined(&socket, &error))?;
            Ok(json!({}))
        }
    });
    listen(namespace, "unsubscribe:document", |socket: Socket, named: Named| async move {
        socket.leave(room_of(&named.document_id)?).map_err(|_| no_id())?;
        Ok(json!({}))
    });
    let this = context.clone();
    listen(namespace, "document:edit", move |socket: Socket, edit: Edit| {
        let context = this.clone();
        async move { relay(&context, &socket, edit).await }
    });
}

/// To all others who are in the document, in the order of the log. The ack says where it stands: the
/// sender's own place in that order.
async fn relay(context: &Context, socket: &Socket, edit: Edit) -> Result<Value, Refusal> {
    let room = room_of(&edit.document_id)?;
    context.allow(socket, Right::Publish, &room, "documentId").await?;
    let mut told = edit.fields;
    told.insert("documentId".to_owned(), json!(edit.document_id));
    told.insert("user".to_owned(), json!(Caller::of(socket).author(socket)));
    told.insert("timestamp".to_owned(), json!(time::now()));
    let published = socket.to(room).publish("document:edit", (told,)).await;
    match published {
        Ok(published) => {
            Ok(json!({ "position": published.position.map(|position| position.to_string()) }))
        }
        Err(error @ (EmitError::Overloaded | EmitError::Log(_))) => Err(not_emitted(error)),
        Err(_) => Err(Refusal::new(Code::InvalidMessage, "The edit cannot be sent as it is.")),
    }
}

fn room_of(document: &str) -> Result<String, Refusal> {
    let room = format!("docs.{document}");
    if document.is_empty() || names::check_name(&room).is_err() { Err(no_id()) } else { Ok(room) }
}

fn no_id() -> Refusal {
    let expected = "1 to 250 visible ASCII characters, without * and #";
    Refusal::field(Code::InvalidMessage, "documentId", expected)
}
