//! Acks: answers to events, in both directions.

use crate::emit::{EmitError, IntoArgs};
use crate::namespace::Namespace;
use crate::shard::{Op, SocketKey};
use crate::{Io, Socket};
use socketio::Args;
use std::future::Future;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The answer a client may have asked for with its event.
#[derive(Debug)]
pub struct Ack {
    socket: Socket,
    id: Option<u64>,
}

impl Ack {
    pub(crate) fn new(socket: Socket, id: Option<u64>) -> Self {
        Ack { socket, id }
    }

    /// Whether the client asked for an answer.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Answers. Does nothing when no answer was asked for, or when the socket is gone.
    pub fn send(self, args: impl IntoArgs) {
        if let Err(error) = self.try_send(args) {
            tracing::error!(%error, "an ack could not be encoded");
        }
    }

    /// Answers.
    ///
    /// # Errors
    ///
    /// When the arguments cannot be encoded.
    pub fn try_send(self, args: impl IntoArgs) -> Result<(), EmitError> {
        if let Some(id) = self.id {
            self.socket.send_ack(id, &args.into_args()?);
        }
        Ok(())
    }
}

/// Why no ack came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The event was not sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The client did not answer within the deadline.
    #[error("the client did not answer within {0:?}")]
    TimedOut(Duration),
    /// The socket disconnected before it answered.
    #[error("the socket disconnected before it answered")]
    Disconnected,
}

/// The answers to a broadcast that did not all come.
#[derive(Debug, thiserror::Error)]
#[error("{} of {expected} sockets answered", answers.len())]
pub struct Unanswered {
    /// What was answered until the deadline, or until the others were gone.
    pub answers: Vec<Args>,
    /// How many sockets were asked.
    pub expected: usize,
}

/// Who waits for an ack of one socket.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// One event to one socket.
    One(oneshot::Sender<Args>),
    /// A broadcast.
    Many(mpsc::UnboundedSender<Answer>),
}

/// What a broadcast that asked for acks hears.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A shard asked this many sockets.
    Asked(usize),
    /// A socket answered.
    Args(Args),
}

impl Waiting {
    pub(crate) fn answer(self, args: Args) {
        // Nobody may be waiting any more: the deadline passed, or the caller went away.
        match self {
            Waiting::One(sender) => drop(sender.send(args)),
            Waiting::Many(sender) => drop(sender.send(Answer::Args(args))),
        }
    }
}

/// Forgets a pending ack when the caller stops waiting for it.
#[derive(Debug)]
struct Forget {
    io: Io,
    shard: u8,
    socket: SocketKey,
    id: u64,
    answered: bool,
}

impl Drop for Forget {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        self.io.push(self.shard, Op::ForgetAck { socket: self.socket, id: self.id });
    }
}

/// Forgets the pending acks of a broadcast when the caller stops waiting for them.
#[derive(Debug)]
pub(crate) struct ForgetAll {
    namespace: Namespace,
    id: u64,
    pub(crate) answered: bool,
}

impl ForgetAll {
    pub(crate) fn new(namespace: &Namespace, id: u64) -> Self {
        ForgetAll { namespace: namespace.clone(), id, answered: false }
    }
}

impl Drop for ForgetAll {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let (namespace, id) = (self.namespace.core().id, self.id);
        drop(self.namespace.io().run_on_all(|| move |shard| shard.forget_asked(namespace, id)));
    }
}

/// Waits for one ack.
pub(crate) fn one(
    socket: &Socket,
    id: u64,
    receiver: oneshot::Receiver<Args>,
    deadline: Duration,
) -> impl Future<Output = Result<Args, AckError>> + Send + use<> {
    let (io, shard, key) = (socket.io().clone(), socket.shard(), socket.key());
    let mut forget = Forget { io, shard, socket: key, id, answered: false };
    async move {
        let forget = &mut forget;
        let answer = tokio::time::timeout(deadline, receiver).await;
        match answer {
            Ok(Ok(args)) => {
                forget.answered = true;
                Ok(args)
            }
            Ok(Err(_)) => Err(AckError::Disconnected),
            Err(_) => Err(AckError::TimedOut(deadline)),
        }
    }
}

/// Waits for the acks of a broadcast that went to `shards` shards.
pub(crate) async fn many(
    mut receiver: mpsc::UnboundedReceiver<Answer>,
    shards: usize,
    deadline: Duration,
) -> Result<Vec<Args>, Unanswered> {
    let mut answers = Vec::new();
    let mut expected = 0;
    let mut open_shards = shards;
    let collect = async {
        while open_shards > 0 || answers.len() < expected {
            match receiver.recv().await {
                Some(Answer::Asked(count)) => {
                    expected += count;
                    open_shards -= 1;
                }
                Some(Answer::Args(args)) => answers.push(args),
                // Every socket that did not answer is gone.
                None => break,
            }
        }
    };
    let in_time = tokio::time::timeout(deadline, collect).await.is_ok();
    if in_time && open_shards == 0 && answers.len() == expected {
        Ok(answers)
    } else {
        Err(Unanswered { answers, expected })
    }
}
