//! A thing with Security 2, as it joins and lives: the other end of what the host does, with the same link security.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_zwave::command_class::encapsulation::{Answer, Supervision, SupervisionStatus};
use thingward_zwave::command_class::field::{Bytes, Duration, OnOff};
use thingward_zwave::command_class::security::{self, KexFail, KeyExchange, TransferEnd};
use thingward_zwave::command_class::switches::BinarySwitch;
use thingward_zwave::command_class::transport_service::{Assembled, Assembler};
use thingward_zwave::security2::{KeyPair, KeySlot, Security2, TemporaryKeys};
use thingward_zwave::{Command, Dsk, HomeId, NodeId, S2Class, SecurityClass};

use security::Security2 as S2;

pub(crate) const HOME: HomeId = HomeId(0xcafe_f00d);
pub(crate) const HOST: NodeId = NodeId::FIRST;

/// What a thing does wrong when it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
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

/// The thing. Commands in, commands out.
pub(crate) struct Thing {
    pub(crate) node: NodeId,
    pub(crate) requested: u8,
    pub(crate) fault: Fault,
    pub(crate) on: OnOff,
    pub(crate) failed: Option<KexFail>,
    /// How often it switched with others.
    pub(crate) switched_with_others: u32,
    /// What it was told, decrypted.
    pub(crate) told: Vec<Vec<u8>>,
    pair: KeyPair,
    security2: Security2,
    rng: ChaCha20Rng,
    assembler: Assembler,
    granted: u8,
    held: Vec<S2Class>,
    /// What waits for the host's half of a nonce.
    waiting: Option<(KeySlot, Vec<u8>)>,
}

impl Thing {
    pub(crate) fn new(number: u16, requested: u8, fault: Fault) -> Self {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let node = NodeId::new(number).unwrap();
        Self {
            node,
            requested,
            fault,
            on: OnOff::Off,
            failed: None,
            switched_with_others: 0,
            told: Vec::new(),
            pair: KeyPair::generate(&mut rng),
            security2: Security2::new(HOME, node),
            rng,
            assembler: Assembler::default(),
            granted: 0,
            held: Vec::new(),
            waiting: None,
        }
    }

    pub(crate) fn dsk(&self) -> Dsk {
        self.pair.dsk()
    }

    /// The best key that it holds.
    pub(crate) fn class(&self) -> Option<S2Class> {
        self.held.iter().max().copied()
    }

