//! The steps of one payment, whoever takes the cards.
//!
//! ```text
//! open ─pays─► authorised ─capture─► captured ─refund─► captured, less
//!   └─────cancel─────┴──► cancelled      └─the card's owner complains─► disputed
//! ```
//!
//! Each step may be asked for again after an answer was lost: it is done once.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::money::Money;

/// Longest id of a payment, in bytes.
const ID_BYTES_MAX: usize = 64;

/// What a provider calls a payment: letters, digits, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentId(String);

/// A text names no payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("names no payment")]
pub struct NoPaymentId;

impl PaymentId {
    /// As the provider writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PaymentId {
    type Err = NoPaymentId;
    fn from_str(text: &str) -> Result<Self, NoPaymentId> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for PaymentId {
    type Error = NoPaymentId;
    fn try_from(text: String) -> Result<Self, NoPaymentId> {
        let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        if is_word && (1..=ID_BYTES_MAX).contains(&text.len()) { Ok(Self(text)) } else { Err(NoPaymentId) }
    }
}

impl From<PaymentId> for String {
    fn from(id: PaymentId) -> Self {
        id.0
    }
}

impl fmt::Display for PaymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A payment to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// What we call it. Asked for twice under one name, it is one payment.
    pub reference: String,
    /// How much.
    pub price: Money,
    /// What for, for people.
    pub description: String,
    /// Where the payer's browser goes afterwards.
    pub return_url: String,
}

/// A payment that waits for its payer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// What the provider calls it.
    pub id: PaymentId,
    /// The provider's page where somebody pays. Cards never come to us.
    pub checkout: String,
}

/// Where a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nobody has paid; a card may have been declined.
    Open,
    /// The money is set aside, and is ours when we capture it.
    Authorised,
    /// It is ours, less what went back.
    Captured,
    /// Nobody pays, ever.
    Cancelled,
    /// The card's owner takes it back through their bank.
    Disputed,
}

/// A payment, on the provider's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// What the provider calls it.
    pub id: PaymentId,
    /// What we call it.
    pub reference: String,
    /// How much.
    pub price: Money,
    /// How much of it went back.
    pub refunded: u64,
    /// Where it is.
    pub status: Status,
}

/// Why a provider did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// No answer, or none that can be read. It may have been done; ask again.
    #[error("the payment provider does not answer: {0}")]
    Unreachable(String),
    /// It will not.
    #[error("the payment provider refuses: {0}")]
    Refused(String),
}

/// What a provider will answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// Somebody who takes cards.
pub trait Provider: Send + Sync {
    /// Lets a payment wait for its payer.
    fn open<'a>(&'a self, new: &'a NewPayment) -> Answer<'a, Opened>;
    /// Where a payment is.
    fn find<'a>(&'a self, id: &'a PaymentId) -> Answer<'a, Payment>;
    /// Takes what is authorised.
    fn capture<'a>(&'a self, id: &'a PaymentId) -> Answer<'a, Payment>;
    /// Gives up what is not captured.
    fn cancel<'a>(&'a self, id: &'a PaymentId) -> Answer<'a, Payment>;
    /// Gives back so much of what was captured, once for each `key`.
    fn refund<'a>(&'a self, id: &'a PaymentId, key: &'a str, amount: u64) -> Answer<'a, Payment>;
}
