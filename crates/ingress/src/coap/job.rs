//! Answers that take their time, while others are served.

use std::sync::Arc;

use thingward_coap::endpoint::{ContextHandle, Packet, RequestId};
use thingward_coap::message::{Code, OptionNumber};
use thingward_coap::wire::{format, with_format};
use thingward_mqtt::codec::ReasonCode;
use thingward_pki::cms;
use thingward_pki::proof::Proved;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::book::Record;
use super::office::{Certified, Refused};

/// Most questions to the office at a time.
const OFFICE_MAX: usize = 16;
/// Those of strangers.
const STRANGERS_MAX: usize = 4;
/// How long until who is refused for want of room asks again, in seconds.
const AGAIN_SECONDS: u32 = 5;

/// What else becomes of it.
pub(super) enum Then {
    Nothing,
    /// Who asked has proved to have this certificate, and is answered when that is kept.
    Proved(Box<Proved>),
    /// Who asked is this member.
    Bound(Box<Record>),
    /// The core does not let who asked say this, or anything.
    NotLet,
}

/// An answer.
pub(super) struct Done {
    pub(super) id: RequestId,
    pub(super) context: ContextHandle,
    pub(super) response: Packet,
    pub(super) then: Then,
}

/// See the module.
pub(super) struct Jobs {
    tasks: JoinSet<Done>,
    office: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Jobs {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            office: Arc::new(Semaphore::new(OFFICE_MAX)),
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
        }
    }

    /// The next one that is done; waits for good when there is none.
    pub(super) async fn next(&mut self) -> Option<Done> {
        match self.tasks.join_next().await {
            Some(done) => done.ok(),
            None => std::future::pending().await,
        }
    }

    /// Asks the office. `Err` with what to answer when too much is asked already.
    pub(super) fn ask(
        &mut self,
        (id, context): (RequestId, ContextHandle),
        is_member: bool,
        answer: impl Future<Output = Result<(Packet, Then), Refused>> + Send + 'static,
    ) -> Result<(), Packet> {
        let places = if is_member { &self.office } else { &self.strangers };
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| busy())?;
        self.tasks.spawn(async move {
            let (response, then) = answer.await.unwrap_or_else(|error| refused(&error));
            drop(place);
            Done { id, context, response, then }
        });
        Ok(())
    }

    /// Waits until the core has said what becomes of a message.
    pub(super) fn keep(
        &mut self,
        (id, context): (RequestId, ContextHandle),
        wait: oneshot::Receiver<ReasonCode>,
    ) {
        self.tasks.spawn(async move {
            let (response, then) = match wait.await.unwrap_or(ReasonCode::QuotaExceeded) {
                reason if !reason.is_failure() => (Packet::new(Code::CHANGED), Then::Nothing),
                ReasonCode::PayloadFormatInvalid | ReasonCode::TopicNameInvalid => {
                    (refusal(Code::BAD_REQUEST, "not what it should be"), Then::Nothing)
                }
                ReasonCode::PacketTooLarge => (Packet::new(Code::REQUEST_ENTITY_TOO_LARGE), Then::Nothing),
                ReasonCode::NotAuthorized => {
                    (refusal(Code::METHOD_NOT_ALLOWED, "not permitted"), Then::NotLet)
                }
                _ => (busy(), Then::Nothing),
            };
            Done { id, context, response, then }
        });
    }
}

/// There is no room now.
pub(super) fn busy() -> Packet {
    Packet::new(Code::SERVICE_UNAVAILABLE).with_uint(OptionNumber::MAX_AGE, AGAIN_SECONDS)
}

/// With a word for people: RFC 7252 §5.5.2.
pub(super) fn refusal(code: Code, text: &str) -> Packet {
    Packet::new(code).with_payload(text.as_bytes())
}

/// The certificates, and whose they are.
pub(super) fn certified(certified: Certified) -> Result<(Packet, Then), Refused> {
    let response = certificates(Code::CHANGED, &certified.chain)?;
    Ok((response, Then::Bound(Box::new(certified.record))))
}

/// Certificates as CMS: RFC 9148 §5.3.
pub(super) fn certificates(code: Code, all: &[Vec<u8>]) -> Result<Packet, Refused> {
    let cms = cms::encode(all).map_err(|error| Refused::Unavailable(error.to_string()))?;
    Ok(with_format(Packet::new(code), format::CERTIFICATES).with_payload(&cms))
}

fn refused(error: &Refused) -> (Packet, Then) {
    tracing::info!(%error, "a thing does not get what it asks for");
    let response = match error {
        Refused::Unavailable(_) => busy(),
        other => refusal(other.code(), &other.to_string()),
    };
    (response, Then::Nothing)
}
