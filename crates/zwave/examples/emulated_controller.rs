//! A Z-Wave controller and a bulb that are not there, at a TCP port of this machine: for hosts to talk to.
//!
//! Says the port, and what is printed on the bulb, which joins as soon as it is let in. Somebody turns its knob every five
//! seconds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "it is part of a test")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use thingward_zwave::emulated::Controller;

/// The key of things whose device-specific key was compared.
const AUTHENTICATED: u8 = 0x02;
const TICK: Duration = Duration::from_millis(20);
const TURN: Duration = Duration::from_secs(5);

fn main() -> std::io::Result<()> {
    let mut controller = Controller::new(AUTHENTICATED, ChaCha20Rng::from_seed([1; 32]));
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{} {}", listener.local_addr()?.port(), controller.node.dsk());
    let start = Instant::now();
    for host in listener.incoming() {
        controller.connected();
        // One that goes away makes room for the next.
        let _ = serve(&mut controller, start, host?);
    }
    Ok(())
}

fn serve(
    controller: &mut Controller<ChaCha20Rng>,
    start: Instant,
    mut host: TcpStream,
) -> std::io::Result<()> {
    host.set_read_timeout(Some(TICK))?;
    host.set_nodelay(true)?;
    let mut turns_at = start.elapsed() + TURN;
    let mut bytes = [0; 512];
    loop {
        match host.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => controller.receive(&bytes[..count], start.elapsed()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        let now = start.elapsed();
        controller.tick(now);
        if now >= turns_at {
            turns_at = now + TURN;
            controller.turn(42, now);
        }
        while let Some(bytes) = controller.output() {
            host.write_all(&bytes)?;
        }
    }
}
