//! A connection's bytes: a plain socket, or anything else that reads and writes.

use crate::server::Place;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Anything that reads and writes, such as a TLS connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An upgraded connection on its way to the shard that will own it.
pub(crate) struct Carrier {
    pub(crate) stream: Carried,
    /// The connection's place among those that the listener allows.
    pub(crate) place: Option<Place>,
}

/// What carries the bytes, until it is on its shard.
pub(crate) enum Carried {
    /// A socket that is not registered with any runtime.
    Tcp(std::net::TcpStream),
    /// A socket that is registered with the runtime of the shard it goes to.
    Registered(TcpStream),
    Other(Box<dyn Duplex>),
}

/// A connection on its shard. Read by its task, written by the shard's loop: both on one thread.
pub(crate) struct Stream {
    lower: Lower,
    /// Given back when the connection is dropped.
    _place: Option<Place>,
}

enum Lower {
    /// The common case: system calls and nothing around them.
    Tcp(TcpStream),
    Other(RefCell<Box<dyn Duplex>>),
}

impl Stream {
    /// Registers the connection with the current runtime.
    pub(crate) fn new(carrier: Carrier) -> io::Result<Stream> {
        let lower = match carrier.stream {
            Carried::Tcp(stream) => Lower::Tcp(TcpStream::from_std(stream)?),
            Carried::Registered(stream) => Lower::Tcp(stream),
            Carried::Other(stream) => Lower::Other(RefCell::new(stream)),
        };
        Ok(Stream { lower, _place: carrier.place })
    }

    /// Reads what is there; 0 means the end.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &self.lower {
            Lower::Tcp(stream) => loop {
                match stream.try_read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(stream.poll_read_ready(cx))?;
                    }
                    Ok(count) if count > 0 && count < buffer.len() => {
                        forget_readiness(stream);
                        return Poll::Ready(Ok(count));
                    }
                    done => return Poll::Ready(done),
                }
            },
            Lower::Other(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                let mut stream = stream.borrow_mut();
                ready!(Pin::new(&mut **stream).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
        }
    }

    /// Writes as much as is taken at once.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.lower {
            Lower::Tcp(stream) => loop {
                let written = match slices {
                    [one] => stream.try_write(one),
                    many => stream.try_write_vectored(many),
                };
                match written {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(stream.poll_write_ready(cx))?;
                    }
                    done => return Poll::Ready(done),
                }
            },
            Lower::Other(stream) => {
                let mut stream = stream.borrow_mut();
                Pin::new(&mut **stream).poll_write_vectored(cx, slices)
            }
        }
    }

    /// Pushes on what a layer in between, such as TLS, keeps back.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.lower {
            Lower::Tcp(_) => Poll::Ready(Ok(())),
            Lower::Other(stream) => Pin::new(&mut **stream.borrow_mut()).poll_flush(cx),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.lower {
            Lower::Tcp(stream) => {
                Poll::Ready(socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write))
            }
            Lower::Other(stream) => Pin::new(&mut **stream.borrow_mut()).poll_shutdown(cx),
        }
    }
}

/// Says that nothing more is to be read for now: a read that did not fill its buffer took all
/// there was, and what comes later is reported anew. It saves the system call that would find
/// nothing. An end that was reported already stays.
fn forget_readiness(stream: &TcpStream) {
    let nothing = || Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock));
    // The outcome is the one given.
    let _ = stream.try_io(Interest::READABLE, nothing);
}
