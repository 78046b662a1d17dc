//! MQTT with QoS 1 over TLS 1.3 with client certificates: the service, which decides by policy, seals, and makes durable before it
//! acknowledges, beside mosquitto, which keeps nothing. The load is the same and takes turns; what counts is what the server's
//! process takes.

mod load;
mod report;
mod server;
mod start;

use std::path::Path;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::clock::{Rounds, quantile};
use crate::house::House;
use load::{Load, Session};
use server::{Member, Mosquitto, Server};
use start::Start;

const ROUNDS: u32 = 3;
/// Members, and connections of each for the largest load.
const MEMBERS: usize = 20;
/// Connections, messages in flight on each, and messages of each in a round.
const WINDOWED: (usize, usize, usize) = (100, 20, 400);
const WIDE: (usize, usize, usize) = (1000, 1, 30);
/// Connections before those whose memory is measured.
const FIRST: usize = 100;
/// Connections that are opened one after the other.
const HANDSHAKES: usize = 200;
/// A fixed rate: connections, and messages of each, one in so many milliseconds.
const PACED: (usize, usize, u64) = (100, 60, 50);

/// What is said of one server.
#[derive(Default)]
pub(crate) struct Figures {
    /// Messages in a second of its processor time.
    pub(crate) windowed: Rounds,
    pub(crate) wide: Rounds,
    /// Connections in a second of its processor time, each to its CONNACK.
    pub(crate) handshakes: Rounds,
    /// KiB of an idle connection, behind the first ones.
    pub(crate) idle: f64,
    /// Milliseconds from PUBLISH to PUBACK at 2 000 messages a second.
    pub(crate) p50: Rounds,
    pub(crate) p99: Rounds,
}

/// Both.
pub(crate) struct Mqtt {
    pub(crate) ours: Figures,
    pub(crate) mosquitto: Figures,
    pub(crate) start: Start,
}

pub(crate) fn measure(program: &Path) -> Mqtt {
    let mut house = House::new(program, tempfile::tempdir().unwrap(), "", "");
    let members: Vec<Member> =
        (0..MEMBERS).map(|at| Member::enrol(&house, &format!("member-{at}"))).collect();
    let mosquitto = Mosquitto::start(&house, &members[0]);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (service, broker) = (Server::of(&house), mosquitto.server());
    let (ours, theirs) = Default::default();
    let mut mqtt = Mqtt { ours, mosquitto: theirs, start: Start::default() };
    mqtt.ours.idle = idle(&runtime, &service, &members);
    mqtt.mosquitto.idle = idle(&runtime, &broker, &members);
    for _ in 0..ROUNDS {
        round(&runtime, &service, &members, &mut mqtt.ours);
        round(&runtime, &broker, &members, &mut mqtt.mosquitto);
    }
    mqtt.start = start::measure(program, &mut house, &members, &runtime);
    mqtt
}

fn idle(runtime: &Runtime, server: &Server, members: &[Member]) -> f64 {
    let (connections, ..) = WIDE;
    // What the first connections bring in, code for one, is there once.
    let first = runtime.block_on(Load::new(server, members, FIRST).open());
    let before = server.memory();
    let sessions = runtime.block_on(Load::new(server, members, FIRST + connections).open_from(FIRST));
    let more = server.memory() as f64 - before as f64;
    drop((first, sessions));
    more / number(connections)
}

fn round(runtime: &Runtime, server: &Server, members: &[Member], figures: &mut Figures) {
    let load = |count| Load::new(server, members, count);
    let spent = |before: Duration| (server.processor() - before).as_secs_f64();

    let before = server.processor();
    runtime.block_on(load(HANDSHAKES).one_after_the_other());
    figures.handshakes.push(number(HANDSHAKES) / spent(before));

    for ((connections, window, messages), rate) in
        [(WINDOWED, &mut figures.windowed), (WIDE, &mut figures.wide)]
    {
        let sessions = runtime.block_on(load(connections).open());
        let before = server.processor();
        runtime.block_on(Session::all(sessions, |session| session.windowed(window, messages)));
        rate.push(number(connections * messages) / spent(before));
    }

    let (connections, messages, every) = PACED;
    let sessions = runtime.block_on(load(connections).open());
    let every = Duration::from_millis(every);
    let latencies = runtime.block_on(Session::all(sessions, |session| session.paced(every, messages)));
    let mut latencies: Vec<f64> = latencies.into_iter().flatten().collect();
    latencies.sort_by(f64::total_cmp);
    figures.p50.push(quantile(&latencies, 0.5));
    figures.p99.push(quantile(&latencies, 0.99));
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
