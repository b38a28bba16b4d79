//! Where a server can stand: beside an application's routes, on another path, behind TLS.

use crate::support::{PATIENCE, Site, TRANSPORTS, join, sync, within};
use axum::routing::get;
use fanfare::server::{Server, ServerSettings, TlsSettings};
use fanfare::{Io, Socket};
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use testkit::{Client, Closed, Error, Options, Transport, http_get};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// On the application's own server, beside its routes and with its state; the end is in order.
#[tokio::test]
async fn beside_an_applications_routes() {
    for with_addresses in [false, true] {
        let io = Io::with(|settings| settings.shards = 2).unwrap();
        io.main().on("sync", sync).on("join", join);
        io.main().on_connect(|socket: Socket| async move {
            let address = socket.handshake().address.map(|address| address.to_string());
            socket.emit("you", (address,)).unwrap();
        });
        let publishing = io.clone();
        let router = axum::Router::new()
            .route("/hello", get(|| async { "hello" }))
            .route(
                "/publish/{text}",
                get(|text: axum::extract::Path<String>| async move {
                    publishing.to("r").emit("text", (text.0,)).unwrap();
                    "published"
                }),
            )
            .merge(io.router());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let closing = io.clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let shutdown = async move {
            stopped.await.unwrap_or_default();
            closing.close(PATIENCE).await;
        };
        let serving = if with_addresses {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            let serve = axum::serve(listener, service).with_graceful_shutdown(shutdown);
            tokio::spawn(async move { serve.await.unwrap() })
        } else {
            let serve = axum::serve(listener, router).with_graceful_shutdown(shutdown);
            tokio::spawn(async move { serve.await.unwrap() })
        };

        let mut clients = Vec::new();
        for transport in TRANSPORTS {
            let mut client = Client::connect(&url, Options::over(transport)).await.unwrap();
            let you = client.next_event().await.unwrap().args;
            let expected = with_addresses.then_some("127.0.0.1");
            assert_eq!(you, [serde_json::json!(expected)], "{transport:?}");
            client.emit_with_ack("join", [serde_json::json!(["r"])]).await.unwrap();
            clients.push(client);
        }
        assert_eq!(http_get(&format!("{url}/hello")).await.unwrap().text(), "hello");
        assert_eq!(http_get(&format!("{url}/publish/x")).await.unwrap().text(), "published");
        assert_eq!(http_get(&format!("{url}/nowhere")).await.unwrap().status, 404);
        for client in &mut clients {
            assert_eq!(crate::support::next(client, 1).await, [r#"text("x")"#]);
        }
        drop(stop);
        for (transport, client) in TRANSPORTS.iter().zip(&clients) {
            let closed = client.closed().await.unwrap();
            assert_eq!(closed == Closed::Engine, *transport == Transport::Polling, "{closed:?}");
        }
        within(serving).await.unwrap();
        assert_eq!(io.counters().counts().sessions, 0);
    }
}

/// On another path; the usual one is then the application's.
#[tokio::test]
async fn on_another_path() {
    let site = Site::with(|settings| settings.path = "/live/events/".to_owned());
    for transport in TRANSPORTS {
        let path = "/live/events/".to_owned();
        let client = site.client_with(Options { path, ..Options::over(transport) }).await;
        client.emit_with_ack("sync", []).await.unwrap();
        let elsewhere = Client::connect(&site.url, Options::over(transport)).await;
        assert!(matches!(elsewhere, Err(Error::Http { status: 404, .. })), "{elsewhere:?}");
    }
    site.end().await;
}

/// Settings that cannot work are errors at once.
#[test]
fn settings_that_cannot_work() {
    type Change = fn(&mut fanfare::Settings);
    let cases: [(Change, &str); 6] = [
        (|it| it.shards = 0, "shards"),
        (|it| it.shards = 65, "shards"),
        (|it| it.max_running_handlers = 0, "max_running_handlers"),
        (|it| it.path = "live".to_owned(), "path"),
        (|it| it.path = "/live?x=1".to_owned(), "path"),
        (|it| it.path = "/{any}".to_owned(), "path"),
    ];
    for (change, expected) in cases {
        let error = Io::with(change).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// Takes plain connections and carries them to the server's TLS port, for clients that know none.
async fn tunnel(to: SocketAddr, certificate: CertificateDer<'static>) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            let connector = connector.clone();
            tokio::spawn(async move {
                let stream = TcpStream::connect(to).await.unwrap();
                let name = ServerName::try_from("localhost").unwrap();
                let mut tls = connector.connect(name, stream).await.unwrap();
                // Ends with either side.
                let _ = tokio::io::copy_bidirectional(&mut plain, &mut tls).await;
            });
        }
    });
    url
}

/// Encrypted by the server itself: everything works as without, small and large, and the
/// application sees that it is.
#[tokio::test]
async fn behind_tls() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let io = Io::with(|settings| settings.shards = 2).unwrap();
    io.main().on("sync", sync).on("join", join);
    io.main().on("echo", |socket: Socket, args: fanfare::Args| async move {
        assert!(socket.handshake().secure);
        socket.io().to("r").emit("echo", args).unwrap();
    });
    let tls = Some(TlsSettings { cert, key });
    let settings = ServerSettings { tls, ..ServerSettings::default() };
    let server = Server::new(io.clone(), io.router()).settings(settings);
    let bound = server.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = tunnel(bound.local_addr(), made.cert.der().clone()).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        bound.serve(async { stopped.await.unwrap_or_default() }).await.unwrap();
    });
    let mut clients = Vec::new();
    for transport in TRANSPORTS {
        let client = Client::connect(&url, Options::over(transport)).await.unwrap();
        client.emit_with_ack("join", [serde_json::json!(["r"])]).await.unwrap();
        clients.push(client);
    }
    for (sender, size) in [(0, 1), (1, 1000), (2, 200_000)] {
        let text = "x".repeat(size);
        clients[sender].emit("echo", [serde_json::json!(text)]).await.unwrap();
        for client in &mut clients {
            assert_eq!(client.next_event().await.unwrap().args, [text.as_str()]);
        }
    }
    drop(stop);
    for client in &clients {
        client.closed().await.unwrap();
    }
    within(serving).await.unwrap();
    assert_eq!(io.counters().counts().sessions, 0);
}
