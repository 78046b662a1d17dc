//! Three nodes behind a load balancer are one service, whatever ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::by_hand::ByHand;
use common::crowd::{Client, count};
use common::nodes::Nodes;
use common::paho::Paho;
use common::{Place, given, shown, succeeds, wait_for};
use thingward_town_cluster::Relay;

/// The numbers of a device that are kept, in the order in which they were accepted.
fn kept(place: &Place, device: &str) -> Vec<u64> {
    let query = ["reading", "query", "--tenant", "acme", "--device", device, "--limit", "100000"];
    let (code, rows) = place.run(&query);
    if code != 0 {
        return Vec::new();
    }
    let mut rows: Vec<_> = rows.as_array().unwrap().iter().collect();
    rows.sort_by_key(|row| row["seq"].as_u64());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of messages")]
    let numbers = rows.iter().map(|row| row["value"].as_f64().unwrap() as u64).collect();
    numbers
}

fn asks_for_its_membership(member: &ByHand, https: u16) -> String {
    let url = format!("https://localhost:{https}/.well-known/thingward/membership");
    let (chain, key) = (member.file("chain.pem"), member.file("key.pem"));
    member.curl(&["--cert", &chain, "--key", &key, &url])
}

fn make_tenant(place: &Place) {
    let made = place.done(&["key", "create", shown(&place.path("acme.key"))]);
    place.done(&["tenant", "create", "acme", "--customer-key", made["reference"].as_str().unwrap()]);
}

/// Asks the first node so often for a segment that a bundle of the log is full: each look is an entry.
fn fill_a_bundle(place: &Place) {
    let mut segments = Vec::new();
    wait_for("history", || {
        segments.clone_from(place.done(&["segment", "list", "--tenant", "acme"]).as_array().unwrap());
        !segments.is_empty()
    });
    let (socket, id) = (place.path("data/admin.sock"), segments[0]["id"].as_str().unwrap());
    let url = format!("http://localhost/api/v1/tenants/acme/segments/{id}?look=[1-300]");
    succeeds("curl", &["--silent", "--fail", "--unix-socket", shown(&socket), &url, "-o", "/dev/null"]);
}

#[test]
fn a_service_on_one_machine_becomes_three_nodes_with_all_that_it_has() {
    let Some(mut nodes) = Nodes::prepare() else { return };
    let (service, scale) = configure_alone(&mut nodes);
    let mut alone = nodes.place.service(&["acme"]);
    let member = ByHand::enrolled(&nodes.place, "acme", "device", "one");
    let mqtt = nodes.place.mqtt;
    for number in 0..5 {
        let payload = format!("{{\"said\":{number}}}");
        let publish = ["-t", "devices/me/telemetry/count", "-m", &payload, "-q", "1"];
        assert!(member.mosquitto("mosquitto_pub", mqtt, &publish).0);
    }
    fill_a_bundle(&nodes.place);
    wait_for("a log in files", || nodes.place.path("data/logs/acme/tile/entries").exists());
    let before = nodes.place.done(&["reading", "query", "--tenant", "acme"]);
    let log = nodes.place.done(&["audit", "list", "--tenant", "acme", "--limit", "1000"]);
    assert!(std::process::Command::new("kill").arg(alone.0.id().to_string()).status().unwrap().success());
    assert!(alone.0.wait().unwrap().success());

    // With a key of its own, nothing would open any more.
    nodes.place.config = nodes.place.path("move.toml");
    std::fs::write(&nodes.place.config, format!("{service}[scale]{scale}")).unwrap();
    let key = nodes.place.path("scale.key");
    nodes.place.done(&["service", "key", shown(&key)]);
    nodes.place.fails(&["move"], 1);
    // Beside what the service has, nodes would be another service.
    nodes.place.fails(&["service", "run"], 1);
    std::fs::copy(nodes.place.path("data/sealing.key"), &key).unwrap();
    let moved = nodes.place.done(&["move"]);
    assert!(moved["segments"].as_u64().unwrap() >= 1 && moved["files"].as_u64().unwrap() >= 3, "{moved}");
    assert!(moved["log_entries"].as_u64().unwrap() > 300 && moved["problems"].as_array().unwrap().is_empty());
    nodes.place.fails(&["move"], 1);

    // The nodes have nothing but their configuration.
    (1..=3).for_each(|number| nodes.lose_disk(number));
    nodes.start_all();
    assert_eq!(nodes.place.done(&["reading", "query", "--tenant", "acme"]), before);
    let after = nodes.place.done(&["audit", "list", "--tenant", "acme", "--limit", "1000"]);
    let (after, log) = (after.as_array().unwrap(), log.as_array().unwrap());
    assert!(log.iter().all(|entry| after.contains(entry)));
    let publish = ["-t", "devices/me/telemetry/count", "-m", "{\"said\":5}", "-q", "1"];
    // The others are there a moment later than the first.
    wait_for("a node that takes one more", || {
        member.mosquitto("mosquitto_pub", nodes.place.mqtt, &publish).0
    });
    wait_for("one more", || kept(&nodes.place, "one").contains(&5));
}

