//! Connections that are not accepted: a short answer, and no more work than that.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// What a refused client reads. It is the same for all, and sent before anything was read.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Retry-After: 5\r\n\
    Connection: close\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 37\r\n\
    \r\n\
    Too many connections. Come back later";

/// How many refused clients may be waited for: each holds an open file. Beyond that they are cut
/// at once, and may find their connection reset instead of an answer.
const MAX_LINGERING: usize = 64;
/// How long a refused client may take to read its answer and close.
const LINGER: Duration = Duration::from_secs(1);
/// How much of its request is thrown away.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;

/// Answers clients that are refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    places: Arc<Semaphore>,
}

impl Refusal {
    pub(super) fn new() -> Refusal {
        Refusal { places: Arc::new(Semaphore::new(MAX_LINGERING)) }
    }

    /// Tells a client that there is no place, and closes.
    ///
    /// A client behind TLS would have to be spared a handshake first, which is the work that is
    /// to be avoided: it is only closed.
    pub(super) fn send(&self, stream: TcpStream, tls: bool) {
        if tls || stream.try_write(ANSWER).is_err() {
            return;
        }
        // Closing a socket that has unread bytes resets it, and the answer may be lost: let the
        // client close first.
        let _ = socket2::SockRef::from(&stream).shutdown(Shutdown::Write);
        let Ok(place) = self.places.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            // Either way it is closed now.
            let _ = tokio::time::timeout(LINGER, discard(&stream)).await;
            drop(place);
        });
    }
}

async fn discard(stream: &TcpStream) {
    let mut left = MAX_DISCARDED_BYTES;
    while stream.readable().await.is_ok() {
        let mut buffer = [0; 4096];
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) if count < left => left -= count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The length in the answer is that of its body.
    #[test]
    fn answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r", body.len()).trim_end().to_owned()));
    }
}
