//! The bus between what happened and those whom it concerns: events wait in the outbox, written in the
//! transaction that made them true, and are published from there in order.
//!
//! An event is forgotten only when it is published. If the process ends in between, it is published
//! again after the restart, with the same id: whoever publishes must not let it be seen twice.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use services::time;
use tokio::sync::Notify;

use crate::error::Refused;
use crate::event::Event;
use crate::store::{Database, Dialect, Pending};

/// How long is waited after a failure: at first, and at most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// How often is looked although nobody called. With PostgreSQL other nodes leave events behind too.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_SHARED: Duration = Duration::from_millis(200);

/// For how long a node takes the task; then another one may.
const LEASE_MS: u64 = 10_000;

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

/// Publishes what waits in the outbox.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) db: Database,
    pub(crate) publisher: Arc<dyn Publisher>,
    /// Says that something was left behind.
    pub(crate) called: Arc<Notify>,
    /// Who this is among the nodes.
    pub(crate) node: String,
}

impl Relay {
    /// Publishes for as long as the process lives.
    pub(crate) async fn run(self) {
        let look = match self.db.dialect() {
            Dialect::Sqlite => LOOK,
            Dialect::Postgres => LOOK_SHARED,
        };
        let mut retry = RETRY_FIRST;
        loop {
            let wait = match self.turn().await {
                Ok(true) => continue,
                Ok(false) => {
                    retry = RETRY_FIRST;
                    look
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

    /// Publishes the oldest ones: whether there were some.
    async fn turn(&self) -> Result<bool, RelayError> {
        if !self.is_ours().await? {
            return Ok(false);
        }
        let pending = self.db.pending().await?;
        if pending.is_empty() {
            return Ok(false);
        }
        let (done, failure) = self.publish(&pending).await;
        if !done.is_empty() {
            self.db.published(done).await?;
        }
        failure.map_or(Ok(true), |error| Err(error.into()))
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
    use crate::domain::{Code, Session, SessionId};
    use crate::store::Target;

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
                self.seen.lock().unwrap().push(event.payload["session"]["title"].to_string());
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
        (Relay { db, publisher, called, node: "a".to_owned() }, shown)
    }

    fn titles(events: u64) -> Vec<String> {
        (0..events).map(|number| format!("\"{number}\"")).collect()
    }

    #[tokio::test]
    async fn events_are_published_in_order() {
        let (relay, shown) = relay(200).await;
        while relay.turn().await.unwrap() {}
        assert_eq!(*shown.seen.lock().unwrap(), titles(200));
        assert!(relay.db.pending().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_failed_is_published_later_and_nothing_twice() {
        let (relay, shown) = relay(5).await;
        let later = || Err(NotPublished::Later("full".to_owned()));
        // Taken from the end: the second and the fourth fail.
        *shown.answers.lock().unwrap() = vec![Ok(()), later(), Ok(()), later(), Ok(())];
        assert!(relay.turn().await.is_err());
        assert_eq!(relay.db.pending().await.unwrap().len(), 2);
        while relay.turn().await.unwrap() {}
        let seen = shown.seen.lock().unwrap().clone();
        assert_eq!(seen, ["\"0\"", "\"2\"", "\"4\"", "\"1\"", "\"3\""]);
    }

    #[tokio::test]
    async fn what_can_never_be_published_does_not_hold_up_the_rest() {
        let (relay, shown) = relay(3).await;
        let never = Err(NotPublished::Never("too large".to_owned()));
        *shown.answers.lock().unwrap() = vec![Ok(()), never, Ok(())];
        while relay.turn().await.unwrap() {}
        assert_eq!(*shown.seen.lock().unwrap(), ["\"0\"", "\"2\""]);
        assert!(relay.db.pending().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_was_published_before_the_end_is_not_seen_again() {
        let (relay, shown) = relay(4).await;
        let pending = relay.db.pending().await.unwrap();
        // Published, and then the process ended before that was written down.
        relay.publish(&pending).await;
        while relay.turn().await.unwrap() {}
        assert_eq!(*shown.seen.lock().unwrap(), titles(4));
    }
}
