//! The bus between what happened and those whom it concerns: events wait in the outbox, written in the
//! transaction that made them true, and are published from there in order.
//!
//! An event is forgotten only when it is published. If the process ends in between, it is published
//! again after the restart, with the same id: whoever publishes must not let it be seen twice.
//!
//! Results are read in one moment with what waits, and told behind it: what they count was told before,
//! and a poll that is told to be closed gets no more results of when it was open.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use services::time;
use tokio::sync::Notify;

use crate::conflate::Conflation;
use crate::counters::{Counters, count};
use crate::domain::{Poll, Results};
use crate::error::Refused;
use crate::event::Event;
use crate::store::{Database, Dialect, Moment, Pending};

/// How long is waited after a failure: at first, and at most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// How often is looked although nobody called. With PostgreSQL other nodes leave events behind too.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_SHARED: Duration = Duration::from_millis(200);

/// For how long a node takes the task; then another one may.
const LEASE_MS: u64 = 10_000;

/// The results of how many polls are told at once at most.
const MAX_RESULTS: usize = 64;

/// After a restart the results of polls that closed within this time are told once more.
const RETOLD_MS: u64 = 60_000;

/// Who brings events to those whom they concern.
pub trait Publisher: std::fmt::Debug + Send + Sync + 'static {
    /// Publishes an event. If it `repeats`, the same event may have been published before; then it must
    /// not be seen again. What comes first is begun first: it is polled before the next is asked for.
    fn publish<'a>(
        &'a self,
        event: &'a Event,
        repeats: bool,
    ) -> BoxFuture<'a, Result<(), NotPublished>>;
}

/// Why an event was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    /// Not now. It is tried again.
    #[error("{0}")]
    Later(String),
    /// Never, because of what it is: a bug. It is forgotten.
    #[error("{0}")]
    Never(String),
}

/// Publishes what waits in the outbox, and results behind what changed them.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) db: Database,
    pub(crate) publisher: Arc<dyn Publisher>,
    /// Says that something was left behind.
    pub(crate) called: Arc<Notify>,
    /// Who this is among the nodes.
    pub(crate) node: String,
    /// Which results are to be told, and when.
    pub(crate) results: Conflation,
    pub(crate) counters: Arc<Counters>,
}

impl Relay {
    /// Publishes for as long as the process lives.
    pub(crate) async fn run(mut self) {
        let look = match self.db.dialect() {
            Dialect::Sqlite => LOOK,
            Dialect::Postgres => LOOK_SHARED,
        };
        let (mut retry, mut began) = (RETRY_FIRST, false);
        loop {
            let wait = match self.turn(&mut began).await {
                Ok(Turn::More) => continue,
                Ok(Turn::Waits(wait)) => {
                    retry = RETRY_FIRST;
                    wait.map_or(look, |wait| wait.min(look))
                }
                Err(error) => {
                    tracing::warn!(%error, "events of live polling wait to be published");
                    retry = (retry * 2).min(RETRY_LAST);
                    retry
                }
            };
            // A call that came meanwhile is not lost: the next wait ends at once.
            let _ = tokio::time::timeout(wait, self.called.notified()).await;
        }
    }

