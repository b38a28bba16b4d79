//! Publishers, clients and the network around the server, in simulated time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use eventlog::{Epoch, Position};
use fanfare_oracle::{Line, What};

use crate::server::{Entry, Fault, Link, Server, ToClient, ToServer};

const MS: u64 = 1_000_000;
const CLIENTS: usize = 8;
const PUBLISHERS: usize = 3;
const ROOMS: [&str; 4] = ["a", "b", "c", "d"];
/// When the last thing breaks, and when the last event is published.
const HEALED: u64 = 8_000 * MS;
const END: u64 = 10_000 * MS;

/// Small random numbers from a seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn room(&mut self) -> String {
        ROOMS[usize::try_from(self.below(4)).unwrap()].to_owned()
    }
}

#[derive(Debug)]
enum Step {
    Publish(usize),
    Arrive(usize, Entry),
    Append(u64),
    Answer(usize, Entry, Option<Position>),
    ToServer(Link, ToServer),
    ToClient(Link, ToClient),
    Gone(Link),
    Cut(usize),
    Redial(usize),
    /// A connection that has not come about by now is tried again.
    Doubt(Link),
    Stir(usize),
    Crash,
    Restart,
    Heal,
}

#[derive(Default)]
struct Client {
    /// Which connection it is, counted.
    number: u64,
    is_up: bool,
    pid: Option<usize>,
    offset: Option<Position>,
    /// The rooms it wants to be in, and whether it is known to be.
    wanted: BTreeMap<String, bool>,
    calls: BTreeMap<u64, (String, bool)>,
    next_call: u64,
    /// What came before the answer to its CONNECT.
    early: Vec<(String, Position)>,
    /// It learns late, as an event stream does, that its connection was not resumed.
    is_stream: bool,
}

struct World {
    now: u64,
    ticks: u64,
    random: Random,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    steps: BTreeMap<u64, Step>,
    /// When the last message of each client's connection arrives: they do not overtake.
    arrivals: Vec<[u64; 2]>,
    server: Server,
    is_serving: bool,
    /// How often the server was started: what is under way to an older one is lost.
    life: u64,
    clients: Vec<Client>,
    next_event: Vec<u64>,
    lines: Vec<Line>,
}

/// A run: its trace, and how often the planted fault struck.
pub(crate) fn run(seed: u64, fault: Option<Fault>) -> (Vec<Line>, u64) {
    let mut world = World {
        now: 0,
        ticks: 0,
        random: Random(seed),
        queue: BinaryHeap::new(),
        steps: BTreeMap::new(),
        arrivals: vec![[0; 2]; CLIENTS],
        server: Server::new(fault),
        is_serving: true,
        life: 0,
        clients: (0..CLIENTS).map(|_| Client::default()).collect(),
        next_event: vec![0; PUBLISHERS],
        lines: Vec::new(),
    };
    world.plan();
    while let Some(Reverse((at, tick))) = world.queue.pop() {
        world.now = at;
        let step = world.steps.remove(&tick).unwrap();
        world.step(step);
        for (link, message) in world.server.take_outbox() {
            world.send(link, message);
        }
    }
    world.read_log();
    (world.lines, world.server.struck)
}

impl World {
    fn after(&mut self, delay: u64, step: Step) {
        self.ticks += 1;
        self.queue.push(Reverse((self.now + delay, self.ticks)));
        self.steps.insert(self.ticks, step);
    }

    fn soon(&mut self) -> u64 {
        MS / 5 + self.random.below(5 * MS)
    }

    fn line(&mut self, who: impl Into<String>, what: What) {
        self.lines.push(Line { at: self.now, who: who.into(), what });
    }

