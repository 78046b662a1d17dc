//! A node with Security 2, as it lives: the other end of what a host does, with the same link security.

use std::collections::VecDeque;
use std::time::Duration;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::joining::{Fault, Joining};
use super::{Bulb, joining};
use crate::command_class::encapsulation::{Answer, Supervision, SupervisionStatus};
use crate::command_class::field;
use crate::command_class::security::{self, KexFail};
use crate::command_class::transport_service::{Assembled, Assembler};
use crate::security2::{KeyPair, KeySlot, Security2};
use crate::{Command, Dsk, HomeId, NodeId, S2Class, SecurityClass};

/// Commands that wait for the host's half of a nonce; with so many of them, it is asked for again.
const WAITING_MAX: usize = 4;

/// A bulb in a network. Commands in, commands out.
pub struct Node<R> {
    /// Its number.
    pub id: NodeId,
    /// Keys that it asks for, as bits.
    pub requested: u8,
    /// What it does wrong.
    pub fault: Fault,
    /// What it is.
    pub bulb: Bulb,
    /// Why it did not get in.
    pub failed: Option<KexFail>,
    /// How often it switched with others.
    pub switched_with_others: u32,
    /// What it was told last, decrypted.
    pub told: Vec<u8>,
    pub(super) private: Zeroizing<[u8; 32]>,
    pub(super) home: HomeId,
    pub(super) security2: Security2,
    pub(super) joining: Joining,
    pub(super) rng: R,
    assembler: Assembler,
    /// What waits for the host's half of a nonce.
    waiting: VecDeque<(KeySlot, Zeroizing<Vec<u8>>)>,
}

