//! What is written into `docs/`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bounds::Bounds;
use crate::clock::Rounds;
use crate::inside::Inside;
use crate::latency::{Latency, MESSAGES, RATE};
use crate::mqtt::Mqtt;
use crate::plot::{Bar, bars, distribution, short};
use crate::zigbee::Zigbee;
use crate::zwave::Zwave;

const BEGIN: &str = "<!-- `make bench` writes from here -->\n";
const END: &str = "<!-- `make bench` to here -->\n";
/// A checkpoint that the gateway's radios sign for covers so many records here.
pub(crate) const CHECKPOINT_EVERY: u64 = 64;

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) bounds: Bounds,
    pub(crate) zigbee: Zigbee,
    pub(crate) zwave: Zwave,
    pub(crate) latency: Latency,
    pub(crate) mqtt: Mqtt,
    pub(crate) inside: Inside,
}

/// Whose figure a row is.
struct Row<'a> {
    radio: &'static str,
    work: &'static str,
    who: &'static str,
    rounds: &'a Rounds,
    /// What nobody would be faster than, in the same run.
    bound: Option<f64>,
}

impl Report {
    pub(crate) fn write(&self) {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let page = docs.join("performance.md");
        let text = fs::read_to_string(&page).unwrap();
        let (before, rest) =
            text.split_once(BEGIN).expect("docs/performance.md has no place for the figures");
        let (_, after) = rest.split_once(END).expect("docs/performance.md has no end of the figures");
        fs::write(&page, format!("{before}{BEGIN}{}{END}{after}", self.text())).unwrap();
        self.plots(&docs.join("images/bench"));
    }

    fn rows(&self) -> [Row<'_>; 8] {
        let (zigbee, zwave, ccm) = (&self.zigbee, &self.zwave, self.bounds.ccm.median());
        let row = |radio, work, who, rounds, bound| Row { radio, work, who, rounds, bound };
        [
            row("Zigbee", "from the air", "Thingward", &zigbee.decoded, Some(ccm / 2.0)),
            row("Zigbee", "from the air", "zigbee-on-host and zigbee-herdsman", &zigbee.peer_decoded, None),
            row(
                "Zigbee",
                "and into the chain",
                "Thingward",
                &zigbee.sealed,
                Some(self.with_chain(ccm / 2.0)),
            ),
            row("Zigbee", "cluster library alone", "Thingward", &zigbee.library, None),
            row("Zigbee", "cluster library alone", "zigbee-herdsman", &zigbee.peer_library, None),
            row("Z-Wave", "Security 2", "Thingward", &zwave.decoded, Some(ccm)),
            row("Z-Wave", "Security 2", "zwave-js", &zwave.peer_decoded, None),
            row("Z-Wave", "and into the chain", "Thingward", &zwave.sealed, Some(self.with_chain(ccm))),
        ]
    }

