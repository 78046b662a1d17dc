//! Grants: what somebody who is here may do.

use thingward_crypto::sha256;
use thingward_grant::{Nonce, Permitted, Presentation, Refusal, Scope};

use super::commands::outcome_of;
use super::{Answer, Device, Refused, USE_OVERHEAD_BYTES, issuer, state_of};
use crate::book::Begun;
use crate::keys::KeyStore;
use crate::link::{Failure, put};
use crate::permit::UseJudge;
use crate::spool::{EntryKind, Spool};
use crate::store::{Flash, FlashError};
use crate::thing::{Call, Thing};

impl<K: KeyStore, F: Flash, T: Thing> Device<K, F, T> {
    /// A nonce for one presentation, within a minute.
    pub(super) fn nonce(&mut self, out: &mut [u8]) -> Answer {
        let nonce: Nonce = self.random.array();
        let oldest = self.nonces.iter_mut().max_by_key(|slot| slot.map_or(u32::MAX, |(_, age)| age));
        *oldest.ok_or(Failure::Busy)? = Some((nonce, 0));
        put(out, &[&nonce]).ok_or(Failure::Busy.into())
    }

    /// Somebody shows a grant. A use is set down as begun and counted before it begins; the answer is the signed reply.
    #[inline(never)]
    pub(super) fn present(&mut self, room: &mut [u8], len: usize) -> Answer {
        // The report of the use would never fit a frame.
        if len > room.len().saturating_sub(USE_OVERHEAD_BYTES) {
            return Err(Refusal::Malformed.into());
        }
        let body = room.get(..len).unwrap_or_default();
        let presentation = Presentation::decode(body).map_err(Refusal::from)?;
        let nonce = presentation.nonce();
        let open = self.nonces.iter().position(|slot| slot.is_some_and(|(open, _)| open == nonce));
        let decided = self.decide(&presentation, open.is_some());
        if decided.is_ok() {
            // Before the nonce is spent: whoever asks again has it still.
            self.make_ready_for(EntryKind::Started, len)?;
        }
        if let Some(open) = open.and_then(|open| self.nonces.get_mut(open)) {
            *open = None;
        }
        let permitted = decided?;
        let call = Call::of_grant(permitted.operation);
        self.thing.check(&call).map_err(|_| Refusal::NotOpened)?;
        // It may be forgotten, and a host's clock set back: what was over stays over.
        if permitted.expires.is_some_and(|end| end <= self.book.mark) {
            return Err(Refusal::Expired.into());
        }
        let now = self.time();
        if !self.book.has_room_for(&permitted, now) {
            return Err(Refusal::NoRoom.into());
        }
        let (state, digest) = (state_of(&self.chain), sha256(&[body]));
        self.spool.push(&mut self.store, EntryKind::Started, &nonce, &state, &[body])?;
        self.book.count(&permitted, now);
        self.begin(nonce, digest, Begun::Use)?;
        let done = self.thing.perform(&call);
        self.conclude(EntryKind::Use, nonce, digest, outcome_of::<T>(&done), room)
    }

    #[inline(never)]
    fn decide<'p>(&self, presentation: &Presentation<'p>, is_open: bool) -> Result<Permitted<'p>, Refused> {
        let (join, key) = issuer(&self.member)?;
        let mut room = [0; 128];
        let judge = UseJudge {
            tenant: join.tenant.borrowed(),
            name: join.device.borrowed(),
            key: &key,
            opened: Scope::from_bytes(self.thing.opened(&mut room)).map_err(Refusal::from)?,
            standing: &self.book.standing,
            // It is told of none.
            classes: &[],
            time: self.clock.time(),
        };
        let used = self.book.used(&presentation.grant().origin_unverified().id);
        Ok(judge.judge(presentation, is_open, used)?)
    }

    /// Whether what was begun under `id` has its answer in the spool: power went between that and the end in the book.
    #[inline(never)]
    pub(super) fn is_answered(&mut self, id: &[u8; 16]) -> Result<bool, FlashError> {
        let Some(item) = self.spool.last_answer() else { return Ok(false) };
        let mut room = [0; crate::spool::ROOM_BYTES];
        Ok(Spool::read(&mut self.store, item, &mut room)?.id == *id)
    }
}
