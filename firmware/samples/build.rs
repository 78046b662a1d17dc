//! Takes what samples are of grants out of the vectors that all implementations are held against.

use std::path::PathBuf;
use std::{env, fs, io};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/wire/vectors/grants.json");
const NARROWED: &str = "\"a usual grant, narrowed\"";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={VECTORS}");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let vectors = fs::read_to_string(VECTORS)?;
    let shared = behind(&vectors, "\"shared\"").and_then(|rest| bytes(rest, "key"));
    let issuer = behind(&vectors, "\"issuer\"").and_then(|rest| bytes(rest, "spki"));
    let public = behind(&vectors, NARROWED);
    let symmetric = public.and_then(|rest| behind(rest, NARROWED));
    let shown = |grant: Option<&str>| bytes(grant?, "presentation");
    for (file, bytes) in [
        ("shared_key", shared),
        ("issuer_spki", issuer),
        ("public", shown(public)),
        ("symmetric", shown(symmetric)),
    ] {
        fs::write(out.join(file), bytes.ok_or(io::ErrorKind::InvalidData)?)?;
    }
    Ok(())
}

/// What follows a text. The file has each member on a line of its own, so that this is enough to find them.
fn behind<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    Some(text.split_once(what)?.1)
}

/// The next member of this name, which is in hexadecimal.
fn bytes(text: &str, name: &str) -> Option<Vec<u8>> {
    let (digits, _) = behind(text, &format!("\"{name}\": \""))?.split_once('"')?;
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}
