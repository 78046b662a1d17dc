//! A coordinator of EZSP that is not there, on standard input and output: for hosts to talk to through a pseudo-terminal.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "it is part of a test")]

use std::io::{Read, Write, stdin, stdout};

#[path = "../tests/it/serial/emulated.rs"]
mod emulated;
#[path = "../tests/it/serial/ncp.rs"]
mod ncp;

fn main() -> std::io::Result<()> {
    let mut coordinator = emulated::Coordinator::default();
    let mut line = ncp::Ncp::new(move |message: &[u8]| coordinator.respond(message));
    let mut octets = [0; 512];
    loop {
        match stdin().read(&mut octets)? {
            0 => return Ok(()),
            count => {
                for out in line.receive(&octets[..count]) {
                    stdout().write_all(&out)?;
                    stdout().flush()?;
                }
            }
        }
    }
}
