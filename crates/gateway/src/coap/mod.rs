//! Things that speak CoAP: children with OSCORE in the place of TLS, and EDHOC in the place of its handshake.
//!
//! `docs/wire/coap.md` is what goes over the network. [`handshake`] proves who has which raw key, within what [`budget`]
//! allows; [`peers`] are those with a context, [`record`] and [`standing`] say which of them are members. [`server`] and [`requests`] answer; what members
//! say goes the way of every child's messages from there.

mod budget;
mod down;
mod handshake;
mod job;
mod office;
mod peers;
mod record;
mod requests;
mod resource;
mod server;
mod standing;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use thingward_agent::home::{HomeError, Identity};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::record::Book;
use self::server::Server;
use crate::serial::Surroundings;

/// Serial numbers of certificates that are revoked.
pub(crate) type Revoked = BTreeSet<Vec<u8>>;

/// CoAP does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoapError {
    /// The port is not to be had.
    #[error("open CoAP port {address}: {source}")]
    Port {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// What is known of members cannot be read.
    #[error("things with CoAP: {0}")]
    Record(#[from] io::Error),
    /// There is no raw key.
    #[error(transparent)]
    Home(#[from] HomeError),
}

/// Speaks with things until the tasks are dropped; where it listens.
///
/// # Errors
///
/// [`CoapError`].
pub(crate) async fn start(
    address: SocketAddr,
    tasks: &mut JoinSet<()>,
    identity: &Identity,
    around: Surroundings,
    revoked: watch::Receiver<Revoked>,
) -> Result<SocketAddr, CoapError> {
    let failed = |source| CoapError::Port { address, source };
    let socket = UdpSocket::bind(address).await.map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    let raw = around.home.raw_key()?;
    let book = Book::open(around.home.coap_dir(), &around.trust_domain)?;
    tasks.spawn(Server::new(socket, raw, book, identity, around, revoked).run());
    Ok(bound)
}
