//! What a host is given.

use rand_core::CryptoRng;

use crate::serial::node_info::Listening;
use crate::{HomeId, Key, NodeId, S2Class, SecurityClass};

/// The keys of a network, one for each class.
#[derive(Clone)]
pub struct NetworkKeySet {
    /// Of Security 2, without comparing the device-specific key.
    pub unauthenticated: Key,
    /// Of Security 2.
    pub authenticated: Key,
    /// Of Security 2, for doors.
    pub access_control: Key,
    /// Of Security 0.
    pub s0: Key,
}

impl NetworkKeySet {
    /// Random keys for a new network. They are the caller's to seal and keep.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let [unauthenticated, authenticated, access_control, s0] = [(); 4].map(|()| Key::generate(rng));
        Self { unauthenticated, authenticated, access_control, s0 }
    }

    /// The key of a class.
    #[must_use]
    pub const fn of(&self, class: SecurityClass) -> &Key {
        match class {
            SecurityClass::S2(S2Class::Unauthenticated) => &self.unauthenticated,
            SecurityClass::S2(S2Class::Authenticated) => &self.authenticated,
            SecurityClass::S2(S2Class::AccessControl) => &self.access_control,
            SecurityClass::S0 => &self.s0,
        }
    }
}

/// That one node may use Security 0, and why. There is no other way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S0Permission {
    node: NodeId,
    reason: String,
}

impl S0Permission {
    /// `None` without a reason.
    #[must_use]
    pub fn new(node: NodeId, reason: &str) -> Option<Self> {
        let reason = reason.trim();
        (!reason.is_empty()).then(|| Self { node, reason: reason.to_owned() })
    }

    /// Who.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// A network that the caller kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNetwork {
    /// Which: a controller of another one is refused.
    pub home: HomeId,
    /// Nodes that joined before.
    pub nodes: Vec<KnownNode>,
}

/// A node that joined before, as the caller kept it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// Who.
    pub node: NodeId,
    /// The best key that it holds.
    pub class: SecurityClass,
    /// How it listens.
    pub listening: Listening,
    /// Command classes that it supports.
    pub supported: Vec<u16>,
}
