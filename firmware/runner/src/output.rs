//! What an image printed.

use std::fmt;

use crate::Result;

pub(crate) struct Output {
    /// Names and what the chip came to.
    pub(crate) results: Vec<(String, String)>,
    pub(crate) measured: Vec<Measured>,
    /// What it said besides, about how it failed.
    pub(crate) complaints: Vec<String>,
}

pub(crate) struct Measured {
    pub(crate) operation: String,
    pub(crate) cycles: u32,
    /// From the start of the stack to its deepest, in bytes.
    pub(crate) stack: u32,
}

impl Output {
    pub(crate) fn parse(text: &str, ended_well: bool) -> Result<Self> {
        let mut output = Self { results: Vec::new(), measured: Vec::new(), complaints: Vec::new() };
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["result", name, value] => output.results.push((name.to_owned(), value.to_owned())),
                ["measured", operation, "cycles", cycles, "stack", stack] => output.measured.push(Measured {
                    operation: operation.to_owned(),
                    cycles: cycles.parse()?,
                    stack: stack.parse()?,
                }),
                _ => output.complaints.push(line.to_owned()),
            }
        }
        if !ended_well {
            output.complaints.push("it ended with a failure".to_owned());
        }
        Ok(output)
    }

    /// Of each operation the run that took longest, in the order in which they came.
    pub(crate) fn most(&self) -> Vec<&Measured> {
        let mut most: Vec<&Measured> = Vec::new();
        for measured in &self.measured {
            match most.iter_mut().find(|known| known.operation == measured.operation) {
                Some(known) if known.cycles < measured.cycles => *known = measured,
                Some(_) => {}
                None => most.push(measured),
            }
        }
        most
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:18} {:>10} cycles {:>6} bytes of stack", self.operation, self.cycles, self.stack)
    }
}
