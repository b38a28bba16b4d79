//! Where to connect to, and how.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::Error;

/// How long anything is waited for unless told otherwise. Generous: a loaded machine is no failure.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// Properties of the TCP connections of one client.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dial {
    /// The address to connect from; default: the system's choice. On Linux every address of
    /// 127.0.0.0/8 may be used, so one machine can look like many clients.
    pub local_address: Option<IpAddr>,
    /// The kernel's receive buffer in bytes; default: the system's choice. A small one makes a slow
    /// client slow after few bytes.
    pub receive_buffer_bytes: Option<u32>,
}

impl Dial {
    /// Connects to `authority` (`host:port`).
    ///
    /// # Errors
    /// The name is unknown or nobody listens.
    pub async fn connect(&self, authority: &str) -> Result<TcpStream, Error> {
        let address = lookup_host(authority)
            .await?
            .next()
            .ok_or_else(|| Error::Url(format!("{authority:?} has no address")))?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(local) = self.local_address {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Waits for `work`, but not longer than `deadline`; `what` says for what in the error.
pub(crate) async fn within<T>(
    deadline: Duration,
    what: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(deadline, work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Deadline { what, deadline }),
    }
}

/// Splits `http://host:port/path?query` into authority and the rest, which starts with `/`.
pub(crate) fn split_url(url: &str) -> Result<(&str, &str), Error> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("ws://"))
        .ok_or_else(|| Error::Url(format!("{url:?} does not start with http:// or ws://")))?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Ok((authority, if path.is_empty() { "/" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_before_the_path() {
        let cases = [
            ("http://127.0.0.1:80", Some(("127.0.0.1:80", "/"))),
            ("ws://[::1]:80/a/?b=c", Some(("[::1]:80", "/a/?b=c"))),
            ("https://a:1", None),
        ];
        for (url, want) in cases {
            assert_eq!(split_url(url).ok(), want, "{url}");
        }
    }
}
