//! Encrypted commands, nonces for them, and who may ask for those.

use std::time::Duration;

use rand_core::CryptoRng;

use super::Controller;
use super::event::Unsound;
use super::node::Standing;
use super::receive::Origin;
use super::transactions::Purpose;
use crate::command_class::security;
use crate::security2::{KeySlot, Unopened};
use crate::{LinkSecurity, NodeId, SecurityClass};

impl<R: CryptoRng> Controller<R> {
    pub(super) fn security2_command(
        &mut self,
        command: security::Security2,
        bytes: &[u8],
        origin: Origin,
        now: Duration,
    ) {
        use security::Security2 as S2;
        let node = origin.node;
        match command {
            S2::NonceGet { sequence_number } if self.speaks_security2(node) => {
                if !self.security2.repeats_request(node, sequence_number, &mut self.rng) {
                    self.tell_nonce(node);
                }
            }
            S2::NonceReport { out_of_sync, receiver_entropy: Some(theirs), .. } if out_of_sync.singlecast => {
                if self.inclusion_expects_nonce(node) {
                    self.security2.heard_nonce(node, theirs, &mut self.rng);
                    self.inclusion_nonce();
                } else if self.exchange_expects_nonce(node) && self.speaks_security2(node) {
                    self.security2.heard_nonce(node, theirs, &mut self.rng);
                    self.exchange_nonce(node, now);
                } else {
                    self.unsound(Some(node), Unsound::Nonce);
                }
            }
            S2::MessageEncapsulation { .. } if origin.is_clear() => {
                self.encrypted(bytes, origin, now);
            }
            S2::CommandsSupportedReport { .. } if origin.slot.is_some() => {
                self.believed(command.into(), origin, now);
            }
            command if self.joining() == Some(node) => self.joining_command(command, origin, now),
            _ => self.unsound(Some(node), Unsound::KeyExchange),
        }
    }

    fn encrypted(&mut self, bytes: &[u8], origin: Origin, now: Duration) {
        let node = origin.node;
        if origin.multicast {
            return match self.security2.open_multicast(node, bytes) {
                Ok(opened) => self.opened(&opened.command, opened.slot, origin, now),
                Err(error) => self.unsound(Some(node), Unsound::Security2(error)),
            };
        }
        match self.security2.open(node, bytes) {
            Ok(opened) => {
                if let (Some(peer), Some(group)) = (self.nodes.get_mut(&node), opened.out_of_step) {
                    peer.groups.remove(&group);
                }
                self.opened(&opened.command, opened.slot, origin, now);
            }
            Err(error) => {
                self.unsound(Some(node), Unsound::Security2(error));
                match error {
                    Unopened::OutOfStep if self.joining() == Some(node) => self.not_decrypted(now),
                    Unopened::OutOfStep | Unopened::NoNonce if self.speaks_security2(node) => {
                        self.tell_nonce(node)
                    }
                    _ => {}
                }
            }
        }
    }

    fn opened(&mut self, command: &[u8], slot: KeySlot, mut origin: Origin, now: Duration) {
        origin.slot = Some(slot);
        origin.security = match slot {
            // Whoever holds it has shown no more than that it joins.
            KeySlot::Temporary => LinkSecurity::None,
            KeySlot::Class(class) => class.into(),
        };
        if !command.is_empty() {
            self.command(command, origin, now);
        }
    }

    pub(super) fn security0_command(
        &mut self,
        command: security::Security0,
        bytes: &[u8],
        mut origin: Origin,
        now: Duration,
    ) {
        use security::Security0 as S0;
        let node = origin.node;
        let Some(own) = self.own else { return };
        if !self.speaks_security0(node) {
            return self.unsound(Some(node), Unsound::KeyExchange);
        }
        match command {
            S0::NonceGet {} => self.tell_nonce0(node, now),
            S0::NonceReport { nonce } => {
                if !self.joining_expects_nonce0(node) && !self.exchange_asked_for_nonce(node) {
                    return self.unsound(Some(node), Unsound::Nonce);
                }
                self.security0.heard_nonce(node, nonce, now);
                self.joining_nonce0(node, now);
                self.exchange_nonce(node, now);
            }
            S0::MessageEncapsulation { .. } | S0::MessageEncapsulationNonceGet { .. }
                if origin.is_clear() =>
            {
                let wants_nonce = matches!(command, S0::MessageEncapsulationNonceGet { .. });
                match self.security0.open((node, own.node), bytes, now) {
                    Ok(None) => {}
                    Ok(Some(inner)) => {
                        origin.security = LinkSecurity::S0;
                        self.command(&inner, origin, now);
                    }
                    Err(error) => self.unsound(Some(node), Unsound::Security0(error)),
                }
                if wants_nonce {
                    self.tell_nonce0(node, now);
                }
            }
            S0::CommandsSupportedReport { .. } => self.believed(command.into(), origin, now),
            command => self.joining_command0(command, origin, now),
        }
    }

    fn tell_nonce(&mut self, node: NodeId) {
        let report = self.security2.nonce_report(node, &mut self.rng);
        self.transactions.send(Purpose::Aside, node, report);
    }

    fn tell_nonce0(&mut self, node: NodeId, now: Duration) {
        let report = self.security0.nonce_report(node, now, &mut self.rng);
        self.transactions.send(Purpose::Aside, node, report);
    }

    fn speaks_security2(&self, node: NodeId) -> bool {
        let standing = self.nodes.get(&node).map(|node| node.standing);
        matches!(standing, Some(Standing::Granted(SecurityClass::S2(_)))) || self.joining() == Some(node)
    }

    fn speaks_security0(&self, node: NodeId) -> bool {
        let standing = self.nodes.get(&node).map(|node| node.standing);
        matches!(standing, Some(Standing::Granted(SecurityClass::S0))) || self.joining0() == Some(node)
    }
}
