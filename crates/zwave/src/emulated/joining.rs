//! How a node joins: CC, Security 2, "Key Exchange", at the joining end.

use rand_core::CryptoRng;

use super::Node;
use crate::command_class::encapsulation::Supervision;
use crate::command_class::security::{KexFail, KeyExchange, Security2, TransferEnd};
use crate::command_class::switches::{BinarySwitch, MultilevelSwitch};
use crate::security2::{KeySlot, TemporaryKeys};
use crate::{Command, Key, NodeId, S2Class, SecurityClass};

/// What it has under its best key.
pub(super) const SECURE_CLASSES: [u8; 3] = [Supervision::CLASS, BinarySwitch::CLASS, MultilevelSwitch::CLASS];
/// Keys for which the device-specific key has to be compared: the node hides its digits.
const AUTHENTICATED: u8 = 0x06;

/// What a node does wrong, for tests of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It speaks no curve that the host has.
    Curve,
    /// It echoes other keys than it was granted, as if somebody had changed them on the way.
    Echo,
    /// It asks for a key that it was not granted.
    Greedy,
    /// It shows another key than it was given.
    OtherKey,
    /// It says nothing after it was shown the host's public key.
    Silent,
    /// It gives up.
    GivesUp,
    /// It asks for the same key again and again.
    Insatiable,
    /// Somebody else says in the clear and in its name that it has a key, before it does.
    Overtaken,
    /// It is at it for two hours, whatever it is told to do.
    Slow,
}

/// How far joining has come.
#[derive(Default)]
pub(super) struct Joining {
    /// Keys that it is to get, as bits.
    granted: u8,
    /// Whether it has them all: nobody exchanges keys with it any more.
    pub(super) is_done: bool,
}

impl<R: CryptoRng> Node<R> {
    /// A step of the exchange in the clear.
    pub(super) fn exchange(&mut self, command: Security2) -> Vec<Vec<u8>> {
        if self.is_member() {
            return Vec::new();
        }
        let answer = match command {
            Security2::KexGet {} => Security2::KexReport { offer: self.offer(false) },
            Security2::KexSet { choice } => {
                self.joining.granted = choice.keys & self.requested;
                let mut public_key = self.pair().public();
                if let Some(digits) =
                    public_key.first_chunk_mut().filter(|_| choice.keys & AUTHENTICATED != 0)
                {
                    *digits = [0; 2];
                }
                Security2::PublicKeyReport { including: 0, public_key }
            }
            Security2::PublicKeyReport { including: 1, public_key } => return self.shown(&public_key),
            Security2::KexFailed { reason } => return self.turned_away(reason),
            _ => return Vec::new(),
        };
        vec![Command::from(answer).to_bytes()]
    }

    /// The host's public key: from here on they share a secret, and the node says under it what it was granted.
    fn shown(&mut self, public_key: &[u8; 32]) -> Vec<Vec<u8>> {
        let pair = self.pair();
        let Some(shared) = pair.shared(public_key) else { return Vec::new() };
        let keys = TemporaryKeys::derive(&shared, public_key, &pair.public());
        self.security2.begin_exchange(NodeId::FIRST, keys);
        let granted = self.joining.granted;
        let keys = if self.fault == Fault::Echo { granted ^ 0x01 } else { granted };
        let choice = KeyExchange { keys, curves: KeyExchange::CURVE_25519, ..self.offer(true) };
        match self.fault {
            Fault::Silent => Vec::new(),
            Fault::GivesUp => {
                vec![Command::from(Security2::KexFailed { reason: KexFail::Cancel }).to_bytes()]
            }
            _ => self.secret(KeySlot::Temporary, &Security2::KexSet { choice }.into()),
        }
    }

    /// A step of the exchange under its key.
    pub(super) fn exchange_secret(&mut self, command: Command) -> Vec<Vec<u8>> {
        let Command::Security2(command) = command else { return Vec::new() };
        match command {
            Security2::KexReport { offer } if offer == self.offer(true) => self.ask_for_key(),
            Security2::KexReport { .. } => self.give_up(KexFail::Authentication),
            Security2::NetworkKeyReport { granted_key, network_key } => {
                let Some(class) = self.hold(granted_key, network_key.0) else {
                    return self.give_up(KexFail::Report);
                };
                if self.fault == Fault::OtherKey {
                    self.hold(granted_key, Key::new([0x5a; 16]));
                }
                let verify = Command::from(Security2::NetworkKeyVerify {});
                let overtaken = (self.fault == Fault::Overtaken).then(|| verify.to_bytes());
                let said = self.secret(KeySlot::Class(class), &verify);
                overtaken.into_iter().chain(said).collect()
            }
            Security2::TransferEnd { .. } => self.ask_for_key(),
            Security2::KexFailed { reason } => self.turned_away(reason),
            _ => Vec::new(),
        }
    }

    /// The host does not want it.
    fn turned_away(&mut self, reason: KexFail) -> Vec<Vec<u8>> {
        self.reset();
        self.failed = Some(reason);
        Vec::new()
    }

    fn give_up(&mut self, reason: KexFail) -> Vec<Vec<u8>> {
        self.failed = Some(reason);
        self.secret(KeySlot::Temporary, &Security2::KexFailed { reason }.into())
    }

    /// The best key that it was granted and does not hold; after the last one it is done.
    fn ask_for_key(&mut self) -> Vec<Vec<u8>> {
        let lacks = |class: &S2Class| {
            self.joining.granted & SecurityClass::S2(*class).bit() != 0
                && self.security2.network_key(*class).is_none()
        };
        let requested_key = match self.fault {
            Fault::Greedy => Some(SecurityClass::S0.bit()),
            Fault::Insatiable => Some(SecurityClass::S2(S2Class::Unauthenticated).bit()),
            _ => S2Class::ALL.into_iter().find(lacks).map(|class| SecurityClass::S2(class).bit()),
        };
        let command = match requested_key {
            Some(requested_key) => Security2::NetworkKeyGet { requested_key },
            None => {
                self.joining.is_done = true;
                let state = TransferEnd { key_verified: false, key_request_complete: true };
                Security2::TransferEnd { state }
            }
        };
        self.secret(KeySlot::Temporary, &command.into())
    }

    /// What it offers.
    const fn offer(&self, echo: bool) -> KeyExchange {
        let curves = match self.fault {
            Fault::Curve => 0x02,
            _ => KeyExchange::CURVE_25519,
        };
        KeyExchange { echo, csa: false, schemes: KeyExchange::SCHEME_1, curves, keys: self.requested }
    }
}
