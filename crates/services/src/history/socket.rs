//! The event `history` of clients: `{roomId, after?, before?, limit?, order?}`, answered in its ack.

use fanfare::{Ack, Args, History, Namespace, Socket};
use serde_json::{Map, Value, json};

use super::page::Page;
use super::question::{Question, Wait};
use super::read;
use crate::access::Right;
use crate::code::Code;
use crate::context::Context;
use crate::listen::refuse;
use crate::names;
use crate::refusal::Refusal;

/// Lets the clients of a namespace read the history of rooms.
pub(crate) fn serve(context: &Context, namespace: &Namespace) {
    let context = context.clone();
    namespace.on("history", move |socket, args, ack| history(context.clone(), socket, args, ack));
}

async fn history(context: Context, socket: Socket, args: Args, ack: Ack) {
    if !ack.is_wanted() {
        let message = "The history is answered in an ack, and none was asked for.";
        return refuse(&socket, ack, &Refusal::new(Code::InvalidRequest, message));
    }
    let refusal = match page(&context, &socket, &args).await {
        Ok((room, page)) => {
            // As for every ack: whoever asked may be gone.
            let answer = Args::of(&(Page::of(&room, &page),));
            match answer {
                Ok(answer) => return ack.send(answer),
                Err(_) => Refusal::new(
                    Code::NotInAnAck,
                    "An event of this page is nested too deeply for an ack; read it over HTTP.",
                ),
            }
        }
        Err(refusal) => refusal,
    };
    refuse(&socket, ack, &refusal);
}

async fn page(
    context: &Context,
    socket: &Socket,
    args: &Args,
) -> Result<(String, History), Refusal> {
    let given = args.parse::<(Map<String, Value>,)>().ok();
    let (room, rest) = given
        .and_then(|(mut fields,)| match fields.remove("roomId") {
            Some(Value::String(room)) => Some((room, fields)),
            _ => None,
        })
        .ok_or_else(|| {
            let message = "The argument is not an object with a room; expected {roomId: <name>}.";
            Refusal::new(Code::InvalidMessage, message)
                .with(json!({ "field": "roomId", "expected": "{roomId: <name>, …}" }))
        })?;
    may_read(context, socket, &room).await?;
    let question = Question::of_event(rest)?;
    let page = read(socket.namespace(), &room, question.query, Wait::default()).await;
    page.map(|page| (room, page)).map_err(super::Missing::refusal)
}

/// Rooms in which the client has the right; and those that no rule is about, if the server put it there.
/// That it is in a room is no right to what was sent before.
async fn may_read(context: &Context, socket: &Socket, room: &str) -> Result<(), Refusal> {
    let allowed = context.allow(socket, Right::History, room, "roomId").await;
    let Err(refusal) = allowed else { return Ok(()) };
    let ruled = names::check_joinable(room).is_ok();
    let is_in = !ruled && socket.rooms().await.iter().any(|joined| joined.as_str() == room);
    if is_in { Ok(()) } else { Err(refusal) }
}
