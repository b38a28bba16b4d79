//! HTTP/1.1 requests for tests: one connection each, nothing hidden.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::dial::{DEFAULT_DEADLINE, Dial, split_url, within};
use crate::error::{Closed, Error};

/// The largest response that is read, in bytes. A server that sends more is broken.
pub const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// A `GET` with the default deadline.
///
/// # Errors
/// See [`Request::send`].
pub async fn http_get(url: &str) -> Result<Response, Error> {
    Request::new("GET", url).send().await
}

/// A `POST` of text with the default deadline.
///
/// # Errors
/// See [`Request::send`].
pub async fn http_post(url: &str, body: impl Into<Bytes>) -> Result<Response, Error> {
    Request::new("POST", url)
        .header("Content-Type", "text/plain;charset=UTF-8")
        .body(body)
        .send()
        .await
}

/// Writes `bytes` to a new connection and reads until the server closes it: for what no client
/// would send.
///
/// # Errors
/// The network refused, or the server did not close in time. A reset counts as closing.
pub async fn http_raw(url: &str, bytes: &[u8]) -> Result<Bytes, Error> {
    within(DEFAULT_DEADLINE, "end of the stream", async {
        let mut stream = Dial::default().connect(split_url(url)?.0).await?;
        stream.write_all(bytes).await?;
        let mut answer = BytesMut::new();
        while answer.len() < MAX_RESPONSE_BYTES {
            match stream.read_buf(&mut answer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(answer.freeze())
    })
    .await
}

/// A request to be sent. It has a `Host`, a `Content-Length` if there is a body, and what the test
/// adds.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    dial: Dial,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, url: &str) -> Self {
        let (method, url) = (method.to_owned(), url.to_owned());
        Self { method, url, headers: Vec::new(), body: Bytes::new(), dial: Dial::default() }
    }

    /// Adds a header, as it is.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds headers, as they are.
    #[must_use]
    pub fn headers(mut self, headers: &[(String, String)]) -> Self {
        self.headers.extend_from_slice(headers);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets how the connection is made.
    #[must_use]
    pub const fn dial(mut self, dial: Dial) -> Self {
        self.dial = dial;
        self
    }

    /// Sends it and waits for the response, at most [`DEFAULT_DEADLINE`].
    ///
    /// # Errors
    /// The network refused, the server closed without a whole response or sent no HTTP, or the
    /// deadline passed. Any status is `Ok`.
    pub async fn send(&self) -> Result<Response, Error> {
        self.send_within(DEFAULT_DEADLINE).await
    }

    /// Sends it and waits for the response, at most `deadline`.
    ///
    /// # Errors
    /// See [`Request::send`].
    pub async fn send_within(&self, deadline: Duration) -> Result<Response, Error> {
        within(deadline, "HTTP response", async { self.start().await?.response().await }).await
    }

    /// Sends it and returns with the response outstanding. Dropping the exchange aborts it.
    ///
    /// # Errors
    /// The network refused.
    pub async fn start(&self) -> Result<Exchange, Error> {
        let (authority, path) = split_url(&self.url)?;
        let mut head = format!("{} {path} HTTP/1.1\r\nHost: {authority}\r\n", self.method);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.body.is_empty() || self.method == "POST" {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut stream = self.dial.connect(authority).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&self.body).await?;
        Ok(Exchange { stream, input: BytesMut::new(), is_head: self.method == "HEAD" })
    }
}

/// A request that was sent and whose response is outstanding.
#[derive(Debug)]
pub struct Exchange {
    stream: TcpStream,
    input: BytesMut,
    is_head: bool,
}

impl Exchange {
    /// Waits for the response. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// See [`Request::send`].
    pub async fn response(&mut self) -> Result<Response, Error> {
        loop {
            if let Some((response, consumed)) = Response::parse(&self.input, self.is_head, false)? {
                self.input.advance(consumed);
                return Ok(response);
            }
            if self.input.len() > MAX_RESPONSE_BYTES {
                return Err(Error::Protocol("the response is too long".to_owned()));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return match Response::parse(&self.input, self.is_head, true)? {
                    Some((response, _)) => Ok(response),
                    None => Err(Error::Closed(Closed::Eof)),
                };
            }
        }
    }

    /// Waits for the head of the response: without the body, which may never end. Nothing is taken
    /// of what was read.
    ///
    /// # Errors
    /// See [`Request::send`].
    pub async fn head(&mut self) -> Result<Response, Error> {
        loop {
            if let Some((response, _)) = Response::parse(&self.input, true, false)? {
                return Ok(response);
            }
            if self.input.len() > MAX_RESPONSE_BYTES {
                return Err(Error::Protocol("the head of the response is too long".to_owned()));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(Error::Closed(Closed::Eof));
            }
        }
    }

    /// The stream and what was read beyond the response: after a 101.
    #[must_use]
    pub fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.input)
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers in the order of the wire, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body, without a transfer coding, with its content coding.
    pub body: Bytes,
}

