//! Taking the bare connection back after an upgrade.

pub(crate) use super::admission::Place;

use super::watch::Watched;
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection without HTTP.
#[derive(Debug)]
pub(crate) enum Reclaimed {
    /// Registered with the runtime that served HTTP on it.
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// From another server than ours.
    Other(Upgraded),
}

/// Takes the connection out of hyper.
///
/// Returns it with what was read from it and not used, and with its place if it is one of ours:
/// the place must be kept for as long as the connection is open.
pub(crate) fn reclaim(upgraded: Upgraded) -> (Reclaimed, Bytes, Option<Place>) {
    let upgraded = match upgraded.downcast::<TokioIo<Watched<TcpStream>>>() {
        Ok(parts) => {
            let (stream, place) = parts.io.into_inner().into_parts();
            return (Reclaimed::Tcp(stream), parts.read_buf, Some(place));
        }
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<Watched<TlsStream<TcpStream>>>>() {
        Ok(parts) => {
            let (stream, place) = parts.io.into_inner().into_parts();
            return (Reclaimed::Tls(Box::new(stream)), parts.read_buf, Some(place));
        }
        Err(upgraded) => upgraded,
    };
    // What other servers make of a plain connection; those that also speak HTTP/2, such as axum's,
    // wrap it once more.
    let parts = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (parts.io, parts.read_buf),
        Err(upgraded) => match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => (parts.io, parts.read_buf),
            Err(upgraded) => return (Reclaimed::Other(upgraded), Bytes::new(), None),
        },
    };
    (Reclaimed::Tcp(parts.0.into_inner()), parts.1, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{OnShard, Server};
    use crate::{Io, server::ServerSettings};
    use axum::body::Body;
    use axum::routing::any;
    use http::{Request, Response, StatusCode};
    use std::io::{Read, Write};
    use tokio::sync::mpsc;

    /// An upgraded connection comes back as the socket it is, with the bytes that were sent
    /// early, and its place is taken until it is given back.
    #[tokio::test]
    async fn plain_connections_come_back_bare() {
        let (sender, mut taken) = mpsc::unbounded_channel();
        let route = any(move |mut request: Request<Body>| {
            let sender = sender.clone();
            async move {
                let shard = request.extensions().get::<OnShard>().copied();
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move { sender.send((reclaim(upgrade.await.unwrap()), shard)) });
                let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
                switching.header("upgrade", "x").body(Body::empty()).unwrap()
            }
        });
        let io = Io::with(|settings| settings.shards = 1).unwrap();
        let settings = ServerSettings { max_connections: 1, ..ServerSettings::default() };
        let router = axum::Router::new().route("/", route);
        let server = Server::new(io.clone(), router).settings(settings);
        let bound = server.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = bound.local_addr();
        let serving = tokio::spawn(bound.serve(std::future::pending()));
        let connect = move |bytes: &'static [u8]| {
            tokio::task::spawn_blocking(move || {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.write_all(bytes).unwrap();
                let mut answer = [0; 12];
                client.read_exact(&mut answer).unwrap();
                (client, answer)
            })
        };
        const UPGRADE: &[u8] =
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly";

        let (client, answer) = connect(UPGRADE).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        let ((reclaimed, early, place), shard) = taken.recv().await.unwrap();
        assert!(matches!(reclaimed, Reclaimed::Tcp(_)), "{reclaimed:?}");
        assert_eq!(early, "early");
        assert_eq!(shard, Some(OnShard(0)));
        let (_, answer) = connect(UPGRADE).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 503");
        drop(place);
        let (_, answer) = connect(UPGRADE).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");

        drop((client, reclaimed));
        io.close(std::time::Duration::from_secs(5)).await;
        serving.await.unwrap().unwrap();
    }
}
