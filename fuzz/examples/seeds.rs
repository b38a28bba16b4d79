//! Writes `seeds/<target>`: the golden vectors of the protocol crates and the rows of bad input that
//! are one message, as inputs of the fuzz targets.
//!
//! `cargo run --example seeds`, in this folder, after the vectors or an input's form changed.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use websocket::deflate::{Deflater, Settings};
use websocket::{Opcode, frame};

const KEY: [u8; 4] = [1, 2, 3, 4];

/// The seeds of one target.
struct Seeds {
    folder: PathBuf,
    count: usize,
}

impl Seeds {
    /// Begins anew.
    fn of(target: &str) -> Result<Self, Box<dyn Error>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, count: 0 })
    }

    fn add(&mut self, parts: &[&[u8]]) -> Result<(), Box<dyn Error>> {
        fs::write(self.folder.join(format!("{:03}", self.count)), parts.concat())?;
        self.count += 1;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    frames()?;
    payloads()?;
    packets()?;
    positions()?;
    log_files()?;
    connections()
}

/// Flags, the size of the pieces, a stream.
fn frames() -> Result<(), Box<dyn Error>> {
    let mut seeds = Seeds::of("frame")?;
    let masked = |opcode, payload: &[u8]| frame::masked(opcode, payload, KEY).to_vec();
    let first = |first: u8, payload: &[u8]| {
        let mut bytes = masked(Opcode::Binary, payload);
        bytes[0] = first;
        bytes
    };
    let mut streams = vec![
        masked(Opcode::Text, b"4hello"),
        masked(Opcode::Text, "4\u{e9}\u{20ac}\u{1f600}".as_bytes()),
        masked(Opcode::Binary, &[0; 200]),
        masked(Opcode::Ping, b"x"),
        masked(Opcode::Close, b"\x03\xe8bye"),
        masked(Opcode::Close, b""),
        [first(0x01, b"4\xe2"), first(0x89, b"x"), first(0x00, b"\x82"), first(0x80, b"\xac")]
            .concat(),
        [first(0x01, b"4"), first(0x81, b"4")].concat(),
        [first(0x01, b"4\xe2\x82"), first(0x80, b"")].concat(),
        first(0x01, b"").iter().chain(&first(0x00, b"").repeat(9)).copied().collect(),
        first(0x89, b"").repeat(9),
        first(0x80, b"x"),
        b"\x81\x05hello".to_vec(),
        b"\x81\xfe\0\x05\x01\x02\x03\x04".to_vec(),
        b"\x81\xff\0\0\0\0\0\0\0\x05\x01\x02\x03\x04".to_vec(),
        b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04".to_vec(),
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04".to_vec(),
        first(0x89, &[b'x'; 126]),
        first(0x09, b"x"),
    ];
    for bad in [0xc1u8, 0xa1, 0x91, 0x83, 0x87, 0x8b, 0x8f] {
        streams.push(first(bad, b"x"));
    }
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        streams.push(masked(Opcode::Close, &code.to_be_bytes()));
    }
    streams.push(masked(Opcode::Close, b"\x03"));
    streams.push(masked(Opcode::Close, b"\x03\xe8\xff"));
    for text in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        streams.push(masked(Opcode::Text, text));
    }
    for stream in &streams {
        for (flags, piece) in [(0, 255), (0, 1), (2, 3)] {
            seeds.add(&[&[flags, piece], stream])?;
        }
    }
    for stream in [frame::text("4hello"), frame::binary(&[7; 300]), frame::ping(b"x")] {
        seeds.add(&[&[1, 2], &stream])?;
    }
    let mut deflater = Deflater::new(&Settings { threshold_bytes: 0, level: 9 });
    for message in [&[b'4'; 100][..], &[b'4'; 2_048], &[b'4'; 2_049], &[b'4'; 60_000]] {
        let deflated = deflater.masked(Opcode::Text, message, KEY).ok_or("it does not shrink")?;
        seeds.add(&[&[2, 255], &deflated.frame])?;
        seeds.add(&[&[2, 5], &deflated.frame])?;
    }
    for payload in [&b"\x02\x03\x00"[..], b"\x00\xff\xff\x00\x00", &[0xff; 16], b"\x03\x00\x00"] {
        seeds.add(&[&[2, 255], &first(0xc1, payload)])?;
    }
    Ok(())
}

