//! The images, what they have to come to, and what they may take.

use crate::Run;
use crate::chip::Chip;
use crate::expected::{self, Expected};

pub(crate) struct Image {
    pub(crate) name: &'static str,
    pub(crate) chips: &'static [&'static str],
    expected: fn(&str) -> Expected,
}

const AVR_328: &str = "ATmega328P";
const AVR_2560: &str = "ATmega2560";
const M0: &str = "Cortex-M0+";
const M4: &str = "Cortex-M4";
const EVERY: &[&str] = &[AVR_328, AVR_2560, M0, M4];

pub(crate) const ALL: [Image; 5] = [
    arithmetic("arithmetic-16"),
    arithmetic("arithmetic-32"),
    arithmetic("arithmetic-64"),
    arithmetic("arithmetic-128-sums"),
    arithmetic("arithmetic-128-bits"),
];

const fn arithmetic(name: &'static str) -> Image {
    Image { name, chips: EVERY, expected: expected::arithmetic }
}

/// What is wrong with a run, in words.
pub(crate) fn faults(run: &Run) -> Vec<String> {
    let mut faults = run.output.complaints.clone();
    faults.extend(wrong_results(run));
    let Chip { flash_bytes, ram_bytes, .. } = *run.chip;
    let stack = run.output.measured.iter().map(|measured| measured.stack).max().unwrap_or(0);
    if run.size.flash > flash_bytes {
        faults.push(format!("{} bytes of flash are more than the chip has", run.size.flash));
    }
    if run.size.ram + stack > ram_bytes {
        faults.push(format!("{} bytes of RAM are more than the chip has", run.size.ram + stack));
    }
    faults
}

fn wrong_results(run: &Run) -> Vec<String> {
    let expected = (run.image.expected)(run.image.name);
    let results = &run.output.results;
    if expected.len() != results.len() {
        return vec![format!("{} results where {} belong", results.len(), expected.len())];
    }
    let mut faults = Vec::new();
    for ((name, right), (found, value)) in expected.iter().zip(results) {
        let known = run.chip.compiler_faults.contains(&name.as_str());
        if name != found {
            faults.push(format!("the result {found} where {name} belongs"));
        } else if known && right == value {
            faults.push(format!("{name} is right: take it off the list of the compiler's faults"));
        } else if !known && right != value {
            faults.push(format!("{name} is {value}, not {right}"));
        }
    }
    faults
}
