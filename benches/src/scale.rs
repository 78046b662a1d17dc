//! What many devices cost, and what follows for more of them: the tables of `docs/scale.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::devices::{Devices, KEEP_ALIVE_SECONDS};

const BEGIN: &str = "<!-- `make scale` writes from here -->\n";
const END: &str = "<!-- `make scale` to here -->\n";
/// So many devices, measured so many times.
const COUNTS: [(usize, usize); 4] = [(1_000, 9), (10_000, 5), (100_000, 3), (1_000_000, 1)];
/// What one device costs is to be the same up to so many, within this part.
const FLAT_UP_TO: usize = 100_000;
const FLAT_WITHIN: f64 = 0.1;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
/// A device says something so often in the arithmetic, in seconds.
const MESSAGE_SECONDS: f64 = 60.0;
/// Bytes of a message of 128 bytes on the wire, with its acknowledgement: MQTT, TLS, TCP and IP.
const WIRE_BYTES: f64 = 400.0;
/// What a processor and a GiB of memory are taken to cost in a year.
const PROCESSOR_YEAR: f64 = 120.0;
const GIB_YEAR: f64 = 30.0;

/// Measures, and writes the page.
pub(crate) fn write() {
    let measured = COUNTS.map(|(count, rounds)| {
        println!("{count} devices, measured {rounds} times");
        Devices::measured(count, rounds)
    });
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scale.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/scale.md has no place for the figures");
    let (_, after) = rest.split_once(END).expect("docs/scale.md has no end of the figures");
    fs::write(&page, format!("{before}{BEGIN}{}{END}{after}", tables(&measured))).unwrap();
    println!("docs/scale.md has the figures");
}

fn tables(measured: &[Devices]) -> String {
    let mut text = String::from(
        "| Devices | Connected / CPU-s | Heard of / CPU-s | Messages / CPU-s | Memory of one | Disk of one session | Of a \
         reading, hot | Of a value in history | Sessions back after |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for d in measured {
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} B | {:.0} B | {:.0} B | {:.1} B | {:.1} s |",
            d.count, d.connected, d.heard, d.messages, d.memory, d.disk, d.hot, d.history, d.restored
        );
    }
    text += &flatness(measured);
    let Some(most) = measured.last() else { return text };
    let alive = most.count as f64 / f64::from(KEEP_ALIVE_SECONDS) / most.heard;
    let _ = write!(
        text,
        "\nA million devices that each say that they are there once in {KEEP_ALIVE_SECONDS} s take {:.2} % of a processor.\n\n\
         For more devices, by the last row, each with a message of 128 bytes a minute and {WIRE_BYTES} bytes on the wire for \
         it; a processor is taken to cost {PROCESSOR_YEAR} a year and a GiB {GIB_YEAR}. Processors are those of the core alone.\n\n\
         | Devices | Memory | Processors for keep-alives | For messages | Messages / s | On the wire | Stored in a year | A \
         device and year |\n|---|---|---|---|---|---|---|---|\n",
        alive * 100.0
    );
    for millions in [1.0, 10.0, 100.0] {
        let devices = millions * 1e6;
        let rate = devices / MESSAGE_SECONDS;
        let memory = devices * most.memory / GIB;
        let [alive, messages] = [devices / f64::from(KEEP_ALIVE_SECONDS) / most.heard, rate / most.messages];
        let cost = ((alive + messages) * PROCESSOR_YEAR + memory * GIB_YEAR) / devices;
        let _ = writeln!(
            text,
            "| {millions:.0} million | {memory:.1} GiB | {alive:.2} | {messages:.2} | {rate:.0} | {:.0} Mbit/s | {:.1} TiB | \
             {cost:.5} |",
            rate * WIRE_BYTES * 8.0 / 1e6,
            rate * most.history * 8.0 * 365.0 * 86_400.0 / GIB / 1024.0,
        );
    }
    text
}

/// One of the figures.
type Of = fn(&Devices) -> f64;

/// How far what one device costs lies apart.
fn flatness(measured: &[Devices]) -> String {
    let few: Vec<&Devices> = measured.iter().filter(|devices| devices.count <= FLAT_UP_TO).collect();
    let apart = |of: Of| {
        let costs = || few.iter().map(|devices| of(devices));
        costs().fold(0.0, f64::max) / costs().fold(f64::INFINITY, f64::min) - 1.0
    };
    let mut text = format!(
        "\nFrom 1000 to {FLAT_UP_TO} devices the least and the most that one costs lie apart by (goal: at most {:.0} %)",
        FLAT_WITHIN * 100.0
    );
    let costs: [(&str, Of); 4] = [
        ("to connect", |devices| devices.connected),
        ("to be heard of", |devices| devices.heard),
        ("for a message", |devices| devices.messages),
        ("in memory", |devices| devices.memory),
    ];
    for (at, (what, of)) in costs.into_iter().enumerate() {
        let (apart, before) = (apart(of), if at == 0 { ':' } else { ';' });
        let met = if apart <= FLAT_WITHIN { "" } else { ", **not met**" };
        let _ = write!(text, "{before} {:.0} % {what}{met}", apart * 100.0);
    }
    text + ".\n"
}
