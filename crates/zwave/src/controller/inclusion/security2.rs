//! The key exchange of Security 2, as the including node: CC, Security 2, "Key Exchange".

use std::time::Duration;

use rand_core::CryptoRng;

use super::Stage;
use super::join2::{Join2, Step, bit};
use crate::command_class::security::{HandedKey, KexFail, KeyExchange, Security2, TransferEnd};
use crate::controller::event::{Event, Refusal, Unsound};
use crate::controller::receive::Origin;
use crate::controller::transactions::Purpose;
use crate::controller::{Controller, RequestError};
use crate::security2::{KeyPair, KeySlot, TemporaryKeys};
use crate::serial::NodeInfo;
use crate::serial::node_info::Listening;
use crate::{Command, Dsk, NodeId, S2Class, SecurityClass};

impl<R: CryptoRng> Controller<R> {
    /// Tells the first five digits of the joining node's device-specific key.
    ///
    /// # Errors
    ///
    /// [`RequestError::Membership`] when nobody waits for them.
    pub fn confirm(&mut self, node: NodeId, pin: u16, now: Duration) -> Result<(), RequestError> {
        let Some(Join2 { step: Step::Pin(public), .. }) = self.join2().filter(|join| join.node() == node)
        else {
            return Err(RequestError::Membership);
        };
        let mut public = *public;
        if let Some(digits) = public.first_chunk_mut() {
            *digits = pin.to_be_bytes();
        }
        self.agree(public, now);
        self.go_on(now);
        Ok(())
    }

    pub(super) fn begin_security2(&mut self, info: NodeInfo, listening: Listening, now: Duration) {
        let join = Join2::new(info, listening, KeyPair::generate(&mut self.rng));
        let node = join.node();
        if let Some(inclusion) = &mut self.inclusion {
            inclusion.stage = Stage::Security2(Box::new(join));
        }
        self.clear(node, &Security2::KexGet {}.into());
        self.step(Step::Report, now);
    }

    /// A command of the joining node that belongs to the exchange.
    pub(in crate::controller) fn joining_command(
        &mut self,
        command: Security2,
        origin: Origin,
        now: Duration,
    ) {
        let node = origin.node;
        let Some(step) = self.join2().map(|join| join.step) else {
            return self.unsound(Some(node), Unsound::KeyExchange);
        };
        let secret = origin.slot == Some(KeySlot::Temporary);
        match (step, command) {
            (Step::Report, Security2::KexReport { offer }) if !offer.echo => self.offered(offer, now),
            (Step::PublicKey, Security2::PublicKeyReport { including: 0, public_key }) => {
                self.shown(public_key, now);
            }
            (Step::Echo, Security2::KexSet { choice }) if secret && choice.echo => self.echoed(choice, now),
            (Step::Key, Security2::NetworkKeyGet { requested_key }) if secret => {
                self.key_asked(requested_key, now)
            }
            (Step::Verify(class), Security2::NetworkKeyVerify {}) if !origin.is_clear() => {
                self.shown_key(class, origin, now);
            }
            (Step::Key, Security2::TransferEnd { state }) if secret && state.key_request_complete => {
                self.finish(now)
            }
            (_, Security2::KexFailed { reason })
                if secret || matches!(step, Step::Report | Step::PublicKey | Step::Pin(_) | Step::Echo) =>
            {
                self.fail_inclusion(Refusal::Node(reason), None, now);
            }
            _ => self.unsound(Some(node), Unsound::KeyExchange),
        }
    }

    fn offered(&mut self, offer: KeyExchange, now: Duration) {
        let least = self.least;
        let ours = S2Class::ALL.iter().filter(|class| **class >= least).map(|class| bit(*class)).sum::<u8>();
        let Some(join) = self.join2() else { return };
        let node = join.node();
        let s0 = if self.security0.is_permitted(node) { SecurityClass::S0.bit() } else { 0 };
        let granted = offer.keys & (ours | s0);
        if offer.schemes & KeyExchange::SCHEME_1 == 0 {
            return self.end(KexFail::Scheme, now);
        }
        if offer.curves & KeyExchange::CURVE_25519 == 0 {
            return self.end(KexFail::Curves, now);
        }
        // Security 0 alone is not what this exchange is for.
        if granted & ours == 0 {
            return self.end(KexFail::Keys, now);
        }
        let Some(join) = self.join2_mut() else { return };
        join.offer = Some(offer);
        join.granted = granted;
        let choice = join.choice(false);
        self.clear(node, &Security2::KexSet { choice }.into());
        self.step(Step::PublicKey, now);
    }

