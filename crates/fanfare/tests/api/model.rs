//! Random programs against a plain model: each client gets exactly what the model says, in order.
//!
//! `FANFARE_MODEL_CASES` sets how many programs are tried.

use crate::support::{PATIENCE, Site, short, sockets, within};
use fanfare::{AckError, Args, Broadcast, Socket};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, mpsc};
use testkit::{Client, Event, Transport};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

/// Clients at a time.
const SLOTS: usize = 5;

/// Programs that are tried unless told otherwise.
const CASES: u32 = 24;

/// A room by name, or the own room of whoever is in a slot.
#[derive(Debug, Clone, Copy)]
enum Place {
    Named(&'static str),
    Of(usize),
}

#[derive(Debug, Clone)]
struct Aim {
    /// The socket that sends, if it is one: it is left out.
    from: Option<usize>,
    to: Vec<Place>,
    except: Vec<Place>,
}

#[derive(Debug, Clone)]
enum Step {
    Connect(usize, Transport),
    Join(usize, Place),
    Leave(usize, Place),
    Broadcast(Aim),
    JoinAll(Aim, Place),
    LeaveAll(Aim, Place),
    DisconnectAll(Aim, bool),
    Emit(usize),
    /// An event that is answered when the client is looked at.
    Ask(usize),
    /// The server disconnects it, with its connection or not.
    Disconnect(usize, bool),
    /// The client leaves.
    Depart(usize),
    /// What came is looked at.
    Look(usize),
    /// The shard of this client stands still until something has to be waited for: all that is
    /// done meanwhile is one tick.
    Hold(usize),
    /// Something between two broadcasts to the room `a`, which might be joined into one run.
    Between(Box<Step>),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = || 0..SLOTS;
    let place = || {
        prop_oneof![
            4 => select(vec!["a", "a", "b", "c"]).prop_map(Place::Named),
            1 => slot().prop_map(Place::Of),
        ]
    };
    let places = |most: usize| prop::collection::vec(place(), 0..=most);
    // Mostly the same few, so that there is something to be joined.
    let aim = move || {
        let usual = select(vec![vec!["a"], vec!["a"], vec!["a", "b"], vec![]]).prop_map(|to| Aim {
            from: None,
            to: to.into_iter().map(Place::Named).collect(),
            except: Vec::new(),
        });
        let any = (prop::option::of(slot()), places(2), places(1))
            .prop_map(|(from, to, except)| Aim { from, to, except });
        prop_oneof![3 => usual, 1 => any]
    };
    let transport = select(vec![Transport::WebSocket, Transport::Polling, Transport::Upgrade]);
    let at_once = prop_oneof![
        4 => (slot(), place()).prop_map(|(slot, place)| Step::Join(slot, place)),
        3 => (slot(), place()).prop_map(|(slot, place)| Step::Leave(slot, place)),
        8 => aim().prop_map(Step::Broadcast),
        1 => (aim(), place()).prop_map(|(aim, place)| Step::JoinAll(aim, place)),
        1 => (aim(), place()).prop_map(|(aim, place)| Step::LeaveAll(aim, place)),
        1 => (aim(), any::<bool>()).prop_map(|(aim, close)| Step::DisconnectAll(aim, close)),
        6 => slot().prop_map(Step::Emit),
        2 => slot().prop_map(Step::Ask),
        1 => (slot(), any::<bool>()).prop_map(|(slot, close)| Step::Disconnect(slot, close)),
    ];
    let between = at_once.clone().prop_map(|step| Step::Between(Box::new(step)));
    prop_oneof![
        3 => (slot(), transport).prop_map(|(slot, transport)| Step::Connect(slot, transport)),
        10 => at_once,
        10 => between,
        1 => slot().prop_map(Step::Depart),
        1 => slot().prop_map(Step::Look),
        4 => slot().prop_map(Step::Hold),
    ]
}

/// A client, and what the model says it gets.
struct Live {
    client: Client,
    socket: Socket,
    expected: Vec<String>,
    asked: Vec<(u32, JoinHandle<Result<Args, AckError>>)>,
}

impl Live {
    fn compare(&mut self, events: &[Event]) {
        let got: Vec<String> = events.iter().map(short).collect();
        assert_eq!(got, std::mem::take(&mut self.expected), "{}", self.client.id());
    }

    /// What came until now is what should have; questions are answered.
    async fn look(&mut self) {
        self.client.emit_with_ack("sync", []).await.unwrap();
        let events = self.client.take_events();
        self.compare(&events);
        for event in events.iter().filter(|event| event.ack.is_some()) {
            self.client.answer(event, event.args.clone()).await.unwrap();
        }
        for (n, answer) in self.asked.drain(..) {
            let answer = within(answer).await.unwrap().unwrap();
            assert_eq!(answer.parse::<(u32,)>().unwrap(), (n,));
        }
    }

