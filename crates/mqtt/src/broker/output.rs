//! What has to be stored, and then what has to be done.

use bytes::{Bytes, BytesMut};

use crate::broker::ConnId;

/// What a [`drain`](super::Broker::drain) gives.
#[derive(Debug, Default)]
pub struct Output {
    /// To be made durable in this order, all of them before the first effect.
    pub changes: Vec<Change>,
    /// To be done in this order.
    pub effects: Vec<Effect>,
}

/// One entry of the durable state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Names the entry.
    pub key: Vec<u8>,
    /// The new value; `None` deletes the entry.
    pub value: Option<Bytes>,
}

/// Something to do with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write these bytes.
    Send {
        /// To this connection.
        conn: ConnId,
        /// Whole packets.
        bytes: Bytes,
    },
    /// Close the connection once what was sent before is written. No [`closed`](super::Broker::closed) is needed.
    Close {
        /// This connection.
        conn: ConnId,
    },
}

/// Collects output. Packets for one connection in a row share one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    output: Output,
    arena: BytesMut,
    open: Option<ConnId>,
    /// How often it was drained.
    drains: u64,
    /// Bytes of messages written since then.
    unsent: usize,
}

const ARENA_BYTES: usize = 64 * 1024;

impl Outbox {
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.output.changes.push(Change { key, value: Some(value.into()) });
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.output.changes.push(Change { key, value: None });
    }

    /// The buffer that packets for `conn` are written to.
    pub(super) fn packets(&mut self, conn: ConnId) -> &mut BytesMut {
        if self.open != Some(conn) {
            self.seal();
            self.open = Some(conn);
            if self.arena.capacity() < 1024 {
                self.arena.reserve(ARENA_BYTES);
            }
        }
        &mut self.arena
    }

    /// Numbers the time since the last drain.
    pub(super) const fn drains(&self) -> u64 {
        self.drains
    }

    /// Bytes of messages since the last drain, for everybody.
    pub(super) const fn unsent(&self) -> usize {
        self.unsent
    }

    pub(super) const fn count_unsent(&mut self, bytes: usize) {
        self.unsent = self.unsent.saturating_add(bytes);
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        self.seal();
        self.output.effects.push(Effect::Close { conn });
    }

    pub(super) fn drain(&mut self) -> Output {
        self.seal();
        self.drains += 1;
        self.unsent = 0;
        std::mem::take(&mut self.output)
    }

    fn seal(&mut self) {
        if let Some(conn) = self.open.take()
            && !self.arena.is_empty()
        {
            let bytes = self.arena.split().freeze();
            self.output.effects.push(Effect::Send { conn, bytes });
        }
    }
}
