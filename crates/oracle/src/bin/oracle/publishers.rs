//! Publishers: each sends one event after the other, and writes down what it was answered.

use std::time::Duration;

use fanfare_oracle::What;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::random::Random;
use crate::recorder::Recorder;
use crate::shapes::{self, EVERYBODY, Event, Published};

/// How many there are. Every second one uses idempotency keys and tries again.
const PUBLISHERS: u64 = 4;

/// How many events they publish together, per second.
pub(crate) const RATE: u64 = 100;

/// How long an event is tried again, and how long after each try.
const PERSISTENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(100);

/// What the rooms of a run are called.
pub(crate) const ROOMS: [&str; 4] = ["red", "green", "blue", "gold"];

/// Publishers at work.
#[derive(Debug)]
pub(crate) struct Publishers {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// How publishers publish.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) recorder: Recorder,
    /// Where the server is now, if it runs.
    pub(crate) url: watch::Receiver<Option<String>>,
    /// Whether the server knows idempotency keys.
    pub(crate) has_keys: bool,
    /// Bytes that make each event larger.
    pub(crate) padding: usize,
}

impl Publishers {
    /// Sets them to work.
    pub(crate) fn start(desk: &Desk, random: &mut Random) -> Self {
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for number in 0..PUBLISHERS {
            let (desk, random, stop) = (desk.clone(), random.fork(), stop.subscribe());
            tasks.spawn(desk.work(number, random, stop));
        }
        Self { tasks, stop }
    }

    /// Waits until each has finished what it was doing.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
    }
}

impl Desk {
    async fn work(self, number: u64, mut random: Random, stop: watch::Receiver<bool>) {
        let who = format!("p{number}");
        let mut clock = tokio::time::interval(Duration::from_millis(1_000 * PUBLISHERS / RATE));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for count in 0_u64.. {
            clock.tick().await;
            if *stop.borrow() {
                return;
            }
            let id = format!("{who}-{count}");
            let key = (self.has_keys && number.is_multiple_of(2)).then(|| id.clone());
            let (rooms, except) = target(&mut random);
            let event = Event { id, rooms, except, key, padding: self.padding };
            self.publish(&who, event).await;
        }
    }

    /// Publishes an event, and with a key again and again until the answer is known.
    pub(crate) async fn publish(&self, who: &str, event: Event) {
        let begin = Instant::now();
        loop {
            let answer = self.attempt(who, &event).await;
            let is_settled = matches!(answer, Published::Acked(_));
            if is_settled || event.key.is_none() || begin.elapsed() > PERSISTENCE {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, who: &str, event: &Event) -> Published {
        let Some(url) = self.url.borrow().clone() else {
            tokio::time::sleep(PAUSE).await;
            return Published::Refused; // there is nobody to ask
        };
        let Event { id, rooms, except, key, .. } = event.clone();
        self.recorder.write(who, What::Invoke { id, rooms, except, key });
        let answer = shapes::publish(&url, event).await;
        let id = event.id.clone();
        let what = match answer.clone() {
            Published::Acked(position) => What::Ok { id, position },
            Published::Refused => What::Failed { id },
            Published::Unknown => What::Unknown { id },
        };
        self.recorder.write(who, what);
        answer
    }
}

/// Mostly one room; sometimes two, all but a room, or everybody.
fn target(random: &mut Random) -> (Vec<String>, Vec<String>) {
    let mut room = || random.pick(&ROOMS).map_or_else(String::new, |it| (*it).to_owned());
    let (first, second) = (room(), room());
    match random.below(20) {
        0..14 => (vec![first], Vec::new()),
        14..17 if first != second => (vec![first, second], Vec::new()),
        17..19 if first != second => (vec![first], vec![second]),
        19 => (vec![EVERYBODY.to_owned()], Vec::new()),
        _ => (vec![second], Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_targets_are_used_and_none_is_empty() {
        let mut random = Random::new(1);
        let targets: Vec<_> = (0..1_000).map(|_| target(&mut random)).collect();
        assert!(targets.iter().all(|(rooms, except)| !rooms.is_empty() && rooms != except));
        assert!(targets.iter().any(|(rooms, _)| rooms.len() == 2));
        assert!(targets.iter().any(|(_, except)| !except.is_empty()));
        assert!(targets.iter().any(|(rooms, _)| rooms[0] == EVERYBODY));
    }
}
