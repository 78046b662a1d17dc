//! What waits for the gateway to read it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};

use zeroize::Zeroizing;

use crate::wire::{Address, Bounded, Report, encode};

/// Most reports of one thing that wait.
const OF_ONE_THING_MAX: u16 = 64;
/// Most reports of things that wait.
const OF_THINGS_MAX: usize = 2048;
/// Above this, in bytes, nothing is begun of which more may come.
const BYTES_MAX: usize = 512 * 1024;

/// Reports in their order. Those that things cause by saying something find room, for each thing its share, or are dropped;
/// the others are few, and wait.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
    of_things: HashMap<Address, u16>,
    of_things_in_all: usize,
    bytes: usize,
    /// How much of the first is written.
    written: usize,
    dropped: u64,
}

struct Waiting {
    thing: Option<Address>,
    bytes: Zeroizing<Vec<u8>>,
}

/// Whom to count it for: a thing that anybody can make say something as often as they like.
fn said_by(report: &Report) -> Option<Address> {
    match report {
        Report::Readings(said) => Some(said.thing.clone()),
        // Strangers have one share together.
        Report::Refused { thing, .. } => Some(thing.clone().unwrap_or_default()),
        _ => None,
    }
}

impl Outbox {
    pub(super) fn push(&mut self, report: &Report) {
        // The gateway would cut the driver off.
        if !report.is_within_bounds() {
            drop(writeln!(std::io::stderr(), "a report that is beyond its bounds is dropped"));
            self.dropped += 1;
            return;
        }
        let thing = said_by(report);
        if let Some(thing) = &thing {
            let of_it = self.of_things.get(thing).copied().unwrap_or_default();
            if of_it >= OF_ONE_THING_MAX || self.of_things_in_all >= OF_THINGS_MAX {
                self.dropped += 1;
                return;
            }
            self.of_things.insert(thing.clone(), of_it + 1);
            self.of_things_in_all += 1;
        }
        let bytes = encode(report);
        self.bytes += bytes.len();
        self.waiting.push_back(Waiting { thing, bytes });
    }

    /// Writes until there is nothing, or it would have to wait.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn write(&mut self, to: &mut impl Write) -> io::Result<()> {
        while let Some(first) = self.waiting.front() {
            let rest = first.bytes.get(self.written..).unwrap_or_default();
            match to.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) if len < rest.len() => self.written += len,
                Ok(_) => self.pop(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn pop(&mut self) {
        self.written = 0;
        let Some(first) = self.waiting.pop_front() else { return };
        self.bytes -= first.bytes.len();
        let Some(thing) = first.thing else { return };
        self.of_things_in_all -= 1;
        match self.of_things.get_mut(&thing) {
            Some(of_it) if *of_it > 1 => *of_it -= 1,
            _ => drop(self.of_things.remove(&thing)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.bytes > BYTES_MAX
    }

    /// How many reports found no room.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use thingward_model::Link;

    use super::*;
    use crate::wire::{FrameDecoder, Name, Reading, Readings, Sentence, Text, Value};

    fn reading(thing: &str, number: f64) -> Report {
        Report::Readings(Readings {
            thing: Text::fitting(thing),
            link: Link::BleNone,
            readings: vec![Reading {
                name: Name::fitting("level"),
                unit: Text::default(),
                value: Value::Number(number),
            }],
        })
    }

    /// Takes so many bytes at once, and so many in all.
    struct Slow {
        taken: Vec<u8>,
        at_once: usize,
        room: usize,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(self.at_once).min(self.room - self.taken.len());
            if len == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.taken.extend(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_thing_that_floods_loses_reports_and_no_other_thing_does() {
        let mut outbox = Outbox::default();
        for number in 0..10_000_u32 {
            outbox.push(&reading("loud", number.into()));
            if number % 500 == 0 {
                outbox.push(&reading("quiet", number.into()));
            }
        }
        let mut slow = Slow { taken: Vec::new(), at_once: 7, room: usize::MAX };
        outbox.write(&mut slow).unwrap();
        assert!(outbox.is_empty() && outbox.bytes == 0 && outbox.of_things.is_empty());
        assert_eq!(outbox.dropped(), 10_000 - u64::from(OF_ONE_THING_MAX));
        let (mut decoder, mut quiet, mut all) = (FrameDecoder::default(), 0, 0);
        decoder.push(&slow.taken);
        while let Some(report) = decoder.take::<Report>().unwrap() {
            all += 1;
            quiet += u32::from(said_by(&report) == Some(Text::fitting("quiet")));
        }
        assert_eq!((quiet, all), (20, 20 + u32::from(OF_ONE_THING_MAX)));
    }

    #[test]
    fn what_is_waited_with_is_bounded_however_many_things_there_are() {
        let mut outbox = Outbox::default();
        for number in 0..10_000_u32 {
            outbox.push(&reading(&number.to_string(), 1.0));
        }
        assert_eq!(outbox.waiting.len(), OF_THINGS_MAX);
        assert_eq!(outbox.dropped(), 10_000 - 2048);
        outbox.push(&Report::Trouble(Sentence::fitting("what is not of things is never dropped")));
        assert_eq!(outbox.waiting.len(), OF_THINGS_MAX + 1);
        let mut slow = Slow { taken: Vec::new(), at_once: 4096, room: 10 };
        outbox.write(&mut slow).unwrap();
        assert_eq!(outbox.written, 10);
        slow.room = 300;
        outbox.write(&mut slow).unwrap();
        outbox.push(&reading("0", 1.0));
        assert!(outbox.waiting.len() <= OF_THINGS_MAX, "room comes back");
    }
}
