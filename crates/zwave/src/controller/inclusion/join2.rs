//! A node that joins with Security 2: how far it is, and what is said to it.

use std::time::Duration;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Inclusion, PIN_TIMEOUT, STEP_TIMEOUT, Stage};
use crate::command_class::security::KeyExchange;
use crate::controller::Controller;
use crate::controller::transactions::Purpose;
use crate::security2::{KeyPair, KeySlot};
use crate::serial::NodeInfo;
use crate::serial::node_info::Listening;
use crate::{Command, NodeId, S2Class, SecurityClass};

/// What the other end is expected to do next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Say what it can do and which keys it asks for.
    Report,
    /// Show its public key.
    PublicKey,
    /// Somebody has to tell the digits that are missing in it.
    Pin([u8; 32]),
    /// Echo what was chosen, encrypted.
    Echo,
    /// Ask for a key, or end.
    Key,
    /// Show that it has this key.
    Verify(SecurityClass),
}

pub(super) struct Join2 {
    pub(super) info: NodeInfo,
    pub(super) listening: Listening,
    pub(super) step: Step,
    pub(super) pair: KeyPair,
    /// What the node offered, to be echoed to it.
    pub(super) offer: Option<KeyExchange>,
    /// Keys that it is given, as bits.
    pub(super) granted: u8,
    /// Keys that it has shown to have, as bits.
    pub(super) verified: u8,
    /// What waits for the node's half of a nonce.
    waiting: Option<Zeroizing<Vec<u8>>>,
}

impl Join2 {
    pub(super) const fn new(info: NodeInfo, listening: Listening, pair: KeyPair) -> Self {
        Self {
            info,
            listening,
            step: Step::Report,
            pair,
            offer: None,
            granted: 0,
            verified: 0,
            waiting: None,
        }
    }

    pub(super) const fn node(&self) -> NodeId {
        self.info.node
    }

    pub(super) const fn listening(&self) -> Listening {
        self.listening
    }

    pub(super) const fn waits_for_pin(&self) -> bool {
        matches!(self.step, Step::Pin(_))
    }

    pub(super) const fn choice(&self, echo: bool) -> KeyExchange {
        let (schemes, curves) = (KeyExchange::SCHEME_1, KeyExchange::CURVE_25519);
        KeyExchange { echo, csa: false, schemes, curves, keys: self.granted }
    }

    /// Whether the device-specific key has to be compared for the keys that it is given.
    pub(super) fn is_authenticated(&self) -> bool {
        [S2Class::Authenticated, S2Class::AccessControl].iter().any(|class| self.granted & bit(*class) != 0)
    }
}

pub(super) const fn bit(class: S2Class) -> u8 {
    SecurityClass::S2(class).bit()
}

impl<R: CryptoRng> Controller<R> {
    pub(in crate::controller) fn inclusion_expects_nonce(&self, node: NodeId) -> bool {
        self.join2().is_some_and(|join| join.node() == node && join.waiting.is_some())
    }

    /// What waited for a nonce is sent.
    pub(in crate::controller) fn inclusion_nonce(&mut self) {
        let Some(join) = self.join2_mut() else { return };
        let node = join.node();
        if let Some(command) = join.waiting.take() {
            self.secret_bytes(node, command);
        }
    }

    pub(super) fn clear(&mut self, node: NodeId, command: &Command) {
        self.transactions.send(Purpose::Aside, node, command.to_bytes());
    }

    /// Sends under the key of the exchange.
    pub(super) fn secret(&mut self, command: &Command) {
        if let Some(node) = self.join2().map(Join2::node) {
            self.secret_bytes(node, Zeroizing::new(command.to_bytes()));
        }
    }

    pub(super) fn secret_bytes(&mut self, node: NodeId, command: Zeroizing<Vec<u8>>) {
        match self.security2.seal(node, KeySlot::Temporary, &command, &mut self.rng) {
            Ok(frame) => self.transactions.send(Purpose::Aside, node, frame),
            Err(_) => {
                let nonce_get = self.security2.nonce_get(node, &mut self.rng);
                self.transactions.send(Purpose::Aside, node, nonce_get);
                if let Some(join) = self.join2_mut() {
                    join.waiting = Some(command);
                }
            }
        }
    }

    pub(super) fn step(&mut self, step: Step, now: Duration) {
        let timeout = if matches!(step, Step::Pin(_)) { PIN_TIMEOUT } else { STEP_TIMEOUT };
        if let Some(inclusion) = &mut self.inclusion {
            inclusion.due = now + timeout;
        }
        if let Some(join) = self.join2_mut() {
            join.step = step;
        }
    }

    pub(super) fn join2(&self) -> Option<&Join2> {
        match &self.inclusion {
            Some(Inclusion { stage: Stage::Security2(join), .. }) => Some(join),
            _ => None,
        }
    }

    pub(super) fn join2_mut(&mut self) -> Option<&mut Join2> {
        match &mut self.inclusion {
            Some(Inclusion { stage: Stage::Security2(join), .. }) => Some(join),
            _ => None,
        }
    }
}