    fn shown(&mut self, mut public: [u8; 32], now: Duration) {
        let expected = self.inclusion.as_ref().and_then(|inclusion| inclusion.expected);
        let Some(join) = self.join2() else { return };
        let node = join.node();
        let [_, _, rest @ ..] = public;
        let mut shown = [0; 14];
        shown.iter_mut().zip(rest).for_each(|(out, byte)| *out = byte);
        match expected {
            Some(Dsk([high, low, rest @ ..])) => {
                if rest != shown {
                    return self.fail_inclusion(Refusal::OtherDsk, Some(KexFail::Cancel), now);
                }
                if let Some(digits) = public.first_chunk_mut() {
                    *digits = [high, low];
                }
                self.agree(public, now);
            }
            None if join.is_authenticated() => {
                self.events.push_back(Event::PinNeeded { node, rest: shown });
                self.step(Step::Pin(public), now);
            }
            None => self.agree(public, now),
        }
    }

    /// Both public keys are known.
    fn agree(&mut self, theirs: [u8; 32], now: Duration) {
        let Some(join) = self.join2() else { return };
        let (node, ours) = (join.node(), join.pair.public());
        let Some(shared) = join.pair.shared(&theirs) else {
            return self.fail_inclusion(Refusal::PublicKey, Some(KexFail::Cancel), now);
        };
        self.security2.begin_exchange(node, TemporaryKeys::derive(&shared, &ours, &theirs));
        self.clear(node, &Security2::PublicKeyReport { including: 1, public_key: ours }.into());
        self.step(Step::Echo, now);
    }

    fn echoed(&mut self, choice: KeyExchange, now: Duration) {
        let Some(join) = self.join2() else { return };
        if choice != join.choice(true) {
            return self.end(KexFail::Authentication, now);
        }
        if let Some(offer) = join.offer {
            self.secret(&Security2::KexReport { offer: KeyExchange { echo: true, ..offer } }.into());
        }
        self.step(Step::Key, now);
    }

    fn key_asked(&mut self, requested: u8, now: Duration) {
        let Some(join) = self.join2() else { return };
        // Each key once: a node that asks for ever would keep all others waiting.
        let left = join.granted & !join.verified;
        let class = SecurityClass::from_bit(requested).filter(|class| left & class.bit() != 0);
        let Some(class) = class else { return self.end(KexFail::Get, now) };
        let key = match class {
            SecurityClass::S0 => self.security0.network_key(),
            SecurityClass::S2(_) => self.keys.of(class),
        };
        let network_key = HandedKey(key.clone());
        self.secret(&Security2::NetworkKeyReport { granted_key: requested, network_key }.into());
        self.step(Step::Verify(class), now);
    }

    fn shown_key(&mut self, class: SecurityClass, origin: Origin, now: Duration) {
        if origin.security != class.into() {
            return self.end(KexFail::Verify, now);
        }
        let Some(join) = self.join2_mut() else { return };
        join.verified |= class.bit();
        let state = TransferEnd { key_verified: true, key_request_complete: false };
        self.secret(&Security2::TransferEnd { state }.into());
        self.step(Step::Key, now);
    }

    fn finish(&mut self, now: Duration) {
        let Some(join) = self.join2() else { return };
        let (info, listening, verified) = (join.info.clone(), join.listening, join.verified);
        let best = SecurityClass::ALL.into_iter().find(|class| verified & class.bit() != 0);
        match best {
            Some(class @ SecurityClass::S2(_)) if verified == join.granted => {
                self.included(&info, listening, class, now);
            }
            _ => self.end(KexFail::Verify, now),
        }
    }

    /// A message of the joining node could not be decrypted.
    pub(in crate::controller) fn not_decrypted(&mut self, now: Duration) {
        if self.join2().is_some_and(|join| matches!(join.step, Step::Echo | Step::Verify(_))) {
            self.end(KexFail::Decrypt, now);
        }
    }

    /// Tells the node that it is over.
    pub(super) fn tell_kex_fail(&mut self, node: NodeId, reason: KexFail) {
        let command = Command::from(Security2::KexFailed { reason }).to_bytes();
        let sealed = self.security2.seal(node, KeySlot::Temporary, &command, &mut self.rng);
        self.transactions.send(Purpose::Aside, node, sealed.unwrap_or(command));
    }

    fn end(&mut self, reason: KexFail, now: Duration) {
        self.fail_inclusion(Refusal::Exchange(reason), Some(reason), now);
    }
}
