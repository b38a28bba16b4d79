//! An echo server on this codec, for the Autobahn test suite (`conformance/autobahn/run.sh`).
//!
//! `cargo run -p fanfare-websocket --example echo -- [--deflate]` listens on a free loopback port,
//! prints its address, and ends when its standard input is closed.

use std::io::{self, Write as _};
use std::time::Duration;

use bytes::BytesMut;
use fanfare_websocket::deflate::{Agreed, Deflater, Settings};
use fanfare_websocket::handshake::{Accept, RequestLine, accept};
use fanfare_websocket::{Incoming, Limits, Opcode, Reader, Role, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the suite sends at most: messages of 16 MiB, and 4 MiB in fragments of 64 bytes.
const LIMITS: Limits =
    Limits { max_message_bytes: 16 << 20, max_fragments: 1 << 17, max_control_frames: 1_000 };

/// Everything is compressed when compression is agreed on, to test it.
const DEFLATE: Settings = Settings { threshold_bytes: 0, level: 1 };

const MAX_REQUEST_BYTES: usize = 16 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// How long a peer may take to close its side after the close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let deflate = std::env::args().any(|argument| argument == "--deflate");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, deflate).await {
                        let _not_our_concern = writeln!(io::stderr(), "{error}");
                    }
                });
            }
            read = stdin.read(&mut ignored) => {
                if read? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

/// One connection, from the handshake to the end of the stream.
async fn serve(mut stream: TcpStream, deflate: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (accepted, mut buffer) = open(&mut stream, deflate).await?;
    let mut echo = Echo::new(accepted.deflate);
    let mut out = BytesMut::new();
    // The first bytes may have come with the request.
    let mut received = buffer.len();
    buffer.resize(READ_BYTES.max(received), 0);
    loop {
        let goes_on = echo.feed(buffer.get_mut(..received).unwrap_or_default(), &mut out);
        stream.write_all_buf(&mut out).await?;
        if !goes_on {
            break;
        }
        received = stream.read(&mut buffer).await?;
        if received == 0 {
            return Ok(());
        }
    }
    // Closing with unread input would reset the stream, and the close frame might be lost with it.
    stream.shutdown().await?;
    let drained = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
    let _closed_anyway = tokio::time::timeout(CLOSE_TIMEOUT, drained).await;
    Ok(())
}

/// Answers what is read with itself.
struct Echo {
    reader: Reader,
    deflate: Option<(Agreed, Deflater)>,
}

impl Echo {
    fn new(agreed: Option<Agreed>) -> Self {
        let deflate = agreed.map(|agreed| (agreed, Deflater::new(&DEFLATE)));
        Self { reader: Reader::new(Role::Server, agreed), deflate }
    }

    /// Reads all of `input` and appends the answers to `out`; whether the connection goes on.
    fn feed(&mut self, mut input: &mut [u8], out: &mut BytesMut) -> bool {
        loop {
            match self.reader.read(&LIMITS, &mut input) {
                Ok(None) => return true,
                Ok(Some(Incoming::Text(text))) => self.send(Opcode::Text, text.as_bytes(), out),
                Ok(Some(Incoming::Binary(bytes))) => self.send(Opcode::Binary, &bytes, out),
                // The suite counts the pongs, so each ping is answered.
                Ok(Some(Incoming::Ping(payload))) => frame::write(out, Opcode::Pong, &payload),
                Ok(Some(Incoming::Pong(_))) => {}
                Ok(Some(Incoming::Close(reason))) => {
                    out.extend_from_slice(&frame::close_reply(reason.as_ref()));
                    return false;
                }
                Err(violation) => {
                    let close = frame::close(violation.close_code(), violation.name());
                    out.extend_from_slice(&close);
                    return false;
                }
            }
        }
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8], out: &mut BytesMut) {
        let deflated = match &mut self.deflate {
            Some((agreed, deflater)) if agreed.takes(payload.len()) => {
                deflater.message(opcode, payload)
            }
            _ => None,
        };
        match deflated {
            Some(deflated) => out.extend_from_slice(&deflated.frame),
            None => frame::write(out, opcode, payload),
        }
    }
}

/// Reads the request and answers it; what was received behind it is returned too.
async fn open(stream: &mut TcpStream, deflate: bool) -> io::Result<(Accept, Vec<u8>)> {
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if received.len() > MAX_REQUEST_BYTES || stream.read_buf(&mut received).await? == 0 {
            return Err(io::Error::other("no request"));
        }
    };
    let rest = received.split_off(end + 4);
    match judge(&received, deflate) {
        Ok(accepted) => {
            let mut answer = "HTTP/1.1 101 Switching Protocols\r\n".to_owned();
            for (name, value) in accepted.fields() {
                answer += &format!("{name}: {value}\r\n");
            }
            stream.write_all((answer + "\r\n").as_bytes()).await?;
            Ok((accepted, rest))
        }
        Err(status) => {
            let answer = format!("HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
            Err(io::Error::other("refused"))
        }
    }
}

/// Splits a request's head into its fields; a real server has an HTTP library for this.
fn judge(head: &[u8], deflate: bool) -> Result<Accept, u16> {
    let head = str::from_utf8(head).map_err(|_| 400u16)?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().unwrap_or_default();
    let version = if first.nth(1) == Some("HTTP/1.1") { (1, 1) } else { (1, 0) };
    let fields =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.as_bytes()));
    let settings = deflate.then_some(&DEFLATE);
    accept(RequestLine { method, version }, fields, settings).map_err(|refusal| refusal.status())
}
