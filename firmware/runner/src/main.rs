//! Builds each image for its chips, runs it there, compares what it prints with what this machine computes, holds what
//! it measured against the bounds, and writes that into `docs/performance.md`. Any difference is an error.

mod calls;
mod chip;
mod door;
mod expected;
mod image;
mod judge;
mod output;
mod table;
mod wycheproof;

use std::process::ExitCode;

use chip::Chip;
use image::Image;
use output::Output;

/// What goes wrong is told to people only.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What one image did on one chip.
struct Run {
    image: &'static Image,
    chip: &'static Chip,
    size: chip::Size,
    misread_functions: Vec<String>,
    output: Output,
}

fn main() -> ExitCode {
    match run_all() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run_all() -> Result<bool> {
    wycheproof::prepare()?;
    let mut runs = Vec::new();
    let mut good = true;
    for chip in &chip::ALL {
        let images: Vec<_> = image::on(chip).collect();
        chip.build(&images)?;
        for image in images {
            let run = Run {
                image,
                chip,
                size: chip.size(image.name)?,
                misread_functions: chip.misread_functions(image.name)?,
                output: (image.run)(chip, image.name)?,
            };
            good &= report(&run);
            runs.push(run);
        }
    }
    if good {
        table::write(&runs)?;
    }
    Ok(good)
}

/// Says what came out; whether that was right.
fn report(run: &Run) -> bool {
    let faults = judge::faults(run);
    let verdict = if faults.is_empty() { "ok" } else { "WRONG" };
    println!("{:12} {:18} {verdict}", run.chip.name, run.image.name);
    for measured in run.output.most() {
        println!("{:31} {measured}", "");
    }
    for fault in &faults {
        println!("{:31} {fault}", "");
    }
    faults.is_empty()
}