    /// Says something unasked.
    pub(crate) fn say(&mut self, command: &Command) -> Vec<Vec<u8>> {
        let slot = KeySlot::Class(self.class().unwrap());
        self.secret(slot, command)
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        match Command::parse(bytes).unwrap() {
            Command::Security2(command) => self.security(command, bytes),
            Command::TransportService(segment) => {
                match self.assembler.push(HOST, segment, std::time::Duration::ZERO) {
                    Assembled::Command(whole, complete) => {
                        let mut answers = vec![Command::from(complete).to_bytes()];
                        answers.extend(self.receive(&whole));
                        answers
                    }
                    Assembled::Missing(segment) => vec![Command::from(segment).to_bytes()],
                    Assembled::More | Assembled::Ignored => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    /// A message for several things; nobody answers to one.
    pub(crate) fn receive_multicast(&mut self, bytes: &[u8]) {
        let Ok(opened) = self.security2.open_multicast(HOST, bytes) else { return };
        if let Ok(Command::Supervision(Supervision::Get { encapsulated, .. })) =
            Command::parse(&opened.command)
        {
            self.switch(&encapsulated.0);
            self.switched_with_others += 1;
        }
    }

    fn switch(&mut self, command: &[u8]) {
        if let Ok(Command::BinarySwitch(BinarySwitch::Set { target_value, .. })) = Command::parse(command) {
            self.on = target_value;
        }
    }

    fn security(&mut self, command: S2, bytes: &[u8]) -> Vec<Vec<u8>> {
        match command {
            S2::KexGet {} => {
                let curves = if self.fault == Fault::Curve { 0x02 } else { KeyExchange::CURVE_25519 };
                vec![S2::KexReport { offer: self.exchange(false, curves, self.requested) }]
            }
            S2::KexSet { choice } => {
                self.granted = choice.keys;
                let mut public_key = self.pair.public();
                if choice.keys & 0x06 != 0 {
                    public_key[..2].fill(0);
                }
                vec![S2::PublicKeyReport { including: 0, public_key }]
            }
            S2::PublicKeyReport { including: 1, public_key } => {
                let shared = self.pair.shared(&public_key).unwrap();
                let keys = TemporaryKeys::derive(&shared, &public_key, &self.pair.public());
                self.security2.begin_exchange(HOST, keys);
                let keys = if self.fault == Fault::Echo { self.granted ^ 0x01 } else { self.granted };
                let choice = self.exchange(true, KeyExchange::CURVE_25519, keys);
                return match self.fault {
                    Fault::Silent => Vec::new(),
                    Fault::GivesUp => {
                        vec![Command::from(S2::KexFailed { reason: KexFail::Cancel }).to_bytes()]
                    }
                    _ => self.secret(KeySlot::Temporary, &S2::KexSet { choice }.into()),
                };
            }
            S2::KexFailed { reason } => {
                self.failed = Some(reason);
                vec![]
            }
            S2::NonceGet { .. } => return vec![self.security2.nonce_report(HOST, &mut self.rng)],
            S2::NonceReport { receiver_entropy, .. } => {
                self.security2.heard_nonce(HOST, receiver_entropy.unwrap(), &mut self.rng);
                let Some((slot, command)) = self.waiting.take() else { return Vec::new() };
                return vec![self.security2.seal(HOST, slot, &command, &mut self.rng).unwrap()];
            }
            S2::MessageEncapsulation { .. } => {
                return match self.security2.open(HOST, bytes) {
                    Ok(opened) => self.opened(opened.slot, &opened.command),
                    Err(_) => vec![self.security2.nonce_report(HOST, &mut self.rng)],
                };
            }
            _ => vec![],
        }
        .into_iter()
        .map(|command| Command::from(command).to_bytes())
        .collect()
    }

    fn opened(&mut self, slot: KeySlot, command: &[u8]) -> Vec<Vec<u8>> {
        self.told.push(command.to_vec());
        let answer: Command = match Command::parse(command).unwrap() {
            Command::Security2(S2::KexReport { .. }) => self.ask_for_key(),
            Command::Security2(S2::NetworkKeyReport { granted_key, network_key }) => {
                let Some(SecurityClass::S2(class)) = SecurityClass::from_bit(granted_key) else {
                    panic!("a key of {granted_key:?}, which is none of Security 2")
                };
                self.security2.insert_key(class, network_key.0);
                if self.fault == Fault::OtherKey {
                    self.security2.insert_key(class, thingward_zwave::Key::new([0x5a; 16]));
                }
                self.held.push(class);
                let verify = Command::from(S2::NetworkKeyVerify {});
                let overtaken = (self.fault == Fault::Overtaken).then(|| verify.to_bytes());
                let said = self.secret(KeySlot::Class(class), &verify);
                return overtaken.into_iter().chain(said).collect();
            }
            Command::Security2(S2::TransferEnd { .. }) => self.ask_for_key(),
            Command::Security2(S2::KexFailed { reason }) => {
                self.failed = Some(reason);
                return Vec::new();
            }
            Command::Security2(S2::CommandsSupportedGet {}) => {
                S2::CommandsSupportedReport { classes: Bytes(vec![BinarySwitch::CLASS, Supervision::CLASS]) }
                    .into()
            }
            Command::Supervision(Supervision::Get { session, encapsulated }) => {
                self.switch(&encapsulated.0);
                let slow = self.fault == Fault::Slow;
                let answer = Answer {
                    more_updates_follow: slow,
                    request_wake_up: false,
                    session_id: session.session_id,
                };
                let (status, duration) =
                    if slow { (SupervisionStatus::Working, 0xf7) } else { (SupervisionStatus::Success, 0) };
                Supervision::Report { answer, status, duration: Duration(duration) }.into()
            }
            Command::BinarySwitch(BinarySwitch::Get {}) => {
                BinarySwitch::Report { current_value: self.on, target: None }.into()
            }
            _ => return Vec::new(),
        };
        self.secret(slot, &answer)
    }

    fn ask_for_key(&self) -> Command {
        if self.fault == Fault::Greedy {
            return S2::NetworkKeyGet { requested_key: 0x80 }.into();
        }
        if self.fault == Fault::Insatiable {
            return S2::NetworkKeyGet { requested_key: 0x01 }.into();
        }
        let next = S2Class::ALL
            .into_iter()
            .find(|class| self.granted & SecurityClass::S2(*class).bit() != 0 && !self.held.contains(class));
        match next {
            Some(class) => S2::NetworkKeyGet { requested_key: SecurityClass::S2(class).bit() }.into(),
            None => {
                S2::TransferEnd { state: TransferEnd { key_verified: false, key_request_complete: true } }
                    .into()
            }
        }
    }

    fn secret(&mut self, slot: KeySlot, command: &Command) -> Vec<Vec<u8>> {
        match self.security2.seal(HOST, slot, &command.to_bytes(), &mut self.rng) {
            Ok(frame) => vec![frame],
            Err(_) => {
                self.waiting = Some((slot, command.to_bytes()));
                vec![self.security2.nonce_get(HOST, &mut self.rng)]
            }
        }
    }

    const fn exchange(&self, echo: bool, curves: u8, keys: u8) -> KeyExchange {
        KeyExchange { echo, csa: false, schemes: KeyExchange::SCHEME_1, curves, keys }
    }
}
