//! A device starts a chain: it makes a key for the readings that only their recipient derives again, and signs that.
#![no_std]
#![no_main]

use thingward_chip::{black_box, end, measure, result};
use thingward_samples::chain::{READING, key, start};
use thingward_samples::{COUNT, RECORD_ROOM, seed};

thingward_chip::image!(run);

fn run() {
    let Ok(key) = key() else { end(false) };
    let mut out = [0; RECORD_ROOM];
    for number in 0..COUNT {
        let seed = black_box(seed(number));
        let Ok((mut chain, len)) = measure("start-chain", || start(seed, &key, &mut out)) else { end(false) };
        result("started", &out[..len]);
        let Ok(appended) = chain.append(&[READING], &mut out) else { end(false) };
        result("record", &out[..appended.len]);
    }
}
