//! What two endpoints share: RFC 8613 §3.

use minicbor::Encoder;
use minicbor::encode::write::Cursor;
use zeroize::Zeroizing;

use super::aead::{KEY_BYTES_MAX, NONCE_BYTES_MAX};
use super::derive::{Purpose, derive};
use super::id::{ID_BYTES_MAX, PARTIAL_IV_BYTES_MAX};
use super::sequence::Sequence;
use super::window::Window;
use super::{Aead, ContextError, ContextId, Hkdf, Id, MasterSecret, PartialIv, SequenceNumber};

/// What a context is derived from: RFC 8613 §3.2. The other endpoint has the two identifiers exchanged.
pub struct Parameters<'a> {
    pub secret: &'a MasterSecret,
    /// Empty where there is none.
    pub salt: &'a [u8],
    pub sender_id: Id,
    pub recipient_id: Id,
    pub id_context: Option<ContextId>,
    pub aead: Aead,
    pub hkdf: Hkdf,
}

/// A security context: keys, wiped when dropped and never printed, and what may not repeat.
pub struct Context {
    pub(super) aead: Aead,
    pub(super) sender_id: Id,
    pub(super) recipient_id: Id,
    pub(super) id_context: Option<ContextId>,
    common_iv: Zeroizing<[u8; NONCE_BYTES_MAX]>,
    sender_key: Zeroizing<[u8; KEY_BYTES_MAX]>,
    recipient_key: Zeroizing<[u8; KEY_BYTES_MAX]>,
    pub(super) sequence: Sequence,
    pub(super) replay: Replay,
}

/// Bytes of what a client shows to prove that its request is fresh: RFC 9175 §2.2.1.
pub(super) const CHALLENGE_BYTES: usize = 8;

/// What is known of requests that were taken.
pub(super) enum Replay {
    Window(Window),
    /// It was lost in a restart. The first request that repeats this as its Echo is fresh: appendix B.1.2.
    Lost {
        challenge: [u8; CHALLENGE_BYTES],
    },
}

impl Context {
    /// A context that was never used. No message can be protected before [`Self::set_aside`].
    ///
    /// # Errors
    ///
    /// [`ContextError`] when the parameters make no context.
    pub fn new(parameters: &Parameters<'_>) -> Result<Self, ContextError> {
        Self::with(parameters, 0, Replay::Window(Window::default()))
    }

    /// A context that was used before a restart: RFC 8613 appendix B.1. `start` is the last limit that was set aside, and
    /// `challenge` random; a request is taken only from a client that has repeated it.
    ///
    /// # Errors
    ///
    /// [`ContextError`] when the parameters make no context.
    pub fn restarted(
        parameters: &Parameters<'_>,
        start: SequenceNumber,
        challenge: [u8; CHALLENGE_BYTES],
    ) -> Result<Self, ContextError> {
        Self::with(parameters, start, Replay::Lost { challenge })
    }

    fn with(
        parameters: &Parameters<'_>,
        start: SequenceNumber,
        replay: Replay,
    ) -> Result<Self, ContextError> {
        let Parameters { secret, salt, sender_id, recipient_id, id_context, aead, hkdf } = parameters;
        let id_max = aead.nonce_bytes() - NONCE_OVERHEAD_BYTES;
        if sender_id.as_bytes().len() > id_max || recipient_id.as_bytes().len() > id_max {
            return Err(ContextError::IdTooLong);
        }
        if sender_id == recipient_id {
            return Err(ContextError::SameId);
        }
        let out = |id: &Id, purpose, out: &mut [u8]| {
            derive((*hkdf, *aead), secret, salt, (id, id_context.as_ref()), purpose, out)
        };
        let key = |id: &Id| {
            let mut key = Zeroizing::new([0; KEY_BYTES_MAX]);
            out(id, Purpose::Key, key.get_mut(..aead.key_bytes()).unwrap_or_default())?;
            Ok(key)
        };
        let mut common_iv = Zeroizing::new([0; NONCE_BYTES_MAX]);
        let nobody = [].as_slice().try_into()?;
        out(&nobody, Purpose::Iv, common_iv.get_mut(..aead.nonce_bytes()).unwrap_or_default())?;
        Ok(Self {
            aead: *aead,
            sender_id: *sender_id,
            recipient_id: *recipient_id,
            id_context: *id_context,
            common_iv,
            sender_key: key(sender_id)?,
            recipient_key: key(recipient_id)?,
            sequence: Sequence::starting_at(start),
            replay,
        })
    }

