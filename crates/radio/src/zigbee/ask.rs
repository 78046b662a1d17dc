//! What the coordinator is asked, one after the other, and for what.

use std::collections::VecDeque;
use std::time::Duration;

use thingward_zigbee::Malformed;
use thingward_zigbee::address::{Eui64, ShortAddress};
use thingward_zigbee::ezsp::EzspMessage;

use super::{Phase, ZigbeeRadio};

/// Commands that wait at most. What is asked is bounded by what is going on; more is a mistake of this code.
const WAITING_MAX: usize = 1024;
/// Commands that may wait where another is sent out of courtesy.
const COURTESIES_MAX: usize = 64;

/// Why the coordinator is asked something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is as well when it does not do it.
    Hint,
    /// Without it, nothing goes.
    Need,
    Address,
    Resume,
    Backup,
    Counter,
    /// To let things join.
    Admit,
    /// The exchange of this number.
    Send(u8),
    /// The network's next key for this node.
    NextKey(Eui64),
    SwitchKey,
    /// Who has this address?
    Lookup(ShortAddress),
}

#[derive(Debug, Default)]
pub(super) struct Asking {
    asked: Option<Purpose>,
    waiting: VecDeque<(EzspMessage, Purpose)>,
}

impl Asking {
    /// Whether there is room for what is not needed.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < COURTESIES_MAX
    }

    /// Does not ask what is not asked yet; whether it was not.
    pub(super) fn withdraw(&mut self, purpose: Purpose) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(_, waiting)| *waiting != purpose);
        self.waiting.len() < before
    }

    /// Whether something is asked for this, or will be.
    pub(super) fn is_asked(&self, purpose: Purpose) -> bool {
        self.asked == Some(purpose) || self.waiting.iter().any(|(_, waiting)| *waiting == purpose)
    }
}

impl ZigbeeRadio {
    /// Asks the coordinator something, now or when it has answered all before it.
    pub(super) fn ask(&mut self, command: Result<EzspMessage, Malformed>, purpose: Purpose, now: Duration) {
        if !matches!(self.phase, Phase::Starting(..) | Phase::Running) {
            return;
        }
        match command {
            Ok(command) if self.asking.waiting.len() < WAITING_MAX => {
                self.asking.waiting.push_back((command, purpose));
                self.ask_next(now);
            }
            Ok(_) => self.concluded(purpose, Err("the coordinator is too slow".to_owned()), now),
            Err(malformed) => self.concluded(purpose, Err(malformed.to_string()), now),
        }
    }

    pub(super) fn ask_all(
        &mut self,
        commands: Result<Vec<EzspMessage>, Malformed>,
        purpose: Purpose,
        now: Duration,
    ) {
        match commands {
            Ok(commands) => commands.into_iter().for_each(|command| self.ask(Ok(command), purpose, now)),
            Err(malformed) => self.concluded(purpose, Err(malformed.to_string()), now),
        }
    }

    /// The command that was asked last is answered.
    pub(super) fn answered(&mut self, answer: Result<EzspMessage, String>, now: Duration) {
        if let Some(purpose) = self.asking.asked.take() {
            self.concluded(purpose, answer, now);
        }
        self.ask_next(now);
    }

    fn ask_next(&mut self, now: Duration) {
        if self.asking.asked.is_some() {
            return;
        }
        let Some((command, purpose)) = self.asking.waiting.pop_front() else { return };
        self.asking.asked = Some(purpose);
        match self.host.command(command, now) {
            Ok(outputs) => self.hosted(outputs, now),
            Err(error) => self.answered(Err(error.to_string()), now),
        }
    }

    fn concluded(&mut self, purpose: Purpose, answer: Result<EzspMessage, String>, now: Duration) {
        match purpose {
            Purpose::Hint => {}
            Purpose::Need => {
                if let Err(reason) = accepted(answer) {
                    self.fail(&reason);
                }
            }
            Purpose::Address => self.addressed(answer, now),
            Purpose::Resume => self.resumed(answer, now),
            Purpose::Backup => self.copied(answer, now),
            Purpose::Counter => self.counted(answer, now),
            Purpose::Admit => self.admitted(accepted(answer)),
            Purpose::Send(tag) => {
                if let Err(reason) = accepted(answer) {
                    self.not_sent(tag, &reason, now);
                }
            }
            Purpose::NextKey(eui64) => self.next_key_given(eui64, accepted(answer), now),
            Purpose::SwitchKey => self.key_switched(accepted(answer), now),
            Purpose::Lookup(short) => self.looked_up(short, answer, now),
        }
    }
}

/// The status of an answer; zero is success.
pub(super) fn status(answer: &EzspMessage) -> Option<u32> {
    answer.record.number("status").and_then(|status| u32::try_from(status).ok())
}

/// Whether the coordinator does what it was asked.
pub(super) fn accepted(answer: Result<EzspMessage, String>) -> Result<EzspMessage, String> {
    let answer = answer?;
    match status(&answer) {
        Some(0) => Ok(answer),
        Some(status) => {
            Err(format!("the coordinator answers {} with status {status:#04x}", answer.info.name))
        }
        None => Err(format!("the coordinator answers {} without status", answer.info.name)),
    }
}
