//! What somebody who takes cards has to do for us, and how they tell us.
//!
//! - [`money`]: amounts in the smallest unit of a currency;
//! - [`provider`]: [`Provider`], the steps of one payment;
//! - [`webhook`]: messages of a provider, signed as Standard Webhooks are;
//! - [`client`]: the provider of [`testbed`] over HTTP;
//! - [`testbed`]: a provider with test cards, for demos and tests.
//!
//! Who buys what, and when money goes back, is not here.

pub mod client;
mod http;
pub mod money;
pub mod provider;
pub mod secret;
pub mod testbed;
pub mod webhook;

pub use client::TestbedClient;
pub use money::{Currency, Money};
pub use provider::{Answer, NewPayment, Opened, Payment, PaymentId, Provider, ProviderError, Status};
pub use secret::{ApiKey, SecretError};
pub use webhook::{WebhookFault, WebhookKey};
