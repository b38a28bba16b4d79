//! Encryption by the server itself.

use crate::support::{Running, WEBSOCKET, opened};
use fanfare::server::{Server, ServerSettings, TlsSettings};
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A certificate for `localhost` and its key, in files that are removed at the end.
struct Files {
    directory: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Files {
    fn new() -> Files {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = Files { directory, certificate: made.cert.der().clone() };
        files.write("cert.pem", &made.cert.pem());
        files.write("key.pem", &made.signing_key.serialize_pem());
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings { cert: self.path("cert.pem"), key: self.path("key.pem") }
    }

    fn serve(&self, change: impl FnOnce(&mut ServerSettings)) -> Running {
        Running::new(|settings| {
            settings.tls = Some(self.settings());
            change(settings);
        })
    }

    /// A client that trusts the certificate.
    fn client(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        alpn: &[&[u8]],
    ) -> rustls::ClientConnection {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        rustls::ClientConnection::new(Arc::new(config), name).unwrap()
    }
}

/// HTTP works over TLS 1.2 and 1.3, several requests per connection.
#[test]
fn both_versions() {
    let files = Files::new();
    let server = files.serve(|_| ());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let connection = files.client(&[version], &[b"h2", b"http/1.1"]);
        let mut stream = rustls::StreamOwned::new(connection, server.connect().stream);
        for last in [false, true] {
            let close = if last { "Connection: close\r\n" } else { "" };
            let request =
                format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n{close}\r\nabc");
            stream.write_all(request.as_bytes()).unwrap();
            if last {
                let mut rest = String::new();
                stream.read_to_string(&mut rest).unwrap();
                assert!(rest.ends_with("\r\n\r\nabc"), "{rest:?}");
            } else {
                let mut answer = String::new();
                while !answer.ends_with("abc") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    answer.push(char::from(byte[0]));
                }
            }
        }
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}

/// A WebSocket over TLS.
#[test]
fn websocket() {
    let files = Files::new();
    let server = files.serve(|_| ());
    let connection = files.client(&[&rustls::version::TLS13], &[b"http/1.1"]);
    let mut stream = rustls::StreamOwned::new(connection, server.connect().stream);
    stream.write_all(WEBSOCKET.as_bytes()).unwrap();
    assert!(opened(&mut stream).starts_with("0{\"sid\":"));
}

/// A client that does not read its answer is cut behind TLS too.
#[test]
fn slow_reader() {
    let files = Files::new();
    let server = files.serve(|settings| settings.stall_deadline = Duration::from_millis(200));
    let connection = files.client(&[&rustls::version::TLS13], &[b"http/1.1"]);
    let mut stream = rustls::StreamOwned::new(connection, server.connect().stream);
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    server.expect_rejected(&[("slow_reader", 1)]);
}

/// What is no handshake, or never becomes one, is closed and counted.
#[test]
fn broken_handshakes() {
    let files = Files::new();
    let server = files.serve(|settings| settings.handshake_deadline = Duration::from_millis(200));
    for bytes in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"\x16\x03\x01\0\x05\x01\0\0\x01\0"] {
        let mut client = server.connect();
        client.send(bytes);
        client.rest();
    }
    server.expect_rejected(&[("tls_handshake", 2)]);
    let mut silent = server.connect();
    assert_eq!(silent.rest(), "");
    let mut partial = server.connect();
    partial.send(b"\x16\x03\x01\x02\0\x01");
    assert_eq!(partial.rest(), "");
    server.expect_rejected(&[("tls_handshake", 2), ("tls_handshake_deadline", 2)]);
    // A client that only speaks another protocol inside is refused by name.
    let mut connection = files.client(&[&rustls::version::TLS13], &[b"h2"]);
    let mut stream: TcpStream = server.connect().stream;
    let error = connection.complete_io(&mut stream).unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

/// A file that cannot be used is named, with what is wrong about it.
#[test]
fn unusable_files() {
    let files = Files::new();
    let other = Files::new();
    let server = Running::new(|_| ());
    let check = |cert: &Path, key: &Path, expected: &str| {
        let tls = TlsSettings { cert: cert.to_owned(), key: key.to_owned() };
        let settings = ServerSettings { tls: Some(tls), ..ServerSettings::default() };
        let server = Server::new(server.io.clone(), axum::Router::new()).settings(settings);
        let error = server.bind(([127, 0, 0, 1], 0).into()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} has no {expected:?}");
    };
    let TlsSettings { cert, key } = files.settings();
    let missing = files.path("missing.pem");
    check(&missing, &key, "missing.pem cannot be read: ");
    check(&cert, &missing, "missing.pem cannot be read: ");
    let empty = files.write("empty.pem", "");
    check(&empty, &key, "empty.pem has no certificate");
    check(&cert, &empty, "empty.pem has no private key");
    check(&key, &key, "key.pem has no certificate");
    check(&cert, &cert, "cert.pem has no private key");
    check(&cert, &other.path("key.pem"), "is not that of the certificate in ");
    let broken = files.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    check(&broken, &key, "broken.pem is not a PEM file: a section has no -----END line");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    check(&cert, &files.write("locked.pem", encrypted), "locked.pem is encrypted");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(&files.write("nonsense.pem", nonsense), &key, "cannot be used: ");
}
