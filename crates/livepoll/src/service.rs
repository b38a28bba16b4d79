//! What can be done, for Rust, for HTTP and for clients alike.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare::NamespaceError;
use services::{Context, time};
use tokio::sync::{Notify, oneshot};

use crate::conflate::Conflation;
use crate::counters::{Counters, Counts, count};
use crate::domain::{
    Ballot, Code, Draft, Participant, ParticipantId, Poll, PollId, Results, Session, SessionId,
};
use crate::error::Refused;
use crate::event::Event;
use crate::limits::Limits;
use crate::presence::Presence;
use crate::relay::{self, Publisher, Relay};
use crate::settings::Settings;
use crate::sockets::{self, Rooms};
use crate::store::{Cast, Database, Dialect, ParticipantPage, Seen, StoreError, Target};
use crate::token::{Role, Seat, Tokens};
use crate::{http, random};

/// How many codes are tried for a new session. With half of all codes in use, all fail once in a
/// million sessions.
const CODE_ATTEMPTS: usize = 20;

/// How often is looked for who went away.
const PRESENCE_TURN: Duration = Duration::from_secs(1);

/// How often those who are connected give a sign.
const SIGN_TURN: Duration = Duration::from_secs(30);

/// How many signs are written down at once: others write in between.
const SIGNS_AT_ONCE: usize = 200;

/// How often what is old is removed, and limits forget.
const CLEAN_TURN: Duration = Duration::from_secs(60);

/// The longest sleep until a poll's time is over: clocks are set, and with PostgreSQL other nodes open
/// polls too.
const TIMER_TURN: Duration = Duration::from_secs(15);
const TIMER_TURN_SHARED: Duration = Duration::from_secs(1);

/// Live polling. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Livepoll(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Context,
    settings: Settings,
    db: Database,
    tokens: Tokens,
    limits: Limits,
    publisher: Arc<dyn Publisher>,
    presence: Presence,
    counters: Arc<Counters>,
    /// Says that an event was left behind.
    left: Arc<Notify>,
    /// Says that a poll with a time limit was opened.
    opened: Notify,
}

/// Why live polling cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The name of the namespace is none.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The namespace has other clients: they would not have a token.
    #[error("the namespace {0} is served already; live polling needs one of its own")]
    Taken(String),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else went wrong at the start.
    #[error(transparent)]
    Other(#[from] Refused),
}

impl Livepoll {
    /// Opens the database and sets up the namespace of a server that must not serve clients yet. What is
    /// in a file is kept in `data`, a directory, or only in memory.
    ///
    /// # Errors
    ///
    /// [`BeginError`].
    pub async fn begin(
        context: &Context,
        settings: Settings,
        data: Option<&std::path::Path>,
    ) -> Result<Self, BeginError> {
        let namespace = context.io().of(&settings.namespace)?;
        if context.namespaces().any(|other| other.name() == namespace.name()) {
            return Err(BeginError::Taken(settings.namespace));
        }
        let target = Target::of(settings.database.clone(), data);
        // Its connections belong to the runtime of the services, which lives as long as they do.
        let (sender, receiver) = oneshot::channel();
        context.spawn(async move {
            // Whoever began may have given up.
            let _ = sender.send(Database::open(&target).await);
        });
        let db = receiver.await.map_err(|_| StoreError::Closed)??;
        let fresh: [u8; 32] = random::bytes()?;
        let fresh = fresh.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = db.secret("tokens", fresh).await?;
        let livepoll = Livepoll(Arc::new(Inner {
            context: context.clone(),
            tokens: Tokens::new(secret.as_bytes(), settings.retention),
            limits: Limits::new(settings.rates),
            publisher: Arc::new(Rooms(namespace.clone())),
            presence: Presence::default(),
            counters: Arc::default(),
            left: Arc::default(),
            opened: Notify::new(),
            settings,
            db,
        }));
        sockets::serve(&livepoll, &namespace);
        livepoll.start()?;
        Ok(livepoll)
    }

    /// The routes, and their description.
    pub fn routes(&self) -> (axum::Router, utoipa::openapi::OpenApi) {
        http::routes(self)
    }

    /// Whether its database answers.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn check(&self) -> Result<(), Refused> {
        self.0.db.check().await
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.counters.counts(self.0.presence.count())
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// The server, and what all services stand on.
    pub(crate) fn context(&self) -> &Context {
        &self.0.context
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn presence(&self) -> &Presence {
        &self.0.presence
    }

    /// The seat that a token gives.
    ///
    /// # Errors
    ///
    /// [`Refused::Unauthorized`].
    pub fn seat(&self, token: &str) -> Result<Seat, Refused> {
        self.0.tokens.read(token)
    }

    /// A token for a seat.
    ///
    /// # Errors
    ///
    /// [`Refused::Bug`].
    pub fn token(&self, seat: &Seat) -> Result<String, Refused> {
        self.0.tokens.issue(seat, time::now_ms())
    }

    /// Opens a session.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn create_session(&self, title: &str) -> Result<Session, Refused> {
        let id = SessionId::from_random(random::bytes()?);
        let mut codes = Vec::with_capacity(CODE_ATTEMPTS);
        for _ in 0..CODE_ATTEMPTS {
            codes.push(Code::from_random(random::number()?));
        }
        let first = codes.first().copied().ok_or(Refused::NoFreeCode)?;
        let session = Session::create(id, first, title, time::now_ms())
            .map_err(|fault| Refused::Text { field: "title", fault })?;
        let opened = self.done(self.0.db.create_session(session, codes).await)?;
        count(&self.0.counters.sessions);
        Ok(opened)
    }

