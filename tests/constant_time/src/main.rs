//! Does one thing with a secret: the name of what is the argument. `tests/valgrind.rs` runs it.

mod memcheck;
mod subjects;

use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some((_, subject)) = subjects::ALL.iter().find(|(known, _)| *known == name) else {
        eprintln!("no subject is called {name:?}");
        return ExitCode::FAILURE;
    };
    subject();
    ExitCode::SUCCESS
}