/// Commands go to a service on one machine from here on, which is where the load balancer will be. What a configuration of a node
/// says of the service, and of what the nodes share.
fn configure_alone(nodes: &mut Nodes) -> (String, String) {
    let text = std::fs::read_to_string(nodes.place.path("node-1.toml")).unwrap();
    let (service, scale) = text.split_once("[scale]").unwrap();
    let [mqtt, https] = nodes.ports[0].map(|port| port.to_string());
    let (front_mqtt, front_https) = (nodes.place.mqtt.to_string(), nodes.place.https.to_string());
    let alone = service.replace("rows = 1000", "rows = 1");
    nodes.place.config = nodes.place.path("alone.toml");
    std::fs::write(&nodes.place.config, alone.replace(&mqtt, &front_mqtt).replace(&https, &front_https))
        .unwrap();
    (service.to_owned(), scale.to_owned())
}

/// Kills a move when it says this step.
fn kill_move_at(place: &Place, step: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thingward"));
    let command = command.arg("--config").arg(&place.config).arg("move");
    let mut moving = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut says = BufReader::new(moving.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(says.any(|line| line == step), "{step}");
    moving.kill().unwrap();
    moving.wait().unwrap();
}

#[test]
fn a_move_that_is_killed_at_any_step_begins_no_nodes_and_is_made_again_elsewhere() {
    let Some(mut nodes) = Nodes::prepare() else { return };
    let (service, scale) = configure_alone(&mut nodes);
    let place = &mut nodes.place;
    let alone = place.service(&["acme"]);
    place.enrol("acme", "device", "meter-1");
    let log = place.done(&["audit", "list", "--tenant", "acme", "--limit", "1000"]);
    common::stops_cleanly(alone);
    std::fs::copy(place.path("data/sealing.key"), place.path("scale.key")).unwrap();

    let postgres = thingward_test_postgres::Postgres::of_this_process().unwrap();
    let steps = ["copy the registry", "copy history and logs", "copy what is hot", "read all of it back"];
    place.config = place.path("move.toml");
    let elsewhere = |number: usize| {
        let database = postgres.url(thingward_test_postgres::USER, &postgres.database());
        std::fs::write(place.path("postgres.url"), database).unwrap();
        let text = format!("{service}[scale]\nnats_prefix = \"try-{number}\"{scale}");
        std::fs::write(&place.config, text).unwrap();
    };
    for (number, step) in steps.iter().enumerate() {
        elsewhere(number);
        kill_move_at(place, step);
        // Not beside what the service has, and not on a disk of its own either, once there is something to see.
        let (code, answer) = place.run(&["service", "run"]);
        assert_eq!(code, 1, "{step}: {answer}");
        if number > 0 {
            assert_ne!(place.run(&["move"]).0, 0, "{step}: half of it is there");
        }
    }
    elsewhere(steps.len());
    let moved = place.done(&["move"]);
    assert!(moved["problems"].as_array().unwrap().is_empty(), "{moved}");
    std::fs::rename(place.path("data"), place.path("before")).unwrap();
    common::create_private(&place.path("data"));
    let _node = place.start_as("node-1", &["service", "run"]);
    place.wait_for_service();
    let after = place.done(&["audit", "list", "--tenant", "acme", "--limit", "1000"]);
    let after = after.as_array().unwrap();
    assert!(log.as_array().unwrap().iter().all(|entry| after.contains(entry)));
}

#[test]
fn who_comes_with_another_journal_neither_leads_nor_moves_there_and_harms_nobody() {
    let Some(mut nodes) = Nodes::prepare() else { return };
    let (service, scale) = configure_alone(&mut nodes);
    let place = &mut nodes.place;
    common::stops_cleanly(place.service(&[]));
    let [data, alone, fresh] = ["data", "alone", "fresh"].map(|name| place.path(name));
    std::fs::copy(data.join("sealing.key"), place.path("scale.key")).unwrap();
    std::fs::rename(&data, &alone).unwrap();
    [&data, &fresh].into_iter().for_each(|folder| common::create_private(folder));
    nodes.start_all();
    make_tenant(&nodes.place);
    let tenants = nodes.place.done(&["tenant", "list"]);
    let elsewhere = format!("{service}[scale]\nnats_prefix = \"elsewhere\"{scale}");
    let fails = |command: &[&str], at: &Path, why: &str| {
        let file = nodes.place.path("elsewhere.toml");
        std::fs::write(&file, elsewhere.replace(shown(&data), shown(at))).unwrap();
        let mut there = Command::new(env!("CARGO_BIN_EXE_thingward"));
        let done = there.arg("--config").arg(&file).args(command).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.code() == Some(1) && said.contains(why), "{command:?}: {said}");
    };
    fails(&["service", "run"], &fresh, "the journal of `scale.nats` is empty");
    fails(&["move"], &alone, "take a new database");
    // Whoever leads has its sessions, and changes what it wants.
    assert_eq!(nodes.place.done(&["tenant", "list"]), tenants);
    nodes.place.enrol("acme", "device", "meter-1");
}

