//! libFuzzer on the decoder that the environment variable `DECODER` names; without one, the replay of the whole corpus, whose
//! coverage is measured.

#![no_main]

use std::env;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use thingward_fuzz::decoders::ALL;
use thingward_fuzz::replay;

static DECODER: LazyLock<Option<fn(&[u8])>> = LazyLock::new(|| {
    let name = env::var("DECODER").ok()?;
    let found = ALL.iter().find(|(decoder, _)| *decoder == name);
    Some(found.expect("DECODER is the name of a folder of fuzz/corpus").1)
});

fn replay_where_none_is_named() {
    if DECODER.is_none() {
        replay::all();
        std::process::exit(0);
    }
}

fuzz_target!(init: replay_where_none_is_named(), |data: &[u8]| {
    if let Some(decoder) = *DECODER {
        decoder(data);
    }
});
