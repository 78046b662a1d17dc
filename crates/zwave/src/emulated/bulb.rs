//! What the node is: a bulb that is switched and dimmed.

use crate::Command;
use crate::command_class::field::{Level, OnOff};
use crate::command_class::switches::{BinarySwitch, MultilevelSwitch, SwitchType};

const FULL: u8 = 99;
/// What its level does: CC, "Multilevel Switch", switch types.
const DOWN_AND_UP: u8 = 2;
/// The level before, where it was not off.
const BEFORE: u8 = 0xff;

/// A bulb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bulb {
    level: u8,
    /// How bright it was when it was on last.
    before: u8,
}

impl Default for Bulb {
    fn default() -> Self {
        Self { level: 0, before: FULL }
    }
}

impl Bulb {
    /// What it was, when it has power again.
    #[must_use]
    pub fn of(level: u8, before: u8) -> Self {
        Self { level: level.min(FULL), before: before.clamp(1, FULL) }
    }

    /// How bright it is, from 0 to 99.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// How bright it was when it was on last.
    #[must_use]
    pub const fn before(&self) -> u8 {
        self.before
    }

    /// Whether it is on.
    #[must_use]
    pub const fn on(&self) -> OnOff {
        if self.level > 0 { OnOff::On } else { OnOff::Off }
    }

    /// Makes it as bright as that; 255 is as bright as it was. Whether there is such a level.
    pub fn set(&mut self, level: u8) -> bool {
        match level {
            0..=FULL => self.level = level,
            BEFORE => self.level = self.before,
            _ => return false,
        }
        if self.level > 0 {
            self.before = self.level;
        }
        true
    }

    /// Does what it is told; whether it can.
    pub(super) fn told(&mut self, command: &[u8]) -> bool {
        match Command::parse(command) {
            Ok(Command::BinarySwitch(BinarySwitch::Set { target_value: OnOff::On, .. })) => self.set(BEFORE),
            Ok(Command::BinarySwitch(BinarySwitch::Set { target_value: OnOff::Off, .. })) => self.set(0),
            Ok(Command::MultilevelSwitch(MultilevelSwitch::Set { target_value, .. })) => {
                self.set(target_value.0)
            }
            // It is where it was told to go already.
            Ok(Command::MultilevelSwitch(MultilevelSwitch::StopLevelChange {})) => true,
            _ => false,
        }
    }

    /// What it answers to a question.
    pub(super) fn answer(&self, question: &Command) -> Option<Command> {
        match question {
            Command::BinarySwitch(BinarySwitch::Get {}) => Some(self.switch_report()),
            Command::MultilevelSwitch(MultilevelSwitch::Get {}) => Some(self.level_report()),
            Command::MultilevelSwitch(MultilevelSwitch::SupportedGet {}) => {
                let switch_type = SwitchType { switch_type: DOWN_AND_UP };
                Some(MultilevelSwitch::SupportedReport { switch_type }.into())
            }
            _ => None,
        }
    }

    /// Whether it is on, as it says so.
    #[must_use]
    pub fn switch_report(&self) -> Command {
        BinarySwitch::Report { current_value: self.on(), target: None }.into()
    }

    /// How bright it is, as it says so.
    #[must_use]
    pub fn level_report(&self) -> Command {
        MultilevelSwitch::Report { current_value: Level(self.level), target: None }.into()
    }
}