impl Response {
    /// The value of a header; the first, if there are several. Case of the name is ignored.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The response at the start of `input` and its length there; `None` if it is not whole.
    fn parse(input: &[u8], is_head: bool, ended: bool) -> Result<Option<(Self, usize)>, Error> {
        let broken = |what: &str| Error::Protocol(format!("{what} in an HTTP response"));
        let Some(head_bytes) = memchr::memmem::find(input, b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(None);
        };
        let (head, rest) = input.split_at(head_bytes);
        let head = str::from_utf8(head).map_err(|_| broken("no UTF-8"))?;
        let mut lines = head.split("\r\n").take_while(|line| !line.is_empty());
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| broken("bad status line"))?;
        let headers = lines
            .map(|line| line.split_once(':').ok_or_else(|| broken("bad header line")))
            .map(|line| line.map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        let mut response = Self { status, headers, body: Bytes::new() };
        if is_head || status == 101 || status == 204 || status == 304 {
            return Ok(Some((response, head_bytes)));
        }
        let body = if response.header("Transfer-Encoding").is_some_and(|it| it == "chunked") {
            unchunk(rest).map_err(broken)?
        } else if let Some(length) = response.header("Content-Length") {
            let length = length.parse().map_err(|_| broken("bad Content-Length"))?;
            rest.get(..length).map(|body| (Bytes::copy_from_slice(body), length))
        } else {
            ended.then(|| (Bytes::copy_from_slice(rest), rest.len()))
        };
        let Some((body, body_bytes)) = body else { return Ok(None) };
        response.body = body;
        Ok(Some((response, head_bytes + body_bytes)))
    }
}

/// The body of a chunked message and its length on the wire. Spec: RFC 9112 § 7.1.
fn unchunk(mut input: &[u8]) -> Result<Option<(Bytes, usize)>, &'static str> {
    let total = input.len();
    let mut body = BytesMut::new();
    loop {
        let Some(line_bytes) = memchr::memmem::find(input, b"\r\n") else { return Ok(None) };
        let (line, rest) = input.split_at(line_bytes);
        let size = str::from_utf8(line).ok().and_then(|line| line.split(';').next());
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.filter(|&size| size <= MAX_RESPONSE_BYTES).ok_or("bad chunk size")?;
        let Some(chunk) = rest.get(2..size + 2) else { return Ok(None) };
        let Some(end) = rest.get(size + 2..size + 4) else { return Ok(None) };
        if end != b"\r\n" {
            return Err("bad end of a chunk");
        }
        body.extend_from_slice(chunk);
        input = rest.get(size + 4..).unwrap_or_default();
        if size == 0 {
            return Ok(Some((body.freeze(), total - input.len())));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn responses_end_where_their_head_says() {
        let cases: [(&[u8], bool, Option<&str>); 8] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, Some("ok")),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\noktail", false, Some("ok")),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", false, None),
            (b"HTTP/1.1 200 OK\r\n\r\nall", false, None),
            (b"HTTP/1.1 200 OK\r\n\r\nall", true, Some("all")),
            (b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\0", false, Some("")),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na;x\r\n0123456789\r\n0\r\n\r\n",
                false,
                Some("abc0123456789"),
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, None),
        ];
        for (input, ended, want) in cases {
            let got = Response::parse(input, false, ended).unwrap();
            assert_eq!(got.map(|(it, _)| it.text()).as_deref(), want, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        for input in ["SSH-2.0\r\n\r\n", "HTTP/1.1 2\r\n\r\n", "HTTP/1.1 200 OK\r\nx\r\n\r\n"] {
            assert!(Response::parse(input.as_bytes(), false, true).is_err(), "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(tail: Vec<u8>, chunked: bool) {
            let head: &[u8] = if chunked { b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" } else { b"" };
            let input = [head, &tail].concat();
            let _ = Response::parse(&input, false, true);
        }
    }
}
