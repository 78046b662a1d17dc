//! Grants on the device: what somebody who is here may do, decided without the service.
//!
//! The device makes a nonce, judges the presentation that answers it, counts the use, and does what was asked for by the
//! way of [commands](crate::commands): once, and answered with a signed reply, which goes to the service with the
//! presentation whenever the service is in reach.

mod book;
mod nonces;

use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, VerifyingKey};
use thingward_device::{UseJudge, Verdict, revocation};
use thingward_grant::opening::{OpeningError, input, opened};
use thingward_grant::usage::Step;
use thingward_grant::{
    Audience, Class, Grant, GrantId, Nonce, Presentation, Refusal, SCOPE_BYTES_MAX, Scope, Time,
};
use thingward_model::description::{ThingDescription, UseStep};
use thingward_model::{ActionName, Timestamp};

use crate::commands::Order;
use crate::disk::Disk;
use crate::membership::Membership;
use book::Book;
pub(crate) use book::Counted;
pub use book::{BookError, TakeBackError};
use nonces::Nonces;

/// How far off the clock of a host may be that says nothing else, in microseconds: a second.
const CLOCK_ERROR_MICROS: i64 = 1_000_000;
/// How long an order by grant without an expiry waits to be begun, in microseconds: a minute.
const WAIT_MICROS: i64 = 60_000_000;

/// Why the device takes no grants.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantsError {
    /// What it remembers cannot be read.
    #[error(transparent)]
    Book(#[from] BookError),
    /// Its description opens what cannot be open.
    #[error(transparent)]
    Opening(#[from] OpeningError),
}

/// Too many others are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many others ask; ask again in a minute")]
pub struct Busy;

/// A presentation that was permitted.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) order: Order,
    pub(crate) grant: Counted,
}

/// See the module.
pub struct Grants<D> {
    book: Book<D>,
    nonces: Nonces,
    /// The scope that the description opens.
    opened: Vec<u8>,
}

impl<D: Disk> Grants<D> {
    /// What a device with this description remembers on `disk`; `None` when it opens nothing to grants.
    ///
    /// # Errors
    ///
    /// [`GrantsError`]; the device then takes no grants.
    pub fn open(
        disk: D,
        key: SealingKey,
        description: &ThingDescription,
    ) -> Result<Option<Self>, GrantsError> {
        if !description.actions.values().any(|action| action.is_open_to_grants) {
            return Ok(None);
        }
        let mut room = [0; SCOPE_BYTES_MAX];
        let opened = opened(description, &mut room)?.as_bytes().to_vec();
        Ok(Some(Self { book: Book::open(disk, key)?, nonces: Nonces::default(), opened }))
    }

    /// A nonce for one presentation, within a minute.
    pub(crate) fn nonce(&self, now: Timestamp) -> Nonce {
        self.nonces.make(now)
    }

    /// Judges a presentation; its nonce is spent, whatever comes out. `waiting` is how many uses of a grant wait
    /// behind their permission: they count too.
    pub(crate) fn judge(
        &mut self,
        presentation: &[u8],
        membership: &Membership,
        description: &ThingDescription,
        mark: Timestamp,
        waiting: impl Fn(&GrantId) -> u32,
        now: Timestamp,
    ) -> Result<Use, Refusal> {
        let presentation = Presentation::decode(presentation)?;
        let nonce = presentation.nonce();
        let is_open = self.nonces.is_open(&nonce, now);
        let judged = self.judge_answer(&presentation, is_open, membership, description, (mark, now), waiting);
        match (is_open, &judged) {
            (true, Ok(_)) => self.nonces.spend(nonce, now),
            (true, Err(_)) => self.nonces.refuse(nonce),
            (false, _) => {}
        }
        judged
    }

    fn judge_answer(
        &self,
        presentation: &Presentation<'_>,
        is_open: bool,
        membership: &Membership,
        description: &ThingDescription,
        (mark, now): (Timestamp, Timestamp),
        waiting: impl Fn(&GrantId) -> u32,
    ) -> Result<Use, Refusal> {
        let key = membership.grant_key.as_ref().ok_or(Refusal::UnknownIssuer)?;
        let classes = membership.classes.iter().filter_map(|class| {
            let standing = self.book.class_standing(&class.name)?;
            Some(Class { name: class.name.borrowed(), standing })
        });
        let classes: Vec<_> = classes.collect();
        let judge = UseJudge {
            tenant: membership.tenant.borrowed(),
            name: membership.name.borrowed(),
            key,
            opened: Scope::from_bytes(&self.opened)?,
            standing: self.book.own_standing(),
            classes: &classes,
            time: self.time(now, mark),
        };
        let id = presentation.grant().origin_unverified().id;
        let used = self.book.used(&id).saturating_add(waiting(&id));
        let permitted = judge.judge(presentation, is_open, used)?;
        let name = permitted.operation.action().as_str().parse().map_err(|_| Refusal::Malformed)?;
        let input = input(&permitted.operation)?;
        // What is open is within the description's bounds; the description may ask for more.
        let action = description.actions.get(&name).ok_or(Refusal::NotOpened)?;
        action.validate(&input).map_err(|_| Refusal::NotOpened)?;
        let grant = Counted::new(&permitted, action.step.map(step))?;
        if !self.is_in_turn(&grant) {
            return Err(Refusal::OutOfTurn);
        }
        if !self.book.has_room(&id, now) {
            return Err(Refusal::NoRoom);
        }
        let order = Order {
            id: presentation.nonce(),
            action: name,
            input,
            expires: permitted.expires.unwrap_or(now.plus_micros(WAIT_MICROS)),
            actor: actor(presentation.grant())?,
        };
        Ok(Use { order, grant })
    }

