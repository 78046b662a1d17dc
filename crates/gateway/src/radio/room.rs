//! How much may wait in memory: of one thing, and of all things of a radio together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use thingward_radio::wire::{Reading, Value};

/// Most bytes of one thing.
const THING_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of all things of a radio.
const RADIO_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a reading takes besides its value.
const READING_BYTES: usize = 128;

/// The room of a radio. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct RadioRoom(Arc<AtomicUsize>);

/// The room of a thing.
pub(super) struct ThingRoom {
    radio: RadioRoom,
    taken: Arc<AtomicUsize>,
}

/// Room that is taken as long as this lives.
pub(super) struct Taken {
    bytes: usize,
    of: [Arc<AtomicUsize>; 2],
}

impl RadioRoom {
    pub(super) fn of_thing(&self) -> ThingRoom {
        ThingRoom { radio: self.clone(), taken: Arc::default() }
    }
}

impl ThingRoom {
    /// Room for these readings; `None` when there is none.
    pub(super) fn take(&self, readings: &[Reading]) -> Option<Taken> {
        let bytes = readings.iter().map(|reading| READING_BYTES + value_bytes(&reading.value)).sum();
        if !take(&self.taken, bytes, THING_BYTES_MAX) {
            return None;
        }
        let of = [Arc::clone(&self.taken), Arc::clone(&self.radio.0)];
        if take(&self.radio.0, bytes, RADIO_BYTES_MAX) {
            return Some(Taken { bytes, of });
        }
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
        None
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for room in &self.of {
            room.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

fn take(room: &AtomicUsize, bytes: usize, max: usize) -> bool {
    let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= max);
    room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Number(_) | Value::Bool(_) => 0,
        Value::Text(text) => text.as_str().len(),
        Value::Data(bytes) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use thingward_radio::wire::{Name, Text};

    use super::*;

    fn readings(count: usize) -> Vec<Reading> {
        let (name, unit) = (Name::fitting("level"), Text::fitting(""));
        vec![Reading { name, unit, value: Value::Data(vec![0; 1024 - READING_BYTES]) }; count]
    }

    #[test]
    fn a_thing_has_its_share_and_all_together_have_no_more_than_the_radio_and_what_is_done_makes_room() {
        let radio = RadioRoom::default();
        let thing = radio.of_thing();
        let taken: Vec<_> = (0..64).map(|_| thing.take(&readings(1)).unwrap()).collect();
        assert!(thing.take(&readings(1)).is_none());
        let others: Vec<_> = (1..128).map(|_| radio.of_thing()).collect();
        let all: Vec<_> = others.iter().map(|other| other.take(&readings(64)).unwrap()).collect();
        assert!(radio.of_thing().take(&readings(1)).is_none(), "the radio's room is taken");
        drop(taken);
        assert!(thing.take(&readings(1)).is_some());
        drop(all);
        assert_eq!(radio.0.load(Ordering::Relaxed), 0);
    }
}
