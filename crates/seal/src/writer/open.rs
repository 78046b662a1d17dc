//! How a chain starts.

use rand_core::CryptoRng;
use thingward_crypto::{AeadAlgorithm, RecipientPublicKey, Signer, sha256};
use thingward_model::{Confidentiality, Timestamp};

use super::ChainWriter;
use crate::FormatError;
use crate::record::RecordKey;
use crate::statement::{Link, Parts, StatementKind, Subject};

/// What a new chain is made of.
pub struct NewChain<'a> {
    /// Whose readings.
    pub subject: Subject,
    /// For whom they are sealed.
    pub confidentiality: Confidentiality,
    /// That recipient's key.
    pub recipient: &'a RecipientPublicKey,
    /// The cipher of the records.
    pub cipher: AeadAlgorithm,
    /// Where this stream's former chain ended.
    pub previous: Option<Link>,
}

impl ChainWriter {
    /// Starts a chain: writes the signed open statement into `out` and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when the recipient's key or the signer fails, or `out` is too small.
    pub fn open(
        new: &NewChain<'_>,
        now: Timestamp,
        signer: &impl Signer,
        rng: &mut impl CryptoRng,
        out: &mut [u8],
    ) -> Result<(Self, usize), FormatError> {
        let mut chain = [0; 8];
        rng.fill_bytes(&mut chain);
        let (key, encapsulated) = RecordKey::create(new.recipient, new.cipher, &new.subject, &chain, rng)?;
        let kind = StatementKind::Open {
            confidentiality: new.confidentiality,
            cipher: new.cipher,
            recipient: new.recipient.id(),
            encapsulated,
            previous: new.previous,
        };
        let len = Parts { subject: &new.subject, chain: &chain, time: now, kind: &kind }.sign(signer, out)?;
        let head = sha256(&[out.get(..len).unwrap_or_default()]);
        let writer = Self { subject: new.subject, chain, key, next_seq: 1, unsigned_first: 1, head };
        Ok((writer, len))
    }
}
