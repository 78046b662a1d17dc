//! What an image has done, held against what it has to do and may take.

use crate::Run;
use crate::chip::Chip;
use crate::image::{AVR_328, Bound};

/// The most that an image may take of a chip, where a program of one's own has to fit beside it.
struct Share {
    image: &'static str,
    chip: &'static str,
    flash_bytes: u32,
    ram_bytes: u32,
}

const SHARES: [Share; 2] = [
    Share { image: "sign-and-seal", chip: AVR_328, flash_bytes: 30 << 10, ram_bytes: 2 << 10 },
    // 1.9 KB of RAM.
    Share { image: "grant-symmetric", chip: AVR_328, flash_bytes: 32 << 10, ram_bytes: 1945 },
];

/// What is wrong with a run, in words.
pub(crate) fn faults(run: &Run) -> Vec<String> {
    let mut faults = run.output.complaints.clone();
    faults.extend(wrong_results(run));
    faults.extend(over_bounds(run));
    faults.extend(unsteady(run));
    // What is about the compiler has its faults, which are listed by name.
    if !run.image.name.starts_with("arithmetic-") {
        let misread = run.misread_functions.iter();
        faults.extend(misread.map(|name| format!("{name} takes arguments off the stack")));
    }
    faults.extend(too_large(run));
    faults
}

fn too_large(run: &Run) -> Vec<String> {
    let Chip { name, flash_bytes, ram_bytes, .. } = *run.chip;
    let share = SHARES.iter().find(|share| (share.image, share.chip) == (run.image.name, name));
    let (flash_bytes, ram_bytes) =
        share.map_or((flash_bytes, ram_bytes), |share| (share.flash_bytes, share.ram_bytes));
    let stack = run.output.measured.iter().map(|measured| measured.stack).max().unwrap_or(0);
    let taken = [("flash", run.size.flash, flash_bytes), ("RAM", run.size.ram + stack, ram_bytes)];
    let over = taken.into_iter().filter(|(_, bytes, most)| bytes > most);
    over.map(|(what, bytes, most)| format!("{bytes} bytes of {what} are more than {most}")).collect()
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

fn over_bounds(run: &Run) -> Vec<String> {
    let bounds = run.image.bounds.iter().filter(|bound| bound.chip == run.chip.name);
    let over = |bound: &Bound| {
        let measured = run.output.measured.iter().filter(|measured| measured.operation == bound.operation);
        let most = measured.map(|measured| measured.cycles).max();
        match most {
            None => Some(format!("{} was not measured", bound.operation)),
            Some(most) if most > bound.cycles => {
                Some(format!("{} takes {most} cycles, more than {}", bound.operation, bound.cycles))
            }
            Some(_) => None,
        }
    };
    bounds.filter_map(over).collect()
}

/// What works on secrets has to take as long for one as for another. Verifying works on what is public.
fn unsteady(run: &Run) -> Option<String> {
    let secret = || run.output.measured.iter().filter(|measured| measured.operation != "verify");
    let other = secret()
        .find(|one| secret().any(|two| one.operation == two.operation && one.cycles != two.cycles))?;
    Some(format!("{} takes longer for some inputs than for others", other.operation))
}
