//! Encryption that is none, or is begun and not ended: A22. What is sent here goes straight to the
//! port; the harness and its canary come encrypted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion,
    RootCertStore, SupportedCipherSuite, SupportedProtocolVersion,
};

use crate::case::{Case, Door, Fate, Profile, Step, case, scaled};
use crate::peer::ANSWER_BOUND;
use crate::scene::agree;
use crate::wire::get;

/// The name in the certificate, and in the hello of whoever asks for it.
pub(crate) const NAME: &str = "localhost";

/// A warning that the connection is closed, unencrypted.
const CLOSE_NOTIFY: &[u8] = b"\x15\x03\x03\x00\x02\x01\x00";

/// What a visitor asks.
const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n";

/// The cipher of TLS 1.2 that is easiest to use by hand.
const SUITE: SupportedCipherSuite =
    rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;

/// What every handshake begins with: a record of type 22.
const RECORD_HEAD: usize = 5;

/// A client's way to encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

/// What a client does that speaks TLS, and asks for `/health`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    /// Its hello comes in records of so many bytes each, every one in a packet of its own.
    InPieces(usize),
    /// After that it begins another handshake, unencrypted.
    HelloAgain,
    /// After that it begins another handshake, encrypted, as TLS 1.2 has it. The first time it is
    /// told no and goes on, the second time it is closed.
    Renegotiation,
    /// After that it sends bytes that are no record.
    Noise,
}

/// The rows.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    hellos(&mut cases);
    endings(&mut cases);
    visits(&mut cases);
    crowds(&mut cases);
    cases
}

fn encrypted(what: impl Into<String>) -> Case {
    case("A22", what).on(Profile::Tls)
}

/// A case that sends this straight to the port and is told that it makes no sense, or nothing.
fn refused(what: impl Into<String>, bytes: impl AsRef<[u8]>) -> Case {
    encrypted(what).step(Step::ConnectRaw).more(bytes).step(Step::Cut).rejected("tls_handshake")
}

/// Hellos that are none.
fn hellos(cases: &mut Vec<Case>) {
    for (what, bytes) in [
        ("plain HTTP", get("/health").replace("{host}", "a").into_bytes()),
        (
            "a WebSocket without encryption",
            crate::wire::upgrade(crate::wire::WEBSOCKET).into_bytes(),
        ),
        ("a record of an unknown type", b"\x63\x03\x01\x00\x01x".to_vec()),
        ("data before a handshake", b"\x17\x03\x03\x00\x01x".to_vec()),
        ("a record of length 0", b"\x16\x03\x01\x00\x00".repeat(100)),
        ("a record of length 65 535", [&b"\x16\x03\x01\xff\xff"[..], &[0; 65_535]].concat()),
        ("a hello of one byte", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec()),
        ("a hello that claims 16 MB", b"\x16\x03\x01\x00\x04\x01\xff\xff\xff".repeat(1000)),
        ("SSL 2", b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec()),
        ("noise", (0..=255).cycle().skip(7).step_by(13).take(20_000).collect()),
    ] {
        cases.push(refused(what, bytes));
    }
    for (what, name) in [
        ("a name of NULs", &b"\0\0\0\0\0\0\0\0\0"[..]),
        ("a name with a line break", b"a\r\nHost:b"),
        ("a name that is not UTF-8", b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf5\x80"),
        ("a name of dots", b"........."),
        ("a path as a name", b"../../../"),
    ] {
        // The handshake cannot go on: what was signed is not what was sent. Whether the name is
        // refused or not asked for, the client must not be waited for beyond the deadline.
        cases.push(
            encrypted(format!("a hello with {what}"))
                .step(Step::ConnectRaw)
                .more(replaced(&hello(), NAME.as_bytes(), name))
                .step(Step::FinishWriting)
                .step(Step::Cut)
                .rejected("tls_handshake"),
        );
    }
}

/// Handshakes that are ended, or not gone through with.
fn endings(cases: &mut Vec<Case>) {
    let hello = hello();
    for (what, bytes) in [
        ("a goodbye instead of a hello", CLOSE_NOTIFY.to_vec()),
        ("a goodbye behind the hello", [&hello[..], CLOSE_NOTIFY].concat()),
        (
            "a goodbye in the middle of the hello",
            [&hello[..RECORD_HEAD + 20], CLOSE_NOTIFY].concat(),
        ),
        ("two hellos", hello.repeat(2)),
    ] {
        cases.push(
            encrypted(what)
                .step(Step::ConnectRaw)
                .more(bytes)
                .step(Step::FinishWriting)
                .step(Step::Cut)
                .rejected("tls_handshake"),
        );
    }
    for (what, sent) in
        [("nothing", 0), ("half a hello", hello.len() / 2), ("a hello", hello.len())]
    {
        cases.push(
            encrypted(format!("{what}, and then silence"))
                .step(Step::ConnectRaw)
                .more(&hello[..sent])
                .step(Step::Cut)
                .rejected("tls_handshake_deadline"),
        );
    }
    cases.push(
        encrypted("a hello byte by byte")
            .step(Step::ConnectRaw)
            .step(Step::Drip(hello, Duration::from_millis(50)))
            .step(Step::Cut)
            .rejected("tls_handshake_deadline"),
    );
}

/// Handshakes in unusual pieces, which work, and what comes behind one that worked.
fn visits(cases: &mut Vec<Case>) {
    for version in [Version::Tls12, Version::Tls13] {
        for piece in [1, 3, 100] {
            let what = format!("{version:?}: a hello in records of {piece} bytes");
            cases.push(encrypted(what).step(Step::Visit(version, Visit::InPieces(piece))));
        }
        for visit in [Visit::HelloAgain, Visit::Renegotiation, Visit::Noise] {
            if visit == Visit::Renegotiation && version == Version::Tls13 {
                continue; // it has no such thing
            }
            let what = format!("{version:?}: {visit:?} behind an answer");
            cases.push(encrypted(what).step(Step::Visit(version, visit)));
        }
    }
    cases.push(encrypted("a session, as if nothing had been").joined(Door::WebSocket).alive());
}

/// Many at once.
fn crowds(cases: &mut Vec<Case>) {
    let count = scaled(300);
    let hello = hello();
    let half = hello[..hello.len() / 2].to_vec();
    for (what, bytes) in [("half a hello", half.clone()), ("a hello", hello)] {
        cases.push(
            encrypted(format!("many that send {what} and go"))
                .step(Step::CrowdRaw(count, bytes, Fate::Left))
                .rejected_times("tls_handshake", count),
        );
    }
    cases.push(
        encrypted("many that send half a hello and stay")
            .step(Step::CrowdRaw(count, half, Fate::Ended))
            .rejected_times("tls_handshake_deadline", count),
    );
}

/// The first bytes of a client: one record.
fn hello() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut client = client(&trusting(None), Version::Tls13);
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same with other bytes in the place of some, which must be there and be as many.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at = crate::wire::find(bytes, old).unwrap();
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

/// Who trusts this certificate, if any.
pub(crate) fn trusting(certificate: Option<&CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    if let Some(certificate) = certificate {
        roots.add(certificate.clone()).unwrap();
    }
    roots
}

/// A client's settings.
pub(crate) fn config(roots: &RootCertStore, version: Version) -> Arc<ClientConfig> {
    let version: &'static SupportedProtocolVersion = match version {
        Version::Tls12 => &rustls::version::TLS12,
        Version::Tls13 => &rustls::version::TLS13,
    };
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.retain(|suite| *suite == SUITE || suite.tls13().is_some());
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let mut config = builder.with_root_certificates(roots.clone()).with_no_client_auth();
    config.enable_secret_extraction = true;
    Arc::new(config)
}

