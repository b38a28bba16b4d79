//! Polling: a GET that waits, a POST that brings.

use super::body::{self, BodyFault};
use super::{Incoming, answer, empty, on_session};
use crate::Io;
use crate::shard::{Op, Polled, Shard};
use axum::response::Response;
use bytes::Bytes;
use engineio::{Address, PostForm, Refusal, Sid};
use http::StatusCode;
use std::rc::Rc;
use tokio::sync::oneshot;

/// Tells a session that a request of it was given up, unless it was finished.
struct Abandoned {
    io: Io,
    sid: Sid,
    tell: Option<fn(&Rc<Shard>, &Sid)>,
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(tell) = self.tell {
            let sid = self.sid;
            self.io.shard(sid.shard()).push(Op::run(move |shard| tell(shard, &sid)));
        }
    }
}

/// A GET that waits. Tells its session if it is given up, also when the answer is there already.
struct Waiting {
    io: Io,
    sid: Sid,
    polled: oneshot::Receiver<Polled>,
    answered: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.polled.close();
        let tell = match self.polled.try_recv() {
            Ok(Polled::Payload(_)) => Shard::answer_lost,
            Ok(Polled::Refused(_)) => return,
            Err(_) => Shard::poll_aborted,
        };
        let sid = self.sid;
        self.io.shard(sid.shard()).push(Op::run(move |shard| tell(shard, &sid)));
    }
}

/// A GET: answered when there is something to be sent.
pub(super) async fn get(incoming: Incoming, address: Address) -> Response {
    let io = incoming.io.clone();
    if !io.has_shard(address.sid.shard()) {
        return incoming.refuse(&Refusal::UnknownSession);
    }
    let (reply, polled) = oneshot::channel();
    io.shard(address.sid.shard()).push(Op::run(move |shard| {
        shard.poll(address, reply);
    }));
    let mut waiting = Waiting { io, sid: address.sid, polled, answered: false };
    let polled = (&mut waiting.polled).await;
    waiting.answered = true;
    match polled {
        Ok(Polled::Payload(payload)) => {
            let answer = answer::payload(payload, address.jsonp.as_ref());
            incoming.with_cors(answer)
        }
        Ok(Polled::Refused(refusal)) => incoming.refuse(&refusal),
        Err(_) => incoming.refuse(&Refusal::UnknownSession),
    }
}

/// A POST: its packets are handled before it is answered.
pub(super) async fn post(mut incoming: Incoming, address: Address, form: PostForm) -> Response {
    let io = incoming.io.clone();
    let opened =
        on_session(&io, &address, move |shard, address| shard.post_opened(address, form)).await;
    let wait = match opened {
        Ok(wait) => wait,
        Err(refusal) => return incoming.refuse(&refusal),
    };
    let sid = address.sid;
    let mut abandoned = Abandoned { io: io.clone(), sid, tell: Some(Shard::post_aborted) };
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let body = std::mem::take(incoming.request.body_mut());
    let limit = io.settings().engine.max_payload_bytes;
    let body = body::read(incoming.headers(), body, limit, io.settings().body_deadline).await;
    let body = match body {
        Ok(body) => body,
        Err(fault) => {
            if matches!(fault, BodyFault::TooLarge | BodyFault::Encoded) {
                abandoned.tell = Some(|shard, sid| shard.post_refused(sid));
            }
            return refuse_body(&incoming, fault);
        }
    };
    let received = receive(&io, address, form, body).await;
    abandoned.tell = None;
    match received {
        Ok(()) => incoming.with_cors(answer::posted()),
        Err(refusal) => incoming.refuse(&refusal),
    }
}

/// Hands a body to its session. As a task of its own, so that what a packet brings about is done
/// before the next packet is handled.
async fn receive(io: &Io, address: Address, form: PostForm, body: Bytes) -> Result<(), Refusal> {
    let (reply, received) = oneshot::channel();
    io.shard(address.sid.shard()).push(Op::run(move |shard| {
        let shard = shard.clone();
        tokio::task::spawn_local(async move {
            // The request may have been given up meanwhile.
            let _ = reply.send(shard.post_received(&address, form, &body).await);
        });
    }));
    received.await.unwrap_or(Err(Refusal::UnknownSession))
}

fn refuse_body(incoming: &Incoming, fault: BodyFault) -> Response {
    let counters = &incoming.io.inner().counters;
    match fault {
        BodyFault::TooLarge => incoming.refuse(&Refusal::PayloadTooLarge),
        BodyFault::Encoded => {
            counters.rejected("encoded_body");
            incoming.with_cors(empty(StatusCode::UNSUPPORTED_MEDIA_TYPE))
        }
        BodyFault::TooSlow => {
            counters.rejected("slow_body");
            incoming.with_cors(answer::closing(StatusCode::REQUEST_TIMEOUT, String::new()))
        }
        BodyFault::Broken => {
            counters.rejected("broken_body");
            incoming.with_cors(empty(StatusCode::BAD_REQUEST))
        }
    }
}
