//! Streams that end with the token they were opened with.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Wake, Poll};
use std::time::{Instant, SystemTime};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Response;
use fanfare::StreamOptions;
use http_body::Frame;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Identity;
use super::live::{Live, Place, Who};
use crate::caller::{Caller, User};

impl Identity {
    /// When a stream of this caller ends by itself.
    pub(crate) fn until(&self, caller: &Caller, options: StreamOptions) -> StreamOptions {
        let end = caller.user().and_then(|user| user.expires_at).and_then(|end| {
            let left = end.duration_since(SystemTime::now()).unwrap_or_default();
            Instant::now().checked_add(left)
        });
        match end {
            Some(end) => options.expires_at(end),
            None => options,
        }
    }

    /// An answer that is broken off when the token of its caller is revoked.
    pub(crate) fn guard(&self, caller: &Caller, answer: Response<Body>) -> Response<Body> {
        let Some(user) = caller.user() else { return answer };
        answer.map(|body| Body::new(self.guarded(body, user)))
    }

    fn guarded(&self, body: Body, user: &Arc<User>) -> Guarded {
        let cancel = CancellationToken::new();
        // Its end by time is the stream's own.
        let place = self.0.live.enter(
            Who::Stream(cancel.clone()),
            Arc::new(User { expires_at: None, ..User::clone(user) }),
        );
        if self.0.revocations.has(user) {
            cancel.cancel();
        }
        let live = self.0.live.clone();
        let cancelled = Box::pin(cancel.cancelled_owned());
        Guarded { body, cancelled, live, place }
    }
}

/// A body that can be ended.
struct Guarded {
    body: Body,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    live: Live,
    place: Place,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        wake: &mut Wake<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.cancelled.as_mut().poll(wake).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(wake)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.live.leave(self.place);
    }
}
