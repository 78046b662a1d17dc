//! Members that speak CoAP, in front of a core like those with MQTT: OSCORE is in the place of TLS, and EDHOC in that of its
//! handshake.
//!
//! `docs/wire/coap.md` is what goes over the network. [`handshake`] proves who has which raw key or certificate, in requests of
//! [`edhoc`] and within what [`budget`] allows, and [`signing`] is this end's own proof with a certificate; [`peers`] are those with a context, [`book`] and [`standing`] say which of them are members. [`server`] and
//! [`requests`] answer; what members say goes to the core in a [`session`] of theirs, and what is for them comes back into
//! [`down`]. What only a gateway or the service can answer does the [`Office`].

mod book;
mod budget;
mod down;
mod edhoc;
mod handshake;
mod job;
mod office;
mod peers;
mod presence;
mod requests;
mod resource;
mod server;
mod session;
mod signing;
mod standing;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thingward_coap::edhoc::{Credential, DhKey};
use thingward_crypto::SignatureAlgorithm;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

pub use self::book::{RawKey, Record};
pub use self::office::{Certificate, Certified, NoMember, Office, Refused, Stranger};
pub use self::presence::{Presence, Present};
use self::server::Server;
use crate::Core;

/// How members with CoAP are listened to.
pub struct CoapSettings {
    /// The raw key of this end.
    pub raw: DhKey,
    /// What is shown of it.
    pub credential: Credential,
    /// What the key of this end's certificate signs with.
    pub signs: SignatureAlgorithm,
    /// The root of the installation, in DER.
    pub root: Vec<u8>,
    /// Its trust domain.
    pub trust_domain: String,
    /// Most members that are known.
    pub members_max: usize,
    /// Whose raw keys are known.
    pub known: Vec<Record>,
    /// Rings when somebody may be no member any more.
    pub changed: Arc<Notify>,
    /// Where it is written who is there, if anybody reads it.
    pub presence: Option<Presence>,
}

/// Listens to members on CoAP.
pub struct CoapListener<C, O>(Server<C, O>);

impl<C: Core, O: Office> CoapListener<C, O> {
    /// Opens the port.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn bind(address: SocketAddr, settings: CoapSettings, core: C, office: O) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        Ok(Self(Server::new(socket, settings, core, office)))
    }

    /// The address that was bound.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves until the task is dropped.
    pub async fn run(self) {
        self.0.run().await;
    }
}