    /// A session.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn session(&self, id: &SessionId) -> Result<Session, Refused> {
        self.0.db.session(id.clone()).await
    }

    /// Starts a session.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn start_session(&self, id: &SessionId) -> Result<Session, Refused> {
        self.done(self.0.db.start_session(id.clone(), time::now_ms()).await)
    }

    /// Ends a session, and with it its active polls.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn end_session(&self, id: &SessionId) -> Result<Session, Refused> {
        self.done(self.0.db.end_session(id.clone(), time::now_ms()).await)
    }

    /// Lets somebody into the session with this code.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn join(
        &self,
        code: Code,
        display_name: &str,
    ) -> Result<(Session, Participant), Refused> {
        let id = ParticipantId::from_random(random::bytes()?);
        let joining = self.0.db.join(code, id, display_name.to_owned(), time::now_ms());
        let joined = self.done(joining.await)?;
        count(&self.0.counters.joins);
        Ok(joined)
    }

    /// Participants of a session in the order in which they joined, behind one of them.
    pub(crate) async fn participants(
        &self,
        session: &SessionId,
        after: Option<ParticipantId>,
        limit: u32,
    ) -> Result<ParticipantPage, Refused> {
        self.0.db.participants(session.clone(), after, (limit, time::now_ms())).await
    }

    /// Adds a poll behind the others of a session.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn create_poll(&self, session: &SessionId, draft: Draft) -> Result<Poll, Refused> {
        let id = PollId::from_random(random::bytes()?);
        let now = time::now_ms();
        self.done(self.0.db.create_poll(session.clone(), id, draft, now).await)
    }

    /// A poll.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn poll(&self, id: &PollId) -> Result<Poll, Refused> {
        self.0.db.poll(id.clone()).await
    }

    /// The polls of a session, in the presenters' order.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn polls(&self, session: &SessionId) -> Result<Vec<Poll>, Refused> {
        self.0.db.polls(session.clone()).await
    }

    /// Brings the polls of a session into an order: all of them, each once.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn arrange(
        &self,
        session: &SessionId,
        order: Vec<PollId>,
    ) -> Result<Vec<Poll>, Refused> {
        self.done(self.0.db.arrange(session.clone(), order, time::now_ms()).await)
    }

    /// Opens a poll.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn activate(&self, id: &PollId) -> Result<Poll, Refused> {
        let poll = self.done(self.0.db.activate(id.clone(), time::now_ms()).await)?;
        self.0.opened.notify_one();
        Ok(poll)
    }

    /// Closes a poll.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn close(&self, id: &PollId) -> Result<Poll, Refused> {
        self.done(self.0.db.close(id.clone(), time::now_ms()).await)
    }

    /// Takes a participant's vote: whether it changed an earlier one. The events wait in the outbox
    /// then: the voter, the presenters and the results hear of it whatever happens.
    ///
    /// # Errors
    ///
    /// [`Refused`]. The voter is told by an event too, on all devices.
    pub async fn vote(&self, seat: &Seat, poll: &PollId, ballot: Ballot) -> Result<bool, Refused> {
        let voter = seat.participant()?.clone();
        let (session, now) = (seat.session.clone(), time::now_ms());
        let cast = Cast { poll: poll.clone(), session, voter, ballot, now };
        let voted = self.done(self.0.db.vote(cast).await);
        match &voted {
            Ok(_) => count(&self.0.counters.votes),
            Err(why) => self.reject(seat, poll, why),
        }
        voted
    }

    /// Tells a voter why its vote was not taken. It was told by the answer too: this is not tried again.
    fn reject(&self, seat: &Seat, poll: &PollId, why: &Refused) {
        let Ok(voter) = seat.participant() else { return };
        let (reason, ids) = (http::reason(why), (&seat.session, poll, voter));
        let Ok(event) = Event::vote_rejected(ids, &reason, time::now_ms()) else { return };
        let publisher = Arc::clone(&self.0.publisher);
        self.0.context.spawn(async move {
            if let Err(error) = publisher.publish(&event, false).await {
                tracing::debug!(%error, "a voter was not told why");
            }
        });
    }

    /// What a participant has chosen in a poll; nothing if it has not voted.
    pub(crate) async fn own_vote(
        &self,
        poll: &PollId,
        voter: &ParticipantId,
    ) -> Result<Vec<String>, Refused> {
        self.0.db.own_vote(poll.clone(), voter.clone()).await
    }

    /// A poll and its results.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub async fn results(&self, poll: &PollId) -> Result<(Poll, Results), Refused> {
        self.0.db.results(poll.clone()).await
    }

    /// Calls the relay when something has happened.
    fn done<T>(&self, result: Result<T, Refused>) -> Result<T, Refused> {
        if result.is_ok() {
            self.0.left.notify_one();
        }
        result
    }

    /// A participant's socket connected.
    pub(crate) fn arrived(&self, id: &ParticipantId) {
        if self.0.presence.arrive(id) {
            let (it, seen) = (self.clone(), Seen { participant: id.clone(), at: time::now_ms() });
            self.0.context.spawn(async move {
                if let Err(error) = it.done(it.0.db.arrived(seen).await) {
                    tracing::debug!(%error, "that a participant came was not written down");
                }
            });
        }
    }

    /// Starts what is done beside answering.
    fn start(&self) -> Result<(), Refused> {
        let node: [u8; 8] = random::bytes()?;
        let interval = Duration::from_secs(1) / self.0.settings.results_per_second.get();
        let relay = Relay {
            db: self.0.db.clone(),
            publisher: Arc::clone(&self.0.publisher),
            called: Arc::clone(&self.0.left),
            node: format!("{:016x}", u64::from_le_bytes(node)),
            results: Conflation::new(interval),
            counters: Arc::clone(&self.0.counters),
        };
        self.0.context.spawn(relay.run());
        self.0.context.spawn(self.clone().close_in_time());
        let tasks: [(Duration, &'static str, Turn); 3] = [
            (PRESENCE_TURN, "who went away", |it| Box::pin(it.tell_away())),
            (SIGN_TURN, "who is there", |it| Box::pin(it.give_signs())),
            (CLEAN_TURN, "what is old", |it| Box::pin(it.clean())),
        ];
        for (pause, what, act) in tasks {
            let it = self.clone();
            self.0.context.spawn(relay::every(pause, what, move || act(it.clone())));
        }
        Ok(())
    }

    /// Closes polls whose time is over.
    async fn close_in_time(self) {
        let turn = match self.0.db.dialect() {
            Dialect::Sqlite => TIMER_TURN,
            Dialect::Postgres => TIMER_TURN_SHARED,
        };
        loop {
            let wait = match self.close_due().await {
                Ok(wait) => wait.map_or(turn, |wait| wait.min(turn)),
                Err(error) => {
                    tracing::warn!(%error, "polls whose time is over wait to be closed");
                    TIMER_TURN_SHARED
                }
            };
            let _ = tokio::time::timeout(wait, self.0.opened.notified()).await;
        }
    }

    /// Closes those whose time is over: how long until the next one's is.
    async fn close_due(&self) -> Result<Option<Duration>, Refused> {
        for (poll, until) in self.0.db.next_ends().await? {
            let now = time::now_ms();
            if until > now {
                return Ok(Some(Duration::from_millis(until - now)));
            }
            match self.close(&poll).await {
                // Somebody else was quicker.
                Ok(_) | Err(Refused::Poll(_) | Refused::NoPoll) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Tells of those who went away, and of those whose node ended without a word.
    async fn tell_away(self) -> Result<(), Refused> {
        let now = time::now_ms();
        let away = self.0.presence.away(Instant::now(), self.0.settings.away_after);
        let away = away.into_iter().map(|participant| Seen { participant, at: now });
        let silent = self.0.db.silent(now).await?;
        for seen in away.chain(silent).collect::<Vec<_>>() {
            let id = seen.participant.clone();
            match self.done(self.0.db.went(seen).await) {
                Ok(()) | Err(Refused::NoParticipant) => {}
                Err(error) => return Err(error),
            }
            // It may have come back in this moment.
            if self.0.presence.has(&id) {
                let here = Seen { participant: id, at: time::now_ms() };
                self.done(self.0.db.arrived(here).await)?;
            }
        }
        Ok(())
    }

    async fn give_signs(self) -> Result<(), Refused> {
        let at = time::now_ms();
        let all = self.0.presence.all();
        for some in all.chunks(SIGNS_AT_ONCE) {
            let signs = some.iter().map(|id| Seen { participant: id.clone(), at }).collect();
            self.0.db.here(signs).await?;
        }
        Ok(())
    }

    async fn clean(self) -> Result<(), Refused> {
        self.0.limits.forget();
        let retention = u64::try_from(self.0.settings.retention.as_millis()).unwrap_or(u64::MAX);
        let before = time::now_ms().saturating_sub(retention);
        while self.0.db.remove_older(before).await? {}
        Ok(())
    }
}

/// Something that is done again and again.
type Turn = fn(Livepoll) -> Done;
type Done = std::pin::Pin<Box<dyn Future<Output = Result<(), Refused>> + Send>>;

impl Seat {
    /// A presenter's of this session.
    #[must_use]
    pub fn presenter(session: &Session) -> Self {
        Seat { session: session.id.clone(), role: Role::Presenter }
    }

    /// A participant's.
    #[must_use]
    pub fn of(participant: &Participant) -> Self {
        let role = Role::Participant(participant.id.clone());
        Seat { session: participant.session.clone(), role }
    }
}
