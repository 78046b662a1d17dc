//! What a device must not forget about commands and grants: what was done, counted and taken back, and how late it was.

use thingward_crypto::Digest;
use thingward_grant::{Audience, GrantId, Permitted, Refusal, Revocation, Standing};
use thingward_model::{NameRef, Timestamp, name};
use thingward_seal::command;

use crate::link::put;
use crate::store::{Cell, Flash, FlashError, HEAD_BYTES, OVERHEAD_BYTES, Store};

/// Most grants that are counted at a time.
const GRANTS_MAX: usize = 6;
/// Most commands that are remembered until they expire.
const COMMANDS_MAX: usize = 6;
const ROOM_BYTES: usize = Cell::Book.room() + OVERHEAD_BYTES;

/// How often a grant was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    grant: GrantId,
    used: u32,
    /// When it is over, in seconds; `u32::MAX` for never.
    expires: u32,
}

/// A command that was judged and is not judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    id: [u8; 16],
    expires: u32,
}

/// Something that was begun and has no end yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) id: [u8; 16],
    pub(crate) digest: Digest,
    pub(crate) what: Begun,
}

/// What was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    Command,
    Use,
    /// The refusal of a command, which is remembered and has to be said.
    Refusal(command::Refusal),
}

impl Begun {
    const fn code(self) -> u8 {
        match self {
            Self::Command => 0,
            Self::Use => 1,
            Self::Refusal(reason) => 2 + reason.code(),
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Command),
            1 => Some(Self::Use),
            _ => command::Refusal::from_code(code - 2).map(Self::Refusal),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) standing: Standing,
    counts: [Option<Count>; GRANTS_MAX],
    known: [Option<Known>; COMMANDS_MAX],
    pub(crate) running: Option<Running>,
    /// It is at least that late.
    pub(crate) mark: Timestamp,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            standing: Standing::default(),
            counts: [None; GRANTS_MAX],
            known: [None; COMMANDS_MAX],
            running: None,
            mark: Timestamp::EPOCH,
        }
    }
}

impl Book {
    /// At a start.
    #[inline(never)]
    pub(crate) fn load<F: Flash>(&mut self, store: &mut Store<F>) -> Result<(), FlashError> {
        let mut room = [0; ROOM_BYTES];
        store.load(Cell::Book, &mut room)?.map_or(Ok(()), |plain| self.decode(plain).ok_or(FlashError))
    }

    /// As it was before it was changed.
    #[inline(never)]
    pub(crate) fn load_again<F: Flash>(&mut self, store: &mut Store<F>) -> Result<(), FlashError> {
        *self = Self::default();
        let mut room = [0; ROOM_BYTES];
        store.newest(Cell::Book, &mut room)?.map_or(Ok(()), |plain| self.decode(plain).ok_or(FlashError))
    }

    #[inline(never)]
    pub(crate) fn save<F: Flash>(&self, store: &mut Store<F>) -> Result<(), FlashError> {
        let mut room = [0; ROOM_BYTES];
        let len = self.encode(room.get_mut(HEAD_BYTES..).unwrap_or_default()).ok_or(FlashError)?;
        store.save(Cell::Book, &mut room, len)
    }

    /// How often a grant was used.
    pub(crate) fn used(&self, grant: &GrantId) -> u32 {
        self.counts.iter().flatten().find(|count| count.grant == *grant).map_or(0, |count| count.used)
    }

    /// Whether it can count a use of this grant, when it is at least `now`.
    pub(crate) fn has_room_for(&self, permitted: &Permitted<'_>, now: Timestamp) -> bool {
        permitted.epoch > self.standing.epoch() || self.slot_of(&permitted.grant, now).is_some()
    }

    /// Counts a use of a grant that there is room for, which is durable with a mark of `now`.
    pub(crate) fn count(&mut self, permitted: &Permitted<'_>, now: Timestamp) {
        let before = self.standing.epoch();
        self.standing.observe(permitted.epoch);
        self.forget_epoch(before);
        let grant = permitted.grant;
        let used = self.used(&grant).saturating_add(1);
        let expires = permitted.expires.map_or(u32::MAX, seconds_up);
        if let Some(slot) = self.slot_of(&grant, now).and_then(|slot| self.counts.get_mut(slot)) {
            *slot = Some(Count { grant, used, expires });
        }
    }

    /// Takes a verified revocation in; whether there is anything new in it. Whoever brings one again wears no memory.
    pub(crate) fn take_back(
        &mut self,
        revocation: &Revocation<'_>,
        own: NameRef<'_, name::Device>,
    ) -> Result<bool, Refusal> {
        // What is kept only grows.
        let size = |standing: &Standing| (standing.epoch(), standing.revoked().len());
        let before = size(&self.standing);
        self.standing.apply(revocation, &Audience::Device(own))?;
        self.forget_epoch(before.0);
        Ok(size(&self.standing) != before)
    }

    /// Grants of an epoch that is over are void, so nobody has to count them.
    const fn forget_epoch(&mut self, before: u32) {
        if self.standing.epoch() > before {
            self.counts = [None; GRANTS_MAX];
        }
    }

    /// Where a grant is counted, or can be.
    #[inline(never)]
    fn slot_of(&self, grant: &GrantId, now: Timestamp) -> Option<usize> {
        let mark = seconds(self.mark.max(now));
        let slot = self.counts.iter().position(|slot| slot.is_some_and(|count| count.grant == *grant));
        let is_free = |slot: &Option<Count>| slot.is_none_or(|count| count.expires <= mark);
        slot.or_else(|| self.counts.iter().position(is_free))
    }

