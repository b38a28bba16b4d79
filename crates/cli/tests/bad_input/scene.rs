//! Playing a case: its steps, one after the other, on the connections it opens.

mod many;
mod noted;

use std::collections::BTreeMap;

use self::noted::Noted;
use crate::case::{Case, Door, Step};
use crate::peer::Peer;
use crate::server::{LOOK_AGAIN, Server};
use crate::stats::{Api, Stats};
use crate::wire::{self, Answer, Frame};

/// How often something is looked at until it is so.
const MOST_LOOKS: usize = 300;

/// The length of a session's id.
const SID_LENGTH: usize = 22;

/// A case being played.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    server: &'a Server,
    /// The server's figures when the case began.
    before: &'a Stats,
    peers: Vec<Peer>,
    present: usize,
    session: Option<Session>,
    /// The ids of all sessions that were opened: secrets.
    pub(crate) sids: Vec<String>,
    /// Refusals that the steps themselves provoke.
    pub(crate) provoked: BTreeMap<String, u64>,
    last: Option<Answer>,
    /// The id of the question heard last.
    ack: String,
    /// What its clients come back with.
    pub(crate) noted: Noted,
}

#[derive(Debug, Clone)]
struct Session {
    sid: String,
    door: Door,
    joined: bool,
    /// The connection, if the session is on a WebSocket.
    peer: Option<usize>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(server: &'a Server, before: &'a Stats) -> Self {
        Self {
            server,
            before,
            peers: Vec::new(),
            present: 0,
            session: None,
            sids: Vec::new(),
            provoked: BTreeMap::new(),
            last: None,
            ack: String::new(),
            noted: Noted::default(),
        }
    }

    /// Plays the whole case. The connections stay open until the scene is dropped.
    pub(crate) async fn play(&mut self, case: &Case) -> Result<(), String> {
        for (index, step) in case.steps.iter().enumerate() {
            let played = self.step(step).await;
            played.map_err(|failure| format!("step {index} ({}): {failure}", shown(step)))?;
        }
        Ok(())
    }

    /// Ends the sessions that were opened by polling, so that they need not be waited for.
    pub(crate) async fn tidy(&mut self) {
        self.peers.clear();
        let v3 = self.session.as_ref().is_some_and(|session| session.door == Door::PollingV3);
        let (revision, close) = if v3 { (3, "1:1") } else { (4, "1") };
        for sid in std::mem::take(&mut self.sids) {
            let target = format!("/socket.io/?EIO={revision}&transport=polling&sid={sid}");
            if let Ok(mut peer) = Peer::connect(self.server.host(), false).await {
                peer.send(&self.filled(&wire::post_to(&target, close))).await;
                // Most are over already.
                let _ = peer.answer().await;
            }
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Connect => self.connect(false).await?,
            Step::ConnectNarrow => self.connect(true).await?,
            Step::ConnectRaw => {
                self.peers.push(Peer::connect(self.server.port(), false).await?);
                self.present = self.peers.len() - 1;
            }
            Step::Visit(version, visit) => self.server.visited(*version, *visit).await?,
            Step::Use(index) => self.present = *index,
            Step::Send(bytes) => {
                let bytes = self.filled(bytes);
                self.peer()?.send(&bytes).await;
            }
            Step::Drip(bytes, pause) => {
                let bytes = self.filled(bytes);
                self.peer()?.drip(&bytes, *pause).await;
            }
            Step::DripBlindly(bytes, pause) => self.peer()?.drip_blindly(bytes, *pause).await,
            Step::FinishWriting => self.peer()?.finish_writing().await,
            Step::Taken => self.peer()?.taken().await?,
            Step::Abort => self.peer()?.abort(),
            Step::Silence(wait) => tokio::time::sleep(*wait).await,
            Step::Frame(first, payload) => {
                let frame = wire::masked(*first, &self.filled(payload));
                self.peer()?.send(&frame).await;
            }
            Step::Open(door) => self.open(*door).await?,
            Step::Join => self.join().await?,
            Step::Caused(cause) => self.caused(cause).await?,
            Step::Alive => self.alive().await?,
            Step::Gone => self.gone().await?,
            Step::Crowd(size, bytes, fate) => {
                self.crowd(self.server.host(), *size, bytes, *fate).await?;
            }
            Step::CrowdRaw(size, bytes, fate) => {
                self.crowd(self.server.port(), *size, bytes, *fate).await?;
            }
            Step::Strays(count) => self.strays(*count).await?,
            Step::Fill(most) => self.fill(*most).await?,
            Step::Newcomers(count) => self.newcomers(*count).await?,
            Step::Guesses(count) => self.guesses(*count).await?,
            Step::Held => self.held().await?,
            Step::Publish(room, count, bytes) => self.publish(room, *count, *bytes).await?,
            expected => self.expect(expected).await?,
        }
        Ok(())
    }

