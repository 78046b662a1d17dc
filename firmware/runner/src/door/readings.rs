//! What the recipient of readings makes of them.

use thingward_crypto::{Digest, RecipientSecretKey, VerifyingKey, sha256};
use thingward_seal::{Item, Items, RecordKey, StatementKind};

use crate::Result;

/// A chain as far as it has come.
pub(super) struct Readings {
    recipient: RecipientSecretKey,
    device: VerifyingKey,
    chain: Option<(RecordKey, Digest)>,
    /// How many records came, and how many of them the device has signed for.
    pub(super) records: u64,
    pub(super) signed: u64,
}

impl Readings {
    pub(super) fn new(recipient: RecipientSecretKey, device: VerifyingKey) -> Self {
        Self { recipient, device, chain: None, records: 0, signed: 0 }
    }

    /// Whether these are a reading that opens and the device's signature over all up to it.
    pub(super) fn are_last(&self, words: &[u8]) -> Result<()> {
        let mut items = Items::new(words);
        let (Some(Ok(Item::Record(record))), Some(Ok(Item::Statement(signed))), None) =
            (items.next(), items.next(), items.next())
        else {
            return Err("last words of another form".into());
        };
        let (key, _) = self.chain.as_ref().ok_or("no chain")?;
        record.open(key, &mut [0; 256])?;
        match signed.verify(&self.device)?.kind {
            StatementKind::Checkpoint { last, .. } if last == record.seq => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }

    /// Takes what the device sent: every record has the next number and opens, and every checkpoint is the device's and
    /// covers exactly what came since the one before.
    pub(super) fn take(&mut self, message: &[u8]) -> Result<()> {
        for item in Items::new(message) {
            match item? {
                Item::Record(record) => {
                    let (key, head) = self.chain.as_mut().ok_or("a record before the chain was opened")?;
                    record.open(key, &mut [0; 256])?;
                    *head = sha256(&[head.as_slice(), record.bytes]);
                    self.records += 1;
                    if record.seq != self.records {
                        return Err(format!("record {} where {} belongs", record.seq, self.records).into());
                    }
                }
                Item::Statement(signed) => {
                    let statement = signed.verify(&self.device)?;
                    match statement.kind {
                        StatementKind::Open { cipher, encapsulated, .. } if self.chain.is_none() => {
                            let (subject, chain) = (&statement.subject, &statement.chain);
                            let key =
                                RecordKey::derive(&self.recipient, &encapsulated, cipher, subject, chain)?;
                            self.chain = Some((key, sha256(&[signed.bytes])));
                        }
                        StatementKind::Checkpoint { first, last, head } => {
                            let is_due = (first, last) == (self.signed + 1, self.records);
                            if !is_due || self.chain.as_ref().is_none_or(|(_, ours)| *ours != head) {
                                return Err("a checkpoint of other records".into());
                            }
                            self.signed = last;
                        }
                        other => return Err(format!("{other:?}").into()),
                    }
                }
            }
        }
        Ok(())
    }
}
