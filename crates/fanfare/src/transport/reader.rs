//! The task of a WebSocket connection: it reads, and writes on when the client has read.

use super::Link;
use super::link::Phase;
use crate::rate::Bucket;
use crate::shard::{SessionKey, Shard};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::Sleep;
use websocket::{Incoming, Pings, Reader, Violation};

/// How often one connection may read before others have their turn.
const READS_PER_TURN: usize = 4;

/// How long a client may take to answer our close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// The task of one WebSocket connection. It owns no buffer: what it reads goes into the shard's,
/// and only a message that is not complete yet is kept.
pub(crate) struct ReadTask {
    shard: Rc<Shard>,
    session: SessionKey,
    link: Rc<Link>,
    reader: Reader,
    /// What came with the HTTP request.
    early: Option<Box<[u8]>>,
    /// What was read lately.
    taken: Bucket,
    /// Until then nothing is read: the client has sent faster than it is read.
    pause: Option<Pin<Box<Sleep>>>,
    close_by: Option<Pin<Box<Sleep>>>,
}

impl ReadTask {
    pub(crate) fn new(
        shard: &Rc<Shard>,
        session: SessionKey,
        link: &Rc<Link>,
        reader: Reader,
        early: &[u8],
    ) -> Self {
        ReadTask {
            shard: shard.clone(),
            session,
            link: link.clone(),
            reader,
            early: (!early.is_empty()).then(|| early.into()),
            taken: Bucket::default(),
            pause: None,
            close_by: None,
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(mut early) = self.early.take() {
            self.read(&mut early);
        }
        let shard = self.shard.clone();
        let mut buffer = shard.read_buffer.borrow_mut();
        for _ in 0..READS_PER_TURN {
            ready!(self.poll_pause(cx));
            // A probe brings no events, and nobody would wake it.
            let reads_events = self.link.phase() == Phase::Open && !self.link.is_probing();
            if reads_events && shard.is_busy(self.session) {
                return Poll::Pending; // woken when enough listeners have finished
            }
            let read = ready!(self.link.stream.poll_read(cx, &mut buffer));
            match read {
                Ok(0) => {
                    self.shard.connection_ended(self.session, &self.link, true);
                    return Poll::Ready(());
                }
                Ok(count) => {
                    self.read(buffer.get_mut(..count).unwrap_or_default());
                }
                Err(_) => {
                    self.shard.connection_ended(self.session, &self.link, false);
                    return Poll::Ready(());
                }
            }
            if self.link.phase() == Phase::Gone {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what the bytes ask for. If they were too many for the time in which they came, the
    /// next ones are left to the network for a while, which makes the client slower.
    fn read(&mut self, input: &mut [u8]) {
        let (now, came) = (Instant::now(), input.len());
        let bytes = if self.link.phase() == Phase::Open {
            self.process(input, now).max(came)
        } else {
            self.discard(input);
            came
        };
        let Some(rate) = &self.shard.read_rate else { return };
        rate.charge(&mut self.taken, bytes as u64, now);
        if let Some(wait) = rate.wait(self.taken, now) {
            self.pause = Some(Box::pin(tokio::time::sleep(wait)));
            self.shard.hold(self.session, &self.link, now + wait);
        }
    }

    /// Waits until more may be read.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Hands every complete message to the shard. Says what messages that may have been
    /// compressed came to.
    fn process(&mut self, mut input: &mut [u8], now: Instant) -> usize {
        let mut unpacked = 0;
        let mut pings = Pings::new();
        while self.link.phase() == Phase::Open {
            match self.reader.read(&self.shard.frame_limits, &mut input) {
                Ok(None) => break,
                Ok(Some(Incoming::Ping(payload))) => pings.note(&payload),
                Ok(Some(Incoming::Pong(_))) => {}
                Ok(Some(Incoming::Close(reason))) => {
                    // Both have said goodbye: the server ends the connection (RFC 6455, 7.1.1).
                    let reply = websocket::frame::close_reply(reason.as_ref());
                    self.link.close(&reply);
                    self.link.drop_now();
                    self.shard.connection_ended(self.session, &self.link, true);
                }
                Ok(Some(Incoming::Text(text))) => {
                    unpacked += text.len();
                    self.shard.text_message(self.session, &self.link, &text, now);
                }
                Ok(Some(Incoming::Binary(data))) => {
                    unpacked += data.len();
                    self.shard.binary_message(self.session, &self.link, &data, now);
                }
                Err(violation) => self.violated(&violation),
            }
        }
        // Of many pings only the last needs an answer (RFC 6455, section 5.5.3).
        if let Some(pong) = pings.pong().filter(|_| self.link.phase() == Phase::Open) {
            self.shard.pong(self.session, &self.link, &pong);
        }
        if self.reader.inflates() { unpacked } else { 0 }
    }

    fn violated(&mut self, violation: &Violation) {
        self.shard.io.inner().counters.rejected(violation.name());
        let frame = websocket::frame::close(violation.close_code(), "");
        self.link.close(&frame);
        self.shard.connection_ended(self.session, &self.link, false);
    }

    /// After our close frame only the client's is of interest.
    fn discard(&mut self, mut input: &mut [u8]) {
        loop {
            match self.reader.read(&self.shard.frame_limits, &mut input) {
                Ok(None) => return,
                Ok(Some(Incoming::Close(_))) | Err(_) => return self.link.drop_now(),
                Ok(Some(_)) => {}
            }
        }
    }

    /// Waits for the client to close, but not for ever.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let sleep =
            self.close_by.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSE_DEADLINE)));
        sleep.as_mut().poll(cx)
    }
}

impl Future for ReadTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.link.remember(cx.waker());
        if this.link.unblock() && this.link.write_own() {
            this.shard.write_on(this.session, &this.link);
        }
        match this.link.phase() {
            Phase::Gone => return Poll::Ready(()),
            Phase::Closing if this.poll_closing(cx).is_ready() => return Poll::Ready(()),
            Phase::Open | Phase::Closing => {}
        }
        let turn = this.turn(cx);
        match this.link.phase() {
            Phase::Gone => {
                // What was sent is to arrive: no reset before it is read.
                let _ = this.link.stream.poll_shutdown(cx);
                Poll::Ready(())
            }
            // The deadline has to be armed by whoever began to close during this turn.
            Phase::Closing if turn.is_pending() => this.poll_closing(cx),
            Phase::Open | Phase::Closing => turn,
        }
    }
}
