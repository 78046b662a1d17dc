//! Questions for the time on their way to the service, and who waits for the answers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use thingward_grant::Nonce;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

/// Longest wait for an answer, in which nothing else is asked of the chip.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where a question goes, and its answer comes.
pub(crate) const TOPIC: &str = "devices/me/time/";

/// See the module. Clones are the same.
#[derive(Clone)]
pub(crate) struct Questions {
    open: Arc<Mutex<Open>>,
    arrived: Arc<Notify>,
}

#[derive(Default)]
struct Open {
    /// Not sent yet.
    new: VecDeque<Nonce>,
    waiting: HashMap<Nonce, oneshot::Sender<Bytes>>,
}

impl Questions {
    /// `arrived` is notified when there is a new one.
    pub(crate) fn new(arrived: Arc<Notify>) -> Self {
        Self { open: Arc::default(), arrived }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service's beacon for this nonce; `None` when it does not come in time.
    pub(crate) async fn ask(&self, nonce: Nonce) -> Option<Bytes> {
        let (answer, wait) = oneshot::channel();
        {
            let mut open = self.open();
            open.new.push_back(nonce);
            open.waiting.insert(nonce, answer);
        }
        self.arrived.notify_one();
        let beacon = timeout(PATIENCE, wait).await;
        let mut open = self.open();
        open.new.retain(|new| *new != nonce);
        open.waiting.remove(&nonce);
        beacon.ok()?.ok()
    }

    /// The next question to send.
    pub(crate) fn next(&self) -> Option<Nonce> {
        self.open().new.pop_front()
    }

    /// A beacon came.
    pub(crate) fn answered(&self, topic: &str, beacon: Bytes) {
        let mut nonce = Nonce::default();
        let read =
            topic.strip_prefix(TOPIC).map(|text| base16ct::lower::decode(text, &mut nonce).map(<[u8]>::len));
        if read == Some(Ok(nonce.len()))
            && let Some(answer) = self.open().waiting.remove(&nonce)
        {
            // Whoever asked may have gone.
            let _ = answer.send(beacon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_reaches_who_asked_and_one_that_nobody_asked_for_nobody() {
        let questions = Questions::new(Arc::default());
        let asking = tokio::spawn({
            let questions = questions.clone();
            async move { questions.ask([7; 16]).await }
        });
        let nonce = loop {
            match questions.next() {
                Some(nonce) => break nonce,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!((nonce, questions.next()), ([7; 16], None));
        for other in ["devices/me/time/", "devices/me/time/zz", "devices/me/commands/1", &topic(&[8; 16])] {
            questions.answered(other, Bytes::from_static(b"other"));
        }
        questions.answered(&topic(&nonce), Bytes::from_static(b"beacon"));
        assert_eq!(asking.await.unwrap(), Some(Bytes::from_static(b"beacon")));
        assert!(questions.open().waiting.is_empty());
    }

    fn topic(nonce: &Nonce) -> String {
        format!("{TOPIC}{}", base16ct::lower::encode_string(nonce))
    }
}