#[test]
fn nodes_that_start_without_what_they_stand_on_wait_and_go_on_when_it_is_there() {
    let Some(mut nodes) = Nodes::prepare() else { return };
    nodes.place.done(&["service", "key", shown(&nodes.place.path("scale.key"))]);
    let [way, postgres] = nodes.postgres_elsewhere();
    nodes.restart(1);
    let waits = |nodes: &Nodes, times: usize| {
        wait_for("a node that waits", || {
            let logs = nodes.place.logs();
            logs.matches("cannot lead yet").count() + logs.matches("this node waits").count() >= times
        });
    };
    waits(&nodes, 1);
    let open = Relay::start(&way, &postgres);
    nodes.ask(1);
    nodes.balance();
    make_tenant(&nodes.place);

    // The registry goes away under a leader, which goes on with what needs none, and comes back.
    let member = ByHand::enrolled(&nodes.place, "acme", "device", "one");
    let [mqtt, _] = nodes.ports[0];
    let says = |number: u32| {
        let payload = format!("{{\"said\":{number}}}");
        let publish = ["-t", "devices/me/telemetry/count", "-m", &payload, "-q", "1"];
        member.mosquitto("mosquitto_pub", mqtt, &publish).0
    };
    assert!(says(1));
    drop(open);
    assert!(says(2), "readings go on without PostgreSQL");
    assert_ne!(nodes.place.run(&["device", "claim", "late", "--tenant", "acme"]).0, 0);
    let open = Relay::start(&way, &postgres);
    wait_for("a claim", || nodes.place.run(&["device", "claim", "late", "--tenant", "acme"]).0 == 0);

    // All of it is away when the node starts again.
    nodes.kill(1);
    drop(open);
    (0..3).for_each(|number| nodes.nats.kill(number));
    let before = nodes.place.logs().matches("this node waits").count();
    nodes.restart(1);
    wait_for("a node that waits for NATS", || nodes.place.logs().matches("this node waits").count() > before);
    (0..3).for_each(|number| nodes.nats.restart(number));
    waits(&nodes, before + 2);
    let _open = Relay::start(&way, &postgres);
    nodes.ask(1);
    wait_for("one more", || says(3));
    wait_for("all that was said", || kept(&nodes.place, "one") == [1, 2, 3]);
}