    /// Whether a grant that was permitted still counts. That for a class does not once the device has left it.
    pub(crate) fn still_counts(&self, grant: &Counted, mark: Timestamp, now: Timestamp) -> bool {
        let is_over = grant.expires.is_some_and(|end| end <= now.max(mark).max(self.book.mark()));
        Verdict::of(|| !is_over && !self.book.is_taken_back(grant) && self.is_in_turn(grant)).is_good()
    }

    /// Whether the use can take the step that this is; `thingward_grant::usage`.
    fn is_in_turn(&self, grant: &Counted) -> bool {
        grant.step.is_none_or(|step| self.book.can_take(&grant.id, step))
    }

    /// What was done with a permitted presentation failed. A step of a use was not taken then.
    pub(crate) fn failed(
        &mut self,
        presentation: &[u8],
        description: &ThingDescription,
    ) -> Result<(), BookError> {
        let Ok(shown) = Presentation::decode(presentation) else { return Ok(()) };
        let action = shown.operation().action().as_str().parse::<ActionName>().ok();
        match action.and_then(|action| description.actions.get(&action)?.step) {
            Some(taken) => self.book.step_back(&shown.grant().origin_unverified().id, step(taken)),
            None => Ok(()),
        }
    }

    /// Counts a use before it begins.
    pub(crate) fn count(&mut self, grant: &Counted, now: Timestamp) -> Result<(), BookError> {
        self.book.count(grant, now)
    }

    /// Takes what this membership says of classes. One counts once it is known what was taken back of it.
    pub(crate) fn heed_classes(&mut self, membership: &Membership) {
        self.book.is_in(|name| membership.classes.iter().any(|class| class.name == *name));
    }

    /// Takes a signed revocation in, whoever carries it.
    pub(crate) fn take_back(&mut self, message: &[u8], membership: &Membership) -> Result<(), TakeBackError> {
        let key = membership.grant_key.as_ref().ok_or(Refusal::UnknownIssuer);
        let verified = key.and_then(|key| revocation(message, key, membership.tenant.borrowed()));
        let revocation = verified.map_err(TakeBackError::Refused)?;
        let class = match &revocation.audience {
            Audience::Device(name) => (*name == membership.name.borrowed()).then_some(None),
            Audience::Class(name) => membership
                .classes
                .iter()
                .map(|class| class.name)
                .find(|class| class.borrowed() == *name)
                .map(Some),
        };
        let class = class.ok_or(TakeBackError::Refused(Refusal::WrongAudience))?;
        self.book.take_back(&revocation, class)
    }

    /// A clock that is behind what is certain is no clock.
    fn time(&self, now: Timestamp, mark: Timestamp) -> Time {
        let mark = mark.max(self.book.mark());
        if now < mark { Time::AtLeast(mark) } else { Time::clock(now, CLOCK_ERROR_MICROS) }
    }
}

const fn step(of: UseStep) -> Step {
    match of {
        UseStep::Start => Step::Start,
        UseStep::End => Step::End,
    }
}

/// Who wants something, as whoever does it sees them: all grants that were given to one key, and all parts of them that
/// were handed on, are one. So a second grant goes on where the first ends.
fn actor(permitted: &Grant<'_>) -> Result<String, Refusal> {
    let hex = |id: &[u8]| base16ct::lower::encode_string(id);
    Ok(match permitted.first_holder_unverified()? {
        Some(key) => {
            let key = VerifyingKey::from_ed25519(&key.to_bytes()).map_err(|_| Refusal::Malformed)?;
            format!("holder/{}", hex(&key.id()))
        }
        None => format!("grant/{}", hex(&permitted.origin_unverified().id)),
    })
}

/// Whether a key can be an issuer's.
#[must_use]
pub(crate) fn is_issuer_key(key: &VerifyingKey) -> bool {
    key.algorithm() == SignatureAlgorithm::Ed25519
}
