//! Who is who: contexts come and go, and some become members'.

use std::net::SocketAddr;
use std::sync::Arc;

use thingward_agent::coap::wire::JOIN_LABEL;
use thingward_coap::edhoc::{Credential, End, Session};
use thingward_coap::endpoint::ContextHandle;
use thingward_model::DeviceName;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::peers::Peer;
use super::record::Record;
use super::server::{Errand, Server};
use crate::switchboard::Extension;

/// Most that waits for one member on its way to the server.
const VISITS_MAX: usize = 8;

impl Server {
    /// From here on who has this context is this member. It is durable before it is told.
    pub(super) fn bind(&mut self, context: ContextHandle, record: Record) -> bool {
        let name = record.name();
        let record = match self.book.keep(record) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(thing = %name, %error, "a member cannot be kept");
                return false;
            }
        };
        tracing::info!(thing = %name, expires = %record.leaf.not_after, "a thing is a member");
        for other in self.peers.of_member(&name) {
            if other != context {
                self.drop_context(other);
            }
        }
        // Whose context is gone has the next one as a member.
        if let Some(peer) = self.peers.get_mut(context) {
            peer.member = Some(record);
            self.connect(name);
        }
        true
    }

    /// A handshake came to its end.
    pub(super) fn add(&mut self, address: SocketAddr, session: &Session, peer: &Credential) -> Option<()> {
        let context = session.context(End::Responder).ok()?;
        let member = self.book.find(&peer.public);
        let name = member.as_ref().map(|member| member.name());
        let export = session.export(JOIN_LABEL).ok()?;
        let peer = Peer::new(peer.public, export, member, address, Instant::now());
        for gone in self.peers.making_room(&peer) {
            self.drop_context(gone);
        }
        let handle = self.endpoint.add_context(context);
        self.peers.add(handle, peer);
        if let Some(name) = name {
            tracing::info!(thing = %name, %address, "a thing is there");
            self.connect(name);
        }
        Some(())
    }

    /// What is for this member comes here.
    fn connect(&self, name: DeviceName) {
        let (visitors, mut visits) = mpsc::channel(VISITS_MAX);
        let evidence = Arc::<Notify>::default();
        let asked = Arc::clone(&evidence);
        let extension = Extension { commands: self.commands.0.clone(), visitors, evidence };
        // It has proved who it is: whoever was reached under this name before is not, or was it with another context.
        self.around.switchboard.disconnect(&name);
        self.around.switchboard.connect(name, extension);
        let errands = self.errands.0.clone();
        // It ends when nobody can send any more: another one is connected, or nobody.
        tokio::spawn(async move {
            loop {
                let errand = tokio::select! {
                    visit = visits.recv() => match visit {
                        Some(visit) => Errand::Visit(visit),
                        None => return,
                    },
                    () = asked.notified() => Errand::Evidence,
                };
                if errands.send((name, errand)).await.is_err() {
                    return;
                }
            }
        });
    }

    pub(super) fn drop_context(&mut self, context: ContextHandle) {
        self.endpoint.remove_context(context);
        let member = self.peers.remove(context).and_then(|peer| peer.member);
        if let Some(member) = member
            && self.peers.of_member(&member.name()).is_empty()
        {
            self.around.switchboard.disconnect(&member.name());
        }
        self.take_events();
    }

    pub(super) fn drop_member(&mut self, name: &DeviceName) {
        tracing::info!(thing = %name, "a thing is no member any more");
        self.book.forget(name);
        self.down.remove(name);
        for context in self.peers.of_member(name) {
            self.drop_context(context);
        }
    }

    pub(super) fn drop_revoked(&mut self) {
        let revoked = self.book.with_serials(&self.revoked.borrow_and_update());
        for name in revoked {
            self.drop_member(&name);
        }
    }
}
