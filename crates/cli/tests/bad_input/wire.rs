//! Bytes on the wire, by hand: what is sent may be wrong, so no codec of ours may write it.

use std::io::Read as _;

use bytes::{Buf, BytesMut};

/// The key of every frame we mask: predictable, so that a failure can be repeated.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The mount point and the handshake's query.
pub(crate) const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
/// The same for a WebSocket.
pub(crate) const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// An HTTP answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as text, without gzip if it came so.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let zipped = self.head.to_ascii_lowercase().contains("content-encoding: gzip");
        if zipped && flate2::read::GzDecoder::new(&self.body[..]).read_to_string(&mut text).is_ok()
        {
            return text;
        }
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// How the end of an answer is told, beside what its head says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Framing {
    /// It answers a `HEAD` and has no body, whatever its head says.
    pub(crate) of_head: bool,
    /// Nothing more comes.
    pub(crate) ended: bool,
}

/// Takes the HTTP answer at the start of `input` if it is whole.
pub(crate) fn take_answer(
    input: &mut BytesMut,
    framing: Framing,
) -> Result<Option<Answer>, String> {
    let Some(end) = find(input, b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let head = String::from_utf8(input[..end].to_vec()).map_err(|_| "a head that is not UTF-8")?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| head.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| format!("no HTTP: {:?}", &head[..head.len().min(80)]))?;
    let field = |name: &str| {
        head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let rest = &input[end..];
    let body = if status < 200 || status == 204 || status == 304 || framing.of_head {
        Some((Vec::new(), 0))
    } else if let Some(length) = field("content-length") {
        let length: usize = length.parse().map_err(|_| "a bad Content-Length")?;
        rest.get(..length).map(|body| (body.to_vec(), length))
    } else if field("transfer-encoding").is_some() {
        unchunk(rest)?
    } else {
        framing.ended.then(|| (rest.to_vec(), rest.len()))
    };
    let Some((body, length)) = body else { return Ok(None) };
    input.advance(end + length);
    Ok(Some(Answer { status, head, body }))
}

/// The body of a chunked message, and its length on the wire.
fn unchunk(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = find(&input[at..], b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&input[at..at + line]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or("a bad chunk")?;
        at += line + 2;
        let Some(chunk) = input.get(at..at + size + 2) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

/// Takes the frame at the start of `input` if it is whole.
pub(crate) fn take_frame(input: &mut BytesMut) -> Result<Option<Frame>, String> {
    let [first, second, rest @ ..] = &input[..] else { return Ok(None) };
    let (first, short) = (*first, *second);
    if short & 0x80 != 0 {
        return Err("a masked frame from the server".to_owned());
    }
    let (size, length) = match short {
        126 if rest.len() >= 2 => (4, usize::from(u16::from_be_bytes([rest[0], rest[1]]))),
        127 if rest.len() >= 8 => {
            let bytes: [u8; 8] = rest[..8].try_into().unwrap();
            (10, usize::try_from(u64::from_be_bytes(bytes)).unwrap())
        }
        126 | 127 => return Ok(None),
        short => (2, usize::from(short)),
    };
    if input.len() < size + length {
        return Ok(None);
    }
    input.advance(size);
    Ok(Some(Frame { first, payload: input.split_to(length).to_vec() }))
}

/// A client's frame, masked, with any first byte.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        medium @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The head of a client's frame that claims a length in the form of eight bytes.
pub(crate) fn claim(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first, 0xff];
    head.extend(length.to_be_bytes());
    head.extend(MASK);
    head
}

/// A request without a body.
pub(crate) fn request(method: &str, target: &str, fields: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: {{host}}\r\n{fields}\r\n")
}

/// A `GET`.
pub(crate) fn get(target: &str) -> String {
    request("GET", target, "")
}

/// A poll of the session.
pub(crate) fn poll() -> String {
    get(&format!("{POLLING}&sid={{sid}}"))
}

/// A `POST` with its length, to any target.
pub(crate) fn post_to(target: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let fields =
        format!("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n", body.len());
    let mut bytes = request("POST", target, &fields).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A `POST` to the session.
pub(crate) fn post(body: impl AsRef<[u8]>) -> Vec<u8> {
    post_to(&format!("{POLLING}&sid={{sid}}"), body)
}

/// The request for a WebSocket, with these fields beside `Host`.
pub(crate) fn upgrade_with(target: &str, fields: &[(&str, &str)]) -> String {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    request("GET", target, &lines)
}

/// The fields of a right request for a WebSocket.
pub(crate) const UPGRADE_FIELDS: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A right request for a WebSocket.
pub(crate) fn upgrade(target: &str) -> String {
    upgrade_with(target, &UPGRADE_FIELDS)
}

/// A right request for a WebSocket, some fields replaced, left out (`""`) or added.
pub(crate) fn upgrade_but(target: &str, changes: &[(&str, &str)]) -> String {
    let kept = UPGRADE_FIELDS.iter().filter(|(name, _)| changes.iter().all(|(it, _)| it != name));
    let changed = changes.iter().filter(|(_, value)| !value.is_empty());
    let fields: Vec<(&str, &str)> = kept.chain(changed).copied().collect();
    upgrade_with(target, &fields)
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
