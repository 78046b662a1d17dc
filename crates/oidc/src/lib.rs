//! Sign-in with somebody else's accounts: a relying party of OpenID Connect Core 1.0.
//!
//! Authorization code flow with PKCE (RFC 7636), state and nonce; discovery; the issuer in the answer (RFC 9207). Who
//! is signed in comes from an ID token whose signature was checked, never from what a browser says.
//!
//! - [`settings`]: a provider, as an operator describes it;
//! - [`provider`]: [`Provider::begin`] sends somebody there, [`Provider::finish`] reads who came back;
//! - [`pending`]: what has to be remembered between the two, for a sealed cookie;
//! - [`error`]: what can go wrong, each with a word for the page that says so.
//!
//! HTTP handlers, accounts and sessions are not here.

mod answer;
mod client;
mod discovery;
pub mod error;
mod keys;
pub mod pending;
pub mod provider;
pub mod settings;
mod token;

pub use error::{OidcError, TokenFault};
pub use pending::Pending;
pub use provider::{Begun, Identity, Provider};
pub use settings::{Issuer, ProviderName, Settings, SettingsError};
