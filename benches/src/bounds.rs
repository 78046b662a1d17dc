//! What our own cryptography takes when it is called alone, and the disk: figures to compare with. Other code may do it faster.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, sha256};
use thingward_zigbee::address::Eui64;
use thingward_zigbee::security::{Key, KeyIdentifier, SecurityHeader, SecurityLevel, open, seal};

use crate::clock::{Rounds, rate};

const LEVEL: SecurityLevel = SecurityLevel::EncryptedMic32;
const OPENED: u32 = 100_000;
const HASHED: u32 = 500_000;
const SIGNED: u32 = 5_000;
const SYNCED: u32 = 100;

/// In a second each.
#[derive(Default)]
pub(crate) struct Bounds {
    /// Payloads of 32 octets opened with AES-CCM* by Zigbee's own `open`: MIC of 4 octets, key schedule and allocation with
    /// each. Z-Wave has a MIC of 8, and other code.
    pub(crate) ccm: Rounds,
    /// Messages of 64 octets hashed with SHA-256: two blocks, with the padding.
    pub(crate) sha256: Rounds,
    /// Signatures with Ed25519.
    pub(crate) ed25519: Rounds,
    /// Writes of 4 KiB to the end of a file made durable one after the other, by the clock on the wall. The file grows with each,
    /// which costs more than writing over what is there: no bound for who does that.
    pub(crate) fsync: Rounds,
}

impl Bounds {
    pub(crate) fn round(&mut self, folder: &Path) {
        self.ccm.push(ccm());
        let message = [7; 64];
        self.sha256.push(rate(HASHED, || {
            black_box(sha256(&[black_box(&message)]));
        }));
        let key = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).unwrap();
        self.ed25519.push(rate(SIGNED, || {
            black_box(key.sign(black_box(&message)).unwrap());
        }));
        let took = durable_writes(&folder.join("synced"), None);
        self.fsync.push(1e3 * f64::from(SYNCED) / took.iter().sum::<f64>());
    }
}

fn ccm() -> f64 {
    let (key, source) = (Key::new([7; 16]), Eui64(1));
    let security =
        SecurityHeader { sent_level: 0, key: KeyIdentifier::Data, frame_counter: 1, source: Some(source) };
    let header = [0; 22];
    let sealed = seal(&key, LEVEL, &header, &security, source, &[9; 32]).unwrap();
    rate(OPENED, || {
        black_box(open(&key, LEVEL, &header, &security, source, black_box(&sealed)).unwrap());
    })
}

/// Milliseconds of writes of 4 KiB, each durable before the next, to a file that is laid out or grows with each. Sorted.
pub(crate) fn durable_writes(file: &Path, laid_out: Option<u64>) -> Vec<f64> {
    let file = File::create(file).unwrap();
    if let Some(bytes) = laid_out {
        file.set_len(bytes).unwrap();
        file.sync_all().unwrap();
    }
    let write = |number: u32| {
        let begun = Instant::now();
        file.write_all_at(&[7; 4096], u64::from(number) * 4096).unwrap();
        file.sync_all().unwrap();
        begun.elapsed().as_secs_f64() * 1e3
    };
    let mut took: Vec<f64> = (0..SYNCED).map(write).collect();
    took.sort_by(f64::total_cmp);
    took
}
