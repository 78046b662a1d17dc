//! A card processor for demos and tests: its own page to pay on, test cards, signed webhooks. No card and no money is
//! real, and it listens on this machine only.
//!
//! - [`cards`]: which numbers do what;
//! - [`ledger`]: every payment and every message that is not delivered, in one file;
//! - [`api`]: the API for whoever sells;
//! - [`page`]: the page for whoever pays;
//! - [`delivery`]: webhooks, until they are taken;
//! - [`server`]: all of it on a port.

pub(crate) mod api;
pub mod cards;
mod delivery;
mod ledger;
mod page;
pub mod server;

pub use server::{Testbed, TestbedError, TestbedSettings};
