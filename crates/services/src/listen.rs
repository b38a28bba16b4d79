//! Events of clients that are answered: read, asked of a service, and its answer or refusal told.

use std::future::Future;
use std::time::SystemTime;

use fanfare::{Ack, Args, EventError, Namespace, Socket};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::Instrument;

use crate::code::Code;
use crate::context::Context;
use crate::http::{Done, expected, unfit};
use crate::refusal::Refusal;
use crate::spans;

/// Listens for an event with one argument, an object. The answer goes into the ack as
/// `{ok: true, …}`; without an ack it goes nowhere. A refusal goes into the ack as
/// `{ok: false, error}`, or as an `error` event.
pub(crate) fn listen<T, R, H, F>(namespace: &Namespace, event: &'static str, handler: H)
where
    T: DeserializeOwned + 'static,
    R: Serialize + 'static,
    H: Fn(Socket, T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, Refusal>> + 'static,
{
    namespace.on(event, move |socket: Socket, args: Args, ack: Ack| {
        // Started before the first await, so that events of one socket are taken up in order.
        let span = spans::event(event);
        let answered =
            span.in_scope(|| argument(&args).map(|argument| handler(socket.clone(), argument)));
        let answering = async move {
            let answer = match answered {
                Ok(answer) => answer.await,
                Err(refusal) => Err(refusal),
            };
            reply(&socket, event, ack, answer);
        };
        answering.instrument(span)
    });
}

/// Tells clients of events that did not reach a listener as of all others that are refused.
pub(crate) fn serve(context: &Context, namespace: &Namespace) {
    let limits = context.limits().clone();
    namespace.on_error(move |socket, _event, error, ack| {
        if !ack.is_wanted() && !limits.may_tell(socket) {
            return;
        }
        let refused = match error {
            EventError::Refused(refused) => refused.data().filter(|it| it.get("code").is_some()),
            _ => None,
        };
        match refused {
            Some(told) if ack.is_wanted() => ack.send((json!({ "ok": false, "error": told }),)),
            Some(told) => {
                // Volatile: about this connection, and never more than it takes.
                let _ = socket.emit_volatile("error", (told,));
            }
            None => refuse(socket, ack, &unfit(Code::InvalidMessage, "", "other arguments")),
        }
    });
}

/// The first argument of an event, an object.
///
/// # Errors
///
/// [`Code::InvalidMessage`], with the field and what was expected.
pub(crate) fn argument<T: DeserializeOwned>(args: &Args) -> Result<T, Refusal> {
    let not_one = || unfit(Code::InvalidMessage, "", "one argument, an object");
    let raw: (Box<serde_json::value::RawValue>,) = args.parse().map_err(|_| not_one())?;
    let text = raw.0.get();
    if !text.trim_start().starts_with('{') {
        return Err(not_one());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        unfit(Code::InvalidMessage, &path, &expected(&error.into_inner().to_string()))
    })
}

/// Tells a client how its event went.
pub(crate) fn reply<R: Serialize>(
    socket: &Socket,
    event: &'static str,
    ack: Ack,
    answer: Result<R, Refusal>,
) {
    match answer {
        Ok(rest) if ack.is_wanted() => ack.send((Done { ok: true, rest },)),
        Ok(_) => {}
        Err(refusal) => {
            tracing::debug!(event, code = refusal.code.as_str(), "a client was refused something");
            refuse(socket, ack, &refusal);
        }
    }
}

/// Tells a client something about its connection. It is not kept for who comes back, but it waits for a
/// client that is just changing its transport, or has no poll open: what is volatile is lost there.
pub(crate) fn tell(socket: &Socket, event: &'static str, argument: &impl Serialize) {
    let own = socket.namespace().to(socket.id()).unrecorded();
    if let Err(error) = own.emit(event, (argument,)) {
        tracing::debug!(%error, event, "a client could not be told something");
    }
}

/// Tells a refusal: in the ack, or as an `error` event.
pub(crate) fn refuse(socket: &Socket, ack: Ack, refusal: &Refusal) {
    let answer = refusal.answer(SystemTime::now());
    if ack.is_wanted() {
        ack.send((answer,));
    } else if let Err(error) = socket.emit("error", (answer.error(),)) {
        tracing::debug!(%error, "a refusal could not be sent");
    }
}
