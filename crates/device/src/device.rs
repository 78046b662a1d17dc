//! The state machine.

mod commands;
mod grants;
mod readings;

use thingward_attest::{Claims, NONCE_BYTES, Root};
use thingward_crypto::{RecipientPublicKey, VerifyingKey};
use thingward_grant::{Nonce, Refusal, SignedBeacon, TrustedKey};
use thingward_model::Timestamp;
use thingward_seal::writer::STATE_BYTES;
use thingward_seal::{ChainWriter, Subject};
use zeroize::Zeroizing;

use crate::book::Book;
use crate::clock::Clock;
use crate::keys::{KeyStore, Purpose};
use crate::link::{
    Failure, Hello, JOIN_BYTES_MAX, Join, Kind, OUTGOING_HEAD_BYTES, Outgoing, Pending, hello_message, put,
};
use crate::permit::{NONCE_MICROS, revocation};
use crate::random::Random;
use crate::request;
use crate::spool::{ANSWER_BYTES_MAX, Entry, EntryKind, PREFIX_BYTES, PushError, Spool};
use crate::store::{Cell, Flash, FlashError, HEAD_BYTES, OVERHEAD_BYTES, Store};
use crate::thing::Thing;
use crate::verdict::Verdict;

pub use readings::RecordError;

/// A device, with its keys, its memory and the thing that it is the device of.
pub struct Device<K, F, T> {
    keys: K,
    store: Store<F>,
    thing: T,
    random: Random,
    clock: Clock,
    book: Book,
    spool: Spool,
    member: Option<Join>,
    chain: Option<ChainWriter>,
    /// For presentations, with how old they are in microseconds; the oldest makes room.
    nonces: [Option<(Nonce, u32)>; NONCES_MAX],
    /// Since the oldest reading that no checkpoint covers, in microseconds.
    unsigned_micros: u32,
    is_destroyed: bool,
    frame_bytes_max: u16,
}

/// What a poll gives out of a use besides the presentation, at most. There is more of it than of what an entry has besides its
/// message, so the presentation can be read where it is given out.
const USE_OVERHEAD_BYTES: usize = OUTGOING_HEAD_BYTES + ANSWER_BYTES_MAX;
const _: () = assert!(ANSWER_BYTES_MAX >= PREFIX_BYTES + OVERHEAD_BYTES);
/// Most nonces that are open at a time.
const NONCES_MAX: usize = 4;

/// Why a device does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartError {
    /// Its keys are destroyed.
    Destroyed,
    /// Its memory fails, or is too small.
    Memory,
}

impl From<FlashError> for StartError {
    fn from(_: FlashError) -> Self {
        Self::Memory
    }
}

/// What became of a question.
type Answer = Result<usize, Refused>;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    For(Failure),
    /// What a grant, revocation or beacon says does not count here.
    Grant(Refusal),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::For(failure)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Grant(refusal)
    }
}

impl From<FlashError> for Refused {
    fn from(_: FlashError) -> Self {
        Self::For(Failure::Memory)
    }
}

impl From<PushError> for Refused {
    fn from(error: PushError) -> Self {
        Self::For(match error {
            PushError::Full => Failure::Busy,
            PushError::Memory => Failure::Memory,
        })
    }
}

