//! A client as the JavaScript one behaves.

use crate::server::client_pings;
use crate::world::{Event, Network, Plan};
use fanfare_engineio::payload::{self, Packets, Payload};
use fanfare_engineio::{Packet, Piece, Settings, Transport, packet};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) received: Vec<u32>,
    pub(crate) died_at: Option<Instant>,
    plan: Plan,
    ping_interval: Duration,
    queue: Vec<String>,
    polling: bool,
    posting: bool,
    /// The probe was answered: no new poll, no new post; then the upgrade packet.
    pausing: bool,
    probe: Option<u32>,
    probes: u32,
    socket: Option<u32>,
}

impl Client {
    pub(crate) fn new(plan: Plan, ping_interval: Duration, network: &mut Network) -> Self {
        let socket = (plan.start_on == Transport::Websocket).then_some(0);
        let mut client = Self {
            received: Vec::new(),
            died_at: None,
            plan,
            ping_interval,
            queue: Vec::new(),
            polling: false,
            posting: false,
            pausing: false,
            probe: None,
            probes: 0,
            socket,
        };
        client.poll(network);
        if client_pings(plan.revision) {
            network.after(1, Event::ClientPings);
        }
        client
    }

    fn is_dead(&self) -> bool {
        self.died_at.is_some()
    }

    pub(crate) fn die(&mut self, network: &Network) {
        self.died_at = Some(network.now);
    }

    fn poll(&mut self, network: &mut Network) {
        if self.socket.is_none() && !self.polling && !self.pausing && !self.is_dead() {
            self.polling = true;
            network.send(Event::Get);
        }
    }

    pub(crate) fn emit(&mut self, number: u32, network: &mut Network) {
        self.queue.push(packet::encode_text(&number.to_string()));
        self.flush(network);
    }

    pub(crate) fn ping(&mut self, network: &mut Network) {
        self.queue.push("2".to_owned());
        self.flush(network);
        let wait = u64::try_from(self.ping_interval.as_millis()).unwrap();
        network.after(wait, Event::ClientPings);
    }

    fn flush(&mut self, network: &mut Network) {
        if self.is_dead() || self.queue.is_empty() {
            return;
        }
        if let Some(socket) = self.socket {
            for packet in self.queue.drain(..) {
                network.send_on(socket, true, Event::ToServer(socket, packet));
            }
        } else if !self.posting && !self.pausing {
            let queue = std::mem::take(&mut self.queue);
            let pieces: Vec<_> = queue.iter().map(|packet| Piece::Text(packet)).collect();
            let Payload::Text(body) = payload::encode(self.plan.revision, false, &pieces) else {
                panic!("all is text here");
            };
            self.posting = true;
            // One connection: the body comes after the head.
            network.send_on(u32::MAX, true, Event::PostHead);
            network.send_on(u32::MAX, true, Event::PostBody(body));
        }
    }

    pub(crate) fn post_done(&mut self, network: &mut Network) {
        self.posting = false;
        self.flush(network);
        self.upgrade_when_paused(network);
    }

    pub(crate) fn response(&mut self, body: &str, network: &mut Network) {
        if self.is_dead() {
            return;
        }
        self.polling = false;
        for packet in Packets::text(self.plan.revision, body, &Settings::default()) {
            self.packet(&packet.expect("the server sends packets"), network);
        }
        self.poll(network);
        self.upgrade_when_paused(network);
    }

    fn packet(&mut self, packet: &Packet<'_>, network: &mut Network) {
        match packet {
            Packet::Text(text) => self.received.push(text.parse().unwrap()),
            Packet::Ping(_) => {
                self.queue.push("3".to_owned());
                self.flush(network);
            }
            Packet::Pong(_) | Packet::Noop => {}
            other => panic!("the server does not send {other:?}"),
        }
    }

    pub(crate) fn probe(&mut self, network: &mut Network) {
        if self.is_dead() {
            return;
        }
        self.probes += 1;
        let socket = self.probes;
        self.probe = Some(socket);
        network.send_on(socket, true, Event::SocketOpens(socket));
        network.send_on(socket, true, Event::ToServer(socket, "2probe".to_owned()));
        if self.plan.break_first_probe && socket == 1 {
            network.send_on(socket, true, Event::ProbeBreaks(socket));
            network.after(300, Event::ClientProbes);
        }
    }

    pub(crate) fn frame(&mut self, socket: u32, frame: &str, network: &mut Network) {
        if self.is_dead() {
            return;
        }
        let packet = packet::decode_text(self.plan.revision, frame).unwrap();
        if self.socket == Some(socket) {
            self.packet(&packet, network);
        } else if self.probe == Some(socket) {
            assert_eq!(packet, Packet::Pong("probe"));
            if self.plan.break_first_probe && socket == 1 {
                // It is dying already: it must not pause the polling.
                return;
            }
            self.pausing = true;
            self.upgrade_when_paused(network);
        }
    }

    fn upgrade_when_paused(&mut self, network: &mut Network) {
        if let Some(socket) = self.probe
            && self.pausing
            && !self.polling
            && !self.posting
        {
            network.send_on(socket, true, Event::ToServer(socket, "5".to_owned()));
            self.probe = None;
            self.socket = Some(socket);
            self.pausing = false;
            self.flush(network);
        }
    }

    pub(crate) fn socket_closes(&mut self, socket: u32, network: &mut Network) {
        if self.probe == Some(socket) {
            self.probe = None;
            self.pausing = false;
            self.poll(network);
            self.flush(network);
        }
    }
}
