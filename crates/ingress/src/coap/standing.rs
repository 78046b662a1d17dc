//! Who is who: contexts come and go, and some are members', who have a session with the core.

use std::net::SocketAddr;
use std::sync::Arc;

use thingward_coap::edhoc::{EdhocError, End, Session};
use thingward_coap::endpoint::ContextHandle;
use thingward_coap::wire::JOIN_LABEL;
use thingward_model::Principal;
use thingward_model::clock::now;
use thingward_mqtt::broker::ConnId;
use thingward_mqtt::client::Receipt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::book::{RawKey, Record};
use super::down::Downward;
use super::office::Office;
use super::peers::Peer;
use super::server::Server;
use super::session::{self, Orders, Say};
use crate::listener::next_conn;
use crate::{Core, Member};

/// Most that a member says and the session has not taken yet.
const SAYS_MAX: usize = 8;

/// A member's place at the core, for as long as it has a context. Its session ends with this.
pub(super) struct Seat {
    member: Member,
    pub(super) conn: ConnId,
    pub(super) says: mpsc::Sender<Say>,
    taken: mpsc::UnboundedSender<Receipt>,
    pub(super) down: Downward,
}

impl Seat {
    /// Tells the core what it need not keep any more.
    pub(super) fn settle(&mut self) {
        for receipt in self.down.settled() {
            // A session that is over has nothing to acknowledge.
            let _ = self.taken.send(receipt);
        }
    }
}

impl<C: Core, O: Office> Server<C, O> {
    /// Whether this one is still a member: asked each time, because a revocation counts at once, and a certificate has an end.
    pub(super) fn is_member(&self, record: &Record) -> bool {
        now() < record.member.not_after && self.office.check_member(&record.member).is_ok()
    }

    /// From here on who has this context is this member, which is durable already.
    pub(super) fn bind(&mut self, context: ContextHandle, record: Record) {
        let (record, former) = self.book.keep(record);
        let who = record.who();
        tracing::info!(thing = %who, expires = %record.member.not_after, "a thing is a member");
        // Whose context is gone has the next one as a member.
        if let Some(peer) = self.peers.get_mut(context) {
            peer.becomes(Arc::clone(&record));
            self.seat(&record);
        }
        if let Some(former) = former {
            // All but this context, which waits for its answer and is the former's no more.
            self.drop_contexts(&former);
            self.leave_without_context(&former);
        }
        for other in self.peers.of_member(&who) {
            if other != context {
                self.drop_context(other);
            }
        }
    }

    /// Whether one more member may be here.
    pub(super) fn has_room_for(&self, who: &Principal) -> bool {
        self.seats.contains_key(who) || self.seats.len() < self.members_max
    }

    /// A handshake came to its end.
    pub(super) fn add(
        &mut self,
        address: SocketAddr,
        session: &Session,
        key: Option<RawKey>,
        member: Option<Arc<Record>>,
    ) -> Result<(), EdhocError> {
        let context = session.context(End::Responder)?;
        let export = Zeroizing::new(session.export(JOIN_LABEL)?);
        let peer = Peer::new(key, export, member.clone(), address, Instant::now());
        let gone = self.peers.making_room(&peer);
        let handle = self.endpoint.add_context(context);
        self.peers.add(handle, peer);
        if let Some(record) = member {
            tracing::info!(thing = %record.who(), %address, "a thing is there");
            self.seat(&record);
        }
        for gone in gone {
            self.drop_context(gone);
        }
        Ok(())
    }

    /// A session with the core, where the member has none with this certificate. What waited in the one before is sent anew.
    fn seat(&mut self, record: &Record) {
        let who = record.who();
        if self.seats.get(&who).is_some_and(|seat| seat.member == record.member) {
            return;
        }
        let (says, to_say) = mpsc::channel(SAYS_MAX);
        let (taken, to_take) = mpsc::unbounded_channel();
        let (conn, member, orders) =
            (next_conn(), record.member.clone(), Orders { says: to_say, taken: to_take });
        tokio::spawn(session::run(self.core.clone(), conn, member.clone(), orders, self.news.0.clone()));
        let down = self.seats.get(&who).map(|before| before.down.anew()).unwrap_or_default();
        self.seats.insert(who, Seat { member, conn, says, taken, down });
        self.tell(&who);
    }

    pub(super) fn drop_context(&mut self, context: ContextHandle) {
        self.endpoint.remove_context(context);
        let record = self.peers.remove(context).and_then(|peer| peer.member);
        if let Some(record) = record {
            self.leave_without_context(&record.who());
        }
        self.take_events();
    }

    /// The session of a member that has no context any more ends.
    fn leave_without_context(&mut self, who: &Principal) {
        if self.peers.of_member(who).is_empty() {
            self.seats.remove(who);
            if let Some(presence) = &self.presence {
                presence.left(who);
            }
        }
    }

    pub(super) fn drop_contexts(&mut self, who: &Principal) {
        for context in self.peers.of_member(who) {
            self.drop_context(context);
        }
    }

    /// Drops what goes by a record that is no member's any more. The same one may be here by another certificate, and stays then.
    pub(super) fn drop_record(&mut self, former: &Record) {
        tracing::info!(thing = %former.who(), "a certificate of a thing is no member's any more");
        if let Some(record) = self.book.forget(former) {
            let office = self.office.clone();
            tokio::spawn(async move { office.forget(&record).await });
        }
        for context in self.peers.by(&former.member) {
            self.drop_context(context);
        }
    }

    /// Drops all who are no members any more.
    pub(super) fn drop_former(&mut self) {
        self.drop_records(self.book.all().chain(self.peers.members()).cloned().collect());
    }

    fn drop_records(&mut self, all: Vec<Arc<Record>>) {
        for record in all {
            if !self.is_member(&record) {
                self.drop_record(&record);
            }
        }
    }

    /// Drops those who are silent, and those who are there and no members any more.
    pub(super) fn look(&mut self) {
        for context in self.peers.silent(Instant::now()) {
            self.drop_context(context);
        }
        self.drop_records(self.peers.members().cloned().collect());
    }
}
