//! A device adds a reading to its chain and signs a checkpoint.
#![no_std]
#![no_main]

use thingward_chip::{end, measure, result};
use thingward_samples::RECORD_ROOM;
use thingward_samples::chain::{NOW, READING, key, writer};

thingward_chip::image!(run);

fn run() {
    let Ok(mut chain) = writer(3) else { end(false) };
    let mut out = [0; RECORD_ROOM];
    let Ok(appended) = measure("add-reading", || chain.append(&[READING], &mut out)) else { end(false) };
    result("record", &out[..appended.len]);
    let Ok(key) = measure("key", key) else { end(false) };
    let Ok(Some(len)) = measure("checkpoint", || chain.checkpoint(NOW, &key, &mut out)) else { end(false) };
    result("checkpoint", &out[..len]);
}
