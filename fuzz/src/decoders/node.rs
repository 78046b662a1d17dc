//! What the nodes of one service say to each other, by way of somebody who only carries it.

use bytes::Bytes;
use thingward_cluster::entry::Assembly;
use thingward_cluster::link::read_events;
use thingward_crypto::sealed::SealingKey;
use thingward_ingress::Member;
use thingward_store::hot::{Batch, Position};

/// The key of the installation.
pub fn key() -> SealingKey {
    SealingKey::from_bytes(&[7; 32]).expect("32 bytes are a key")
}

/// Messages of the journal, each behind its length, and what their entries change.
pub fn journal(data: &[u8]) {
    let (mut assembly, mut rest) = (Assembly::new(key(), Position::default()), data);
    for sequence in 1.. {
        let Some((length, behind)) = rest.split_first_chunk::<2>() else { return };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((message, behind)) = behind.split_at_checked(length) else { return };
        rest = behind;
        if let Ok(Some(entry)) = assembly.message(sequence, message) {
            batch(&entry.plain);
        }
    }
}

/// Changes of the hot store. What was read is written and read again.
pub fn batch(data: &[u8]) {
    let Some(batch) = Batch::decode(data) else { return };
    let written = batch.encode();
    assert_eq!(Batch::decode(&written).expect("what was written is read").encode(), written);
}

/// A frame of events of connections, and the member that one of them is about.
pub fn link(data: &[u8]) {
    let _ = read_events(Bytes::copy_from_slice(data));
    if let Some(member) = Member::decode(data) {
        assert_eq!(Member::decode(&member.encode()), Some(member), "what was written is read");
    }
}