/// The kind, then what it is of.
fn payloads() -> Result<(), Box<dyn Error>> {
    let mut seeds = Seeds::of("payload")?;
    let vectors: Value =
        serde_json::from_str(include_str!("../../crates/engineio/tests/vectors/payloads.json"))?;
    for vector in array(&vectors["decode"]) {
        let (kind, body) = match (vector["revision"].as_u64(), vector["binary"].as_str()) {
            (_, Some(digits)) => (2, unhex(digits)?),
            (Some(4), None) => (0, bytes(vector, "body", "hex")?),
            (_, None) => (1, bytes(vector, "body", "hex")?),
        };
        seeds.add(&[&[kind], &body])?;
    }
    let vectors: Value =
        serde_json::from_str(include_str!("../../crates/engineio/tests/vectors/packets.json"))?;
    for vector in array(&vectors["decode"]) {
        seeds.add(&[&[5], &bytes(vector, "text", "bytes")?])?;
    }
    let vectors: Value =
        serde_json::from_str(include_str!("../../crates/engineio/tests/vectors/requests.json"))?;
    for vector in array(&vectors["refused"]) {
        let text = |name: &str| vector[name].as_str().unwrap_or_default().to_owned();
        let request =
            format!("{}\n{}\nhttps://a.example\ntext/plain", text("method"), text("query"));
        seeds.add(&[&[6], request.as_bytes()])?;
    }
    for form in ["d=40", "d=4a%5Cnb%5C%5Cnc", "x=1", "d=", "d=%ff", "d=4a&d=4b", "d=4+%zz"] {
        seeds.add(&[&[3], form.as_bytes()])?;
    }
    for script in ["0\n40", "<script>\n4\"\\\u{2028}\0", "99999999999999999999\n4</script>"] {
        seeds.add(&[&[4], script.as_bytes()])?;
    }
    let good = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for more in [
        "",
        "\nSec-WebSocket-Protocol: chat, superchat",
        "\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99, constructor",
        "\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "\nContent-Length: 10",
    ] {
        seeds.add(&[&[7], good.as_bytes(), more.as_bytes()])?;
    }
    Ok(())
}

/// Flags, then messages.
fn packets() -> Result<(), Box<dyn Error>> {
    let mut seeds = Seeds::of("packet")?;
    for (flags, vectors) in [
        (0, include_str!("../../crates/socketio/tests/vectors/packets.json")),
        (0, include_str!("../../crates/socketio/tests/vectors/refused.json")),
        (2, include_str!("../../crates/socketio/tests/vectors/msgpack.json")),
        (2, include_str!("../../crates/socketio/tests/vectors/msgpack_refused.json")),
    ] {
        let vectors: Value = serde_json::from_str(vectors)?;
        for vector in array(&vectors) {
            let mut input = vec![flags];
            for (index, message) in array(&vector["messages"]).iter().enumerate() {
                if index > 0 {
                    input.push(0x1e);
                }
                match message.as_str() {
                    Some(text) => input.extend_from_slice(text.as_bytes()),
                    None => {
                        if flags == 0 {
                            input.push(b'b');
                        }
                        input.extend(unhex(message["hex"].as_str().ok_or("no bytes")?)?);
                    }
                }
            }
            // Some vectors are large on purpose; they are tested where they stand.
            if input.len() <= 1_000 {
                seeds.add(&[&input])?;
            }
        }
    }
    Ok(())
}

/// Texts, good and nearly so.
fn positions() -> Result<(), Box<dyn Error>> {
    let mut seeds = Seeds::of("position")?;
    for text in [
        "AAAAAAAAAAH.q",
        "P__________.H__________",
        "AAAAAAAAAAA.A",
        "AAAAAAAAAAA.AB",
        "AAAAAAAAAAA.IAAAAAAAAAA",
        "QAAAAAAAAAA.B",
        "AAAAAAAAAAA",
        "AAAAAAAAAAAA.B",
        "AAAAA AAAAA.B",
        "0",
        "",
    ] {
        seeds.add(&[text.as_bytes()])?;
    }
    seeds.add(&[&[0xff; 16]])
}