    /// Publishes the oldest events, and results if nothing waits behind those. `began` says whether this
    /// node has the task since a turn before.
    async fn turn(&mut self, began: &mut bool) -> Result<Turn, RelayError> {
        if !self.is_ours().await? {
            *began = false;
            return Ok(Turn::Waits(None));
        }
        if !*began {
            // Results of before a restart, or of another node, may not have been told.
            let since = time::now_ms().saturating_sub(RETOLD_MS);
            let lively = self.db.lively(since).await?;
            lively.into_iter().for_each(|poll| self.results.mark(poll));
            *began = true;
        }
        let due = self.results.due(Instant::now(), MAX_RESULTS);
        let moment = match self.db.moment(due.clone()).await {
            Ok(moment) => moment,
            Err(error) => {
                self.results.untold(due);
                return Err(error.into());
            }
        };
        let Moment { pending, complete, results } = moment;
        let (done, failure) = self.publish(&pending).await;
        self.note(pending.len(), done.len());
        let counted = pending.iter().filter_map(|it| it.event.counted());
        if complete && failure.is_none() {
            // Those that are told now have it in them.
            counted.filter(|poll| !due.contains(poll)).for_each(|poll| self.results.mark(poll));
            self.tell(results).await;
        } else {
            counted.for_each(|poll| self.results.mark(poll));
            self.results.untold(due);
        }
        let more = !done.is_empty();
        if more {
            self.db.published(done).await?;
        }
        if let Some(error) = failure {
            return Err(error.into());
        }
        let now = Instant::now();
        let next = self.results.next(now).map(|at| at.saturating_duration_since(now));
        Ok(if more { Turn::More } else { Turn::Waits(next) })
    }

    /// Counts what was published, and what was not.
    fn note(&self, pending: usize, done: usize) {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.counters.events.fetch_add(number(done), Ordering::Relaxed);
        self.counters.waiting.store(number(pending.saturating_sub(done)), Ordering::Relaxed);
    }

    /// Tells results. Those that cannot be told now are told later, as they are then.
    async fn tell(&mut self, results: Vec<(Results, Poll)>) {
        let (publisher, counters) = (&self.publisher, &self.counters);
        let telling = results.into_iter().map(|(results, poll)| async move {
            let event = match Event::results_updated(&poll, &results, time::now_ms()) {
                Ok(event) => event,
                Err(_) => return Some(poll.id), // the system had no random bytes
            };
            match publisher.publish(&event, false).await {
                Ok(()) => {
                    count(&counters.results);
                    None
                }
                Err(NotPublished::Never(error)) => {
                    tracing::error!(%error, "results cannot be told: a bug");
                    None
                }
                Err(NotPublished::Later(error)) => {
                    tracing::debug!(%error, "results wait to be told");
                    Some(poll.id)
                }
            }
        });
        let untold: Vec<_> = join_all(telling).await.into_iter().flatten().collect();
        // Not at once: what cannot be told now needs a moment.
        untold.into_iter().for_each(|poll| self.results.mark(poll));
    }

    /// Of several nodes one publishes.
    async fn is_ours(&self) -> Result<bool, Refused> {
        if self.db.dialect() == Dialect::Sqlite {
            return Ok(true);
        }
        let now = time::now_ms();
        self.db.lease("relay", self.node.clone(), (now, now.saturating_add(LEASE_MS))).await
    }

    /// Begins all of them in order, and waits for all. Those behind one that failed may be published
    /// before it: they are not held back by what the log refuses of another room.
    async fn publish(&self, pending: &[Pending]) -> (Vec<i64>, Option<NotPublished>) {
        let mut waiting = Vec::with_capacity(pending.len());
        for it in pending {
            let mut publishing = self.publisher.publish(&it.event, true);
            let begun = (&mut publishing).now_or_never();
            waiting.push(async move {
                match begun {
                    Some(published) => published,
                    None => publishing.await,
                }
            });
        }
        let published = join_all(waiting).await;
        let (mut done, mut failure) = (Vec::with_capacity(pending.len()), None);
        for (it, published) in pending.iter().zip(published) {
            match published {
                Ok(()) => done.push(it.seq),
                Err(NotPublished::Never(error)) => {
                    let (event, kind) = (&it.event.id, &it.event.kind);
                    tracing::error!(%error, %event, %kind, "an event cannot be published: a bug");
                    done.push(it.seq);
                }
                Err(later @ NotPublished::Later(_)) => failure = Some(later),
            }
        }
        (done, failure)
    }
}

/// What a turn leaves.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// There may be more at once.
    More,
    /// Nothing waits; results are to be told after this time.
    Waits(Option<Duration>),
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] Refused),
    #[error(transparent)]
    Publish(#[from] NotPublished),
}