    /// Whether a command was judged before.
    pub(crate) fn knows(&self, id: &[u8; 16]) -> bool {
        self.known.iter().flatten().any(|known| known.id == *id)
    }

    /// Remembers a command until it expires, when it is at least `now`; `false` when there is no room for one more.
    ///
    /// Only what is over by the mark may be forgotten: a message that was held back is then over as well. So the mark is raised
    /// with the first that takes another's place, and both are durable in one step.
    pub(crate) fn remember(&mut self, id: [u8; 16], [expires, now]: [Timestamp; 2]) -> bool {
        let mark = self.mark.max(now);
        let is_free = |slot: &&mut Option<Known>| slot.is_none_or(|known| known.expires <= seconds(mark));
        let Some(slot) = self.known.iter_mut().find(is_free) else { return false };
        *slot = Some(Known { id, expires: seconds_up(expires) });
        self.mark = mark;
        true
    }

    /// `epoch(4) mark(8) revoked(1) counts(1) known(1) running(1)`, and behind that so many of each:
    /// `id(8)`, `grant(8) used(4) expires(4)`, `id(16) expires(4)` and `id(16) digest(32) what(1)`.
    fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let (counts, known) = (self.counts.iter().flatten(), self.known.iter().flatten());
        let running = self.running.as_ref();
        let mut at = 0;
        let mut add = |parts: &[&[u8]]| {
            at += put(out.get_mut(at..)?, parts)?;
            Some(())
        };
        add(&[&self.standing.epoch().to_be_bytes(), &self.mark.as_micros().to_be_bytes()])?;
        let lens = [
            self.standing.revoked().len(),
            counts.clone().count(),
            known.clone().count(),
            running.iter().count(),
        ];
        #[expect(clippy::cast_possible_truncation, reason = "there is room for far fewer")]
        let lens = lens.map(|len| len as u8);
        add(&[&lens])?;
        add(&[self.standing.revoked().as_flattened()])?;
        for Count { grant, used, expires } in counts {
            add(&[grant, &used.to_be_bytes(), &expires.to_be_bytes()])?;
        }
        for Known { id, expires } in known {
            add(&[id, &expires.to_be_bytes()])?;
        }
        if let Some(Running { id, digest, what }) = running {
            add(&[id, digest, &[what.code()]])?;
        }
        Some(at)
    }

    /// Into an empty one.
    fn decode(&mut self, plain: &[u8]) -> Option<()> {
        let mut rest = Rest(plain);
        let epoch = rest.number()?;
        self.mark = Timestamp::from_micros(i64::from_be_bytes(*rest.take()?));
        let [revoked, counts, known, running] = rest.take()?.map(usize::from);
        let (ids, behind) = rest.0.split_at_checked(revoked.checked_mul(size_of::<GrantId>())?)?;
        self.standing = Standing::restored(epoch, ids.as_chunks().0).ok()?;
        rest = Rest(behind);
        for slot in self.counts.get_mut(..counts)? {
            *slot = Some(Count { grant: *rest.take()?, used: rest.number()?, expires: rest.number()? });
        }
        for slot in self.known.get_mut(..known)? {
            *slot = Some(Known { id: *rest.take()?, expires: rest.number()? });
        }
        if running != 0 {
            let (id, digest, [what]) = (*rest.take()?, *rest.take()?, rest.take()?);
            self.running = Some(Running { id, digest, what: Begun::from_code(*what)? });
        }
        rest.0.is_empty().then_some(())
    }
}

/// What was not read yet.
struct Rest<'p>(&'p [u8]);

impl<'p> Rest<'p> {
    fn take<const N: usize>(&mut self) -> Option<&'p [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

/// Times are between 1970 and 2106.
fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_seconds().max(0)).unwrap_or(u32::MAX)
}

fn seconds_up(time: Timestamp) -> u32 {
    seconds(time).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that it may have to hold fits the place that it is kept in.
    #[test]
    fn a_full_book_fits_its_place_and_comes_back() {
        let refusals = [command::Refusal::Malformed, command::Refusal::ApprovalInvalid].map(Begun::Refusal);
        for what in [Begun::Command, Begun::Use].into_iter().chain(refusals) {
            comes_back(what);
        }
    }

    fn comes_back(what: Begun) {
        let ids: std::vec::Vec<GrantId> = (0..32_u64).map(u64::to_be_bytes).collect();
        let full = u32::MAX;
        let book = Book {
            standing: Standing::restored(full, &ids).unwrap(),
            counts: [Some(Count { grant: [9; 8], used: full, expires: full }); GRANTS_MAX],
            known: [Some(Known { id: [8; 16], expires: full }); COMMANDS_MAX],
            running: Some(Running { id: [7; 16], digest: [6; 32], what }),
            mark: Timestamp::from_micros(i64::MAX),
        };
        let mut room = [0; Cell::Book.room()];
        let len = book.encode(&mut room).unwrap();
        let mut again = Book::default();
        assert_eq!(again.decode(&room[..len]), Some(()));
        assert_eq!(again, book);
        assert!((0..len).all(|len| Book::default().decode(&room[..len]).is_none()));
    }
}
