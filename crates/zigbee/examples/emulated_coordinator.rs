//! A coordinator of EZSP that is not there, with the nodes around it: for hosts to talk to.
//!
//! Arguments: `--socket PATH` to be at a Unix socket, for one host after the other, instead of standard input and output;
//! `--version 18` to speak that version of EZSP instead of 13; and nodes, each `KIND=ADDRESS` or `KIND=ADDRESS:INSTALL-CODE` with the kind `thermometer`, `bulb`, `plug` or `contact`.
//! `bulb=00158d0000000002:83FED3407A939723A5C639B26916D505C3B5` joins when somebody lets it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "it is part of a test")]

use std::cell::RefCell;
use std::io::{Read, Write, stdin, stdout};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use thingward_zigbee::emulated::{Coordinator, Kind, Ncp, Node};
use thingward_zigbee::security::InstallCode;

/// How often time passes.
const TICK: Duration = Duration::from_millis(50);

fn main() -> std::io::Result<()> {
    let (mut socket, mut version, mut nodes) = (None, 13, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--socket" {
            socket = arguments.next();
        } else if argument == "--version" {
            version = arguments.next().and_then(|version| version.parse().ok()).unwrap();
        } else {
            let short = u16::try_from(0x2000 + nodes.len()).unwrap();
            nodes.push(node(&argument, short).ok_or_else(|| std::io::Error::other(argument))?);
        }
    }
    let coordinator = Rc::new(RefCell::new(Coordinator::of(version, nodes)));
    let start = Instant::now();
    let Some(socket) = socket else { return serve(&coordinator, start, listen(stdin()), stdout()) };
    // What is left of one that was there before.
    let _ = std::fs::remove_file(&socket);
    for host in UnixListener::bind(&socket)?.incoming() {
        let host = host?;
        // One that goes away makes room for the next.
        let _ = serve(&coordinator, start, listen(host.try_clone()?), host);
    }
    Ok(())
}

fn node(argument: &str, short: u16) -> Option<Node> {
    let (kind, printed) = argument.split_once('=')?;
    let kind = match kind {
        "thermometer" => Kind::Thermometer,
        "bulb" => Kind::Bulb,
        "plug" => Kind::Plug,
        "contact" => Kind::Contact,
        _ => return None,
    };
    let (address, code) =
        printed.split_once(':').map_or((printed, None), |(address, code)| (address, Some(code)));
    let code = code.map(InstallCode::parse).transpose().ok()?;
    Some(Node::new(kind, u64::from_str_radix(address, 16).ok()?, short, code.as_ref()))
}

/// What comes from a host, until it goes away.
fn listen(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut octets = [0; 512];
        while let Ok(count @ 1..) = from.read(&mut octets) {
            if sender.send(octets[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn serve(
    coordinator: &Rc<RefCell<Coordinator>>,
    start: Instant,
    from: Receiver<Vec<u8>>,
    mut to: impl Write,
) -> std::io::Result<()> {
    let behind = Rc::clone(coordinator);
    let mut line = Ncp::new(move |message: &[u8]| behind.borrow_mut().respond(message));
    let mut is_open = false;
    loop {
        let mut out = match from.recv_timeout(TICK) {
            Ok(octets) => {
                is_open = true;
                line.receive(&octets)
            }
            Err(RecvTimeoutError::Timeout) => line.again().into_iter().collect(),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        // Nobody is told anything before the line was reset.
        if is_open {
            let news = coordinator.borrow_mut().tick(start.elapsed());
            out.extend(line.tell(news));
        }
        for octets in out {
            to.write_all(&octets)?;
            to.flush()?;
        }
    }
}
