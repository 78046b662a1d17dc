//! The images, what they have to come to, and how long they may take.

use crate::chip::Chip;
use crate::expected::{self, Expected};
use crate::output::Output;
use crate::{Result, door, wycheproof};

pub(crate) struct Image {
    pub(crate) name: &'static str,
    pub(crate) chips: &'static [&'static str],
    /// Whether it has the product's signatures in it.
    pub(crate) signs: bool,
    pub(crate) run: fn(&Chip, &str) -> Result<Output>,
    pub(crate) expected: fn(&str) -> Expected,
    pub(crate) bounds: &'static [Bound],
}

/// The most that an operation may take on a chip.
pub(crate) struct Bound {
    pub(crate) chip: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) cycles: u32,
}

pub(crate) const AVR_328: &str = "ATmega328P";
const AVR_1284: &str = "ATmega1284P";
const AVR_2560: &str = "ATmega2560";
const M0: &str = "Cortex-M0";
const M4: &str = "Cortex-M4";
const AVR: &[&str] = &[AVR_328, AVR_2560];
const SIGNING: &[&str] = &[AVR_2560, M0, M4];
const WHOLE: &[&str] = &[AVR_1284, AVR_2560, M0, M4];
const VERIFYING: &[&str] = &[AVR_1284, AVR_2560];
/// Where an image runs that is about the compiler, or about what all others rest on.
const ALL_CHIPS: &[&str] = &[AVR_328, AVR_1284, AVR_2560, M0, M4];
const EVERY: &[&str] = &[AVR_328, AVR_2560, M0, M4];

/// 8 ms at 16 MHz.
const READING: u32 = 128_000;
/// 100 ms at 16 MHz.
const SYMMETRIC_GRANT: u32 = 1_600_000;
/// 2.6 s at 16 MHz.
const PUBLIC_GRANT_2560: Bound = Bound { chip: AVR_2560, operation: "decide", cycles: 41_600_000 };
/// 120 ms at 64 MHz.
const PUBLIC_GRANT_M4: Bound = Bound { chip: M4, operation: "decide", cycles: 7_680_000 };
/// A quarter of a second at 16 MHz.
const SIGN_328: Bound = Bound { chip: AVR_328, operation: "sign", cycles: 4_000_000 };
const SIGN_2560: Bound = Bound { chip: AVR_2560, operation: "sign", cycles: 4_000_000 };
/// What no X25519 on an AVR is known to come under (Düll et al., 2015).
const AGREE_328: Bound = Bound { chip: AVR_328, operation: "agree", cycles: 13_900_000 };
const AGREE_2560: Bound = Bound { chip: AVR_2560, operation: "agree", cycles: 13_900_000 };
/// 3.5 ms at 16 MHz.
const SEAL_328: Bound = Bound { chip: AVR_328, operation: "seal-64", cycles: 56_000 };
const SEAL_2560: Bound = Bound { chip: AVR_2560, operation: "seal-64", cycles: 56_000 };

