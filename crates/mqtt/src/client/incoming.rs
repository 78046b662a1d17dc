//! Messages from the server that are not acknowledged yet.

use std::collections::BTreeMap;

use crate::codec::{AckKind, Delivery, PacketId, QoS};

/// Proof of a message that waits to be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    id: PacketId,
    qos: QoS,
    /// Which connection for QoS 1, which session for QoS 2.
    epoch: u64,
}

/// What to do with an arrived message.
pub(super) enum Arrival {
    /// Hand it over.
    New(Option<Receipt>),
    /// It was handed over before, and its acknowledgement is still to come.
    Pending,
    /// It was acknowledged before: say so again.
    Again(PacketId),
    /// More messages than this side said it takes.
    TooMany,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    connection: u64,
    session: u64,
    /// QoS 1 messages of this connection.
    once: BTreeMap<PacketId, ()>,
    /// QoS 2 messages of this session.
    exactly: BTreeMap<PacketId, Exactly>,
}

#[derive(Debug, Clone, Copy)]
struct Exactly {
    acknowledged: bool,
    /// Came on this connection, so that an acknowledgement has somewhere to go.
    here: bool,
}

impl Inbox {
    pub(super) fn connected(&mut self, session_present: bool) {
        self.connection += 1;
        self.once.clear();
        if session_present {
            self.exactly.values_mut().for_each(|state| state.here = false);
        } else {
            self.session += 1;
            self.exactly.clear();
        }
    }

    pub(super) fn arrived(&mut self, delivery: Delivery, receive_maximum: u16) -> Arrival {
        let qos = delivery.qos();
        match delivery {
            Delivery::AtMostOnce => Arrival::New(None),
            Delivery::AtLeastOnce { id, .. } => {
                if self.once.insert(id, ()).is_none() && self.open() > usize::from(receive_maximum) {
                    return Arrival::TooMany;
                }
                Arrival::New(Some(Receipt { id, qos, epoch: self.connection }))
            }
            Delivery::ExactlyOnce { id, .. } => match self.exactly.get_mut(&id) {
                Some(state) if state.acknowledged => {
                    state.here = true;
                    Arrival::Again(id)
                }
                Some(state) => {
                    state.here = true;
                    Arrival::Pending
                }
                None => {
                    self.exactly.insert(id, Exactly { acknowledged: false, here: true });
                    if self.open() > usize::from(receive_maximum) {
                        return Arrival::TooMany;
                    }
                    Arrival::New(Some(Receipt { id, qos, epoch: self.session }))
                }
            },
        }
    }

    /// The packet that acknowledges the message, where the connection can still use it.
    pub(super) fn acknowledge(&mut self, receipt: Receipt) -> Option<(AckKind, PacketId)> {
        match receipt.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce if receipt.epoch == self.connection => {
                self.once.remove(&receipt.id).map(|()| (AckKind::PubAck, receipt.id))
            }
            QoS::ExactlyOnce if receipt.epoch == self.session => {
                let state = self.exactly.get_mut(&receipt.id).filter(|state| !state.acknowledged)?;
                state.acknowledged = true;
                state.here.then_some((AckKind::PubRec, receipt.id))
            }
            QoS::AtLeastOnce | QoS::ExactlyOnce => None,
        }
    }

    /// PUBREL: the identifier is free. `false` when it was not known.
    pub(super) fn release(&mut self, id: PacketId) -> bool {
        self.exactly.remove(&id).is_some()
    }

    fn open(&self) -> usize {
        self.once.len() + self.exactly.values().filter(|state| state.here).count()
    }
}
