//! The corpus of the decoders, replayed: as it is, cut at each byte, and bent in many places, the same in every run.

use std::fs;
use std::path::PathBuf;

use crate::decoders::ALL;

/// Bent copies of each input. The fuzzer tries more.
const BENT: u64 = 400;
/// Longer inputs are not cut at each byte.
const CUT_BYTES_MAX: usize = 2048;

/// Where the corpus of a decoder is.
pub fn folder(decoder: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(decoder)
}

/// Everything to every decoder.
pub fn all() {
    for (name, decoder) in ALL.iter().copied() {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder(name)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            one(decoder, &fs::read(&file).unwrap());
        }
    }
}

fn one(decoder: fn(&[u8]), input: &[u8]) {
    decoder(input);
    for cut in 0..input.len().min(CUT_BYTES_MAX) {
        decoder(&input[..cut]);
    }
    let mut numbers = Numbers(input.len() as u64);
    for _ in 0..BENT {
        let mut bent = input.to_vec();
        for _ in 0..=numbers.next() % 3 {
            let at = usize::try_from(numbers.next()).unwrap() % bent.len().max(1);
            match (numbers.next() % 3, bent.get_mut(at)) {
                (0, Some(byte)) => *byte = byte.wrapping_add(1),
                (1, Some(byte)) => *byte = u8::try_from(numbers.next() % 256).unwrap(),
                _ => bent.insert(at.min(bent.len()), 0xff),
            }
        }
        decoder(&bent);
    }
}

/// A row of numbers that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}
