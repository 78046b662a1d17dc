//! What is said of MQTT, beside what issue and product ask for.

use std::fmt::Write as _;

use super::start::{DEVICES, Start};
use super::{Figures, Mqtt, PACED, WIDE, WINDOWED};
use crate::clock::Rounds;
use crate::plot::{Bar, short};

/// What is asked for: messages in a second of mosquitto's, full handshakes, and a part of its memory.
const WINDOWED_TIMES: f64 = 3.0;
const WIDE_TIMES: f64 = 1.0;
const HANDSHAKE_TIMES: f64 = 3.0;
/// What that may be off by: handshakes take some 13 of the ticks of 10 ms in which the system counts the processor's time.
const HANDSHAKE_ERROR: f64 = 0.08;
const IDLE_KIBIBYTES: f64 = 11.0;
/// Milliseconds of the median acknowledgement beyond a durable write of the disk.
const BEYOND_DISK: f64 = 2.0;

/// From the start of a service with many devices to its first client.
const START_MILLISECONDS: f64 = 200.0;

/// One of the figures.
type Of = fn(&Figures) -> &Rounds;

impl Mqtt {
    pub(crate) fn text(&self) -> String {
        let (connections, _, every) = PACED;
        let rate = connections * 1000 / usize::try_from(every).unwrap();
        let (ours, mosquitto) = (&self.ours, &self.mosquitto);
        let mut text = String::from(
            "\n| MQTT, QoS 1, 128 bytes, TLS 1.3, client certificates | Thingward | mosquitto | Times | Goal |\n|---|---|---|---|---|\n",
        );
        let windowed =
            format!("messages per CPU-second, {} connections, {} in flight", WINDOWED.0, WINDOWED.1);
        let wide = format!("messages per CPU-second, {} connections, {} in flight", WIDE.0, WIDE.1);
        let rows: [(&str, Of, f64, f64); 3] = [
            (&windowed, |figures| &figures.windowed, WINDOWED_TIMES, 0.0),
            (&wide, |figures| &figures.wide, WIDE_TIMES, 0.0),
            (
                "full handshakes per CPU-second",
                |figures| &figures.handshakes,
                HANDSHAKE_TIMES,
                HANDSHAKE_ERROR,
            ),
        ];
        for (what, of, goal, error) in rows {
            let times = of(ours).median() / of(mosquitto).median();
            let [ours, mosquitto] = [of(ours), of(mosquitto)].map(shown);
            let is_told = (times - goal).abs() > goal * error;
            let outcome = if is_told { met(times >= goal) } else { "within the error" };
            let goal = format!("at least {goal} times: {outcome}");
            writeln!(text, "| {what} | {ours} | {mosquitto} | {times:.2} | {goal} |").unwrap();
        }
        writeln!(
            text,
            "| memory of an idle connection | {:.1} KiB | {:.1} KiB | {:.2} | at most {IDLE_KIBIBYTES} KiB: {} |",
            ours.idle,
            mosquitto.idle,
            ours.idle / mosquitto.idle,
            met(ours.idle <= IDLE_KIBIBYTES)
        )
        .unwrap();
        let flush = self.flush.median();
        let outcome = met(ours.p50.median() - flush <= BEYOND_DISK);
        let goal = format!("at most {BEYOND_DISK} ms beyond a durable write: {outcome}");
        let waits: [(String, Of, &str); 4] = [
            (format!("publish to ack at {rate} messages a second, p50"), |figures| &figures.p50, &goal),
            ("the same, p99".to_owned(), |figures| &figures.p99, ""),
            ("publish to subscriber at the same rate, p50".to_owned(), |figures| &figures.followed_p50, ""),
            ("the same, p99".to_owned(), |figures| &figures.followed_p99, ""),
        ];
        for (what, of, goal) in waits {
            let [ours, mosquitto] = [of(ours), of(mosquitto)].map(Rounds::median);
            writeln!(text, "| {what} | {ours:.2} ms | {mosquitto:.2} ms | | {goal} |").unwrap();
        }
        writeln!(
            text,
            "| one durable write of 4 KiB to a file that is laid out, p50 | {flush:.2} ms | | | |\n\n\
             ![Messages per CPU-second](images/bench/mqtt.svg)"
        )
        .unwrap();
        let Start { connected, size } = &self.start;
        let (least, most) = connected.spread();
        let outcome = met(connected.median() <= START_MILLISECONDS);
        writeln!(
            text,
            "\n| A service with {DEVICES} devices | | Goal |\n|---|---|---|\n\
             | from its start to the first client's CONNACK, by the clock | {:.0} ms ({least:.0} to {most:.0}) | \
             at most {START_MILLISECONDS} ms: {outcome} |\n\
             | size of the program | {size:.1} MiB | |",
            connected.median()
        )
        .unwrap();
        text
    }

    pub(crate) fn bars(&self) -> [Bar; 4] {
        let (ours, mosquitto) = (&self.ours, &self.mosquitto);
        let bar = |name, rounds: &Rounds, is_ours| Bar { name, figure: rounds.median(), is_ours };
        [
            bar("Thingward, 100 × 20 in flight", &ours.windowed, true),
            bar("mosquitto, 100 × 20 in flight", &mosquitto.windowed, false),
            bar("Thingward, 1000 × 1 in flight", &ours.wide, true),
            bar("mosquitto, 1000 × 1 in flight", &mosquitto.wide, false),
        ]
    }
}

fn shown(rounds: &Rounds) -> String {
    let (least, most) = rounds.spread();
    format!("{} ({} to {})", short(rounds.median()), short(least), short(most))
}

const fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**not met**" }
}