/// Reads a record and says its type.
fn record(stream: &mut TcpStream) -> std::io::Result<u8> {
    let mut head = [0; RECORD_HEAD];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut body)?;
    Ok(head[0])
}

/// Encrypts records as the client would have, had it any more to send.
struct Pen {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Pen {
    fn of(client: ClientConnection) -> Result<Self, String> {
        let secrets = client.dangerous_extract_secrets().map_err(|error| error.to_string())?;
        let SupportedCipherSuite::Tls12(suite) = SUITE else { return Err("no suite".to_owned()) };
        let (sequence, ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets.tx else {
            return Err("another cipher was agreed on".to_owned());
        };
        Ok(Self { encrypter: suite.aead_alg.encrypter(key, iv.as_ref(), &[]), sequence })
    }

    fn record(&mut self, typ: ContentType, message: &[u8]) -> Result<Vec<u8>, String> {
        let payload = OutboundChunks::Single(message);
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload };
        let record = self.encrypter.encrypt(message, self.sequence);
        self.sequence += 1;
        Ok(record.map_err(|error| error.to_string())?.encode())
    }
}

fn client(roots: &RootCertStore, version: Version) -> ClientConnection {
    let name = ServerName::try_from(NAME).unwrap();
    ClientConnection::new(config(roots, version), name).unwrap()
}

/// Makes a visit. Blocks.
pub(crate) fn visit(
    host: &str,
    roots: &RootCertStore,
    version: Version,
    visit: Visit,
) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(host).map_err(told)?;
    stream.set_nodelay(true).map_err(told)?;
    stream.set_read_timeout(Some(ANSWER_BOUND)).map_err(told)?;
    let mut client = client(roots, version);
    if let Visit::InPieces(piece) = visit {
        let mut hello = Vec::new();
        client.write_tls(&mut hello).map_err(told)?;
        for piece in hello[RECORD_HEAD..].chunks(piece) {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            let record = [b"\x16\x03\x01", &length[..], piece].concat();
            stream.write_all(&record).map_err(told)?;
        }
    }
    while client.is_handshaking() {
        client.complete_io(&mut stream).map_err(told)?;
    }
    let mut encrypted = rustls::Stream::new(&mut client, &mut stream);
    encrypted.write_all(REQUEST).map_err(told)?;
    let mut answer = [0; 13];
    encrypted.read_exact(&mut answer).map_err(told)?;
    if &answer != b"HTTP/1.1 200 " {
        return Err(answer.escape_ascii().to_string());
    }
    match visit {
        Visit::InPieces(_) => return Ok(()),
        Visit::HelloAgain => stream.write_all(&hello()).map_err(told)?,
        Visit::Renegotiation => {
            let mut pen = Pen::of(client)?;
            let hello = &hello()[RECORD_HEAD..];
            // It is told no, and goes on as before.
            for (typ, message, answer) in [
                (ContentType::Handshake, hello, ContentType::Alert),
                (ContentType::ApplicationData, REQUEST, ContentType::ApplicationData),
            ] {
                stream.write_all(&pen.record(typ, message)?).map_err(told)?;
                let got = record(&mut stream).map_err(told)?;
                agree(got == u8::from(answer), || format!("a record of type {got}"))?;
            }
            stream.write_all(&pen.record(ContentType::Handshake, hello)?).map_err(told)?;
        }
        Visit::Noise => stream.write_all(&[0x5a; 1000]).map_err(told)?,
    }
    // What it says is an alert at most: nothing that was sent so is taken for a request.
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(format!("the server leaves the connection open: {error}")),
    }
    Ok(())
}
