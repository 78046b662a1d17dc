//! Answers that take their time, while others are served.

use std::sync::Arc;

use thingward_agent::coap::wire::{format, with_format};
use thingward_coap::endpoint::{ContextHandle, Packet, RequestId};
use thingward_coap::message::{Code, OptionNumber};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::office::{Certified, OfficeError};
use super::record::Record;
use crate::serial::NotTaken;

/// Most questions to the service at a time.
const OFFICE_MAX: usize = 16;
/// Those of strangers.
const STRANGERS_MAX: usize = 4;
/// How long until who is refused for want of room asks again, in seconds.
const AGAIN_SECONDS: u32 = 5;

/// What else becomes of it.
pub(super) enum Then {
    Nothing,
    /// Who asked is this member.
    Bound(Box<Record>),
    /// Who asked is no member any more.
    Revoked,
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

    /// Asks the service. `Err` with what to answer when too much is asked already.
    pub(super) fn ask(
        &mut self,
        (id, context): (RequestId, ContextHandle),
        is_member: bool,
        answer: impl Future<Output = Result<(Packet, Then), OfficeError>> + Send + 'static,
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

    /// Waits until a message is durable.
    pub(super) fn keep(
        &mut self,
        (id, context): (RequestId, ContextHandle),
        wait: oneshot::Receiver<Result<(), NotTaken>>,
    ) {
        self.tasks.spawn(async move {
            let (response, then) = match wait.await.unwrap_or(Err(NotTaken::Stopping)) {
                Ok(()) => (Packet::new(Code::CHANGED), Then::Nothing),
                Err(NotTaken::Full | NotTaken::Stopping) => (busy(), Then::Nothing),
                Err(NotTaken::Wrong(reason)) => (refusal(Code::BAD_REQUEST, reason), Then::Nothing),
                Err(NotTaken::Revoked) => (refusal(Code::FORBIDDEN, "revoked"), Then::Revoked),
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
pub(super) fn certified(certified: Certified) -> (Packet, Then) {
    let response = with_format(Packet::new(Code::CHANGED), format::CERTIFICATES);
    (response.with_payload(&certified.cms), Then::Bound(Box::new(certified.record)))
}

fn refused(error: &OfficeError) -> (Packet, Then) {
    tracing::info!(%error, "the service has nothing for a thing");
    let code = match error {
        OfficeError::Request => Code::BAD_REQUEST,
        OfficeError::Claim | OfficeError::Refused | OfficeError::OtherMember(_) => Code::FORBIDDEN,
        OfficeError::TooMany => Code::TOO_MANY_REQUESTS,
        OfficeError::Enrol(_) | OfficeError::Voucher(_) => return (busy(), Then::Nothing),
    };
    (refusal(code, &error.to_string()), Then::Nothing)
}
