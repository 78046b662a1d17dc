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

use crate::bounds;
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
const HANDSHAKES: usize = 600;
/// A fixed rate: connections, and messages of each, one in so many milliseconds.
const PACED: (usize, usize, u64) = (100, 60, 50);
/// What the service's hot store lays out for what is to be durable at once.
const LAID_OUT_BYTES: u64 = 64 << 20;

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
    /// Milliseconds from PUBLISH until an application that follows all devices has it, at the same rate.
    pub(crate) followed_p50: Rounds,
    pub(crate) followed_p99: Rounds,
}

/// Both.
pub(crate) struct Mqtt {
    pub(crate) ours: Figures,
    pub(crate) mosquitto: Figures,
    /// Milliseconds of one durable write to a file that is laid out, as the service writes.
    pub(crate) flush: Rounds,
    pub(crate) start: Start,
}

pub(crate) fn measure(program: &Path) -> Mqtt {
    let mut house = House::new(program, tempfile::tempdir().unwrap(), "", "");
    let members: Vec<Member> =
        (0..MEMBERS).map(|at| Member::enrol(&house, &format!("member-{at}"), "device")).collect();
    let follower = [Member::enrol(&house, "follower", "application")];
    let mosquitto = Mosquitto::start(&house, &members[0]);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (service, broker) = (Server::of(&house), mosquitto.server());
    let (ours, theirs) = Default::default();
    let mut mqtt = Mqtt { ours, mosquitto: theirs, flush: Rounds::default(), start: Start::default() };
    mqtt.ours.idle = idle(&runtime, &service, &members);
    mqtt.mosquitto.idle = idle(&runtime, &broker, &members);
    for _ in 0..ROUNDS {
        round(&runtime, &service, &members, &mut mqtt.ours);
        round(&runtime, &broker, &members, &mut mqtt.mosquitto);
        let writes = bounds::durable_writes(&house.path("laid-out"), Some(LAID_OUT_BYTES));
        mqtt.flush.push(quantile(&writes, 0.5));
    }
    // Behind the others: what a tenant's devices say is published from the first subscription of an application on.
    for _ in 0..ROUNDS {
        followed(&runtime, &service, &members, &follower, &mut mqtt.ours);
        followed(&runtime, &broker, &members, &follower, &mut mqtt.mosquitto);
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

    let waited = runtime.block_on(paced(load(PACED.0)));
    figures.p50.push(quantile(&waited, 0.5));
    figures.p99.push(quantile(&waited, 0.99));
}

/// Publishes at a fixed rate; how long each waited for its acknowledgement, sorted.
async fn paced(load: Load) -> Vec<f64> {
    let (_, messages, every) = PACED;
    let (sessions, every) = (load.open().await, Duration::from_millis(every));
    let waited = Session::all(sessions, |session| session.paced(every, messages)).await;
    let mut waited: Vec<f64> = waited.into_iter().flatten().collect();
    waited.sort_by(f64::total_cmp);
    waited
}

fn followed(
    runtime: &Runtime,
    server: &Server,
    members: &[Member],
    follower: &[Member],
    figures: &mut Figures,
) {
    let (connections, messages, _) = PACED;
    let took = runtime.block_on(async {
        let mut follower =
            Load::new(server, follower, connections + 1).open_from(connections).await.remove(0);
        follower.subscribe().await;
        let following = tokio::spawn(follower.follow(connections * messages));
        paced(Load::new(server, members, connections)).await;
        let mut took = following.await.unwrap();
        took.sort_by(f64::total_cmp);
        took
    });
    figures.followed_p50.push(quantile(&took, 0.5));
    figures.followed_p99.push(quantile(&took, 0.99));
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}
