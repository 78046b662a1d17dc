//! A device adds a reading to its chain, with the crates that the product is made of.
#![no_std]
#![no_main]

use thingward_chip::{black_box, end, measure, result};
use thingward_samples::chain::{READING, writer};
use thingward_samples::{COUNT, READING_ROOM};

thingward_chip::image!(run);

fn run() {
    for number in 0..COUNT {
        let Ok(mut chain) = writer(black_box(number)) else { end(false) };
        let mut out = [0; READING_ROOM];
        let Ok(appended) = measure("add-reading", || chain.append(&[READING], &mut out)) else { end(false) };
        result("record", &out[..appended.len]);
        result("head", &chain.link().head);
    }
}
