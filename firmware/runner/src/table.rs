//! The table in `docs/performance.md`.

use std::fs;

use crate::chip::workspace;
use crate::{Result, Run};

const BEGIN: &str = "<!-- `make firmware` writes from here -->\n";
const END: &str = "<!-- to here -->\n";

pub(crate) fn write(runs: &[Run]) -> Result<()> {
    let path = workspace().join("../docs/performance.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("docs/performance.md has no place for the table")?;
    let (_, after) = rest.split_once(END).ok_or("docs/performance.md has no end of the table")?;
    fs::write(path, format!("{before}{BEGIN}{}{END}{after}", rows(runs)))?;
    Ok(())
}

fn rows(runs: &[Run]) -> String {
    let mut rows = String::from(
        "| Chip | Image | Operation | Cycles | Time | Flash | Static RAM | Peak stack |\n|---|---|---|---|---|---|---|---|\n",
    );
    for Run { image, chip, size, output, .. } in runs {
        for measured in output.most() {
            let milliseconds = f64::from(measured.cycles) / f64::from(chip.megahertz * 1000);
            rows += &format!(
                "| {} | {} | {} | {} | {milliseconds:.3} ms | {} | {} | {} |\n",
                chip.name,
                image.name,
                measured.operation,
                measured.cycles,
                size.flash,
                size.ram,
                measured.stack
            );
        }
    }
    rows
}