    /// A bound with what a chain takes besides: a hash over a record, and its part of a signature.
    fn with_chain(&self, bound: f64) -> f64 {
        let signed = self.bounds.ed25519.median() * CHECKPOINT_EVERY as f64;
        // Records are of some 100 octets: two blocks with the padding, as one message of 64 octets has.
        1.0 / (1.0 / bound + 1.0 / self.bounds.sha256.median() + 1.0 / signed)
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "| Radio | Work | Who | Frames per CPU-second | Least to most | Bound |\n|---|---|---|---|---|---|\n",
        );
        for Row { radio, work, who, rounds, bound } in self.rows() {
            let ((least, most), bound) = (rounds.spread(), bound.map(short).unwrap_or_default());
            let (median, least, most) = (short(rounds.median()), short(least), short(most));
            writeln!(text, "| {radio} | {work} | {who} | {median} | {least} to {most} | {bound} |").unwrap();
        }
        let times = |ours: &Rounds, peer: &Rounds| ours.median() / peer.median();
        let (zigbee, zwave) = (&self.zigbee, &self.zwave);
        writeln!(
            text,
            "\nOf the same work Thingward does {:.0} times as much as zigbee-on-host with zigbee-herdsman, {:.1} times as much as\n\
             zigbee-herdsman in the cluster library alone, and {:.0} times as much as zwave-js.\n",
            times(&zigbee.decoded, &zigbee.peer_decoded),
            times(&zigbee.library, &zigbee.peer_library),
            times(&zwave.decoded, &zwave.peer_decoded),
        )
        .unwrap();
        text.push_str("![Frames per CPU-second](images/bench/frames.svg)\n\n");
        let bounds = &self.bounds;
        text.push_str(
            "| By our own code alone, in the same rounds | A second | Least to most |\n|---|---|---|\n",
        );
        for (name, rounds) in [
            ("AES-CCM*, 32 octets opened", &bounds.ccm),
            ("SHA-256 over 64 octets", &bounds.sha256),
            ("Ed25519 signatures", &bounds.ed25519),
            ("writes of 4 KiB to a growing file, each durable before the next", &bounds.fsync),
        ] {
            let (least, most) = rounds.spread();
            writeln!(text, "| {name} | {} | {} to {} |", short(rounds.median()), short(least), short(most))
                .unwrap();
        }
        let sync = 1e3 / bounds.fsync.median();
        text + &self.whole(sync) + &self.mqtt.text() + &self.inside.text()
    }

    fn whole(&self, sync: f64) -> String {
        let latency = &self.latency;
        let [half, ninety, most, all] = [0.5, 0.9, 0.99, 1.0].map(|part| latency.quantile(part));
        let (gateway, drivers) = latency.of_a_thing();
        let (few, many) = (&latency.few, &latency.many);
        format!(
            "\n| Radio to service, {} things, {RATE} messages a second, {MESSAGES} of them | |\n|---|---|\n\
             | p50 | {half:.1} ms |\n| p90 | {ninety:.1} ms |\n| p99 | {most:.1} ms |\n| slowest | {all:.1} ms |\n\
             | one durable write to a growing file, which is no bound | {sync:.1} ms |\n\n\
             ![Radio to service](images/bench/latency.svg)\n\n\
             | Memory that is resident | {} things | {} things | Each more |\n|---|---|---|---|\n\
             | gateway | {:.1} MiB | {:.1} MiB | {gateway:.1} KiB |\n| its drivers together | {:.1} MiB | {:.1} MiB | {drivers:.1} KiB |\n",
            few.things,
            few.things,
            many.things,
            mebibytes(few.gateway),
            mebibytes(many.gateway),
            mebibytes(few.drivers),
            mebibytes(many.drivers),
        )
    }

    fn plots(&self, folder: &Path) {
        let names = [
            "Zigbee, from the air",
            "zigbee-on-host, -herdsman",
            "Zigbee, and into the chain",
            "Zigbee, cluster library",
            "zigbee-herdsman, cluster library",
            "Z-Wave, Security 2",
            "zwave-js, Security 2",
            "Z-Wave, and into the chain",
        ];
        let rows = self.rows();
        let bar = |(row, name): (&Row, &'static str)| Bar {
            name,
            figure: row.rounds.median(),
            is_ours: row.who == "Thingward",
        };
        // The cluster library alone is another scale.
        let shown = rows.iter().zip(names).filter(|(row, _)| row.work != "cluster library alone");
        let shown: Vec<Bar> = shown.map(bar).collect();
        write(folder.join("frames.svg"), &bars("Frames per CPU-second", &shown));
        write(folder.join("mqtt.svg"), &bars("Messages per CPU-second, QoS 1", &self.mqtt.bars()));
        let latency = &self.latency;
        let marks = [("p50", latency.quantile(0.5)), ("p99", latency.quantile(0.99))];
        let title = "Radio to service: part of messages that took no longer";
        write(folder.join("latency.svg"), &distribution(title, "ms", &latency.milliseconds, &marks));
    }
}

fn write(path: PathBuf, svg: &str) {
    fs::write(path, svg).unwrap();
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
