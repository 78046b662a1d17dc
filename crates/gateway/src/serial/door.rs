//! The local link of a chip, which this gateway has in its place: the chip decides, and signs the answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use thingward_agent::commands::{UseError, UseState};
use thingward_agent::grants::{Busy, TakeBackError};
use thingward_agent::local::TakesGrants;
use thingward_device::link::{Failure, Kind};
use thingward_grant::{Nonce, Refusal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::conversation::{Told, Visit};

/// A chip as visitors meet it.
pub(super) struct Door {
    visitors: mpsc::Sender<Visit>,
    /// What is known of the chip, once it was there.
    about: watch::Receiver<Option<Bytes>>,
    asked: Mutex<HashMap<IpAddr, Instant>>,
}

/// Longest wait for the answer to a question that does nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often one peer gets a nonce: a chip keeps four, so that one peer alone does not take the others' away at once.
const NONCE_EVERY: Duration = Duration::from_secs(1);

impl Door {
    pub(super) fn new(visitors: mpsc::Sender<Visit>, about: watch::Receiver<Option<Bytes>>) -> Self {
        Self { visitors, about, asked: Mutex::default() }
    }

    /// Whether the peer may have a nonce now.
    fn may_ask(&self, peer: IpAddr, now: Instant) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| now.duration_since(*at) < NONCE_EVERY);
        let is_new = !asked.contains_key(&peer);
        if is_new {
            asked.insert(peer, now);
        }
        is_new
    }

    /// Puts a question to the chip; what waits for its answer. `None` when the chip is away, or too many others ask.
    fn ask(&self, kind: Kind, body: Vec<u8>) -> Option<oneshot::Receiver<Told>> {
        let (answer, wait) = oneshot::channel();
        self.visitors.try_send(Visit { kind, body, answer }).ok()?;
        Some(wait)
    }

    async fn answered(&self, kind: Kind, body: Vec<u8>) -> Result<Vec<u8>, UseError> {
        let wait = self.ask(kind, body).ok_or(UseError::Away)?;
        let Ok(Ok(answer)) = timeout(PATIENCE, wait).await else { return Err(UseError::Away) };
        answer.map_err(why)
    }
}

/// What a visitor is told of a chip's failure.
fn why((failure, word): (Failure, u8)) -> UseError {
    match failure {
        Failure::Refused => Refusal::from_code(word).map_or(UseError::Away, UseError::Refused),
        Failure::Malformed => UseError::Refused(Refusal::Malformed),
        Failure::Busy => UseError::Busy(Busy),
        Failure::NotJoined | Failure::Joined | Failure::NoTime | Failure::Memory | Failure::Destroyed => {
            UseError::Away
        }
    }
}

impl TakesGrants for Door {
    fn about(&self) -> Option<Bytes> {
        self.about.borrow().clone()
    }

    async fn nonce(&self, peer: IpAddr) -> Result<Nonce, UseError> {
        if !self.may_ask(peer, Instant::now()) {
            return Err(UseError::Busy(Busy));
        }
        let answer = self.answered(Kind::Nonce, Vec::new()).await?;
        answer.as_slice().try_into().map_err(|_| UseError::Away)
    }

    async fn present(&self, presentation: Vec<u8>, patience: Duration) -> Result<UseState, UseError> {
        let wait = self.ask(Kind::Use, presentation).ok_or(UseError::Away)?;
        match timeout(patience, wait).await {
            // It may be done all the same: the report of the use says so.
            Err(_) => Ok(UseState::Open),
            Ok(Err(_)) => Err(UseError::Away),
            Ok(Ok(answer)) => answer.map(UseState::Answered).map_err(why),
        }
    }

    async fn take_back(&self, revocation: Vec<u8>) -> Result<(), TakeBackError> {
        match self.answered(Kind::Revocation, revocation).await {
            Ok(_) => Ok(()),
            Err(UseError::Refused(refusal)) => Err(TakeBackError::Refused(refusal)),
            Err(_) => Err(TakeBackError::Away),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_visitor_of_a_chip_that_is_away_is_told_so() {
        let (visitors, mut visits) = mpsc::channel(1);
        let (_known, about) = watch::channel(None);
        let door = Door::new(visitors, about);
        let peer = "192.0.2.1".parse().unwrap();
        let away = tokio::spawn(async move { drop(visits.recv().await) });
        assert_eq!(door.nonce(peer).await, Err(UseError::Away));
        away.await.unwrap();
        assert_eq!(door.present(vec![1], Duration::from_secs(1)).await, Err(UseError::Away));
        assert!(door.about().is_none());
    }

    #[tokio::test]
    async fn one_peer_gets_a_nonce_each_second_and_keeps_nobody_else_from_theirs() {
        let (visitors, _visits) = mpsc::channel(1);
        let door = Door::new(visitors, watch::channel(None).1);
        let ([one, other], now) = (["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap()), Instant::now());
        assert!(door.may_ask(one, now) && !door.may_ask(one, now) && door.may_ask(other, now));
        assert!(door.may_ask(one, now + NONCE_EVERY));
    }

    #[test]
    fn a_refusal_keeps_its_word() {
        let refused = (Failure::Refused, Refusal::UsedUp.code());
        assert_eq!(why(refused), UseError::Refused(Refusal::UsedUp));
        assert_eq!(why((Failure::Refused, 200)), UseError::Away);
    }
}