/// Runs something again and again until the process ends; what goes wrong is reported.
pub(crate) async fn every<F>(pause: Duration, what: &'static str, act: impl Fn() -> F)
where
    F: Future<Output = Result<(), Refused>>,
{
    loop {
        tokio::time::sleep(pause).await;
        if let Err(error) = act().await {
            tracing::warn!(%error, what, "a task of live polling failed; it is tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    //! Whatever fails and whenever it ends: what happened is published, in order, and seen once.

    use std::collections::HashSet;
    use std::sync::Mutex;

    use super::*;
    use crate::domain::{Ballot, Code, Draft, ParticipantId, PollId, Session, SessionId};
    use crate::store::{Cast, Target};

    /// Shows each event once, and fails when told to.
    #[derive(Debug, Default)]
    struct Shown {
        seen: Mutex<Vec<String>>,
        ids: Mutex<HashSet<String>>,
        /// The next answers; then it is all good.
        answers: Mutex<Vec<Result<(), NotPublished>>>,
    }

    impl Publisher for Shown {
        fn publish<'a>(
            &'a self,
            event: &'a Event,
            _repeats: bool,
        ) -> BoxFuture<'a, Result<(), NotPublished>> {
            let answer = self.answers.lock().unwrap().pop().unwrap_or(Ok(()));
            if answer.is_ok() && self.ids.lock().unwrap().insert(event.id.clone()) {
                let results = &event.payload["results"];
                let seen = match event.payload["session"]["title"].as_str() {
                    Some(title) => title.to_owned(),
                    None => format!("{} {} {}", event.kind, results["state"], results["votes"]),
                };
                self.seen.lock().unwrap().push(seen);
            }
            async move {
                tokio::task::yield_now().await;
                answer
            }
            .boxed()
        }
    }

    async fn relay(events: u64) -> (Relay, Arc<Shown>) {
        let db = Database::open(&Target::Memory).await.unwrap();
        for number in 0..events {
            let id = SessionId::from_random([u8::try_from(number % 251).unwrap(); 10]);
            let code = Code::from_random(number);
            let session = Session::create(id, code, &number.to_string(), 1).unwrap();
            db.create_session(session, vec![code]).await.unwrap();
        }
        let shown = Arc::new(Shown::default());
        let (publisher, called) = (Arc::clone(&shown) as Arc<dyn Publisher>, Arc::default());
        let results = Conflation::new(Duration::from_secs(3_600));
        (
            Relay {
                db,
                publisher,
                called,
                node: "a".to_owned(),
                results,
                counters: Arc::default(),
            },
            shown,
        )
    }

    async fn publish_all(relay: &mut Relay) -> Turn {
        loop {
            let turn = relay.turn(&mut true).await.unwrap();
            if turn != Turn::More {
                return turn;
            }
        }
    }

    async fn waiting(relay: &Relay) -> usize {
        relay.db.moment(Vec::new()).await.unwrap().pending.len()
    }

    fn titles(events: u64) -> Vec<String> {
        (0..events).map(|number| number.to_string()).collect()
    }

    #[tokio::test]
    async fn events_are_published_in_order() {
        let (mut relay, shown) = relay(200).await;
        publish_all(&mut relay).await;
        assert_eq!(*shown.seen.lock().unwrap(), titles(200));
        assert_eq!(waiting(&relay).await, 0);
    }

    #[tokio::test]
    async fn what_failed_is_published_later_and_nothing_twice() {
        let (mut relay, shown) = relay(5).await;
        let later = || Err(NotPublished::Later("full".to_owned()));
        // Taken from the end: the second and the fourth fail.
        *shown.answers.lock().unwrap() = vec![Ok(()), later(), Ok(()), later(), Ok(())];
        assert!(relay.turn(&mut true).await.is_err());
        assert_eq!(waiting(&relay).await, 2);
        publish_all(&mut relay).await;
        let seen = shown.seen.lock().unwrap().clone();
        assert_eq!(seen, ["0", "2", "4", "1", "3"]);
    }

    #[tokio::test]
    async fn what_can_never_be_published_does_not_hold_up_the_rest() {
        let (mut relay, shown) = relay(3).await;
        let never = Err(NotPublished::Never("too large".to_owned()));
        *shown.answers.lock().unwrap() = vec![Ok(()), never, Ok(())];
        publish_all(&mut relay).await;
        assert_eq!(*shown.seen.lock().unwrap(), ["0", "2"]);
        assert_eq!(waiting(&relay).await, 0);
    }

    #[tokio::test]
    async fn what_was_published_before_the_end_is_not_seen_again() {
        let (mut relay, shown) = relay(4).await;
        let pending = relay.db.moment(Vec::new()).await.unwrap().pending;
        // Published, and then the process ended before that was written down.
        relay.publish(&pending).await;
        publish_all(&mut relay).await;
        assert_eq!(*shown.seen.lock().unwrap(), titles(4));
    }

    /// A poll with votes of two participants, the first of them told already.
    async fn voted(relay: &mut Relay) -> (PollId, impl Fn() -> Cast + use<>) {
        let session = SessionId::from_random([0; 10]);
        let draft =
            Draft { question: "?".to_owned(), kind: "rating".to_owned(), ..Draft::default() };
        let poll = PollId::from_random([1; 10]);
        relay.db.start_session(session.clone(), 2).await.unwrap();
        relay.db.create_poll(session.clone(), poll.clone(), draft, 3).await.unwrap();
        relay.db.activate(poll.clone(), 4).await.unwrap();
        let (id, count) = (poll.clone(), std::cell::Cell::new(0));
        let cast = move || {
            count.set(count.get() + 1);
            let voter = ParticipantId::from_random([count.get(); 10]);
            let (poll, session) = (id.clone(), session.clone());
            Cast { poll, session, voter, ballot: Ballot::Value(3), now: 5 }
        };
        relay.db.vote(cast()).await.unwrap();
        publish_all(relay).await;
        (poll, cast)
    }

    #[tokio::test]
    async fn results_come_behind_what_changed_them() {
        let (mut relay, shown) = relay(1).await;
        let (poll, cast) = voted(&mut relay).await;
        let told = |shown: &Shown| std::mem::take(&mut *shown.seen.lock().unwrap());
        let first = ["vote:accepted null null", "results:updated \"active\" 1"];
        assert_eq!(told(&shown)[4..], first);
        // Within the interval: later.
        relay.db.vote(cast()).await.unwrap();
        assert!(matches!(publish_all(&mut relay).await, Turn::Waits(Some(_))));
        assert_eq!(told(&shown), ["vote:accepted null null"]);
        // Their time has come, and the poll was closed in this moment.
        relay.results = Conflation::new(Duration::ZERO);
        relay.results.mark(poll.clone());
        relay.db.vote(cast()).await.unwrap();
        relay.db.close(poll, 6).await.unwrap();
        assert_eq!(publish_all(&mut relay).await, Turn::Waits(None));
        let last = "results:updated \"closed\" 3";
        let closed = ["vote:accepted null null", "poll:closed \"closed\" 3", last];
        assert_eq!(told(&shown), closed);
    }

    #[tokio::test]
    async fn results_that_could_not_be_told_are_told_later() {
        let (mut relay, shown) = relay(1).await;
        let (poll, _) = voted(&mut relay).await;
        shown.seen.lock().unwrap().clear();
        relay.results = Conflation::new(Duration::from_millis(1));
        relay.results.mark(poll);
        *shown.answers.lock().unwrap() = vec![Err(NotPublished::Later("full".to_owned()))];
        assert!(matches!(relay.turn(&mut true).await, Ok(Turn::Waits(Some(_)))));
        assert!(shown.seen.lock().unwrap().is_empty());
        while publish_all(&mut relay).await != Turn::Waits(None) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(*shown.seen.lock().unwrap(), ["results:updated \"active\" 1"]);
    }
}