    /// The server has disconnected it: everything before that came, and nothing after.
    async fn ended(mut self) {
        assert_eq!(self.client.closed().await.unwrap(), testkit::Closed::Namespace);
        let events = self.client.take_events();
        self.compare(&events);
        for (_, answer) in self.asked.drain(..) {
            let answer = within(answer).await.unwrap();
            assert!(matches!(answer, Err(AckError::Disconnected)), "{answer:?}");
        }
    }
}

struct World {
    site: Site,
    connected: UnboundedReceiver<Socket>,
    held: UnboundedReceiver<()>,
    release: mpsc::Sender<()>,
    is_held: bool,
    slots: [Option<Live>; SLOTS],
    rooms: HashMap<String, BTreeSet<usize>>,
    /// Those whom the server disconnected, still to be looked at.
    ended: Vec<Live>,
    next: u32,
}

impl World {
    fn new() -> World {
        let site = Site::new();
        let connected = sockets(&site.io.main());
        let (holds, held) = unbounded_channel();
        let (release, released) = mpsc::channel();
        let released = Mutex::new(released);
        site.io.main().on("hold", move |_: Socket, _: Args| {
            holds.send(()).unwrap();
            released.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            async {}
        });
        let (slots, rooms, ended) = (std::array::from_fn(|_| None), HashMap::new(), Vec::new());
        World { site, connected, held, release, is_held: false, slots, rooms, ended, next: 0 }
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn room(&self, place: Place) -> String {
        match place {
            Place::Named(name) => name.to_owned(),
            Place::Of(slot) => match &self.slots[slot] {
                Some(live) => live.socket.id().as_str().to_owned(),
                None => format!("nobody {slot}"),
            },
        }
    }

    fn members(&self, room: &str) -> BTreeSet<usize> {
        self.rooms.get(room).cloned().unwrap_or_default()
    }

    /// Who is meant, as the library has it and as the model has it.
    fn aim(&self, aim: &Aim) -> (Broadcast, BTreeSet<usize>) {
        let from = aim.from.and_then(|slot| self.slots[slot].as_ref());
        let mut broadcast = match from {
            Some(live) => live.socket.broadcast(),
            None => self.site.io.broadcast(),
        };
        let all = (0..SLOTS).filter(|slot| self.slots[*slot].is_some()).collect();
        let mut meant = if aim.to.is_empty() { all } else { BTreeSet::new() };
        for room in aim.to.iter().map(|place| self.room(*place)) {
            meant.extend(self.members(&room));
            broadcast = broadcast.to(room);
        }
        let sender = from.map(|live| live.socket.id().as_str().to_owned());
        for room in aim.except.iter().map(|place| self.room(*place)) {
            let members = self.members(&room);
            meant.retain(|slot| !members.contains(slot));
            broadcast = broadcast.except(room);
        }
        let members = sender.map_or_else(BTreeSet::new, |id| self.members(&id));
        meant.retain(|slot| !members.contains(slot));
        (broadcast, meant)
    }

    fn enter(&mut self, slot: usize, room: &str) {
        self.rooms.entry(room.to_owned()).or_default().insert(slot);
    }

    fn forget(&mut self, slot: usize) -> Option<Live> {
        for members in self.rooms.values_mut() {
            members.remove(&slot);
        }
        self.slots[slot].take()
    }

    /// Lets the shard that stands still go on: something is to be waited for.
    fn let_go(&mut self) {
        if std::mem::take(&mut self.is_held) {
            self.release.send(()).unwrap();
        }
    }

    /// Looks at those whom the server disconnected.
    async fn bury(&mut self) {
        self.let_go();
        for live in self.ended.drain(..) {
            live.ended().await;
        }
    }

    async fn connect(&mut self, slot: usize, transport: Transport) {
        if self.slots[slot].is_some() {
            return;
        }
        self.bury().await;
        let client = self.site.client_over(transport).await;
        let socket = within(self.connected.recv()).await.unwrap();
        assert_eq!(client.id(), socket.id().as_str());
        self.enter(slot, client.id());
        let (expected, asked) = (Vec::new(), Vec::new());
        self.slots[slot] = Some(Live { client, socket, expected, asked });
    }

    /// What is done with one socket.
    async fn with_one(&mut self, step: &Step, slot: usize) {
        let n = self.number();
        let Some(live) = &mut self.slots[slot] else { return };
        match step {
            Step::Emit(_) => {
                live.socket.emit("d", (n,)).unwrap();
                live.expected.push(format!("d({n})"));
            }
            Step::Ask(_) => {
                let answer = live.socket.emit_with_ack("q", (n,), PATIENCE);
                live.asked.push((n, tokio::spawn(answer)));
                live.expected.push(format!("q({n})"));
            }
            Step::Disconnect(_, close) => {
                live.socket.disconnect(*close);
                let live = self.forget(slot);
                self.ended.extend(live);
            }
            Step::Depart(_) => {
                self.bury().await;
                let Some(mut live) = self.forget(slot) else { return };
                live.look().await;
                let socket = live.socket.clone();
                live.client.disconnect().await.unwrap();
                crate::support::eventually("departed", || !socket.is_connected()).await;
            }
            Step::Hold(_) if !self.is_held => {
                live.client.emit("hold", []).await.unwrap();
                within(self.held.recv()).await.unwrap();
                self.is_held = true;
            }
            Step::Look(_) => {
                self.let_go();
                if let Some(live) = &mut self.slots[slot] {
                    live.look().await;
                }
            }
            _ => {}
        }
    }

    fn with_many(&mut self, step: &Step) {
        match step {
            Step::Broadcast(aim) => {
                let n = self.number();
                let (broadcast, meant) = self.aim(aim);
                broadcast.emit("b", (n,)).unwrap();
                for (slot, live) in self.slots.iter_mut().enumerate() {
                    if let Some(live) = live.as_mut().filter(|_| meant.contains(&slot)) {
                        live.expected.push(format!("b({n})"));
                    }
                }
            }
            Step::JoinAll(aim, place) => {
                let (room, (broadcast, meant)) = (self.room(*place), self.aim(aim));
                drop(broadcast.sockets_join(&room).unwrap());
                meant.iter().for_each(|slot| self.enter(*slot, &room));
            }
            Step::LeaveAll(aim, place) => {
                let (room, (broadcast, meant)) = (self.room(*place), self.aim(aim));
                drop(broadcast.sockets_leave(&room).unwrap());
                self.rooms.entry(room).or_default().retain(|slot| !meant.contains(slot));
            }
            Step::DisconnectAll(aim, close) => {
                let (broadcast, meant) = self.aim(aim);
                drop(broadcast.disconnect_sockets(*close).unwrap());
                for slot in meant {
                    let live = self.forget(slot);
                    self.ended.extend(live);
                }
            }
            _ => {}
        }
    }

    async fn run(&mut self, step: &Step) {
        if let Step::Between(step) = step {
            let aim = Aim { from: None, to: vec![Place::Named("a")], except: Vec::new() };
            let around = Step::Broadcast(aim);
            self.with_many(&around);
            self.one(step).await;
            self.with_many(&around);
        } else {
            self.one(step).await;
        }
    }

    async fn one(&mut self, step: &Step) {
        match step {
            Step::Connect(slot, transport) => self.connect(*slot, *transport).await,
            Step::Join(slot, place) => {
                let room = self.room(*place);
                let Some(live) = &self.slots[*slot] else { return };
                drop(live.socket.join(&room).unwrap());
                self.enter(*slot, &room);
            }
            Step::Leave(slot, place) => {
                let room = self.room(*place);
                let Some(live) = &self.slots[*slot] else { return };
                live.socket.leave(&room).unwrap();
                self.rooms.entry(room).or_default().remove(slot);
            }
            Step::Emit(slot)
            | Step::Ask(slot)
            | Step::Disconnect(slot, _)
            | Step::Depart(slot)
            | Step::Look(slot)
            | Step::Hold(slot) => self.with_one(step, *slot).await,
            Step::Broadcast(_)
            | Step::JoinAll(..)
            | Step::LeaveAll(..)
            | Step::DisconnectAll(..)
            | Step::Between(_) => self.with_many(step),
        }
    }

    /// At the end everybody is looked at, and the server's own account is right.
    async fn end(mut self) {
        self.bury().await;
        let mut there = BTreeSet::new();
        for live in self.slots.iter_mut().flatten() {
            live.look().await;
            there.insert(live.socket.id().as_str().to_owned());
        }
        let mut found = BTreeSet::new();
        for socket in self.site.io.broadcast().fetch_sockets().await.unwrap() {
            let id = socket.id().as_str().to_owned();
            let slot = self
                .slots
                .iter()
                .position(|live| live.as_ref().is_some_and(|live| live.socket.id() == socket.id()));
            let rooms: BTreeSet<_> = socket.rooms().iter().map(|it| it.as_str().into()).collect();
            let in_model = |(_, members): &(&String, &BTreeSet<usize>)| {
                slot.is_some_and(|slot| members.contains(&slot))
            };
            let expected: BTreeSet<String> =
                self.rooms.iter().filter(in_model).map(|(room, _)| room.clone()).collect();
            assert_eq!(rooms, expected, "rooms of {id}");
            found.insert(id);
        }
        assert_eq!(found, there);
        self.slots = std::array::from_fn(|_| None);
        assert_eq!(self.site.counts().handler_panics, 0);
        self.site.end().await;
    }
}

fn run(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new();
        // Most programs begin with somebody.
        for slot in 0..3 {
            let transport = [Transport::WebSocket, Transport::Polling][slot % 2];
            world.connect(slot, transport).await;
        }
        for step in steps {
            world.run(step).await;
        }
        world.end().await;
    });
}

/// What the model says, to the letter.
#[test]
fn random_programs() {
    let cases = std::env::var("FANFARE_MODEL_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 300,
        ..ProptestConfig::default()
    };
    let programs = prop::collection::vec(step(), 1..80);
    TestRunner::new(config)
        .run(&programs, |steps| {
            run(&steps);
            Ok(())
        })
        .unwrap();
}
