//! The driver at a controller and a bulb that are not there, without anybody else's program.

use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_model::Link;
use thingward_radio::wire::{
    Address, Admission, Argument, Call, Name, Readings, RefusalKind, Secret, Start, Thing, Value,
};
use thingward_radio::zwave::ZwaveRadio;
use thingward_radio::{Order, Output, Radio, Report};
use thingward_zwave::emulated::Controller;
use thingward_zwave::{S2Class, SecurityClass};

const AUTHENTICATED: u8 = SecurityClass::S2(S2Class::Authenticated).bit();
const STEP: Duration = Duration::from_millis(100);

/// A driver, its line, the controller behind it, and a gateway that keeps what it is given.
struct House {
    radio: ZwaveRadio<ChaCha20Rng>,
    controller: Controller<ChaCha20Rng>,
    now: Duration,
    reports: Vec<Report>,
    kept: Option<Secret>,
    seed: u8,
}

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

impl House {
    fn new() -> Self {
        let mut house = Self {
            radio: ZwaveRadio::new(rng(1)),
            controller: Controller::new(AUTHENTICATED, rng(2)),
            now: Duration::ZERO,
            reports: Vec::new(),
            kept: None,
            seed: 2,
        };
        house.start();
        house
    }

    fn with_bulb() -> Self {
        let mut house = Self::new();
        house.admit(&house.controller.node.dsk().to_string());
        house.pass(3);
        assert_eq!(house.things().len(), 1, "{:#?}", house.reports);
        house
    }

    fn start(&mut self) {
        self.reports.clear();
        self.order(Order::Start(Start { kept: self.kept.clone(), ..Start::default() }));
        self.pass(1);
        let ready = |report: &Report| matches!(report, Report::Ready { .. });
        assert!(self.reports.iter().any(ready), "{:#?}", self.reports);
    }

    /// The driver's process ends, and another one begins.
    fn restart_driver(&mut self) {
        self.seed += 1;
        self.radio = ZwaveRadio::new(rng(self.seed));
        self.controller.connected();
        self.start();
    }

    /// The controller and the bulb have no power for a moment.
    fn restart_controller(&mut self) {
        self.seed += 1;
        let flash = self.controller.flash();
        self.controller = Controller::resume(&flash, AUTHENTICATED, rng(self.seed)).unwrap();
    }

