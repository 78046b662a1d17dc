//! How people sign in: with passkeys, to which one-time links lead, or at an OpenID Connect provider. Nobody has a
//! password.
//!
//! ```text
//! challenge    what an authenticator is asked to sign, remembered by nobody
//! passkey      what pages send, and whether it holds
//! secret       codes of links and secrets of sessions
//! ```

mod challenge;
mod passkey;
mod secret;

pub(crate) use challenge::{CHALLENGE_SECONDS, Challenges, Purpose};
pub(crate) use passkey::{
    Assertion, AssertionResponse, CreationOptions, Registration, RequestOptions, approver_of, user_handle,
};
pub(crate) use secret::{link_code, session_secret};
