//! The keys that a listener has.

use super::heard::{Heard, Layer, Protection, ProtectionState, Secrecy};
use crate::address::Eui64;
use crate::security::{FrameCounters, Key, KeyIdentifier, SecurityHeader, SecurityLevel, open};

/// Keys of one kind that are kept. Whoever has the well-known link key can transport any number of them.
const KEYS_MAX: usize = 64;
/// What all networks use; frames do not say it.
const LEVEL: SecurityLevel = SecurityLevel::EncryptedMic32;

/// Network keys and link keys, each with the counters of those who use it.
pub struct KeyRing {
    network: Vec<Tracked>,
    link: Vec<Link>,
}

struct Tracked {
    key: Key,
    counters: FrameCounters,
    secrecy: Secrecy,
}

/// A link key with the two that it gives, which have counters of their own.
struct Link {
    data: Tracked,
    transport: Tracked,
    load: Tracked,
}

impl Default for KeyRing {
    /// The link key that everybody knows.
    fn default() -> Self {
        let well_known = Link::new(Key::new(Key::WELL_KNOWN_LINK), Secrecy::WellKnown);
        Self { network: Vec::new(), link: vec![well_known] }
    }
}

impl KeyRing {
    /// Adds a network key. False where there is no room.
    pub fn add_network(&mut self, key: Key) -> bool {
        add(&mut self.network, Tracked::new(key, Secrecy::Secret), |tracked| &tracked.key)
    }

    /// A node gets a network key as it joins, and counts from the start, as its neighbours then expect. What it sent
    /// before, if somebody sends it again, neither they nor a listener can tell from a new frame.
    pub(super) fn hand_out(&mut self, key: &Key, node: Eui64, secrecy: Secrecy) {
        self.add_network(key.clone());
        let tracked = self.network.iter_mut().find(|tracked| tracked.key == *key);
        if let Some(tracked) = tracked {
            tracked.counters.forget(node);
            tracked.heard(secrecy);
        }
    }

    /// A node gets a link key.
    pub(super) fn hand_out_link(&mut self, key: &Key, secrecy: Secrecy) {
        self.add_link(key.clone());
        if let Some(link) = self.link.iter_mut().find(|link| link.data.key == *key) {
            for tracked in [&mut link.data, &mut link.transport, &mut link.load] {
                tracked.heard(secrecy);
            }
        }
    }

    /// Adds a link key. False where there is no room.
    pub fn add_link(&mut self, key: Key) -> bool {
        add(&mut self.link, Link::new(key, Secrecy::Secret), |link| &link.data.key)
    }

    /// Opens what the network layer protects, and says so.
    pub(super) fn open_network(
        &mut self,
        header: &[u8],
        security: &SecurityHeader,
        protected: &[u8],
        heard: &mut Heard,
    ) -> Option<Vec<u8>> {
        let network = matches!(security.key, KeyIdentifier::Network(_));
        let keys = if network { self.network.iter_mut().collect() } else { Vec::new() };
        let (opened, state) = try_all(keys, header, security, security.source, protected);
        heard.protections.push(protection(Layer::Network, security, security.source, state));
        opened
    }

    /// Opens what the application support sublayer protects, and says so. `source` is who made the frame, where the
    /// protection does not say it.
    pub(super) fn open_application(
        &mut self,
        header: &[u8],
        security: &SecurityHeader,
        source: Option<Eui64>,
        protected: &[u8],
        heard: &mut Heard,
    ) -> Option<Vec<u8>> {
        let keys = match security.key {
            KeyIdentifier::Network(_) => self.network.iter_mut().collect(),
            KeyIdentifier::Data => self.link.iter_mut().map(|link| &mut link.data).collect(),
            KeyIdentifier::KeyTransport => self.link.iter_mut().map(|link| &mut link.transport).collect(),
            KeyIdentifier::KeyLoad => self.link.iter_mut().map(|link| &mut link.load).collect(),
        };
        let source = security.source.or(source);
        let (opened, state) = try_all(keys, header, security, source, protected);
        heard.protections.push(protection(Layer::Application, security, source, state));
        opened
    }
}

/// The first key that opens it, which then keeps count.
fn try_all(
    keys: Vec<&mut Tracked>,
    header: &[u8],
    security: &SecurityHeader,
    source: Option<Eui64>,
    protected: &[u8],
) -> (Option<Vec<u8>>, ProtectionState) {
    let Some(source) = source else { return (None, ProtectionState::UnknownSource) };
    for tracked in keys {
        if let Ok(payload) = open(&tracked.key, LEVEL, header, security, source, protected) {
            let freshness = tracked.counters.accept(source, security.frame_counter);
            return (Some(payload), ProtectionState::Opened { freshness, secrecy: tracked.secrecy });
        }
    }
    (None, ProtectionState::NotOpened)
}

const fn protection(
    layer: Layer,
    security: &SecurityHeader,
    source: Option<Eui64>,
    state: ProtectionState,
) -> Protection {
    Protection { layer, key: Some(security.key), frame_counter: security.frame_counter, source, state }
}

fn add<T>(keys: &mut Vec<T>, new: T, key: impl Fn(&T) -> &Key) -> bool {
    if keys.iter().any(|there| key(there) == key(&new)) {
        return true;
    }
    if keys.len() >= KEYS_MAX {
        return false;
    }
    keys.push(new);
    true
}

impl Tracked {
    fn new(key: Key, secrecy: Secrecy) -> Self {
        Self { key, counters: FrameCounters::default(), secrecy }
    }

    /// It was transported. What was given away once is no secret any more.
    fn heard(&mut self, secrecy: Secrecy) {
        if self.secrecy == Secrecy::Secret {
            self.secrecy = secrecy;
        }
    }
}

impl Link {
    fn new(key: Key, secrecy: Secrecy) -> Self {
        let (transport, load) =
            (Tracked::new(key.key_transport(), secrecy), Tracked::new(key.key_load(), secrecy));
        Self { data: Tracked::new(key, secrecy), transport, load }
    }
}