#[test]
fn a_command_and_a_revocation_reach_a_device_at_whichever_node_it_is() {
    let Some(mut nodes) = Nodes::start() else { return };
    make_tenant(&nodes.place);
    nodes.place.enrol("acme", "device", "bulb-1");
    let member = ByHand::enrolled(&nodes.place, "acme", "device", "by-hand");
    let home = nodes.place.path("bulb-1");
    let publish = ["-t", "devices/me/telemetry/x", "-m", "1", "-q", "1"];
    for (number, [mqtt, https]) in (1..).zip(nodes.ports.clone()) {
        let uplink = format!("127.0.0.1:{mqtt}");
        let run = ["device", "run", "--home", shown(&home), "--uplink", &uplink, "--simulate", "bulb"];
        let _bulb = nodes.place.start_as("bulb-1", &run);
        // Told at another node than the one that it is connected to.
        nodes.ask(number % 3 + 1);
        wait_for("a command that is done", || {
            let tell = ["command", "send", "bulb-1", "switch", "true", "--wait", "5s"];
            let (code, done) = nodes.place.run(&tell);
            code == 0 && done["state"] == "done"
        });
        assert!(member.mosquitto("mosquitto_pub", mqtt, &publish).0);
        assert!(!member.is_refused_as_revoked(mqtt));
        assert_eq!(asks_for_its_membership(&member, https), "200", "{}", member.answer());
    }
    nodes.place.done(&["device", "revoke", "by-hand", "--reason", "key-compromise"]);
    let start = Instant::now();
    for [mqtt, https] in nodes.ports.clone() {
        wait_for("a node whose handshake refuses a certificate that is revoked", || {
            member.is_refused_as_revoked(mqtt)
        });
        assert_ne!(asks_for_its_membership(&member, https), "200", "{}", member.answer());
    }
    println!("revoked at every node after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5), "and each try takes its time too");
}

#[test]
fn bounds_hold_for_clients_and_members_wherever_they_come_in() {
    let Some(mut nodes) = Nodes::start() else { return };
    make_tenant(&nodes.place);
    let wanting = ByHand::enrolled(&nodes.place, "acme", "device", "wanting");
    let other = ByHand::enrolled(&nodes.place, "acme", "device", "other");
    let follower = nodes.leader() % 3 + 1;
    nodes.ask(follower);

    // Another client has the address of the load balancer, and is told apart by what that says.
    let guess = |from: &str| {
        let guesser = ["--interface", from, "-u", "other:AAAAAAAAAAAAAAAAAAAAAAAAAA"];
        other.post(&nodes.place, "simpleenroll", &guesser)
    };
    let answers: BTreeSet<String> = (0..8).map(|_| guess("127.0.0.3")).collect();
    assert!(answers.contains("429"), "{answers:?}");
    assert_ne!(guess("127.0.0.4"), "429");

    let outcome = Client::start(&nodes.place, &wanting, "many_places", 1, 1).outcome();
    println!("at three nodes: {outcome}");
    assert!((50..=64).contains(&count(&outcome, "held")), "of all nodes together: {outcome}");

    // What waits for one member at a node is no reason for the leader not to hear what the node says.
    let [mqtt, _] = nodes.ports[follower - 1];
    let outcome = Client::start_at(mqtt, &wanting, "many_listeners", 1, 1).outcome();
    println!("at one node: {outcome}");
    assert_eq!(count(&outcome, "came"), count(&outcome, "sent"));
    let publish = ["-t", "devices/me/telemetry/x", "-m", "1", "-q", "1"];
    assert!(other.mosquitto("mosquitto_pub", mqtt, &publish).0);

    // Whoever is at a node that stops is told so, also where another one leads.
    let Some(python) = given("THINGWARD_PYTHON") else { return };
    for number in [follower, nodes.leader()] {
        let [mqtt, _] = nodes.ports[number - 1];
        let mut listener = Paho::start(&python, mqtt, &other, "listener", "told");
        nodes.stop(number);
        assert_eq!(listener.line(), "left");
    }
}

#[test]
fn three_nodes_are_one_service_whatever_ends() {
    let Some(mut nodes) = Nodes::start() else { return };
    make_tenant(&nodes.place);
    let names = ["one", "two", "three"];
    let members = names.map(|name| ByHand::enrolled(&nodes.place, "acme", "device", name));
    let clients = members.each_ref().map(|member| Client::start(&nodes.place, member, "persistent", 0, 1));
    let goes_on = |place: &Place, what: &str| {
        let before = names.map(|name| kept(place, name).len());
        wait_for(what, || names.iter().zip(before).all(|(name, n)| kept(place, name).len() > n + 20));
    };
    goes_on(&nodes.place, "readings through three nodes");

    let leader = nodes.leader();
    let other = leader % 3 + 1;
    nodes.ask(other);
    nodes.kill(leader);
    goes_on(&nodes.place, "readings after the end of the leader");
    let next = nodes.leader();
    assert_ne!(next, leader);

    // On another machine, with nothing but the configuration.
    wait_for("a journal that begins behind a snapshot", || {
        nodes.place.logs().contains("the journal begins behind a snapshot")
    });
    nodes.lose_disk(leader);
    nodes.restart(leader);
    nodes.ask(leader);
    goes_on(&nodes.place, "readings with a new node");
    assert!(nodes.place.logs().contains("this node takes a snapshot"));

    nodes.nats.kill(0);
    goes_on(&nodes.place, "readings after the end of a NATS server");
    nodes.nats.restart(0);

    // It cannot know that another one leads, and writes nothing when it comes back.
    let paused = nodes.leader();
    let other = paused % 3 + 1;
    nodes.ask(other);
    nodes.signal(paused, "STOP");
    wait_for("another leader", || nodes.leader() != paused);
    goes_on(&nodes.place, "readings after a leader that stands still");
    nodes.signal(paused, "CONT");
    wait_for("a node that begins anew", || nodes.place.logs().contains("the node begins anew"));
    nodes.stop(paused);
    nodes.restart(paused);
    goes_on(&nodes.place, "readings with two that led");

    let leader = nodes.leader();
    nodes.ask(leader % 3 + 1);
    let body = r#"{"name":"late","role":"device"}"#;
    let asked = nodes.ask_slowly(leader % 3 + 1, "/api/v1/tenants/acme/claims", body);
    std::thread::sleep(Duration::from_millis(200));
    nodes.stop(leader);
    let start = Instant::now();
    wait_for("another leader", || nodes.leader() != leader);
    println!("another node leads {:?} after the leader has stopped", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(2), "nobody waits for a lease that was given back to end");
    let answer = asked.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "what was asked at another node is answered: {answer:?}");
    nodes.restart(leader);
    goes_on(&nodes.place, "readings after a leader that stopped");

    let outcomes = clients.map(Client::outcome);
    nodes.ask(1);
    fill_a_bundle(&nodes.place);
    wait_for("a log in the bucket", || !nodes.objects("logs/acme").is_empty());
    wait_for("history in the bucket", || nodes.objects("segments/acme").len() > 2);
    let fresh = nodes.leave_a_fresh_one();
    let before = nodes.objects("segments/acme");
    assert!(nodes.on_disk(fresh, "segments/acme").is_disjoint(&before), "{before:?}");
    for (name, outcome) in names.iter().zip(outcomes) {
        println!("{name}: {outcome}");
        let acknowledged = count(&outcome, "acknowledged");
        let (all, mut seen) = (kept(&nodes.place, name), BTreeSet::new());
        let first: Vec<u64> = all.iter().copied().filter(|number| seen.insert(*number)).collect();
        // One may have been kept whose acknowledgement did not arrive.
        let expected: Vec<u64> = (1..=acknowledged.max(first.len() as u64)).collect();
        assert_eq!(first, expected, "each is there, and they are in their order");
        assert!(first.len() as u64 <= acknowledged + 1);
    }
    // What the others wrote is there for one that has only seen the journal.
    assert!(nodes.on_disk(fresh, "segments/acme").is_superset(&before));
    let (log, key) = (nodes.place.path("log"), nodes.place.done(&["audit", "key", "--tenant", "acme"]));
    nodes.place.done(&["audit", "export", "--tenant", "acme", shown(&log)]);
    let verified = nodes.place.done(&["audit", "verify", shown(&log), "--key", key["key"].as_str().unwrap()]);
    assert!(verified["entries"].as_u64().unwrap() > 256, "{verified}");
    let tiles = nodes.objects("logs/acme");
    assert!(!tiles.is_empty() && nodes.on_disk(fresh, "logs/acme").is_superset(&tiles), "{tiles:?}");
}
