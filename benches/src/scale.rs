//! What many devices cost, and what follows for more of them: the tables of `docs/scale.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::devices::{Devices, KEEP_ALIVE_SECONDS, measure};

const BEGIN: &str = "<!-- `make scale` writes from here -->\n";
const END: &str = "<!-- `make scale` to here -->\n";
const COUNTS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
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
    let measured = COUNTS.map(|count| {
        println!("{count} devices");
        let devices = measure(count);
        println!("{devices:.0?}");
        devices
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
