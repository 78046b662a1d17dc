//! What the holders of grants ask for.

use thingward_crypto::{Digest, sha256};
use thingward_grant::{Nonce, Refusal};
use thingward_model::Timestamp;
use thingward_seal::command::CommandId;

use super::journal::{Entry, Step};
use super::{Commands, Ending, Order, Origin, Waiting, hex};
use crate::disk::Disk;
use crate::grants::{Busy, Counted, TakeBackError, Use};

/// Most uses that wait to be begun. The rest of the queue is the service's.
const WAITING_MAX: usize = super::WAITING_MAX / 2;
/// Most uses that the journal keeps until the service has them. The rest of it is for commands.
const KEPT_MAX: usize = super::journal::ENTRIES_MAX / 2;

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UseError {
    /// The grant does not allow it.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// More is asked for than the device can do, or keep until the service is in reach.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The device's description opens nothing.
    #[error("the device takes no grants")]
    Closed,
    /// The device is not to be had: a chip on a serial line without power.
    #[error("the device does not answer now")]
    Away,
}

/// How far a use is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UseState {
    /// It waits or goes on.
    Open,
    /// It has its reply.
    Answered(Vec<u8>),
    /// It was never begun, and is not counted.
    Dropped,
}

impl<D: Disk> Commands<D> {
    /// Whether the device takes grants.
    pub const fn takes_grants(&self) -> bool {
        self.grants.is_some()
    }

    /// A nonce for one presentation by `peer`, within a minute.
    ///
    /// # Errors
    ///
    /// [`UseError::Closed`].
    pub fn nonce(&self, now: Timestamp) -> Result<Nonce, UseError> {
        Ok(self.grants.as_ref().ok_or(UseError::Closed)?.nonce(now))
    }

    /// Somebody shows a grant. What was permitted is an order from here on, under the nonce as its id.
    ///
    /// # Errors
    ///
    /// [`UseError`]; nothing is done then.
    pub fn present(&mut self, presentation: &[u8], now: Timestamp) -> Result<CommandId, UseError> {
        let Self { grants, waiting, journal, membership, description, .. } = self;
        let uses = waiting.iter().filter_map(Waiting::grant);
        let kept = journal.entries().filter(|(_, e)| e.is_use() && !matches!(e.step, Step::Delivered(_)));
        if uses.clone().count() >= WAITING_MAX || kept.count() >= KEPT_MAX {
            return Err(Busy.into());
        }
        let waiting_of =
            |id: &_| u32::try_from(uses.clone().filter(|g| g.id == *id).count()).unwrap_or(u32::MAX);
        let grants = grants.as_mut().ok_or(UseError::Closed)?;
        let Use { order, grant } = grants
            .judge(presentation, membership, description, journal.mark(), waiting_of, now)
            .inspect_err(|refusal| {
                tracing::info!(refusal = refusal.as_str(), "a grant was refused");
            })?;
        let (id, presentation) = (order.id, presentation.to_vec());
        let command = sha256(&[&presentation]);
        self.waiting.push_back(Waiting { order, command, origin: Origin::Grant { grant, presentation } });
        Ok(id)
    }

    /// Starts and counts a use, unless its grant ended while it waited.
    pub(super) fn begin_use(
        &mut self,
        order: &Order,
        command: Digest,
        grant: &Counted,
        presentation: Vec<u8>,
        now: Timestamp,
    ) -> bool {
        let (id, mark) = (order.id, self.journal.mark());
        let Some(grants) = self.grants.as_mut().filter(|g| g.still_counts(grant, mark, now)) else {
            return false;
        };
        // First the journal: a crash before the count leaves a use that was not begun, and is answered as interrupted.
        let (expires, timely) = (order.expires, Timestamp::EPOCH);
        let entry = Entry { command, expires, timely, presentation, step: Step::Started };
        if let Err(error) = self.journal.add(id, entry) {
            tracing::error!(%error, id = %hex(&id), "a use is not begun");
            return false;
        }
        let counted = grants.count(grant, now);
        if let Err(error) = counted {
            tracing::error!(%error, id = %hex(&id), "a use is not counted, and not begun");
            self.answer(&id, &Ending::Failed("the device cannot write".to_owned()), now);
            return false;
        }
        true
    }

    /// What a holder asked for was begun and failed.
    pub(super) fn use_failed(&mut self, id: &CommandId) {
        let presentation = self.presentation(id);
        let Some(grants) = self.grants.as_mut().filter(|_| !presentation.is_empty()) else { return };
        if let Err(error) = grants.failed(&presentation, &self.description) {
            tracing::error!(%error, id = %hex(id), "a step that failed counts as taken");
        }
    }

    /// How far a use is.
    #[must_use]
    pub fn use_state(&self, id: &CommandId) -> UseState {
        match self.journal.get(id).map(|entry| &entry.step) {
            Some(Step::Answered(reply) | Step::Delivered(reply)) => UseState::Answered(reply.clone()),
            Some(Step::Started) => UseState::Open,
            None if self.waiting.iter().any(|w| w.order.id == *id) => UseState::Open,
            None => UseState::Dropped,
        }
    }

    /// A signed revocation came, whoever carried it. It holds from here on, also for what waits.
    ///
    /// # Errors
    ///
    /// [`TakeBackError`]; [`Refusal::UnknownIssuer`] also when the device takes no grants.
    pub fn take_back(&mut self, message: &[u8]) -> Result<(), TakeBackError> {
        let grants = self.grants.as_mut().ok_or(TakeBackError::Refused(Refusal::UnknownIssuer))?;
        grants.take_back(message, &self.membership)
    }

    /// What the membership says is taken back holds as well: it also reaches devices behind gateways.
    pub(super) fn heed_membership(&mut self) {
        let Self { grants: Some(grants), membership, .. } = self else { return };
        grants.heed_classes(membership);
        let of_classes = membership.classes.iter().map(|class| &class.grant_revocation);
        for message in membership.grant_revocation.iter().chain(of_classes) {
            match grants.take_back(message, membership) {
                // A newer one was here before.
                Ok(()) | Err(TakeBackError::Refused(Refusal::OldEpoch)) => {}
                Err(error) => tracing::warn!(%error, "a revocation of grants has no effect"),
            }
        }
    }
}

impl Waiting {
    const fn grant(&self) -> Option<&Counted> {
        match &self.origin {
            Origin::Grant { grant, .. } => Some(grant),
            Origin::Service { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
