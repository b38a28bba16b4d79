//! Turning functions of the application into listeners.

use crate::Socket;
use crate::ack::Ack;
use crate::disconnect::Disconnect;
use crate::namespace::Event;
use serde::de::DeserializeOwned;
use socketio::{Args, ArgsError};
use std::future::Future;
use std::pin::Pin;

/// What a listener leaves to be done: polled at once, and spawned on the socket's shard only if it
/// does not finish there.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The arguments a listener wants, read from those that came.
///
/// Implemented for tuples of up to eight elements, one per argument, each anything serde can
/// deserialise (`bytes::Bytes` and `serde_bytes` types take binary attachments), and for [`Args`],
/// which takes whatever came without looking at it.
///
/// Arguments beyond the tuple's are ignored, as a JavaScript function ignores them.
pub trait FromArgs: Sized {
    /// Reads the arguments.
    ///
    /// # Errors
    ///
    /// When an argument is missing or is not of the wanted type.
    fn from_args(args: &Args) -> Result<Self, ArgsError>;
}

impl FromArgs for Args {
    fn from_args(args: &Args) -> Result<Self, ArgsError> {
        Ok(args.clone())
    }
}

impl FromArgs for () {
    fn from_args(_args: &Args) -> Result<Self, ArgsError> {
        Ok(())
    }
}

macro_rules! from_args_for_tuple {
    ($($name:ident),+) => {
        impl<$($name: DeserializeOwned),+> FromArgs for ($($name,)+) {
            fn from_args(args: &Args) -> Result<Self, ArgsError> {
                args.parse()
            }
        }
    };
}

from_args_for_tuple!(A);
from_args_for_tuple!(A, B);
from_args_for_tuple!(A, B, C);
from_args_for_tuple!(A, B, C, D);
from_args_for_tuple!(A, B, C, D, E);
from_args_for_tuple!(A, B, C, D, E, F);
from_args_for_tuple!(A, B, C, D, E, F, G);
from_args_for_tuple!(A, B, C, D, E, F, G, H);

/// A listener for events: an async function of a [`Socket`], typed arguments, and, if it wants to
/// answer, an [`Ack`].
///
/// ```
/// # use fanfare::{Ack, Args, Socket};
/// # fn listens<M>(_: impl fanfare::EventHandler<M>) {}
/// listens(|socket: Socket, (text,): (String,)| async move { println!("{text}") });
/// listens(|socket: Socket, args: Args, ack: Ack| async move { ack.send(args) });
/// listens(|_: Socket, (picture,): (bytes::Bytes,)| async move { println!("{}", picture.len()) });
/// ```
pub trait EventHandler<Marker>: Send + Sync + 'static {
    /// Reads the arguments and starts the listener.
    ///
    /// # Errors
    ///
    /// When the arguments do not fit; the listener is not started then.
    fn start(
        &self,
        socket: Socket,
        args: &Args,
        ack: Ack,
    ) -> Result<Pin<Box<dyn Future<Output = ()>>>, Unfit>;
}

/// Arguments that do not fit a listener, and the ack that can say so.
#[derive(Debug)]
pub struct Unfit {
    pub(crate) error: ArgsError,
    pub(crate) ack: Ack,
}

impl<F, A, Fut> EventHandler<(A,)> for F
where
    F: Fn(Socket, A) -> Fut + Send + Sync + 'static,
    A: FromArgs,
    Fut: Future<Output = ()> + 'static,
{
    fn start(&self, socket: Socket, args: &Args, ack: Ack) -> Result<Task, Unfit> {
        match A::from_args(args) {
            Ok(args) => Ok(Box::pin(self(socket, args))),
            Err(error) => Err(Unfit { error, ack }),
        }
    }
}

impl<F, A, Fut> EventHandler<(A, Ack)> for F
where
    F: Fn(Socket, A, Ack) -> Fut + Send + Sync + 'static,
    A: FromArgs,
    Fut: Future<Output = ()> + 'static,
{
    fn start(&self, socket: Socket, args: &Args, ack: Ack) -> Result<Task, Unfit> {
        match A::from_args(args) {
            Ok(args) => Ok(Box::pin(self(socket, args, ack))),
            Err(error) => Err(Unfit { error, ack }),
        }
    }
}

/// Why an event did not reach a listener.
#[derive(Debug)]
#[non_exhaustive]
pub enum EventError {
    /// An event middleware refused it.
    Refused(Refused),
    /// The arguments do not fit those the listener wants.
    Arguments(ArgsError),
}

/// What is told of an event that did not reach a listener.
pub(crate) type OnError = Box<dyn Fn(&Socket, &Event, &EventError, Ack) + Send + Sync>;

/// An event listener whose argument types are no longer visible.
pub(crate) type Listener =
    Box<dyn Fn(Socket, &Args, Ack) -> Result<Task, Unfit> + Send + Sync + 'static>;

pub(crate) fn listener<M>(handler: impl EventHandler<M>) -> Listener {
    Box::new(move |socket, args, ack| handler.start(socket, args, ack))
}

/// What runs when a socket connects.
pub(crate) type OnConnect = Box<dyn Fn(Socket) -> Task + Send + Sync>;

/// What runs when a socket is gone.
pub(crate) type OnDisconnect = Box<dyn Fn(Socket, Disconnect) -> Task + Send + Sync>;

/// What decides whether a socket may connect.
pub(crate) type Middleware =
    Box<dyn Fn(Socket) -> Pin<Box<dyn Future<Output = Result<(), Refused>>>> + Send + Sync>;

/// The answer to a client that may not connect to a namespace: the `connect_error` it gets.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub(crate) message: String,
    pub(crate) data: Option<serde_json::Value>,
}

impl Refused {
    /// A refusal whose `message` the client sees as `err.message`.
    pub fn new(message: impl Into<String>) -> Self {
        Refused { message: message.into(), data: None }
    }

    /// What happened, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details, if there are any.
    #[must_use]
    pub fn data(&self) -> Option<&serde_json::Value> {
        self.data.as_ref()
    }

    /// Adds details, which the client sees as `err.data`.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<serde_json::Value>) -> Self {
        self.data = Some(data.into());
        self
    }
}