    fn order(&mut self, order: Order) {
        self.radio.order(order, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            if let Some(output) = self.radio.output() {
                match output {
                    Output::Line(bytes) => self.controller.receive(&bytes, self.now),
                    Output::End => panic!("Z-Wave gives no line up"),
                    Output::Report(Report::Keep(secret)) => {
                        self.kept = Some(secret);
                        self.radio.order(Order::Kept, self.now);
                    }
                    Output::Report(report) => self.reports.push(report),
                }
            } else if let Some(bytes) = self.controller.output() {
                self.radio.receive(&bytes, self.now);
            } else {
                return;
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now += STEP;
            self.controller.tick(self.now);
            if self.radio.due().is_some_and(|due| due <= self.now) {
                self.radio.tick(self.now);
            }
            self.settle();
        }
    }

    fn admit(&mut self, printed: &str) {
        let printed = Some(Secret::new(printed.as_bytes().to_vec()));
        self.order(Order::Admit(Admission { seconds: 60, printed }));
    }

    fn address(&self) -> Address {
        Address::new(&format!("{}-2", self.controller.home())).unwrap()
    }

    /// What became of an action.
    fn call(&mut self, action: &str, arguments: &[(&str, f64)]) -> Option<String> {
        let argument = |(name, value): &(&str, f64)| Argument {
            name: Name::new(name).unwrap(),
            value: Value::Number(*value),
        };
        let arguments = arguments.iter().map(argument).collect();
        let (thing, action) = (self.address(), Name::new(action).unwrap());
        self.reports.clear();
        self.order(Order::Call(Call { id: 7, thing, action, arguments }));
        self.pass(20);
        let done = self.reports.iter().find_map(|report| match report {
            Report::Done { id: 7, failure } => Some(failure.as_ref().map(ToString::to_string)),
            _ => None,
        });
        done.unwrap()
    }

    fn turn(&mut self, level: u8) {
        self.controller.turn(level, self.now);
        self.pass(3);
    }

    fn things(&self) -> Vec<Thing> {
        let thing =
            |report: &Report| if let Report::Thing(thing) = report { Some(thing.clone()) } else { None };
        self.reports.iter().filter_map(thing).collect()
    }

    /// The last reading of a name, and how it came.
    fn last(&self, name: &str) -> Option<(Value, Link)> {
        let said = |report: &Report| {
            let Report::Readings(Readings { link, readings, .. }) = report else { return None };
            let reading = readings.iter().find(|reading| reading.name.as_str() == name)?;
            Some((reading.value.clone(), *link))
        };
        self.reports.iter().rev().find_map(said)
    }

    fn refused(&self) -> bool {
        let join = |report: &Report| matches!(report, Report::Refused { kind: RefusalKind::Join, .. });
        self.reports.iter().any(join)
    }
}

#[test]
fn a_bulb_joins_with_what_is_printed_on_it_and_is_read_and_switched() {
    let mut house = House::with_bulb();
    let thing = house.things().remove(0);
    assert_eq!((thing.address, thing.link), (house.address(), Link::ZwaveS2Authenticated));
    assert_eq!(house.call("set-level", &[("level", 100.0)]), None);
    assert_eq!(house.controller.node.bulb.level(), 99);
    assert_eq!(house.call("turn-off", &[]), None);
    assert_eq!(house.controller.node.bulb.level(), 0);
    assert_eq!(house.last("on"), Some((Value::Bool(false), Link::ZwaveS2Authenticated)));
    house.turn(99);
    assert_eq!(house.last("level"), Some((Value::Number(100.0), Link::ZwaveS2Authenticated)));
    assert_eq!(house.last("on"), Some((Value::Bool(true), Link::ZwaveS2Authenticated)));
}

#[test]
fn another_bulbs_digits_let_nobody_in_and_the_right_ones_do_afterwards() {
    let mut house = House::new();
    let mut other = house.controller.node.dsk();
    other.0[15] ^= 1;
    house.admit(&other.to_string());
    house.pass(12);
    assert!(house.refused() && house.things().is_empty(), "{:#?}", house.reports);
    house.order(Order::Close);
    house.pass(1);
    house.reports.clear();
    let mut wrong_pin = house.controller.node.dsk();
    wrong_pin.0[0] ^= 1;
    house.admit(&wrong_pin.to_string());
    house.pass(12);
    assert!(house.refused() && house.things().is_empty(), "{:#?}", house.reports);
    house.order(Order::Close);
    house.pass(1);
    house.admit(&house.controller.node.dsk().to_string());
    house.pass(12);
    assert_eq!(house.things().len(), 1, "{:#?}", house.reports);
}

#[test]
fn all_goes_on_whoever_ends_and_begins_again() {
    let mut house = House::with_bulb();
    for (driver, controller) in [(true, false), (false, true), (true, true), (false, false)] {
        if controller {
            house.restart_controller();
        }
        if driver {
            house.restart_driver();
            assert_eq!(house.things().len(), 1, "{:#?}", house.reports);
        }
        assert_eq!(house.call("set-level", &[("level", 100.0)]), None, "{driver} {controller}");
        house.turn(0);
        assert_eq!(house.last("level"), Some((Value::Number(0.0), Link::ZwaveS2Authenticated)));
    }
    // The bulb is the first to say something.
    house.restart_controller();
    house.restart_driver();
    house.turn(70);
    house.turn(99);
    assert_eq!(house.last("level"), Some((Value::Number(100.0), Link::ZwaveS2Authenticated)));
}

#[test]
fn what_is_no_flash_is_not_taken_for_one() {
    let house = House::with_bulb();
    let flash = house.controller.flash();
    let resumed = |flash: &[u8]| Controller::resume(flash, AUTHENTICATED, rng(9));
    assert!(resumed(&flash).unwrap().node.is_member());
    // Without its last part, it is that of a bulb that has not joined.
    let unjoined = flash.len() - 17;
    for length in (0..flash.len()).filter(|length| *length != unjoined) {
        assert!(resumed(&flash[..length]).is_err(), "{length}");
    }
    assert!(resumed(&[&flash[..], &[0]].concat()).is_err());
}
