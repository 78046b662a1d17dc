//! A controller of Z-Wave, with a bulb whose knob somebody turns.

use std::time::Duration;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use thingward_zwave::emulated::Controller;
use thingward_zwave::{S2Class, SecurityClass};
use zeroize::Zeroizing;

use super::Emulated;
use super::home::Home;
use crate::failure::Failure;

/// Who asks for it shows what is printed on it.
const REQUESTED: u8 = SecurityClass::S2(S2Class::Authenticated).bit();
/// How often somebody turns the knob, and where to.
const TURN: Duration = Duration::from_secs(20);
const LEVELS: [u8; 6] = [80, 35, 60, 20, 99, 50];

pub(super) struct Bulb {
    controller: Controller<UnwrapErr<SysRng>>,
    levels: std::iter::Cycle<std::array::IntoIter<u8, 6>>,
    turns_at: Duration,
}

impl Bulb {
    /// As it was, or a new one.
    pub(super) fn open(home: &Home) -> Result<Self, Failure> {
        let rng = UnwrapErr(SysRng);
        let controller = match home.read("flash")? {
            Some(flash) => Controller::resume(&flash, REQUESTED, rng).map_err(Failure::of)?,
            None => Controller::new(REQUESTED, rng),
        };
        Ok(Self { controller, levels: LEVELS.into_iter().cycle(), turns_at: TURN })
    }
}

impl Emulated for Bulb {
    fn printed(&self) -> Zeroizing<String> {
        Zeroizing::new(self.controller.node.dsk().to_string())
    }

    fn address(&self) -> String {
        format!("{}-{}", self.controller.home(), self.controller.node.id)
    }

    fn flash(&self) -> Zeroizing<Vec<u8>> {
        self.controller.flash()
    }

    fn connected(&mut self) {
        self.controller.connected();
    }

    fn receive(&mut self, bytes: &[u8], now: Duration) {
        self.controller.receive(bytes, now);
    }

    fn tick(&mut self, now: Duration) {
        self.controller.tick(now);
        if now >= self.turns_at
            && let Some(level) = self.levels.next()
        {
            self.turns_at = now + TURN;
            self.controller.turn(level, now);
        }
    }

    fn output(&mut self) -> Option<Vec<u8>> {
        self.controller.output()
    }
}
