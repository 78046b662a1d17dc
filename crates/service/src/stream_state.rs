//! What the service knows of one stream, as it is saved.

use minicbor::{Decoder, Encoder};
use thingward_crypto::{AeadAlgorithm, KeyId};
use thingward_model::{Confidentiality, DeviceName, StreamName, TenantName};
use thingward_seal::verifier::{EXCEPTIONS_MAX, MISSING_MAX};
use thingward_seal::{ChainId, ChainState, RecordKey};
use thingward_store::hot::{Block, SignedPart};

use crate::recent::Recent;

/// Which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    /// Whose.
    pub tenant: TenantName,
    /// Which device.
    pub device: DeviceName,
    /// Which of its streams.
    pub stream: StreamName,
}

/// What the keys of states start with.
const STATE: &[u8] = b"stream\0";
/// What the keys of open statements start with.
const OPEN: &[u8] = b"open\0";

/// What the service knows of one stream.
#[derive(Default)]
pub struct StreamState {
    /// Its chain; `None` before the first.
    pub chain: Option<Chain>,
    /// The next number for readings outside any chain.
    pub plain_next: u64,
    /// What this group of messages brought, and is not saved with the rest.
    pub block: Option<Box<Block>>,
    /// Whether this group of messages changed it.
    pub is_changed: bool,
}

/// The current chain of a stream.
pub struct Chain {
    /// Where it stands.
    pub state: ChainState,
    /// For whom its records are sealed.
    pub confidentiality: Confidentiality,
    /// How.
    pub cipher: AeadAlgorithm,
    /// Under which of the recipient's keys.
    pub recipient: KeyId,
    /// The records' key, encapsulated.
    pub encapsulated: [u8; 32],
    /// The records' key; `None` until it is derived, and for chains that only the customer opens.
    pub key: Option<RecordKey>,
    /// Tags of the latest records.
    pub recent: Recent,
}

impl Chain {
    /// Which of its records are signed, for the store.
    #[must_use]
    pub fn signed_part(&self) -> SignedPart {
        let used = self.state.exceptions.iter().filter(|e| **e != (0, 0));
        SignedPart { through: self.state.signed_through, exceptions: used.copied().collect() }
    }
}

impl StreamKey {
    /// The key under which the state is saved: names with a zero byte behind each.
    #[must_use]
    pub fn entry(&self) -> Vec<u8> {
        let mut key = STATE.to_vec();
        self.write(&mut key);
        key
    }

    /// What the keys of all states of this device start with.
    #[must_use]
    pub fn entries_of_device(&self) -> Vec<u8> {
        let mut key = STATE.to_vec();
        for name in [self.tenant.as_str(), self.device.as_str()] {
            key.extend_from_slice(name.as_bytes());
            key.push(0);
        }
        key
    }

    /// The key under which the open statement of one of its chains is kept.
    #[must_use]
    pub fn open(&self, chain: &ChainId) -> Vec<u8> {
        let mut key = OPEN.to_vec();
        self.write(&mut key);
        key.extend_from_slice(chain);
        key
    }

    /// What the keys of all open statements of a tenant start with, of one device of it, or of one stream of that
    /// device.
    #[must_use]
    pub fn opens_of(
        tenant: &TenantName,
        device: Option<&DeviceName>,
        stream: Option<&StreamName>,
    ) -> Vec<u8> {
        let device = device.map(DeviceName::as_str);
        let stream = stream.map(StreamName::as_str).filter(|_| device.is_some());
        let mut key = OPEN.to_vec();
        for name in [Some(tenant.as_str()), device, stream].into_iter().flatten() {
            key.extend_from_slice(name.as_bytes());
            key.push(0);
        }
        key
    }

    /// The key under which a later statement of one of its chains is kept.
    #[must_use]
    pub fn statement(&self, chain: &ChainId, last: u64) -> Vec<u8> {
        let mut key = b"statement\0".to_vec();
        self.write(&mut key);
        key.extend_from_slice(chain);
        key.extend_from_slice(&last.to_be_bytes());
        key
    }

    fn write(&self, key: &mut Vec<u8>) {
        for name in [self.tenant.as_bytes(), self.device.as_bytes(), self.stream.as_bytes()] {
            key.extend_from_slice(name);
            key.push(0);
        }
    }
}

/// It says which records are missing. Builds that do not know it keep nothing of the stream.
const VERSION: u8 = 3;
/// Of builds that wrote one record to a block, and of those that did not say which are missing.
const FORMER_VERSIONS: [u8; 2] = [1, 2];