impl<K: KeyStore, F: Flash, T: Thing> Device<K, F, T> {
    /// Starts in a place where it stays, since what moves leaves copies of its keys: with what the memory holds, and ends
    /// what was begun before. `frame_bytes_max` is the largest frame that the link has room for.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start(
        place: &mut Option<Self>,
        keys: K,
        flash: F,
        thing: T,
        frame_bytes_max: u16,
    ) -> Result<&mut Self, StartError> {
        if F::BYTES < crate::LAYOUT_BYTES_MIN {
            return Err(StartError::Memory);
        }
        Self::put_into(place, keys, flash, thing, frame_bytes_max)?;
        let loaded = place.as_mut().map_or(Err(StartError::Memory), Self::load);
        if let Err(error) = loaded {
            *place = None;
            return Err(error);
        }
        place.as_mut().ok_or(StartError::Memory)
    }

    /// A device that remembers nothing yet. By itself, for the stack has room for one of it only here.
    #[inline(never)]
    fn put_into(
        place: &mut Option<Self>,
        keys: K,
        flash: F,
        thing: T,
        frame_bytes_max: u16,
    ) -> Result<(), StartError> {
        let sealing = keys.secret(Purpose::Sealing).ok_or(StartError::Destroyed)?;
        let random = keys.secret(Purpose::Random).ok_or(StartError::Destroyed)?;
        let store = Store::open(flash, &sealing)?;
        let random = Random::new(random, store.start());
        *place = Some(Self {
            keys,
            store,
            thing,
            random,
            clock: Clock::since(Timestamp::EPOCH),
            book: Book::default(),
            spool: Spool::new(),
            member: None,
            chain: None,
            nonces: [None; NONCES_MAX],
            unsigned_micros: 0,
            is_destroyed: false,
            frame_bytes_max,
        });
        Ok(())
    }

    #[inline(never)]
    fn load(&mut self) -> Result<(), StartError> {
        self.load_member()?;
        self.book.load(&mut self.store)?;
        self.clock = Clock::since(self.book.mark);
        self.load_spool()?;
        Ok(self.end_interrupted()?)
    }

    #[inline(never)]
    fn load_member(&mut self) -> Result<(), StartError> {
        let mut room = [0; Cell::Member.room() + OVERHEAD_BYTES];
        if let Some(plain) = self.store.load(Cell::Member, &mut room)? {
            self.member = Some(Join::read(plain).ok_or(StartError::Memory)?);
        }
        Ok(())
    }

    /// And the chain with it.
    #[inline(never)]
    fn load_spool(&mut self) -> Result<(), StartError> {
        let mut state = Zeroizing::new([0; STATE_BYTES]);
        self.spool.load(&mut self.store, &mut state)?;
        if let Some(join) = &self.member {
            self.chain = resume::<T>(join, &state);
        }
        Ok(())
    }

    /// So much time has gone by since the last call, in microseconds.
    #[inline(never)]
    pub fn tick(&mut self, micros: u32) {
        self.clock.tick(micros);
        for slot in &mut self.nonces {
            let Some((_, age)) = slot else { continue };
            *age = age.saturating_add(micros);
            if *age >= NONCE_MICROS {
                *slot = None;
            }
        }
        self.sign_when_due(micros);
    }

    /// For a device whose host keeps the time: what time it is, for certain.
    pub const fn set_time(&mut self, now: Timestamp) {
        self.clock.set(now);
    }

    /// Answers a frame of the gateway, whose body is the first `len` bytes of `room`: writes what the answer has besides
    /// kind and sequence to the front of `room`, and gives the answer's kind and that length.
    #[inline(never)]
    pub fn answer(&mut self, kind: u8, room: &mut [u8], len: usize) -> (u8, usize) {
        let kind = Kind::from_code(kind);
        let answer = match kind {
            None => Err(Failure::Malformed.into()),
            Some(kind) => self.answer_to(kind, room, len),
        };
        match (kind, answer) {
            (Some(kind), Ok(len)) => (kind.answer(), len),
            (_, Err(refused)) => (Kind::FAILED, write_failure(refused, room)),
            (None, Ok(_)) => (Kind::FAILED, 0),
        }
    }

    fn answer_to(&mut self, kind: Kind, room: &mut [u8], len: usize) -> Answer {
        let body = room.get(..len).ok_or(Failure::Malformed)?;
        match kind {
            Kind::Poll => self.poll(room, len),
            _ if self.is_destroyed => Err(Failure::Destroyed.into()),
            Kind::Hello => self.hello(room, len),
            Kind::Request => request::write(&self.keys, room).map_err(|_| Failure::Destroyed.into()),
            Kind::Join => self.join(body),
            Kind::Command => self.command(room, len),
            Kind::Nonce => self.nonce(room),
            Kind::Use => self.present(room, len),
            Kind::Revocation => self.take_back(body),
            Kind::Question => self.question(room),
            Kind::Beacon => self.beacon(body),
            Kind::Evidence => self.evidence(room, len),
        }
    }

    /// The thing.
    pub const fn thing(&mut self) -> &mut T {
        &mut self.thing
    }

    /// Whether it is a member.
    pub const fn is_joined(&self) -> bool {
        self.member.is_some()
    }

    #[inline(never)]
    fn hello(&mut self, room: &mut [u8], len: usize) -> Answer {
        let nonce: [u8; 32] = array(room, len)?;
        self.random.stir(&nonce);
        let signature = self.keys.sign(&hello_message(&nonce)).map_err(|_| Failure::Destroyed)?;
        let public_key = self.keys.public_key().to_ed25519().ok_or(Failure::Destroyed)?;
        let (is_joined, frame_bytes_max) = (self.is_joined(), self.frame_bytes_max);
        let hello = Hello { is_joined, frame_bytes_max, public_key, signature };
        hello.write(room).ok_or(Failure::Busy.into())
    }

    /// Also before it is a member: firmware that was changed shows itself so.
    #[inline(never)]
    fn evidence(&mut self, room: &mut [u8], len: usize) -> Answer {
        let mut nonce = [0; *NONCE_BYTES.end()];
        let asked = room.get(..len).filter(|asked| NONCE_BYTES.contains(&asked.len()));
        let len = put(&mut nonce, &[asked.ok_or(Failure::Malformed)?]).ok_or(Failure::Malformed)?;
        let (software, version) = T::FIRMWARE;
        let nonce = nonce.get(..len).unwrap_or_default();
        let root = Some(Root::Firmware(*self.keys.endorsement()));
        let token = Claims { nonce, software, version, root }.sign(&self.keys, room);
        Ok(token.map_err(|_| Failure::Busy)?.len())
    }

    #[inline(never)]
    fn join(&mut self, body: &[u8]) -> Answer {
        let join = Join::read(body).ok_or(Failure::Malformed)?;
        if let Some(member) = &self.member {
            return if *member == join { Ok(0) } else { Err(Failure::Joined.into()) };
        }
        for key in [&join.command_key, &join.grant_key].into_iter().flatten() {
            VerifyingKey::from_ed25519(key).map_err(|_| Failure::Malformed)?;
        }
        let mut room = [0; JOIN_BYTES_MAX + OVERHEAD_BYTES];
        let len = put(room.get_mut(HEAD_BYTES..).unwrap_or_default(), &[body]).ok_or(Failure::Malformed)?;
        self.store.save(Cell::Member, &mut room, len)?;
        self.member = Some(join);
        Ok(0)
    }

    /// A message for the service, and what is safe there.
    #[inline(never)]
    fn poll(&mut self, out: &mut [u8], len: usize) -> Answer {
        let delivered = array(out, len)?;
        if self.is_destroyed {
            return self.poll_last_words(delivered, out);
        }
        self.spool.acknowledged(u32::from_be_bytes(delivered));
        self.end_interrupted()?;
        let Some(item) = self.spool.first() else {
            // What is left are uses that power went before: they were not counted, and have no end to come.
            if self.book.running.is_none() {
                self.spool.delivered(u32::MAX);
            }
            return Ok(0);
        };
        let (head, payload) = out.split_first_chunk_mut::<OUTGOING_HEAD_BYTES>().ok_or(Failure::Busy)?;
        // The reply of a use is read by itself: beside both messages there is no room for what else an entry has.
        let mut room = Zeroizing::new([0; PREFIX_BYTES + ANSWER_BYTES_MAX + OVERHEAD_BYTES]);
        let (reply, last) = if item.kind == EntryKind::Use {
            let reply = Spool::read(&mut self.store, item, room.as_mut())?.message;
            (reply, self.spool.started(item.number).ok_or(Failure::Memory)?)
        } else {
            (&[][..], item)
        };
        let Entry { id, message } = Spool::read(&mut self.store, last, payload)?;
        let (pending, id) = match item.kind {
            EntryKind::Telemetry => (Pending::Telemetry, stream_id::<T>()),
            EntryKind::Reply => (Pending::Reply, id),
            EntryKind::Use | EntryKind::Started => (Pending::Use, id),
        };
        let len = message.len();
        move_message(payload, len, reply.len())?;
        put(payload, &[reply]).ok_or(Failure::Memory)?;
        *head = Outgoing { number: item.number, pending, id, payload: &[] }.head();
        self.spool.gave_out(item);
        Ok(OUTGOING_HEAD_BYTES + reply.len() + len)
    }

    /// The last words, until they are safe. What waited before them is lost with the keys.
    fn poll_last_words(&mut self, delivered: [u8; 4], out: &mut [u8]) -> Answer {
        let number = u32::MAX;
        if u32::from_be_bytes(delivered) == number {
            return Ok(0);
        }
        let (head, payload) = out.split_first_chunk_mut::<OUTGOING_HEAD_BYTES>().ok_or(Failure::Busy)?;
        let len = self.store.last_words(payload)?;
        let (pending, id) = (Pending::Telemetry, stream_id::<T>());
        *head = Outgoing { number, pending, id, payload: &[] }.head();
        Ok(if len == 0 { 0 } else { OUTGOING_HEAD_BYTES + len })
    }

    fn question(&mut self, out: &mut [u8]) -> Answer {
        let nonce = self.random.array();
        self.clock.asked(nonce);
        put(out, &[&nonce]).ok_or(Failure::Busy.into())
    }

    #[inline(never)]
    fn beacon(&mut self, body: &[u8]) -> Answer {
        let (join, key) = issuer(&self.member)?;
        let beacon = SignedBeacon::decode(body).map_err(Refusal::from)?;
        let verified = beacon.verify(&TrustedKey::Public(&key), join.tenant.borrowed());
        self.clock.told(&Verdict::hold(verified, Refusal::Forged)?);
        Ok(0)
    }

    #[inline(never)]
    fn take_back(&mut self, body: &[u8]) -> Answer {
        let (join, key) = issuer(&self.member)?;
        let revocation = revocation(body, &key, join.tenant.borrowed())?;
        if self.book.take_back(&revocation, join.device.borrowed())? {
            self.keep()?;
        }
        Ok(0)
    }

    /// Makes the book durable, which was changed; only then it counts. When it cannot be, it is as it was.
    #[inline(never)]
    fn keep(&mut self) -> Result<(), FlashError> {
        if let Some(now) = self.clock.now() {
            self.book.mark = self.book.mark.max(now);
        }
        let saved = self.book.save(&mut self.store);
        if saved.is_err() && self.book.load_again(&mut self.store).is_err() {
            // Nobody knows what it was. Nothing is kept from here on, and so nothing done.
            self.store.destroy();
        }
        saved
    }

    /// The latest that it certainly is: what the device signs as its time.
    #[inline(never)]
    fn time(&self) -> Timestamp {
        self.clock.now().unwrap_or(self.book.mark)
    }
}