const ALL: [Image; 23] = [
    arithmetic("arithmetic-16"),
    arithmetic("arithmetic-32"),
    arithmetic("arithmetic-64"),
    arithmetic("arithmetic-128-sums"),
    arithmetic("arithmetic-128-bits"),
    Image {
        name: "known-signatures",
        chips: AVR,
        signs: false,
        run: Chip::run,
        expected: expected::known_signatures,
        bounds: &[],
    },
    Image {
        name: "known-sealed",
        chips: EVERY,
        signs: false,
        run: Chip::run,
        expected: expected::known_sealed,
        bounds: &[],
    },
    Image {
        name: "sign",
        chips: AVR,
        signs: false,
        run: Chip::run,
        expected: expected::signatures,
        bounds: &[SIGN_328, SIGN_2560],
    },
    Image {
        name: "known-agreements",
        chips: AVR,
        signs: false,
        run: Chip::run,
        expected: expected::known_agreements,
        bounds: &[],
    },
    Image {
        name: "agree",
        chips: AVR,
        signs: false,
        run: Chip::run,
        expected: expected::agreements,
        bounds: &[AGREE_328, AGREE_2560],
    },
    Image {
        name: "wycheproof-agree",
        chips: &[AVR_2560],
        signs: false,
        run: Chip::run,
        expected: wycheproof::agreed,
        bounds: &[],
    },
    Image {
        name: "wycheproof-verify",
        chips: VERIFYING,
        signs: false,
        run: Chip::run,
        expected: wycheproof::verdicts,
        bounds: &[],
    },
    Image {
        name: "seal",
        chips: EVERY,
        signs: false,
        run: Chip::run,
        expected: expected::sealed,
        bounds: &[SEAL_328, SEAL_2560],
    },
    Image {
        name: "sign-and-seal",
        chips: AVR,
        signs: false,
        run: Chip::run,
        expected: expected::signatures_and_sealed,
        bounds: &[SIGN_328, SIGN_2560, SEAL_328, SEAL_2560],
    },
    Image {
        name: "known-hashes",
        chips: ALL_CHIPS,
        signs: false,
        run: Chip::run,
        expected: expected::known_hashes,
        bounds: &[],
    },
    Image { name: "mac", chips: EVERY, signs: false, run: Chip::run, expected: expected::macs, bounds: &[] },
    Image {
        name: "reading",
        chips: EVERY,
        signs: false,
        run: Chip::run,
        expected: expected::readings,
        bounds: &[
            Bound { chip: AVR_328, operation: "add-reading", cycles: READING },
            Bound { chip: AVR_2560, operation: "add-reading", cycles: READING },
        ],
    },
    Image {
        name: "grant-symmetric",
        chips: &[AVR_328, AVR_1284, M4],
        signs: false,
        run: Chip::run,
        expected: expected::symmetric_grant,
        bounds: &[
            Bound { chip: AVR_328, operation: "decide", cycles: SYMMETRIC_GRANT },
            Bound { chip: AVR_1284, operation: "decide", cycles: SYMMETRIC_GRANT },
        ],
    },
    Image {
        name: "grant-public",
        chips: SIGNING,
        signs: true,
        run: Chip::run,
        expected: expected::public_grant,
        bounds: &[PUBLIC_GRANT_2560, PUBLIC_GRANT_M4],
    },
    Image {
        name: "chain",
        chips: SIGNING,
        signs: true,
        run: Chip::run,
        expected: expected::chain,
        bounds: &[Bound { chip: M4, operation: "checkpoint", cycles: 2_240_000 }],
    },
    Image {
        name: "start",
        chips: WHOLE,
        signs: true,
        run: Chip::run,
        expected: expected::started,
        bounds: &[],
    },
    Image {
        name: "door",
        chips: WHOLE,
        signs: true,
        run: |chip, _| door::run(chip),
        expected: |_| Expected::new(),
        bounds: &[
            Bound { chip: AVR_1284, operation: "use", cycles: PUBLIC_GRANT_2560.cycles },
            Bound { chip: AVR_2560, operation: "use", cycles: PUBLIC_GRANT_2560.cycles },
            Bound { chip: M4, operation: "use", cycles: PUBLIC_GRANT_M4.cycles },
        ],
    },
    Image {
        name: "verify",
        chips: VERIFYING,
        signs: false,
        run: Chip::run,
        expected: expected::verdicts,
        bounds: &[
            Bound { chip: AVR_1284, operation: "verify", cycles: 17_600_000 },
            Bound { chip: AVR_2560, operation: "verify", cycles: 14_000_000 },
        ],
    },
];

const fn arithmetic(name: &'static str) -> Image {
    Image {
        name,
        chips: ALL_CHIPS,
        signs: false,
        run: Chip::run,
        expected: expected::arithmetic,
        bounds: &[],
    }
}

/// The images that run on a chip.
pub(crate) fn on(chip: &Chip) -> impl Iterator<Item = &'static Image> {
    ALL.iter().filter(|image| image.chips.contains(&chip.name) && !wycheproof::is_missing(image.name))
}
