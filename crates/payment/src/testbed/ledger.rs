//! Every payment and every message that waits, in one file that is replaced as a whole: what was answered is there after
//! a kill.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use thingward_crypto::sealed::{read_private, write_private};
use thingward_crypto::system_rng;

use super::cards::Card;
use crate::provider::{NewPayment, Payment, PaymentId, Status};

/// Most payments that are kept; a test provider that has more is started with a new folder.
const PAYMENTS_MAX: usize = 10_000;
/// Largest amount, in the smallest unit.
const AMOUNT_MAX: u64 = 99_999_999;
/// Longest text of a payment, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// A payment with what nobody else needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) payment: Payment,
    pub(super) description: String,
    pub(super) return_url: String,
    /// The owner of the card complains as soon as the money is taken.
    complains: bool,
    /// Amounts that went back, by key.
    refunds: BTreeMap<String, u64>,
}

/// A message for whoever sells, until they have taken it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    payments: BTreeMap<PaymentId, Record>,
    references: BTreeMap<String, PaymentId>,
    messages: Vec<Message>,
}

/// Why a step is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("there is no such payment")]
    Unknown,
    #[error("the payment is {0}")]
    State(&'static str),
    #[error("{0}")]
    Invalid(&'static str),
    #[error("there are too many payments")]
    Full,
    #[error("the ledger cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// What became of a card on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paid {
    Authorised,
    Declined,
}

pub(super) struct Ledger {
    file: PathBuf,
    kept: Kept,
}

impl Ledger {
    pub(super) fn open(file: PathBuf) -> io::Result<Self> {
        let kept = match read_private(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(e) => return Err(e),
        };
        Ok(Self { file, kept })
    }

    pub(super) fn add(&mut self, new: &NewPayment) -> Result<Record, Fault> {
        if let Some(id) = self.kept.references.get(&new.reference) {
            let known = self.get(id)?;
            let is_same = known.payment.price == new.price && known.return_url == new.return_url;
            return if is_same {
                Ok(known)
            } else {
                Err(Fault::Invalid("the key was used for something else"))
            };
        }
        let texts = [&new.reference, &new.description, &new.return_url];
        if texts.iter().any(|text| text.is_empty() || text.len() > TEXT_BYTES_MAX) {
            return Err(Fault::Invalid("a text is empty or too long"));
        }
        if !(1..=AMOUNT_MAX).contains(&new.price.amount) {
            return Err(Fault::Invalid("the amount is none"));
        }
        if self.kept.payments.len() >= PAYMENTS_MAX {
            return Err(Fault::Full);
        }
        let id = PaymentId::try_from(random("pay_")).map_err(|_| Fault::Invalid("no id"))?;
        let record = Record {
            payment: Payment {
                id: id.clone(),
                reference: new.reference.clone(),
                price: new.price,
                refunded: 0,
                status: Status::Open,
            },
            description: new.description.clone(),
            return_url: new.return_url.clone(),
            complains: false,
            refunds: BTreeMap::new(),
        };
        self.kept.references.insert(new.reference.clone(), id.clone());
        self.kept.payments.insert(id, record.clone());
        self.save()?;
        Ok(record)
    }

    pub(super) fn get(&self, id: &PaymentId) -> Result<Record, Fault> {
        self.kept.payments.get(id).cloned().ok_or(Fault::Unknown)
    }

    pub(super) fn pay(&mut self, id: &PaymentId, card: Card) -> Result<Paid, Fault> {
        let record = self.kept.payments.get_mut(id).ok_or(Fault::Unknown)?;
        if record.payment.status != Status::Open {
            return Err(Fault::State(word(record.payment.status)));
        }
        if card == Card::Declined {
            return Ok(Paid::Declined);
        }
        record.complains = card == Card::Disputed;
        record.payment.status = Status::Authorised;
        self.tell(id, "payment.authorised")?;
        Ok(Paid::Authorised)
    }

    pub(super) fn capture(&mut self, id: &PaymentId) -> Result<Payment, Fault> {
        let record = self.kept.payments.get_mut(id).ok_or(Fault::Unknown)?;
        match record.payment.status {
            Status::Captured | Status::Disputed => return Ok(record.payment.clone()),
            Status::Authorised => record.payment.status = Status::Captured,
            other => return Err(Fault::State(word(other))),
        }
        let (payment, complains) = (record.payment.clone(), record.complains);
        self.tell(id, "payment.captured")?;
        if complains {
            self.dispute(id)?;
        }
        Ok(payment)
    }

    fn dispute(&mut self, id: &PaymentId) -> Result<(), Fault> {
        let record = self.kept.payments.get_mut(id).ok_or(Fault::Unknown)?;
        record.payment.status = Status::Disputed;
        self.tell(id, "payment.disputed")
    }

    pub(super) fn cancel(&mut self, id: &PaymentId) -> Result<Payment, Fault> {
        let record = self.kept.payments.get_mut(id).ok_or(Fault::Unknown)?;
        match record.payment.status {
            Status::Cancelled => return Ok(record.payment.clone()),
            Status::Open | Status::Authorised => record.payment.status = Status::Cancelled,
            other => return Err(Fault::State(word(other))),
        }
        let payment = record.payment.clone();
        self.tell(id, "payment.cancelled")?;
        Ok(payment)
    }

    pub(super) fn refund(&mut self, id: &PaymentId, key: &str, amount: u64) -> Result<Payment, Fault> {
        let record = self.kept.payments.get_mut(id).ok_or(Fault::Unknown)?;
        match record.refunds.get(key) {
            Some(before) if *before == amount => return Ok(record.payment.clone()),
            Some(_) => return Err(Fault::Invalid("the key was used for something else")),
            None => {}
        }
        if record.payment.status != Status::Captured {
            return Err(Fault::State(word(record.payment.status)));
        }
        let total = record.payment.refunded.saturating_add(amount);
        if key.is_empty() || key.len() > TEXT_BYTES_MAX || amount == 0 || total > record.payment.price.amount
        {
            return Err(Fault::Invalid("a refund has a key, and is of no more than was paid"));
        }
        record.payment.refunded = total;
        record.refunds.insert(key.to_owned(), amount);
        let payment = record.payment.clone();
        self.tell(id, "payment.refunded")?;
        Ok(payment)
    }

    /// The message that has waited longest.
    pub(super) fn next_message(&self) -> Option<Message> {
        self.kept.messages.first().cloned()
    }

    /// It was taken, or nobody will take it.
    pub(super) fn drop_message(&mut self, id: &str) -> Result<(), Fault> {
        self.kept.messages.retain(|message| message.id != id);
        self.save()
    }

    /// Keeps what has changed, and the message about it.
    fn tell(&mut self, id: &PaymentId, what: &str) -> Result<(), Fault> {
        let body = serde_json::json!({"type": what, "data": {"payment": id}}).to_string();
        self.kept.messages.push(Message { id: random("msg_"), body });
        self.save()
    }

    fn save(&self) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(&self.kept).map_err(io::Error::other)?;
        Ok(write_private(&self.file, &bytes)?)
    }
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::Authorised => "authorised",
        Status::Captured => "captured",
        Status::Cancelled => "cancelled",
        Status::Disputed => "disputed",
    }
}

fn random(prefix: &str) -> String {
    let mut bytes = [0; 12];
    system_rng().fill_bytes(&mut bytes);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}