/// The state of a chain, to be kept with each message.
fn state_of(chain: &Option<ChainWriter>) -> Zeroizing<[u8; STATE_BYTES]> {
    chain.as_ref().map_or_else(|| Zeroizing::new([0; STATE_BYTES]), ChainWriter::save)
}

fn write_failure(refused: Refused, out: &mut [u8]) -> usize {
    let bytes = match refused {
        Refused::For(failure) => [failure.code(), 0],
        Refused::Grant(refusal) => [Failure::Refused.code(), refusal.code()],
    };
    put(out, &[&bytes]).unwrap_or(0)
}

/// Who a device is itself, and whose grants and beacons it takes.
fn issuer(member: &Option<Join>) -> Result<(&Join, VerifyingKey), Refused> {
    let join = member.as_ref().ok_or(Failure::NotJoined)?;
    Ok((join, verifying_key(&join.grant_key).ok_or(Refusal::UnknownIssuer)?))
}

fn verifying_key(key: &Option<[u8; 32]>) -> Option<VerifyingKey> {
    VerifyingKey::from_ed25519(key.as_ref()?).ok()
}

/// A body that has just this length.
fn array<const N: usize>(room: &[u8], len: usize) -> Result<[u8; N], Failure> {
    room.get(..len).and_then(|body| body.try_into().ok()).ok_or(Failure::Malformed)
}

fn subject<T: Thing>(join: &Join) -> Option<Subject> {
    Some(Subject { tenant: join.tenant, device: join.device, stream: T::STREAM.parse().ok()? })
}

#[inline(never)]
fn resume<T: Thing>(join: &Join, state: &[u8; STATE_BYTES]) -> Option<ChainWriter> {
    ChainWriter::resume(subject::<T>(join)?, state).ok()
}

fn stream_id<T: Thing>() -> [u8; 16] {
    let mut id = [0; 16];
    for (slot, byte) in id.iter_mut().zip(T::STREAM.bytes()) {
        *slot = byte;
    }
    id
}

fn recipient(join: &Join) -> RecipientPublicKey {
    RecipientPublicKey::from_bytes(join.recipient)
}

/// Moves the message at the end of an entry, and wipes what is left behind it. What is in front is for the caller to write over.
fn move_message(room: &mut [u8], len: usize, to: usize) -> Result<(), Failure> {
    let from = PREFIX_BYTES;
    room.get(from.max(to)..from.max(to) + len).ok_or(Failure::Memory)?;
    room.copy_within(from..from + len, to);
    room.get_mut(to + len..from + len).unwrap_or_default().fill(0);
    Ok(())
}
