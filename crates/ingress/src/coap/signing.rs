//! This end's proof with its certificate, in message 2. The key may be in a chip that takes its time, so it is asked beside the
//! loop.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use thingward_coap::edhoc::{EdhocError, Identifier, Message1, OwnKey, Responder};
use thingward_coap::endpoint::RequestId;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::handshake::ephemeral;
use super::office::{Certificate, Office};
use crate::place;

/// Most that are signed for at a time, each at another place: nobody keeps others out where the key takes its time.
const SIGNING_MAX: usize = 4;

/// What became of one.
pub(super) struct Signed {
    pub(super) id: RequestId,
    pub(super) address: SocketAddr,
    /// `None` when there is no certificate now.
    pub(super) responder: Option<Result<Responder, EdhocError>>,
}

/// See the module.
pub(super) struct Signing {
    tasks: JoinSet<Signed>,
    turns: Arc<Semaphore>,
    places: HashSet<IpAddr>,
}

impl Signing {
    pub(super) fn new() -> Self {
        Self { tasks: JoinSet::new(), turns: Arc::new(Semaphore::new(SIGNING_MAX)), places: HashSet::new() }
    }

    /// Answers message 1 of somebody at this address. `None` when too many are asked for already.
    pub(super) fn answer<O: Office>(
        &mut self,
        office: &O,
        (id, address): (RequestId, SocketAddr),
        message_1: Box<Message1>,
        identifier: Identifier,
    ) -> Option<()> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().ok()?;
        if !self.places.insert(place(address.ip())) {
            return None;
        }
        let office = office.clone();
        self.tasks.spawn(async move {
            let responder = match office.certificate().await {
                Ok(certificate) => signed(certificate, message_1, identifier).await,
                Err(error) => {
                    tracing::warn!(%error, "there is no certificate to show");
                    None
                }
            };
            drop(turn);
            Signed { id, address, responder }
        });
        Some(())
    }

    /// The next one that is done; waits for good when there is none.
    pub(super) async fn next(&mut self) -> Option<Signed> {
        match self.tasks.join_next().await {
            Some(done) => {
                let done = done.ok()?;
                self.places.remove(&place(done.address.ip()));
                Some(done)
            }
            None => std::future::pending().await,
        }
    }
}

async fn signed(
    certificate: Arc<Certificate>,
    message_1: Box<Message1>,
    identifier: Identifier,
) -> Option<Result<Responder, EdhocError>> {
    let answer = move || {
        let key = OwnKey::Signature(certificate.signer.as_ref());
        Responder::answer(&message_1, ephemeral(&message_1), identifier, key, &certificate.credential)
    };
    tokio::task::spawn_blocking(answer).await.ok()
}
