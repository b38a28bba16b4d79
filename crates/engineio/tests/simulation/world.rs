//! Time, chance and the network.

use crate::client::Client;
use crate::server::Server;
use fanfare_engineio::{Revision, Settings, Transport};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// What happens in one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) revision: Revision,
    pub(crate) start_on: Transport,
    pub(crate) upgrade: bool,
    /// The first WebSocket dies on its way; the client then tries a second.
    pub(crate) break_first_probe: bool,
    /// How many messages go each way.
    pub(crate) messages: u32,
    /// The client falls silent half way.
    pub(crate) client_dies: bool,
}

/// Something that happens at a time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    ServerTimer,
    ServerSends(u32),
    ClientSends(u32),
    ClientPings,
    ClientProbes,
    ClientDies,
    ProbeBreaks(u32),
    /// A `GET` reaches the server.
    Get,
    /// Its response reaches the client.
    Response(String),
    /// The head of a `POST` reaches the server, then its body, then the answer the client.
    PostHead,
    PostBody(String),
    PostDone,
    /// WebSocket number, frame.
    SocketOpens(u32),
    ToServer(u32, String),
    ToClient(u32, String),
    SocketCloses(u32),
}

/// A small generator of chance (xorshift64*), so that a seed repeats a run.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// What is under way, and when it arrives.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) now: Instant,
    chance: Chance,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    sequence: u64,
    /// When the last frame of each WebSocket and direction arrives: frames do not overtake.
    last: Vec<((u32, bool), Instant)>,
}

impl Network {
    pub(crate) fn at(&mut self, when: Instant, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((when, self.sequence, event)));
    }

    pub(crate) fn after(&mut self, millis: u64, event: Event) {
        self.at(self.now + Duration::from_millis(millis), event);
    }

    /// Sends something that arrives after a random delay, alone.
    pub(crate) fn send(&mut self, event: Event) {
        let delay = self.delay();
        self.after(delay, event);
    }

    /// Sends something on a WebSocket, in order.
    pub(crate) fn send_on(&mut self, socket: u32, up: bool, event: Event) {
        let mut when = self.now + Duration::from_millis(self.delay());
        match self.last.iter_mut().find(|(key, _)| *key == (socket, up)) {
            Some((_, last)) => {
                when = when.max(*last);
                *last = when;
            }
            None => self.last.push(((socket, up), when)),
        }
        self.at(when, event);
    }

    fn delay(&mut self) -> u64 {
        // Mostly quick, now and then slow; twice this is under the ping timeout.
        if self.chance.below(8) == 0 { self.chance.below(90) } else { self.chance.below(15) }
    }
}

/// One server, one client, and what is between them.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) client: Client,
    network: Network,
}

impl World {
    #[allow(
        clippy::disallowed_methods,
        reason = "simulated time needs a start; only differences count"
    )]
    pub(crate) fn new(plan: Plan, settings: Settings) -> Self {
        let now = Instant::now();
        let mut network = Network {
            now,
            chance: Chance(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            events: BinaryHeap::new(),
            sequence: 0,
            last: Vec::new(),
        };
        let ping_interval = settings.ping_interval;
        let server = Server::new(now, plan, settings, &mut network);
        let client = Client::new(plan, ping_interval, &mut network);
        // Half of the messages come in the first half second, where the upgrade is.
        for number in 0..plan.messages {
            let spread = if number < plan.messages / 2 { 500 } else { 3_000 };
            let share = u64::from(number) * spread / u64::from(plan.messages);
            network.after(share, Event::ServerSends(number));
            network.after(share, Event::ClientSends(number));
        }
        if plan.upgrade {
            let start = network.chance.below(200);
            network.after(start, Event::ClientProbes);
        }
        if plan.client_dies {
            let when = 50 + network.chance.below(2_000);
            network.after(when, Event::ClientDies);
        }
        Self { server, client, network }
    }

    /// Lets things happen for some time.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.network.now + time;
        while let Some(Reverse((when, _, event))) = self.network.events.pop() {
            if when > end {
                return;
            }
            self.network.now = when;
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        let Self { server, client, network } = self;
        match event {
            Event::ServerTimer => server.timer(network),
            Event::ServerSends(number) => server.emit(number, network),
            Event::Get => server.get(network),
            Event::PostHead => server.post_head(network),
            Event::PostBody(body) => server.post_body(&body, network),
            Event::SocketOpens(socket) => server.socket_opens(socket, network),
            Event::ToServer(socket, frame) => server.frame(socket, &frame, network),
            Event::ProbeBreaks(socket) => {
                server.socket_breaks(socket, network);
                client.socket_closes(socket, network);
            }
            Event::ClientSends(number) => client.emit(number, network),
            Event::ClientPings => client.ping(network),
            Event::ClientProbes => client.probe(network),
            Event::ClientDies => client.die(network),
            Event::Response(body) => client.response(&body, network),
            Event::PostDone => client.post_done(network),
            Event::ToClient(socket, frame) => client.frame(socket, &frame, network),
            Event::SocketCloses(socket) => client.socket_closes(socket, network),
        }
    }
}
