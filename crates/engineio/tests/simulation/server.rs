//! A queue around a session: the least a server does.

use crate::world::{Event, Network, Plan};
use fanfare_engineio::payload::{self, Packets, Payload};
use fanfare_engineio::{
    CloseReason, Message, Output, Piece, PollAnswer, PostForm, Revision, Session, Settings,
    Transport, packet,
};
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) session: Session,
    pub(crate) received: Vec<u32>,
    pub(crate) closed: Option<(CloseReason, Instant)>,
    settings: Settings,
    /// Encoded packets that wait for a transport.
    queue: Vec<String>,
    /// The WebSocket in use, and the one that wants to be.
    socket: Option<u32>,
    probe: Option<u32>,
    /// When the one timer fires.
    armed: Option<Instant>,
}

impl Server {
    pub(crate) fn new(now: Instant, plan: Plan, settings: Settings, network: &mut Network) -> Self {
        let session = Session::new(now, plan.revision, plan.start_on, &settings);
        let socket = (plan.start_on == Transport::Websocket).then_some(0);
        let mut server = Self {
            session,
            received: Vec::new(),
            closed: None,
            settings,
            queue: Vec::new(),
            socket,
            probe: None,
            armed: None,
        };
        server.settle(network);
        server
    }

    pub(crate) fn timer(&mut self, network: &mut Network) {
        if self.armed != Some(network.now) {
            return;
        }
        self.armed = None;
        self.session.handle_deadline(network.now, &self.settings);
        self.settle(network);
    }

    pub(crate) fn emit(&mut self, number: u32, network: &mut Network) {
        if self.session.is_open() {
            self.queue.push(packet::encode_text(&number.to_string()));
            self.settle(network);
        }
    }

    pub(crate) fn get(&mut self, network: &mut Network) {
        // A refused request answers itself; the client here sends none.
        if self.closed.is_none() {
            self.session.poll_opened().expect("the client polls once at a time");
            self.settle(network);
        }
    }

    pub(crate) fn post_head(&mut self, network: &mut Network) {
        if self.closed.is_none() {
            self.session.post_opened(PostForm::Text).expect("the client posts once at a time");
            self.settle(network);
        }
    }

    pub(crate) fn post_body(&mut self, body: &str, network: &mut Network) {
        if self.session.post_received().is_err() {
            return;
        }
        let settings = self.settings.clone();
        for packet in Packets::text(self.session.revision(), body, &settings) {
            let packet = packet.expect("the client sends packets");
            let message = self.session.handle_packet(network.now, &settings, packet);
            self.take(message.as_ref());
            self.settle(network);
        }
        self.session.post_finished();
        network.send(Event::PostDone);
    }

    fn take(&mut self, message: Option<&Message<'_>>) {
        match message {
            Some(Message::Text(text)) => self.received.push(text.parse().unwrap()),
            Some(Message::Binary(_)) => panic!("the client sends text"),
            None => {}
        }
    }

    pub(crate) fn socket_opens(&mut self, socket: u32, network: &mut Network) {
        if self.closed.is_some() {
            return;
        }
        match self.session.probe_opened(network.now, &self.settings) {
            Ok(()) => self.probe = Some(socket),
            Err(_) => network.send_on(socket, false, Event::SocketCloses(socket)),
        }
        self.settle(network);
    }

    pub(crate) fn socket_breaks(&mut self, socket: u32, network: &mut Network) {
        if self.probe == Some(socket) {
            self.probe = None;
            self.session.probe_closed();
            self.settle(network);
        }
    }

    pub(crate) fn frame(&mut self, socket: u32, frame: &str, network: &mut Network) {
        let settings = self.settings.clone();
        let packet = packet::decode_text(self.session.revision(), frame).unwrap();
        if self.socket == Some(socket) {
            let message = self.session.handle_packet(network.now, &settings, packet);
            self.take(message.as_ref());
        } else if self.probe == Some(socket) {
            self.session.handle_probe_packet(network.now, &settings, &packet);
        }
        self.settle(network);
    }

    /// What a caller does after each call: outputs, queue, timer.
    fn settle(&mut self, network: &mut Network) {
        while let Some(output) = self.session.next_output() {
            match output {
                Output::Send(control) => self.queue.push(control.as_str().to_owned()),
                Output::SendProbe => {
                    let socket = self.probe.expect("a probe answers a WebSocket");
                    let pong = Output::PROBE_PONG.to_owned();
                    network.send_on(socket, false, Event::ToClient(socket, pong));
                }
                Output::AnswerPoll(answer) => self.answer(Some(answer), network),
                Output::CloseProbe => {
                    let socket = self.probe.take().expect("there is a WebSocket to close");
                    network.send_on(socket, false, Event::SocketCloses(socket));
                }
                Output::Switched => {
                    self.socket = Some(self.probe.take().expect("a WebSocket took over"));
                }
                Output::Closed(reason) => {
                    assert_eq!(self.session.next_output(), None);
                    self.closed = Some((reason, network.now));
                }
            }
        }
        self.flush(network);
        self.arm(network);
    }

    fn flush(&mut self, network: &mut Network) {
        if self.closed.is_some() || self.queue.is_empty() {
            return;
        }
        match self.socket {
            Some(socket) => {
                for packet in self.queue.drain(..) {
                    network.send_on(socket, false, Event::ToClient(socket, packet));
                }
            }
            None if self.session.is_poll_pending() => {
                self.answer(None, network);
                self.session.poll_answered();
            }
            None => {}
        }
    }

    fn answer(&mut self, answer: Option<PollAnswer>, network: &mut Network) {
        let takes = answer.is_none_or(PollAnswer::takes_messages);
        let queue = if takes { std::mem::take(&mut self.queue) } else { Vec::new() };
        let mut pieces: Vec<_> = queue.iter().map(|packet| Piece::Text(packet)).collect();
        pieces.extend(answer.map(PollAnswer::pieces).unwrap_or_default());
        match payload::encode(self.session.revision(), true, &pieces) {
            Payload::Text(body) => network.send(Event::Response(body)),
            Payload::Binary(_) => panic!("all is text here"),
        }
    }

    /// One timer: armed anew only when the deadline came nearer; a late one is asked again.
    fn arm(&mut self, network: &mut Network) {
        if let Some(deadline) = self.session.deadline()
            && self.armed.is_none_or(|armed| deadline < armed || armed <= network.now)
        {
            let deadline = deadline.max(network.now);
            self.armed = Some(deadline);
            network.at(deadline, Event::ServerTimer);
        }
    }
}

/// The revision decides who sends heartbeats.
pub(crate) fn client_pings(revision: Revision) -> bool {
    revision == Revision::V3
}