impl<R: CryptoRng> Node<R> {
    /// A new one, which asks for these keys when it joins.
    #[must_use]
    pub fn new(home: HomeId, id: NodeId, requested: u8, mut rng: R) -> Self {
        let mut private = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *private);
        Self {
            id,
            requested,
            fault: Fault::None,
            bulb: Bulb::default(),
            failed: None,
            switched_with_others: 0,
            told: Vec::new(),
            private,
            home,
            security2: Security2::new(home, id),
            joining: Joining::default(),
            rng,
            assembler: Assembler::default(),
            waiting: VecDeque::new(),
        }
    }

    /// What is printed on it.
    #[must_use]
    pub fn dsk(&self) -> Dsk {
        self.pair().dsk()
    }

    /// The best key that it holds.
    #[must_use]
    pub fn class(&self) -> Option<S2Class> {
        S2Class::ALL.into_iter().find(|class| self.security2.network_key(*class).is_some())
    }

    /// Whether it has joined, and holds all keys that it was granted.
    #[must_use]
    pub const fn is_member(&self) -> bool {
        self.joining.is_done
    }

    /// Forgets its keys: somebody put it into learn mode.
    pub fn reset(&mut self) {
        self.security2 = Security2::new(self.home, self.id);
        self.joining = Joining::default();
        self.waiting.clear();
    }

    /// Says something unasked, under the best key that it holds.
    pub fn say(&mut self, command: &Command) -> Vec<Vec<u8>> {
        self.class().map(|class| self.secret(KeySlot::Class(class), command)).unwrap_or_default()
    }

    /// What it says to a command of the host.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Vec<Vec<u8>> {
        match Command::parse(bytes) {
            Ok(Command::Security2(command)) => self.security(command, bytes),
            Ok(Command::TransportService(segment)) => {
                match self.assembler.push(NodeId::FIRST, segment, now) {
                    // Segments are outermost: there are none within them.
                    Assembled::Command(whole, complete) => {
                        let mut answers = vec![Command::from(complete).to_bytes()];
                        if let Ok(Command::Security2(command)) = Command::parse(&whole) {
                            answers.extend(self.security(command, &whole));
                        }
                        answers
                    }
                    Assembled::Missing(segment) => vec![Command::from(segment).to_bytes()],
                    Assembled::More | Assembled::Ignored => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    /// A message for several nodes; nobody answers to one.
    pub fn receive_multicast(&mut self, bytes: &[u8]) {
        let Ok(opened) = self.security2.open_multicast(NodeId::FIRST, bytes) else { return };
        if let Ok(Command::Supervision(Supervision::Get { encapsulated, .. })) =
            Command::parse(&opened.command)
        {
            self.bulb.told(&encapsulated.0);
            self.switched_with_others += 1;
        }
    }

    pub(super) fn pair(&self) -> KeyPair {
        KeyPair::from_private(*self.private)
    }

    fn security(&mut self, command: security::Security2, bytes: &[u8]) -> Vec<Vec<u8>> {
        use security::Security2 as S2;
        match command {
            S2::NonceGet { .. } => vec![self.security2.nonce_report(NodeId::FIRST, &mut self.rng)],
            S2::NonceReport { receiver_entropy: Some(theirs), .. } => {
                self.security2.heard_nonce(NodeId::FIRST, theirs, &mut self.rng);
                let waiting = std::mem::take(&mut self.waiting);
                waiting.into_iter().filter_map(|(slot, command)| self.seal(slot, &command)).collect()
            }
            S2::MessageEncapsulation { .. } => match self.security2.open(NodeId::FIRST, bytes) {
                Ok(opened) => self.opened(opened.slot, Zeroizing::new(opened.command)),
                Err(_) => vec![self.security2.nonce_report(NodeId::FIRST, &mut self.rng)],
            },
            other => self.exchange(other),
        }
    }

    fn opened(&mut self, slot: KeySlot, bytes: Zeroizing<Vec<u8>>) -> Vec<Vec<u8>> {
        let Ok(command) = Command::parse(&bytes) else { return Vec::new() };
        if slot == KeySlot::Temporary {
            return self.exchange_secret(command);
        }
        self.told.clone_from(&bytes);
        let answer = match command {
            // What it has under lesser keys is nothing, and nothing is done under them.
            Command::Security2(security::Security2::CommandsSupportedGet {}) => {
                let is_best = self.class().map(KeySlot::Class) == Some(slot);
                let classes = if is_best { joining::SECURE_CLASSES.to_vec() } else { Vec::new() };
                let classes = field::Bytes(classes);
                Some(security::Security2::CommandsSupportedReport { classes }.into())
            }
            _ if self.class().map(KeySlot::Class) != Some(slot) => None,
            Command::Supervision(Supervision::Get { session, encapsulated }) => {
                let is_done = self.bulb.told(&encapsulated.0);
                Some(self.supervised(session.session_id, is_done))
            }
            question => self.bulb.answer(&question).or_else(|| {
                self.bulb.told(&bytes);
                None
            }),
        };
        answer.map(|answer| self.secret(slot, &answer)).unwrap_or_default()
    }

    fn supervised(&self, session_id: u8, is_done: bool) -> Command {
        let slow = self.fault == Fault::Slow;
        let answer = Answer { more_updates_follow: slow, request_wake_up: false, session_id };
        let (status, duration) = match (slow, is_done) {
            (true, _) => (SupervisionStatus::Working, 0xf7),
            (false, true) => (SupervisionStatus::Success, 0),
            (false, false) => (SupervisionStatus::NoSupport, 0),
        };
        Supervision::Report { answer, status, duration: field::Duration(duration) }.into()
    }

    /// Says something encrypted, or asks for what it needs to do that.
    pub(super) fn secret(&mut self, slot: KeySlot, command: &Command) -> Vec<Vec<u8>> {
        let command = Zeroizing::new(command.to_bytes());
        if let Some(frame) = self.seal(slot, &command) {
            return vec![frame];
        }
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.clear();
        }
        let asks = self.waiting.is_empty();
        self.waiting.push_back((slot, command));
        if asks { vec![self.security2.nonce_get(NodeId::FIRST, &mut self.rng)] } else { Vec::new() }
    }

    fn seal(&mut self, slot: KeySlot, command: &[u8]) -> Option<Vec<u8>> {
        self.security2.seal(NodeId::FIRST, slot, command, &mut self.rng).ok()
    }

    /// Holds a key from now on.
    pub(super) fn hold(&mut self, granted: u8, key: crate::Key) -> Option<S2Class> {
        let Some(SecurityClass::S2(class)) = SecurityClass::from_bit(granted) else { return None };
        self.security2.insert_key(class, key);
        Some(class)
    }
}
