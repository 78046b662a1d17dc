//! What two nodes have agreed on.

use std::collections::BTreeMap;

use super::message::{Addresses, Sealed};
use super::{EntropyInput, GroupId, KeySlot, Mpan, NetworkKeys, Span};
use crate::{Key, S2Class};

/// How many messages of a peer may get lost before the nonces have come apart.
pub const SPAN_LOOKAHEAD: usize = 5;

/// How far the agreement on singlecast nonces has come: CC, Security 2, "SPAN state".
#[derive(Clone, Default)]
pub(super) enum SpanState {
    /// Nothing is agreed.
    #[default]
    None,
    /// We told the peer our half.
    Told(EntropyInput),
    /// The peer told us its half.
    Heard(EntropyInput),
    /// Both ends draw from one generator, under one key.
    Agreed(KeySlot, Span),
}

/// One peer.
#[derive(Clone, Default)]
pub(super) struct Peer {
    /// The sequence number that was sent last.
    pub(super) sent: u8,
    /// The one of the last message that was what it claims.
    pub(super) received: Option<u8>,
    /// The one of the last request for a nonce, which anybody can send.
    pub(super) received_clear: Option<u8>,
    pub(super) span: SpanState,
    /// The nonces of the peer's groups, by the class under whose key they were told: who holds the key of a lesser one
    /// cannot put them out of step.
    pub(super) groups: BTreeMap<(S2Class, GroupId), Mpan>,
    /// A group of the peer that we could not follow and have not told yet.
    pub(super) out_of_step: bool,
}

impl Peer {
    pub(super) const fn next_sequence(&mut self) -> u8 {
        self.sent = self.sent.wrapping_add(1);
        self.sent
    }
}

/// The text and the generator after it, by the first of the next nonces that opens it.
pub(super) fn open_with_span(
    sealed: &Sealed,
    addresses: Addresses,
    ccm: &Key,
    span: &Span,
    lookahead: usize,
) -> Option<(Vec<u8>, Span)> {
    let mut span = span.clone();
    let opened = (0..lookahead).find_map(|_| sealed.open(addresses, ccm, &span.next_nonce()));
    opened.map(|text| (text, span))
}

/// The same for a group.
pub(super) fn open_with_mpan(
    sealed: &Sealed,
    addresses: Addresses,
    keys: &NetworkKeys,
    mpan: &Mpan,
) -> Option<(Vec<u8>, Mpan)> {
    let mut mpan = mpan.clone();
    let opened =
        (0..SPAN_LOOKAHEAD).find_map(|_| sealed.open(addresses, &keys.ccm, &mpan.next_nonce(&keys.mpan)));
    opened.map(|text| (text, mpan))
}