    fn plan(&mut self) {
        for client in 0..CLIENTS {
            self.clients[client].is_stream = client % 4 == 3;
            for _ in 0..2 {
                let room = self.random.room();
                self.clients[client].wanted.insert(room, false);
            }
            self.after(client as u64 * MS, Step::Redial(client));
            for _ in 0..5 {
                let at = self.random.below(HEALED);
                self.after(at, Step::Cut(client));
            }
            for _ in 0..6 {
                let at = self.random.below(END);
                self.after(at, Step::Stir(client));
            }
        }
        for publisher in 0..PUBLISHERS {
            self.after(20 * MS, Step::Publish(publisher));
        }
        for _ in 0..3 {
            let at = MS * 100 + self.random.below(HEALED - 1_000 * MS);
            self.after(at, Step::Crash);
        }
        self.after(HEALED, Step::Heal);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish(publisher) => self.publish(publisher),
            Step::Arrive(publisher, entry) => self.arrive(publisher, entry),
            Step::Append(life) => {
                if life == self.life && !self.server.late.is_empty() {
                    let entry = self.server.late.remove(0);
                    self.server.append(&entry, &mut self.random);
                }
            }
            Step::Answer(publisher, entry, position) => self.answer(publisher, entry, position),
            Step::ToServer(link, message) => {
                if self.is_serving {
                    self.server.receive(link, message, &mut self.random);
                }
            }
            Step::ToClient(link, message) => self.hear(link, message),
            Step::Gone(link) => self.server.gone(link),
            Step::Cut(client) => self.cut(client, "cut"),
            Step::Redial(client) => self.redial(client),
            Step::Doubt((client, number)) => {
                let it = &self.clients[client];
                if it.number == number && !it.is_up {
                    self.redial(client);
                }
            }
            Step::Stir(client) => self.stir(client),
            Step::Crash => self.crash(),
            Step::Restart => {
                self.is_serving = true;
                self.life += 1;
            }
            Step::Heal => self.line("run", What::Healed),
        }
    }

    fn publish(&mut self, publisher: usize) {
        self.next_event[publisher] += 1;
        let mut rooms = vec![self.random.room()];
        if self.random.below(5) == 0 {
            rooms.push(self.random.room());
            rooms.dedup();
        }
        let mut except = Vec::new();
        if self.random.below(8) == 0 {
            except.push(self.random.room());
        }
        let id = format!("p{publisher}-{}", self.next_event[publisher]);
        self.invoke(publisher, Entry { id, rooms, except });
    }

    fn invoke(&mut self, publisher: usize, entry: Entry) {
        let Entry { id, rooms, except } = entry.clone();
        // Each id is its own key.
        self.line(
            format!("p{publisher}"),
            What::Invoke { key: Some(id.clone()), id, rooms, except },
        );
        let delay = self.soon();
        self.after(delay, Step::Arrive(publisher, entry));
    }

    fn arrive(&mut self, publisher: usize, entry: Entry) {
        let mut position = None;
        if self.is_serving {
            position = Some(self.server.publish(entry.clone(), &mut self.random));
            if !self.server.late.is_empty() {
                let delay = self.soon();
                self.after(delay, Step::Append(self.life));
            }
            // Now and then the answer is lost on the way.
            position = position.filter(|_| self.random.below(50) > 0);
        }
        let delay = self.soon();
        self.after(delay, Step::Answer(publisher, entry, position));
    }

    fn answer(&mut self, publisher: usize, entry: Entry, position: Option<Position>) {
        let (who, id) = (format!("p{publisher}"), entry.id.clone());
        match position {
            Some(position) => {
                self.line(who, What::Ok { id, position: Some(position.to_string()) });
            }
            None => {
                self.line(who, What::Unknown { id });
                if self.random.below(2) == 0 {
                    self.invoke(publisher, entry);
                    return;
                }
            }
        }
        if self.now < END {
            let delay = 5 * MS + self.random.below(20 * MS);
            self.after(delay, Step::Publish(publisher));
        }
    }

    fn send(&mut self, link: Link, message: ToClient) {
        let delay = self.soon();
        let at = self.arrivals[link.0][0].max(self.now + delay) + 1;
        self.arrivals[link.0][0] = at;
        self.after(at - self.now, Step::ToClient(link, message));
    }

    fn say(&mut self, client: usize, message: ToServer) {
        let delay = self.soon();
        let at = self.arrivals[client][1].max(self.now + delay) + 1;
        self.arrivals[client][1] = at;
        let link = (client, self.clients[client].number);
        self.after(at - self.now, Step::ToServer(link, message));
    }

    fn redial(&mut self, client: usize) {
        let it = &mut self.clients[client];
        it.number += 1;
        it.early.clear();
        let (link, message) =
            ((client, it.number), ToServer::Connect { pid: it.pid, offset: it.offset });
        self.say(client, message);
        let patience = 100 * MS + self.random.below(300 * MS);
        self.after(patience, Step::Doubt(link));
    }

    /// Breaks the connection: the server notices a little later, sometimes after the client is back.
    fn cut(&mut self, client: usize, reason: &str) {
        let it = &mut self.clients[client];
        let link = (client, it.number);
        it.number += 1;
        let was_up = std::mem::replace(&mut it.is_up, false);
        if was_up {
            self.line(format!("c{client}"), What::Disconnect { reason: reason.into() });
        }
        let delay = self.random.below(400 * MS);
        self.after(delay, Step::Gone(link));
        // Some stay away for longer than is kept for them.
        let away = if self.random.below(4) == 0 { 2_000 } else { 300 };
        let delay = MS + self.random.below(away * MS);
        self.after(delay, Step::Redial(client));
    }

    fn crash(&mut self) {
        if !self.is_serving {
            return;
        }
        self.line("run", What::Fault { name: "kill".into() });
        self.is_serving = false;
        self.server.crash(&mut self.random);
        for client in 0..CLIENTS {
            self.cut(client, "server killed");
        }
        let delay = 50 * MS + self.random.below(200 * MS);
        self.after(delay, Step::Restart);
    }

    fn hear(&mut self, link: Link, message: ToClient) {
        let (client, number) = link;
        if self.clients[client].number != number {
            return; // of a connection that is gone
        }
        match message {
            ToClient::Event { id, position } if self.clients[client].is_up => {
                self.receive(client, id, position);
            }
            ToClient::Event { id, position } => self.clients[client].early.push((id, position)),
            ToClient::Connected { sid, pid, recovered } => {
                self.connected(client, (sid, pid, recovered));
            }
            ToClient::Done { call } => {
                let Some((room, is_join)) = self.clients[client].calls.remove(&call) else {
                    return;
                };
                if is_join {
                    self.clients[client].wanted.insert(room, true);
                }
                self.line(format!("c{client}"), What::Done { call });
            }
            ToClient::Closed => self.cut(client, "closed"),
        }
    }

    fn receive(&mut self, client: usize, id: String, position: Position) {
        self.clients[client].offset = Some(position);
        let position = Some(position.to_string());
        self.line(format!("c{client}"), What::Receive { id, position });
    }

    fn connected(&mut self, client: usize, (id, pid, recovered): (String, usize, bool)) {
        let who = format!("c{client}");
        let is_first = self.clients[client].pid.replace(pid).is_none();
        let is_stream = self.clients[client].is_stream && !is_first;
        for (id, position) in std::mem::take(&mut self.clients[client].early) {
            self.receive(client, id, position);
        }
        self.line(&who, What::Connect { id, recovered: recovered || is_stream });
        if is_stream && !recovered {
            self.line(&who, What::Reset);
        }
        let it = &mut self.clients[client];
        it.is_up = true;
        if !recovered {
            it.offset = None;
            it.wanted.values_mut().for_each(|is_member| *is_member = false);
        }
        // Questions that were not answered are asked again, the last one of each room.
        let calls = std::mem::take(&mut it.calls);
        let leaving = calls.into_values().filter(|(_, is_join)| recovered && !is_join);
        let leaving: Vec<String> = leaving.map(|(room, _)| room).collect();
        let joining = it.wanted.iter().filter(|(_, is_member)| !**is_member);
        let joining: Vec<String> = joining.map(|(room, _)| room.clone()).collect();
        for room in leaving.into_iter().filter(|room| !joining.contains(room)) {
            self.ask(client, room, false);
        }
        for room in joining {
            self.ask(client, room, true);
        }
    }

    /// Joins or leaves a room.
    fn stir(&mut self, client: usize) {
        if !self.clients[client].is_up {
            return;
        }
        let room = self.random.room();
        let is_asked = self.clients[client].calls.values().any(|(asked, _)| *asked == room);
        if is_asked {
            return;
        }
        if self.clients[client].wanted.remove(&room).is_some() {
            self.ask(client, room, false);
        } else {
            self.clients[client].wanted.insert(room.clone(), false);
            self.ask(client, room, true);
        }
    }

    fn ask(&mut self, client: usize, room: String, is_join: bool) {
        let it = &mut self.clients[client];
        it.next_call += 1;
        let call = it.next_call;
        it.calls.insert(call, (room.clone(), is_join));
        let (line, message) = if is_join {
            (What::Join { call, room: room.clone() }, ToServer::Join { call, room })
        } else {
            (What::Leave { call, room: room.clone() }, ToServer::Leave { call, room })
        };
        self.line(format!("c{client}"), line);
        self.say(client, message);
    }

    fn read_log(&mut self) {
        for room in ROOMS {
            let log = self.server.log.clone();
            for (at, entry) in log.into_iter().enumerate() {
                if entry.rooms.iter().any(|it| it == room) {
                    let position = Position { epoch: Epoch(7), sequence: at as u64 + 1 };
                    let (room, position) = (room.to_owned(), position.to_string());
                    self.line("run", What::Entry { room, id: entry.id, position });
                }
            }
            self.line("run", What::Read { room: room.to_owned() });
        }
    }
}