    /// Who protects here: the key that the other endpoint looks for.
    #[must_use]
    pub const fn sender_id(&self) -> &Id {
        &self.sender_id
    }

    /// The `kid` that messages for this context carry.
    #[must_use]
    pub const fn recipient_id(&self) -> &Id {
        &self.recipient_id
    }

    #[must_use]
    pub const fn id_context(&self) -> Option<&ContextId> {
        self.id_context.as_ref()
    }

    /// The first sequence number that was not used.
    #[must_use]
    pub const fn next_sequence_number(&self) -> SequenceNumber {
        self.sequence.next()
    }

    /// How many messages can be protected before more numbers have to be set aside.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.sequence.left()
    }

    /// Lets numbers below `limit` be used. The caller MUST have made `limit` durable before: a number that is used again
    /// after a restart breaks the encryption of both messages. RFC 8613 appendix B.1.1.
    pub fn set_aside(&mut self, limit: SequenceNumber) {
        self.sequence.set_aside(limit);
    }

    /// What a client has to repeat as its Echo option, while it is not known which requests were taken before.
    #[must_use]
    pub const fn challenge(&self) -> Option<&[u8]> {
        match &self.replay {
            Replay::Window(_) => None,
            Replay::Lost { challenge } => Some(challenge),
        }
    }

    pub(super) fn sender_key(&self) -> &[u8] {
        self.sender_key.get(..self.aead.key_bytes()).unwrap_or_default()
    }

    pub(super) fn recipient_key(&self) -> &[u8] {
        self.recipient_key.get(..self.aead.key_bytes()).unwrap_or_default()
    }

    /// §5.2: length of the identifier, identifier and partial IV, each to the right of its field, and the common IV on it.
    pub(super) fn nonce(&self, id: &Id, partial_iv: PartialIv) -> [u8; NONCE_BYTES_MAX] {
        let mut nonce = [0; NONCE_BYTES_MAX];
        let len = self.aead.nonce_bytes();
        let id = id.as_bytes();
        let id_at = len - PARTIAL_IV_BYTES_MAX - id.len();
        let parts: [(usize, &[u8]); 3] = [
            (0, &[u8::try_from(id.len()).unwrap_or_default()]),
            (id_at, id),
            (len - PARTIAL_IV_BYTES_MAX, &partial_iv.bytes().0),
        ];
        for (at, part) in parts {
            if let Some(room) = nonce.get_mut(at..at + part.len()) {
                room.copy_from_slice(part);
            }
        }
        nonce.iter_mut().zip(self.common_iv.iter()).for_each(|(byte, iv)| *byte ^= iv);
        nonce
    }
}

/// The nonce has the identifier's length and the partial IV beside the identifier.
const NONCE_OVERHEAD_BYTES: usize = 1 + PARTIAL_IV_BYTES_MAX;
/// Heads, the text "Encrypt0" and two strings.
const AAD_BYTES_MAX: usize = 24 + ID_BYTES_MAX + PARTIAL_IV_BYTES_MAX;

/// The additional data of a message, which joins a response to its request: RFC 8613 §5.4.
pub(super) struct Aad {
    bytes: [u8; AAD_BYTES_MAX],
    len: usize,
}

impl Aad {
    /// For messages of the exchange that the request with this `kid` and partial IV began. There are no class I options.
    pub(super) fn new(aead: Aead, kid: &Id, partial_iv: PartialIv) -> Option<Self> {
        let (iv, from) = partial_iv.bytes();
        let mut external = [0; AAD_BYTES_MAX];
        let mut encoder = Encoder::new(Cursor::new(&mut external[..]));
        let array = encoder.array(5).ok()?.u8(1).ok()?.array(1).ok()?.u8(aead.cose_id()).ok()?;
        array.bytes(kid.as_bytes()).ok()?.bytes(iv.get(from..)?).ok()?.bytes(&[]).ok()?;
        let external_len = encoder.writer().position();

        let mut bytes = [0; AAD_BYTES_MAX];
        let mut encoder = Encoder::new(Cursor::new(&mut bytes[..]));
        encoder
            .array(3)
            .ok()?
            .str("Encrypt0")
            .ok()?
            .bytes(&[])
            .ok()?
            .bytes(external.get(..external_len)?)
            .ok()?;
        let len = encoder.writer().position();
        Some(Self { bytes, len })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