impl StreamState {
    /// Whether nothing was ever kept of the stream.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.chain.is_none() && self.plain_next == 0
    }

    /// ```text
    /// [version, plain next, null / [chain, last, head / null, signed through, [* first, last] unsigned, confidentiality,
    ///  cipher, recipient, encapsulated, [* first, last] missing]]
    /// ```
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new(Vec::with_capacity(160));
        let written = self.write(&mut e);
        debug_assert!(written.is_ok(), "writing to memory cannot fail");
        e.into_writer()
    }

    fn write(
        &self,
        e: &mut Encoder<Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        e.array(3)?.u8(VERSION)?.u64(self.plain_next)?;
        let Some(chain) = &self.chain else {
            e.null()?;
            return Ok(());
        };
        let state = &chain.state;
        e.array(10)?.bytes(&state.chain)?.u64(state.last)?;
        match &state.head {
            Some(head) => e.bytes(head)?,
            None => e.null()?,
        };
        e.u64(state.signed_through)?.array(2 * EXCEPTIONS_MAX as u64)?;
        for (first, last) in state.exceptions {
            e.u64(first)?.u64(last)?;
        }
        e.u8(chain.confidentiality as u8)?.i64(chain.cipher.cose_id())?;
        e.bytes(&chain.recipient)?.bytes(&chain.encapsulated)?.array(2 * MISSING_MAX as u64)?;
        for (first, last) in state.missing {
            e.u64(first)?.u64(last)?;
        }
        Ok(())
    }

    /// Reverses [`Self::encode`]; `None` when the bytes are something else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        if d.array().ok()? != Some(3) {
            return None;
        }
        let version = d.u8().ok()?;
        if version != VERSION && !FORMER_VERSIONS.contains(&version) {
            return None;
        }
        let plain_next = d.u64().ok()?;
        if d.datatype().ok()? == minicbor::data::Type::Null {
            return Some(Self { plain_next, ..Self::default() });
        }
        if d.array().ok()? != Some(if version == VERSION { 10 } else { 9 }) {
            return None;
        }
        let chain = d.bytes().ok()?.try_into().ok()?;
        let last = d.u64().ok()?;
        let head = if d.datatype().ok()? == minicbor::data::Type::Null {
            d.null().ok()?;
            None
        } else {
            Some(d.bytes().ok()?.try_into().ok()?)
        };
        let signed_through = d.u64().ok()?;
        let exceptions = read_ranges::<EXCEPTIONS_MAX>(&mut d)?;
        let confidentiality = match d.u8().ok()? {
            0 => Confidentiality::Service,
            1 => Confidentiality::Customer,
            _ => return None,
        };
        let cipher = AeadAlgorithm::from_cose_id(d.i64().ok()?)?;
        let recipient = d.bytes().ok()?.try_into().ok()?;
        let encapsulated = d.bytes().ok()?.try_into().ok()?;
        let missing = match version {
            VERSION => read_ranges(&mut d)?,
            _ => missing_of_old(exceptions, signed_through, head.is_none().then_some(last)),
        };
        let state = ChainState { chain, last, head, signed_through, exceptions, missing };
        let chain = Chain {
            state,
            confidentiality,
            cipher,
            recipient,
            encapsulated,
            key: None,
            recent: Recent::default(),
        };
        Some(Self { chain: Some(chain), plain_next, ..Self::default() })
    }
}

fn read_ranges<const MAX: usize>(d: &mut Decoder<'_>) -> Option<[(u64, u64); MAX]> {
    if d.array().ok()? != Some(2 * MAX as u64) {
        return None;
    }
    let mut ranges = [(0, 0); MAX];
    for slot in &mut ranges {
        *slot = (d.u64().ok()?, d.u64().ok()?);
    }
    Some(ranges)
}

/// Where it was not said what is missing, it is among what is unsigned, and, in a broken chain, among what came last.
fn missing_of_old(
    unsigned: [(u64, u64); EXCEPTIONS_MAX],
    signed_through: u64,
    broken_to: Option<u64>,
) -> [(u64, u64); MISSING_MAX] {
    let mut missing = unsigned;
    if let (Some(last), Some(slot)) = (broken_to, missing.last_mut()) {
        *slot = (if *slot == (0, 0) { signed_through + 1 } else { slot.0 }, last);
    }
    missing
}