    async fn expect(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Status(statuses) => {
                let answer = self.peer()?.answer().await?;
                let status = answer.status;
                let wrong = format!("{status} {}", answer.text());
                self.note_sid(&answer.text());
                self.last = Some(answer);
                agree(statuses.contains(&status), || wrong)
            }
            Step::Statuses(statuses) => {
                let mut got = Vec::new();
                for peer in self.peers.iter_mut().take(2) {
                    got.push(peer.answer().await?.status);
                }
                got.sort_unstable();
                let mut wanted = *statuses;
                wanted.sort_unstable();
                agree(got == wanted, || format!("{got:?}"))
            }
            Step::HeadHas(text) => self.in_head(text, true),
            Step::HeadLacks(text) => self.in_head(text, false),
            Step::Body(text) => {
                let text = String::from_utf8(self.filled(text.as_bytes())).unwrap();
                self.in_body(|body| body == text)
            }
            Step::BodyHas(text) => {
                let text = String::from_utf8(self.filled(text.as_bytes())).unwrap();
                self.in_body(|body| body.contains(&text))
            }
            Step::BodyLacks(text) => self.in_body(|body| !body.contains(text.as_str())),
            Step::Ended => {
                let rest = self.peer()?.end().await?;
                agree(rest.is_empty(), || format!("it also said {}", rest.escape_ascii()))
            }
            Step::Reads(text) => {
                let text = self.filled(text.as_bytes());
                self.peer()?.reads(&text).await
            }
            Step::Cut => self.peer()?.end().await.map(drop),
            Step::Closes(code) => self.closes(*code).await,
            frame => self.hears(frame).await,
        }
    }

    /// What the next frame is.
    async fn hears(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Hears(text) => {
                let frame = self.message().await?;
                let wanted = Frame { first: 0x81, payload: self.filled(text.as_bytes()) };
                let same = frame == wanted || without_offset(&frame).is_some_and(|it| it == wanted);
                agree(same, || frame_shown(&frame))
            }
            Step::HearsBegin(text) => {
                let frame = self.message().await?;
                let begins = frame.first == 0x81 && frame.payload.starts_with(text.as_bytes());
                agree(begins, || frame_shown(&frame))
            }
            Step::HearsHas(text) => {
                let frame = self.message().await?;
                let text = self.filled(text.as_bytes());
                let holds = wire::find(&frame.payload, &text).is_some();
                agree(frame.first == 0x81 && holds, || frame_shown(&frame))
            }
            Step::Asked => {
                let frame = self.message().await?;
                let text = String::from_utf8_lossy(&frame.payload).into_owned();
                let id = text.strip_prefix("42").and_then(|rest| rest.split_once('['));
                self.ack = id.map(|(id, _)| id.to_owned()).unwrap_or_default();
                agree(!self.ack.is_empty(), || frame_shown(&frame))
            }
            Step::HearsUntil(text) => loop {
                let frame = self.message().await?;
                agree(frame.first == 0x81, || frame_shown(&frame))?;
                if frame.payload == text.as_bytes() {
                    return Ok(());
                }
            },
            Step::Heartbeat => {
                let frame = self.peer()?.frame().await?;
                agree(frame == heartbeat(), || frame_shown(&frame))
            }
            Step::HearsBytes(bytes) => {
                let frame = self.message().await?;
                let holds = frame.first == 0x82 && wire::find(&frame.payload, bytes).is_some();
                agree(holds, || frame_shown(&frame))
            }
            Step::Pong(payload) => {
                let frame = self.message().await?;
                agree(frame.first == 0x8a && frame.payload == *payload, || frame_shown(&frame))
            }
            done => Err(format!("{done:?} is no expectation")),
        }
    }

    async fn connect(&mut self, narrow: bool) -> Result<(), String> {
        self.peers.push(Peer::connect(self.server.host(), narrow).await?);
        self.present = self.peers.len() - 1;
        Ok(())
    }

    fn peer(&mut self) -> Result<&mut Peer, String> {
        self.peers.get_mut(self.present).ok_or_else(|| "there is no connection".to_owned())
    }

    /// Replaces what only the running server knows.
    fn filled(&self, bytes: &[u8]) -> Vec<u8> {
        if !bytes.contains(&b'{') {
            return bytes.to_vec();
        }
        let sid = self.session.as_ref().map_or("", |session| &session.sid);
        let values = [
            ("{host}", self.server.host()),
            ("{sid}", sid),
            ("{ack}", &self.ack),
            ("{pid}", &self.noted.pid),
            ("{offset}", &self.noted.offset),
            ("{key}", self.server.key()),
            ("{secret}", self.server.secret()),
        ];
        let mut filled = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            match values.iter().find(|(name, _)| rest.starts_with(name.as_bytes())) {
                Some((name, value)) => {
                    filled.extend_from_slice(value.as_bytes());
                    rest = &rest[name.len()..];
                }
                None => {
                    filled.push(*first);
                    rest = after;
                }
            }
        }
        filled
    }

    fn in_head(&self, text: &str, wanted: bool) -> Result<(), String> {
        let head = &self.last.as_ref().ok_or("no answer")?.head;
        let found = head.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
        agree(found == wanted, || head.clone())
    }

    fn in_body(&self, judge: impl FnOnce(&str) -> bool) -> Result<(), String> {
        let body = self.last.as_ref().ok_or("no answer")?.text();
        agree(judge(&body), || body.clone())
    }

    /// The next frame that is no heartbeat.
    async fn message(&mut self) -> Result<Frame, String> {
        loop {
            let frame = self.peer()?.frame().await?;
            if frame != heartbeat() {
                let text = String::from_utf8_lossy(&frame.payload);
                self.noted.hear(&text);
                if let Some(sid) = sid_in(&text) {
                    self.sids.push(sid.clone());
                    let (door, peer) = (Door::WebSocket, Some(self.present));
                    self.session = Some(Session { sid, door, joined: false, peer });
                }
                return Ok(frame);
            }
        }
    }

    /// Remembers the id of a session that was opened by hand.
    fn note_sid(&mut self, text: &str) {
        self.sids.extend(sid_in(text));
    }

    async fn closes(&mut self, code: Option<u16>) -> Result<(), String> {
        let frame = loop {
            let frame = self.peer()?.frame().await?;
            if frame.first == 0x88 {
                break frame;
            }
        };
        let got = frame.payload.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
        agree(got == code, || frame_shown(&frame))?;
        // The reason must be a word of the program, not bytes of somebody's.
        let reason = frame.payload.get(2..).unwrap_or_default();
        let own = reason.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
        agree(own, || frame_shown(&frame))?;
        self.peer()?.finish_writing().await;
        let rest = self.peer()?.end().await?;
        agree(rest.is_empty(), || format!("behind the close: {}", rest.escape_ascii()))
    }

    async fn open(&mut self, door: Door) -> Result<(), String> {
        let (target, websocket) = match door {
            Door::Polling => (wire::POLLING, false),
            Door::WebSocket => (wire::WEBSOCKET, true),
            Door::PollingV3 => ("/socket.io/?EIO=3&transport=polling", false),
            Door::WebSocketV3 => ("/socket.io/?EIO=3&transport=websocket", true),
        };
        let text = if websocket {
            self.connect(false).await?;
            let request = self.filled(wire::upgrade(target).as_bytes());
            self.peer()?.send(&request).await;
            let answer = self.peer()?.answer().await?;
            agree(answer.status == 101, || format!("{answer:?}"))?;
            let frame = self.peer()?.frame().await?;
            String::from_utf8(frame.payload).map_err(|_| "no text")?
        } else {
            self.exchange(wire::get(target).as_bytes()).await?.text()
        };
        let sid = sid_in(&text).ok_or_else(|| format!("no sid in {text}"))?;
        self.sids.push(sid.clone());
        let peer = websocket.then_some(self.present);
        self.session = Some(Session { sid, door, joined: false, peer });
        Ok(())
    }

    async fn join(&mut self) -> Result<(), String> {
        let session = self.session.clone().ok_or("no session")?;
        match session.door {
            Door::Polling | Door::WebSocket => self.ask("40", r#"40{"sid":""#).await?,
            Door::PollingV3 => {
                let answer = self.exchange(v3(&session.sid).as_bytes()).await?.text();
                agree(answer.contains("2:40"), || answer.clone())?;
            }
            Door::WebSocketV3 => {
                let frame = self.message().await?;
                agree(frame.payload == b"40", || frame_shown(&frame))?;
            }
        }
        if let Some(session) = &mut self.session {
            session.joined = true;
        }
        Ok(())
    }

    /// The session answers an event.
    async fn alive(&mut self) -> Result<(), String> {
        if !self.session.as_ref().is_some_and(|session| session.joined) {
            self.join().await?;
        }
        let event = r#"420["room:join",{"roomId":"alive"}]"#;
        self.ask(event, r#"430[{"ok":true"#).await
    }

    /// Says something on the session, and hears the answer.
    async fn ask(&mut self, question: &str, begin: &str) -> Result<(), String> {
        let session = self.session.clone().ok_or("no session")?;
        if let Some(peer) = session.peer {
            self.present = peer;
            self.peer()?.send(&wire::masked(0x81, question.as_bytes())).await;
            let frame = self.message().await?;
            return agree(frame.payload.starts_with(begin.as_bytes()), || frame_shown(&frame));
        }
        let (question, poll) = match session.door {
            Door::PollingV3 => (format!("{}:{question}", question.len()), v3(&session.sid)),
            _ => (question.to_owned(), wire::poll()),
        };
        let target = poll.split(' ').nth(1).unwrap_or_default();
        let posted = self.exchange(&wire::post_to(target, &question)).await?;
        agree(posted.status == 200, || format!("{posted:?}"))?;
        loop {
            let answer = self.exchange(poll.as_bytes()).await?;
            // A heartbeat, or what ends a poll during an upgrade.
            let other = ["2", "6"].contains(&answer.text().as_str());
            if !other {
                return agree(answer.text().contains(begin), || format!("{answer:?}"));
            }
        }
    }

    /// One request on a connection of its own, which is closed after it.
    async fn exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        let mut peer = Peer::connect(self.server.host(), false).await?;
        peer.send(&self.filled(request)).await;
        peer.answer().await
    }

    async fn caused(&self, cause: &str) -> Result<(), String> {
        let mut api = Api::new(self.server.host(), self.server.key());
        for _ in 0..MOST_LOOKS {
            if api.stats().await?.causes_since(self.before).contains_key(cause) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err("no session ended so".to_owned())
    }

    async fn held(&self) -> Result<(), String> {
        let mut api = Api::new(self.server.host(), self.server.key());
        for _ in 0..MOST_LOOKS {
            if api.stats().await?.reads_held > self.before.reads_held {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err("it is read as fast as it sends".to_owned())
    }

    async fn gone(&mut self) -> Result<(), String> {
        for _ in 0..MOST_LOOKS {
            let answer = self.exchange(wire::poll().as_bytes()).await?;
            if answer.text() == r#"{"code":1,"message":"Session ID unknown"}"# {
                *self.provoked.entry("unknown_session".to_owned()).or_default() += 1;
                return Ok(());
            }
            let text = answer.text();
            // The last words of a session whose end and this poll crossed each other.
            let dying = answer.status == 200 && ["1", "6", "6\u{1e}1"].contains(&text.as_str());
            if !dying {
                // Of a session on a WebSocket this is how a poll learns that it still lives.
                agree(text.contains(r#"{"code":3,"#), || format!("{} {text}", answer.status))?;
                *self.provoked.entry("transport_mismatch".to_owned()).or_default() += 1;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err("it lives".to_owned())
    }

    async fn publish(&self, room: &str, count: usize, bytes: usize) -> Result<(), String> {
        let mut api = Api::new(self.server.host(), self.server.key());
        let text = "x".repeat(bytes);
        for number in 0..count {
            api.publish("event", room, &format!(r#"{number},"{text}""#)).await?;
        }
        Ok(())
    }
}

/// The server's ping.
fn heartbeat() -> Frame {
    Frame { first: 0x81, payload: b"2".to_vec() }
}

/// The id of a session in a handshake, plain or in a script. The public ids of sockets are shorter.
fn sid_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("\"sid").or_else(|| text.split_once("\\\"sid"))?;
    let is_of_sid = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
    let sid: String =
        rest.trim_start_matches(['"', ':', '\\']).chars().take_while(|it| is_of_sid(*it)).collect();
    (sid.len() == SID_LENGTH).then_some(sid)
}

/// A poll of a session of Engine.IO 3.
fn v3(sid: &str) -> String {
    wire::get(&format!("/socket.io/?EIO=3&transport=polling&sid={sid}"))
}

pub(crate) fn agree(agreed: bool, got: impl FnOnce() -> String) -> Result<(), String> {
    if agreed { Ok(()) } else { Err(format!("got {}", shortened(&got()))) }
}

/// An event without the position at its end, if it has one.
fn without_offset(frame: &Frame) -> Option<Frame> {
    let text = std::str::from_utf8(&frame.payload).ok()?;
    let (event, offset) = text.strip_suffix("\"]")?.rsplit_once(",\"")?;
    offset.parse::<eventlog::Position>().ok()?;
    Some(Frame { first: frame.first, payload: format!("{event}]").into_bytes() })
}

fn frame_shown(frame: &Frame) -> String {
    format!("frame {:#04x} {}", frame.first, frame.payload.escape_ascii())
}

/// A step without the megabytes it may hold.
fn shown(step: &Step) -> String {
    match step {
        Step::Send(bytes) | Step::Drip(bytes, _) | Step::DripBlindly(bytes, _) => {
            format!("send {}", shortened(&bytes.escape_ascii().to_string()))
        }
        Step::Frame(first, payload) => {
            format!("frame {first:#04x} {}", shortened(&payload.escape_ascii().to_string()))
        }
        Step::Crowd(size, _, fate) | Step::CrowdRaw(size, _, fate) => {
            format!("crowd of {size}: {fate:?}")
        }
        other => shortened(&format!("{other:?}")),
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
