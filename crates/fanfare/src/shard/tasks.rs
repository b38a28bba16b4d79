//! Running the application's code.

use super::{SessionKey, Shard};
use crate::counters::Counters;
use crate::disconnect::DisconnectReason;
use crate::handler::Task;
use crate::socket::Socket;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A listener that has not finished, and the socket that ends if it panics.
struct Running {
    shard: Rc<Shard>,
    session: SessionKey,
    socket: Socket,
    task: Task,
}

impl Shard {
    /// Runs a listener of a socket: until its first await at once, the rest as a task.
    ///
    /// A panic ends the socket, is counted, and nothing else.
    pub(crate) fn start(self: &Rc<Self>, socket: &Socket, begin: impl FnOnce() -> Option<Task>) {
        let begun = catch_unwind(AssertUnwindSafe(begin));
        let task = match begun {
            Ok(Some(task)) => task,
            Ok(None) => return,
            Err(_) => return self.panicked(socket),
        };
        let session = socket.session_key();
        let mut running = Running { shard: self.clone(), session, socket: socket.clone(), task };
        // Most listeners finish without waiting for anything; if this one does not, the runtime
        // polls it again with a waker of its own.
        let mut context = Context::from_waker(Waker::noop());
        if Pin::new(&mut running).poll(&mut context).is_ready() {
            return;
        }
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(session) {
            session.running += 1;
        }
        let shard = self.clone();
        tokio::task::spawn_local(async move {
            let session = running.session;
            running.await;
            shard.finished(session);
        });
    }

    fn finished(&self, key: SessionKey) {
        let mut state = self.state.borrow_mut();
        let Some(session) = state.sessions.get_mut(key) else { return };
        session.running = session.running.saturating_sub(1);
        let limit = self.io.settings().max_running_handlers;
        if session.running + 1 == limit {
            session.held_until = Some(Instant::now());
            session.post_waits = None;
            if let Some(link) = &session.link {
                link.wake_reader();
            }
        }
    }

    fn panicked(self: &Rc<Self>, socket: &Socket) {
        Counters::add(&self.io.inner().counters.handler_panics, 1);
        tracing::error!(
            socket = %socket.id(),
            namespace = socket.namespace().name(),
            "a listener panicked; its socket is disconnected"
        );
        let key = socket.key();
        self.in_order(move |shard| shard.leave_namespace(key, DisconnectReason::HandlerPanic));
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = &mut self.task;
        match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(_) => {
                self.shard.panicked(&self.socket);
                Poll::Ready(())
            }
        }
    }
}
