//! The state machine.

mod commands;
mod grants;
mod readings;

use thingward_crypto::{RecipientPublicKey, VerifyingKey};
use thingward_grant::{Nonce, Refusal, SignedBeacon, SignedRevocation, TrustedKey};
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
use crate::random::Random;
use crate::request;
use crate::spool::{EntryKind, PushError, Spool};
use crate::store::{Cell, Flash, FlashError, HEAD_BYTES, OVERHEAD_BYTES, Store};
use crate::thing::Thing;

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
    member: Option<Member>,
    chain: Option<ChainWriter>,
    /// For presentations, with how old they are in microseconds; the oldest makes room.
    nonces: [Option<(Nonce, u32)>; NONCES_MAX],
    /// Since the oldest reading that no checkpoint covers, in microseconds.
    unsigned_micros: u32,
    is_destroyed: bool,
    frame_bytes_max: u16,
}

/// Most nonces that are open at a time.
const NONCES_MAX: usize = 4;

/// What a device knows of itself, ready for use.
struct Member {
    join: Join,
    command_key: Option<VerifyingKey>,
    grant_key: Option<VerifyingKey>,
}

impl Member {
    fn new(join: Join) -> Option<Self> {
        let key = |key: Option<[u8; 32]>| match key {
            None => Some(None),
            Some(key) => VerifyingKey::from_ed25519(&key).ok().map(Some),
        };
        let (command_key, grant_key) = (key(join.command_key)?, key(join.grant_key)?);
        Some(Self { join, command_key, grant_key })
    }
}

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
    /// Starts with what the memory holds, and ends what was begun before. `frame_bytes_max` is the largest frame that the
    /// link has room for.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    #[inline(never)]
    pub fn start(keys: K, flash: F, thing: T, frame_bytes_max: u16) -> Result<Self, StartError> {
        if F::BYTES < crate::LAYOUT_BYTES_MIN {
            return Err(StartError::Memory);
        }
        let sealing = keys.secret(Purpose::Sealing).ok_or(StartError::Destroyed)?;
        let random = keys.secret(Purpose::Random).ok_or(StartError::Destroyed)?;
        let mut store = Store::open(flash, &sealing)?;
        let random = Random::new(random, store.start());
        let member = load_member(&mut store)?;
        let book = Book::load(&mut store)?;
        let mut state = Zeroizing::new([0; STATE_BYTES]);
        let spool = Spool::open(&mut store, &mut state)?;
        let chain = match &member {
            Some(member) => resume::<T>(&member.join, &state),
            None => None,
        };
        let clock = Clock::since(book.mark);
        let mut device = Self {
            keys,
            store,
            thing,
            random,
            clock,
            book,
            spool,
            member,
            chain,
            nonces: [None; NONCES_MAX],
            unsigned_micros: 0,
            is_destroyed: false,
            frame_bytes_max,
        };
        device.end_interrupted()?;
        Ok(device)
    }

    /// So much time has gone by since the last call, in microseconds.
    pub fn tick(&mut self, micros: u32) {
        self.clock.tick(micros);
        for slot in &mut self.nonces {
            *slot = slot
                .map(|(nonce, age)| (nonce, age.saturating_add(micros)))
                .filter(|(_, age)| *age <= NONCE_MICROS_MAX);
        }
        self.sign_when_due(micros);
    }

    /// Answers a frame of the gateway: writes what the answer has besides kind and sequence to the front of `out`, and
    /// gives the answer's kind and that length.
    #[inline(never)]
    pub fn answer(&mut self, kind: u8, body: &[u8], out: &mut [u8]) -> (u8, usize) {
        let kind = Kind::from_code(kind);
        let answer = match kind {
            None => Err(Failure::Malformed.into()),
            Some(Kind::Poll) => self.poll(body, out),
            Some(_) if self.is_destroyed => Err(Failure::Destroyed.into()),
            Some(Kind::Hello) => self.hello(body, out),
            Some(Kind::Request) => request::write(&self.keys, out).map_err(|_| Failure::Destroyed.into()),
            Some(Kind::Join) => self.join(body),
            Some(Kind::Command) => self.command(body, out),
            Some(Kind::Nonce) => self.nonce(out),
            Some(Kind::Use) => self.present(body, out),
            Some(Kind::Revocation) => self.take_back(body),
            Some(Kind::Question) => self.question(out),
            Some(Kind::Beacon) => self.beacon(body),
        };
        match (kind, answer) {
            (Some(kind), Ok(len)) => (kind.answer(), len),
            (_, Err(refused)) => (Kind::FAILED, write_failure(refused, out)),
            (None, Ok(_)) => (Kind::FAILED, 0),
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

    fn hello(&mut self, body: &[u8], out: &mut [u8]) -> Answer {
        let nonce: &[u8; 32] = body.try_into().map_err(|_| Failure::Malformed)?;
        self.random.stir(nonce);
        let signature = self.keys.sign(&hello_message(nonce)).map_err(|_| Failure::Destroyed)?;
        let public_key = self.keys.public_key().to_ed25519().ok_or(Failure::Destroyed)?;
        let (is_joined, frame_bytes_max) = (self.is_joined(), self.frame_bytes_max);
        let hello = Hello { is_joined, frame_bytes_max, public_key, signature };
        hello.write(out).ok_or(Failure::Busy.into())
    }

    fn join(&mut self, body: &[u8]) -> Answer {
        let join = Join::read(body).ok_or(Failure::Malformed)?;
        if let Some(member) = &self.member {
            return if member.join == join { Ok(0) } else { Err(Failure::Joined.into()) };
        }
        let member = Member::new(join).ok_or(Failure::Malformed)?;
        let mut room = [0; JOIN_BYTES_MAX + OVERHEAD_BYTES];
        let len = put(room.get_mut(HEAD_BYTES..).unwrap_or_default(), &[body]).ok_or(Failure::Malformed)?;
        self.store.save(Cell::Member, &mut room, len)?;
        self.member = Some(member);
        Ok(0)
    }

    /// A message for the service, and what is safe there.
    fn poll(&mut self, body: &[u8], out: &mut [u8]) -> Answer {
        let delivered: [u8; 4] = body.try_into().map_err(|_| Failure::Malformed)?;
        if self.is_destroyed {
            return self.poll_last_words(delivered, out);
        }
        self.spool.delivered(u32::from_be_bytes(delivered));
        let Some(item) = self.spool.first() else { return Ok(0) };
        let (head, payload) = out.split_first_chunk_mut::<OUTGOING_HEAD_BYTES>().ok_or(Failure::Busy)?;
        let entry = Spool::read(&mut self.store, item, payload)?;
        let (pending, id, len) = match entry.kind {
            EntryKind::Telemetry => (Pending::Telemetry, stream_id::<T>(), entry.message.len()),
            EntryKind::Reply => (Pending::Reply, entry.id, entry.message.len()),
            EntryKind::Use => (Pending::Use, entry.id, entry.message.len()),
            EntryKind::Started => return Err(Failure::Memory.into()),
        };
        to_front(payload, len)?;
        *head = Outgoing { number: item.number, pending, id, payload: &[] }.head();
        let mut end = OUTGOING_HEAD_BYTES + len;
        if pending == Pending::Use {
            let started = self.spool.started(item.number).ok_or(Failure::Memory)?;
            let room = out.get_mut(end..).ok_or(Failure::Busy)?;
            let len = Spool::read(&mut self.store, started, room)?.message.len();
            to_front(room, len)?;
            end += len;
        }
        Ok(end)
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

    fn beacon(&mut self, body: &[u8]) -> Answer {
        let (member, key) = self.issuer()?;
        let beacon = SignedBeacon::decode(body).map_err(Refusal::from)?;
        let beacon = beacon.verify(&TrustedKey::Public(key), member.tenant.borrowed())?;
        self.clock.told(&beacon);
        Ok(0)
    }

    fn take_back(&mut self, body: &[u8]) -> Answer {
        let (join, key) = self.issuer()?;
        let signed = SignedRevocation::decode(body).map_err(Refusal::from)?;
        let revocation = signed.verify(&TrustedKey::Public(key), join.tenant.borrowed())?;
        let mut book = self.book.clone();
        book.standing.apply(&revocation, join.device.borrowed(), &[])?;
        self.keep(book)?;
        Ok(0)
    }

    /// Who it is itself, and whose grants and beacons it takes.
    fn issuer(&self) -> Result<(&Join, &VerifyingKey), Refused> {
        let member = self.member.as_ref().ok_or(Failure::NotJoined)?;
        Ok((&member.join, member.grant_key.as_ref().ok_or(Refusal::UnknownIssuer)?))
    }

    /// Makes a changed book durable; only then it counts.
    fn keep(&mut self, mut book: Book) -> Result<(), FlashError> {
        if let Some(now) = self.clock.now() {
            book.mark = book.mark.max(now);
        }
        if book != self.book {
            book.save(&mut self.store)?;
            self.book = book;
        }
        Ok(())
    }

    /// The latest that it certainly is: what the device signs as its time.
    fn time(&self) -> Timestamp {
        self.clock.now().unwrap_or(self.book.mark)
    }

    /// The state of the chain, to be kept with each message.
    fn chain_state(&self) -> Zeroizing<[u8; STATE_BYTES]> {
        self.chain.as_ref().map_or_else(|| Zeroizing::new([0; STATE_BYTES]), ChainWriter::save)
    }
}

/// How long a nonce is open, in microseconds: a minute.
const NONCE_MICROS_MAX: u32 = 60_000_000;

fn write_failure(refused: Refused, out: &mut [u8]) -> usize {
    let bytes = match refused {
        Refused::For(failure) => [failure.code(), 0],
        Refused::Grant(refusal) => [Failure::Refused.code(), refusal.code()],
    };
    put(out, &[&bytes]).unwrap_or(0)
}

#[inline(never)]
fn load_member<F: Flash>(store: &mut Store<F>) -> Result<Option<Member>, StartError> {
    let mut room = [0; Cell::Member.room() + OVERHEAD_BYTES];
    let Some(plain) = store.load(Cell::Member, &mut room)? else { return Ok(None) };
    Join::read(plain).and_then(Member::new).map(Some).ok_or(StartError::Memory)
}

fn subject<T: Thing>(join: &Join) -> Option<Subject> {
    Some(Subject { tenant: join.tenant, device: join.device, stream: T::STREAM.parse().ok()? })
}

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

/// Moves what stands at the end of an entry to the front, and wipes what is behind it.
fn to_front(room: &mut [u8], len: usize) -> Result<(), Failure> {
    let at = crate::spool::PREFIX_BYTES;
    room.get(at..at + len).ok_or(Failure::Memory)?;
    room.copy_within(at..at + len, 0);
    room.get_mut(len..at + len).unwrap_or_default().fill(0);
    Ok(())
}