/// The kind, then what it is of: see `log_file.rs`.
fn log_files() -> Result<(), Box<dyn Error>> {
    let mut seeds = Seeds::of("log_file")?;
    let mut page = vec![0_u8; 512];
    for (at, bytes) in [
        (0, &b"SQLite format 3\0"[..]),
        (16, &[2, 0, 1, 1, 0, 64, 32, 32]),
        (31, &[1]),
        (47, &[4]),
        (59, &[1]),
        (63, &[1]),
        (68, b"fanf"),
        (100, &[0x0d]),
        (105, &[2, 0]),
    ] {
        page[at..at + bytes.len()].copy_from_slice(bytes);
    }
    for kind in [0_u8, 1] {
        for store in [&b""[..], b"x", &page[..100], &page, b"SQLite format 3\0"] {
            seeds.add(&[&[kind], store])?;
        }
    }
    for kind in [2_u8, 3] {
        seeds.add(&[&[kind]])?;
        for file in [0x00_u8, 0x10, 0x20] {
            for what in 0_u8..6 {
                for offset in [[0, 0, 44], [0, 0x10, 3], [0, 0x81, 7], [1, 0x20, 1]] {
                    seeds.add(&[&[kind, file | what], &offset, &[8]])?;
                }
            }
        }
    }
    let far = i64::MAX.to_le_bytes();
    for place in 0_u8..9 {
        seeds.add(&[&[4, 0, place, 8], &far])?;
        seeds.add(&[&[4, 0, place, 8], &[0xff; 8]])?;
        seeds.add(&[&[4, 0, place, 8], &[0; 8]])?;
    }
    for table in 1_u8..4 {
        seeds.add(&[&[4, table, 41, 40], &[0; 40]])?;
        seeds.add(&[&[4, table, 1, 40], &[0xff; 40]])?;
    }
    Ok(())
}

/// Flags, then steps: see `connection.rs`.
fn connections() -> Result<(), Box<dyn Error>> {
    let mut seeds = Seeds::of("connection")?;
    let text = |step: u8, text: &str| {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        [&[step, length], text.as_bytes()].concat()
    };
    let on_socket = |message: &str| text(1, message);
    let event = on_socket("420[\"x\",{\"a\":1}]");
    let attachments = on_socket("451-[\"x\",{\"_placeholder\":true,\"num\":0}]");
    let scripts: [Vec<Vec<u8>>; 16] = [
        vec![on_socket("40"), event.clone(), on_socket("41")],
        vec![on_socket("40{\"token\":\"x\"}"), attachments.clone(), text(2, "abc"), event.clone()],
        vec![on_socket("40"), attachments, event.clone()],
        vec![
            on_socket("40/ok,"),
            on_socket("40/no,"),
            on_socket("40/later"),
            on_socket("42/ok,[\"x\"]"),
        ],
        vec![on_socket("40"), vec![13], event.clone(), on_socket("40")],
        vec![on_socket("40"), vec![12], vec![12], vec![12], vec![12], vec![12], on_socket("3")],
        vec![on_socket("40"), vec![14], event.clone()],
        vec![text(0, "\u{1}\u{1}\u{1}"), event],
        vec![on_socket("2"), on_socket("40")],
        vec![text(4, "40"), vec![3], text(4, "420[\"x\"]\u{1e}3"), vec![12]],
        vec![
            text(4, "40"),
            vec![3],
            vec![7],
            text(9, "2probe"),
            vec![11],
            vec![11],
            vec![3],
            text(9, "5"),
            on_socket("42[\"x\"]"),
        ],
        vec![text(4, "40"), vec![7], text(9, "4x"), vec![7], vec![12], vec![12]],
        vec![vec![7], text(9, "5"), on_socket("40"), on_socket("43[\"x\"]")],
        vec![vec![3], vec![3], text(4, "40")],
        vec![vec![5], text(4, "40"), vec![6]],
        vec![text(4, "1"), vec![3], vec![14], vec![3], vec![15]],
    ];
    for script in &scripts {
        for flags in [0u8, 1, 2, 3, 9] {
            seeds.add(&[&[flags], &script.concat()])?;
        }
    }
    Ok(())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The bytes of a vector: text in one field, or digits in another.
fn bytes(vector: &Value, text: &str, digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    match (vector[text].as_str(), vector[digits].as_str()) {
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(digits)) => unhex(digits),
        (None, None) => Err(format!("{vector} has neither {text} nor {digits}").into()),
    }
}

fn unhex(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits: String = digits.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2).unwrap_or("x"));
    Ok(pairs.map(|pair| u8::from_str_radix(pair, 16)).collect::<Result<_, _>>()?)
}
