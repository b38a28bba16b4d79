//! Steps that many connections or sessions take part in.

use tokio::task::JoinSet;

use super::{Scene, agree};
use crate::case::Fate;
use crate::peer::Peer;
use crate::wire;

/// How many of a crowd connect at the same time: below the queue of a listener.
const CROWD_STEP: usize = 100;

impl Scene<'_> {
    pub(super) async fn crowd(
        &self,
        host: &str,
        size: usize,
        bytes: &[u8],
        fate: Fate,
    ) -> Result<(), String> {
        let mut tasks = JoinSet::new();
        let bytes = self.filled(bytes);
        let mut peers = Vec::with_capacity(size);
        for index in 0..size {
            let mut peer = Peer::connect(host, false).await?;
            peer.send(&bytes).await;
            peers.push(peer);
            if index % CROWD_STEP == CROWD_STEP - 1 {
                tokio::task::yield_now().await;
            }
        }
        for mut peer in peers {
            tasks.spawn(async move {
                match fate {
                    Fate::Left => Ok(()),
                    Fate::Ended => peer.end().await.map(drop),
                    Fate::Answered(statuses) => {
                        let answer = peer.answer().await?;
                        agree(statuses.contains(&answer.status), || format!("{answer:?}"))
                    }
                }
            });
        }
        while let Some(fated) = tasks.join_next().await {
            fated.map_err(|error| error.to_string())??;
        }
        Ok(())
    }

    pub(super) async fn fill(&mut self, most: usize) -> Result<(), String> {
        for _ in 0..most {
            let answer = self.exchange(wire::get(wire::POLLING).as_bytes()).await?;
            if answer.status == 503 {
                return Ok(());
            }
            self.note_sid(&answer.text());
        }
        Err("there is no end of places".to_owned())
    }

    pub(super) async fn strays(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let answer = self.exchange(wire::get(wire::POLLING).as_bytes()).await?;
            agree(answer.status == 200, || format!("{answer:?}"))?;
            self.note_sid(&answer.text());
        }
        Ok(())
    }

    /// Opens sessions by polling, one after the other, until so many were tried. Which of them are
    /// refused depends on how fast this is; that some are, and some are not, must be.
    pub(super) async fn newcomers(&mut self, count: usize) -> Result<(), String> {
        let [opened, refused] = self.tried(wire::POLLING, count, 200).await?;
        // None of them joins a namespace.
        self.provoke("connect_timeout", opened);
        agree(opened > 0 && refused > 0, || format!("{opened} opened, {refused} refused"))
    }

    /// Polls with a session id that nobody has, so often. The first ones are told so, others only
    /// that they are too many.
    pub(super) async fn guesses(&mut self, count: usize) -> Result<(), String> {
        let target = format!("{}&sid=canaryAAAAAAAAAAAAAAAA", wire::POLLING);
        let [told, refused] = self.tried(&target, count, 400).await?;
        self.provoke("unknown_session", told);
        agree(refused > 0, || format!("{told} told, {refused} refused"))
    }

    /// How many of these requests were answered so, and how many 429.
    async fn tried(&mut self, target: &str, count: usize, usual: u16) -> Result<[u64; 2], String> {
        let mut counts = [0, 0];
        for _ in 0..count {
            let answer = self.exchange(wire::get(target).as_bytes()).await?;
            self.note_sid(&answer.text());
            let is_refusal = answer.status == 429;
            agree(is_refusal || answer.status == usual, || format!("{answer:?}"))?;
            if is_refusal {
                let told = answer.text() == r#"{"code":4,"message":"Too many requests"}"#;
                let when = answer.head.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n");
                agree(told && when, || format!("{answer:?}"))?;
            }
            counts[usize::from(is_refusal)] += 1;
        }
        self.provoke("session_rate", counts[1]);
        Ok(counts)
    }

    /// A counter moves because of what a step did.
    fn provoke(&mut self, reason: &str, times: u64) {
        if times > 0 {
            *self.provoked.entry(reason.to_owned()).or_default() += times;
        }
    }
}
