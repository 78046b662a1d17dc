use std::sync::atomic::Ordering;

use serde_json::json;
use thingward_agent::agent::{Agent, AgentHandle, AgentSettings, RecordError, STREAMS_MAX};
use thingward_agent::input::{self, InputClient};
use thingward_agent::reading::{OwnedReading, OwnedValue};
use thingward_agent::uplink::Route;
use thingward_model::Confidentiality;
use thingward_model::clock::now;

use crate::installation::Installation;
use crate::{enrolled, open, private_folder, start, until, until_uplink};

fn number(n: f64) -> Vec<OwnedReading> {
    vec![OwnedReading { field: None, unit: String::new(), time: now(), value: OwnedValue::Number(n) }]
}

async fn record(agent: &AgentHandle, numbers: std::ops::Range<u32>) {
    for n in numbers {
        agent.record("climate".parse().unwrap(), number(f64::from(n))).await.unwrap();
    }
}

fn numbers(count: u32) -> Vec<f64> {
    (0..count).map(f64::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_arrive_once_in_order_and_signed() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let agent = start(&home);
    record(&agent, 0..100).await;
    until("delivered", || installation.numbers("meter-1/climate").len() == 100).await;
    let status = agent.status().await.unwrap();
    assert!(status.uplink.online);
    assert_eq!(status.uplink_to, Route::Mqtt(installation.mqtt.clone()));
    agent.stop().await.unwrap();
    assert_eq!(installation.numbers("meter-1/climate"), numbers(100));
    installation.assert_clean();
    assert!(matches!(
        agent.record("climate".parse().unwrap(), number(0.0)).await,
        Err(RecordError::Stopping)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_share_a_write_and_each_value_arrives() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let agent = start(&home);
    let mut callers = tokio::task::JoinSet::new();
    for n in 0..500_u32 {
        let agent = agent.clone();
        callers.spawn(async move {
            agent.record("climate".parse().unwrap(), number(f64::from(n))).await.unwrap();
        });
    }
    callers.join_all().await;
    until("delivered", || installation.numbers("meter-1/climate").len() == 500).await;
    agent.stop().await.unwrap();
    let mut got = installation.numbers("meter-1/climate");
    got.sort_by(f64::total_cmp);
    assert_eq!(got, numbers(500));
    installation.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_mid_flight_and_cut_off_again_and_again_everything_arrives_once() {
    let installation = Installation::start().await;
    let folder = private_folder();
    installation.faults.cut_every.store(7, Ordering::SeqCst);
    for round in 0..5_u32 {
        let home = enrolled(&installation, folder.path(), "meter-1").await;
        let agent = start(&home);
        record(&agent, round * 50..(round + 1) * 50).await;
        // Dropped, not stopped: whatever is in flight is nobody's any more.
        drop((agent, home));
    }
    installation.faults.cut_every.store(0, Ordering::SeqCst);
    let home = open(folder.path()).await;
    let agent = start(&home);
    until("delivered", || installation.numbers("meter-1/climate").len() == 250).await;
    agent.stop().await.unwrap();
    assert_eq!(installation.numbers("meter-1/climate"), numbers(250));
    installation.assert_clean();
    assert!(installation.ledger.lock().unwrap().power_losses > 0, "nothing was killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_wait_out_a_service_that_is_away_or_busy() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    installation.faults.is_down.store(true, Ordering::SeqCst);
    let agent = start(&home);
    record(&agent, 0..20).await;
    until_uplink("an error", &agent, |s| s.last_error.is_some()).await;
    assert!(!agent.status().await.unwrap().uplink.online);
    // Server busy.
    installation.faults.refuse.store(0x89, Ordering::SeqCst);
    installation.faults.is_down.store(false, Ordering::SeqCst);
    until_uplink("online", &agent, |s| s.online).await;
    record(&agent, 20..30).await;
    installation.faults.refuse.store(0, Ordering::SeqCst);
    until("delivered", || installation.numbers("meter-1/climate").len() == 30).await;
    agent.stop().await.unwrap();
    assert_eq!(installation.numbers("meter-1/climate"), numbers(30));
    installation.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_does_not_hold_up_the_rest() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let agent = start(&home);
    // Not authorized, and a topic that cannot be.
    for (stream, code) in [("forbidden", 0x87), ("misnamed", 0x90)] {
        let refused = agent.status().await.unwrap().uplink.refused;
        installation.faults.refuse.store(code, Ordering::SeqCst);
        agent.record(stream.parse().unwrap(), number(1.0)).await.unwrap();
        // The open statement, and the record's message.
        until_uplink("refused", &agent, |s| s.refused >= refused + 2).await;
    }
    installation.faults.refuse.store(0, Ordering::SeqCst);
    record(&agent, 0..3).await;
    until("delivered", || installation.numbers("meter-1/climate").len() == 3).await;
    assert!(installation.numbers("meter-1/forbidden").is_empty());
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_lost_the_open_statement_is_sent_it_again() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let agent = start(&home);
    let ends_with = |wanted: &[f64]| installation.numbers("meter-1/climate").ends_with(wanted);
    record(&agent, 0..10).await;
    until("delivered", || ends_with(&numbers(10))).await;
    // Within a connection, after a refusal.
    installation.ledger.lock().unwrap().forget();
    record(&agent, 10..20).await;
    until("delivered again", || ends_with(&numbers(20)[10..])).await;
    assert!(installation.ledger.lock().unwrap().unknown > 0);
    assert_eq!(agent.status().await.unwrap().uplink.refused, 0);
    agent.stop().await.unwrap();
    drop(agent);
    // At a start, in front of everything else.
    let unknown = installation.ledger.lock().unwrap().unknown;
    installation.ledger.lock().unwrap().forget();
    let agent = start(&home);
    record(&agent, 20..30).await;
    until("delivered after a start", || ends_with(&numbers(30)[20..])).await;
    agent.stop().await.unwrap();
    assert_eq!(installation.ledger.lock().unwrap().unknown, unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_refused_for_now_keeps_its_order_and_does_not_hold_up_another() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    *installation.faults.full.lock().unwrap() = Some("full".parse().unwrap());
    let agent = start(&home);
    // More than may be in flight.
    for n in 0..40 {
        agent.record("full".parse().unwrap(), number(f64::from(n))).await.unwrap();
    }
    record(&agent, 0..40).await;
    until("delivered past the full one", || installation.numbers("meter-1/climate").len() == 40).await;
    assert!(installation.numbers("meter-1/full").is_empty());
    *installation.faults.full.lock().unwrap() = None;
    until("delivered", || installation.numbers("meter-1/full").len() == 40).await;
    agent.stop().await.unwrap();
    assert_eq!(installation.numbers("meter-1/full"), numbers(40));
    installation.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_readings_one_stream_too_many_and_a_customer_without_a_key_are_refused() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let mut settings = AgentSettings::default();
    settings.streams.insert("private".parse().unwrap(), Confidentiality::Customer);
    let agent = Agent::start(&home, settings).unwrap();
    let refused = agent.record("private".parse().unwrap(), number(1.0)).await;
    assert!(matches!(refused, Err(RecordError::NoCustomerKey)));
    for readings in [number(f64::NAN), Vec::new(), vec![number(0.0).remove(0); 65]] {
        let refused = agent.record("climate".parse().unwrap(), readings).await;
        assert!(matches!(refused, Err(RecordError::Reading(_))));
    }
    for n in 0..STREAMS_MAX {
        agent.record(format!("s{n}").parse().unwrap(), number(1.0)).await.unwrap();
    }
    let refused = agent.record("climate".parse().unwrap(), number(1.0)).await;
    assert!(matches!(refused, Err(RecordError::TooManyStreams)));
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_leaves_no_reading_and_no_key_behind() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    installation.faults.is_down.store(true, Ordering::SeqCst);
    let agent = start(&home);
    let secret = "a text that must not stay";
    let mut readings = number(0.0);
    readings[0].value = OwnedValue::Text(secret.to_owned());
    agent.record("climate".parse().unwrap(), readings).await.unwrap();
    agent.stop().await.unwrap();
    drop(agent);
    std::fs::write(home.crl_path(), "as a gateway has it").unwrap();
    home.reset().unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn local_programs_are_told_when_their_readings_are_durable() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let agent = start(&home);
    let server = input::serve(agent.clone(), &home.socket_path()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(home.socket_path()).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let mut client = InputClient::connect(&home.socket_path()).await.unwrap();
    let request = json!({"stream": "climate", "values": {"t": {"value": 21.5, "unit": "Cel"}}});
    assert_eq!(client.request(&request).await.unwrap(), json!({"durable": true}));
    let refused = client.request(&json!({"stream": "climate", "values": {}})).await.unwrap_err();
    assert!(refused.to_string().contains("no values"), "{refused}");
    let status = client.request(&json!({"status": true})).await.unwrap();
    assert_eq!(status["status"]["name"], "meter-1");
    until("delivered", || !installation.numbers("meter-1/climate").is_empty()).await;
    assert_eq!(installation.numbers("meter-1/climate"), [21.5]);
    let long = client.request(&json!({"stream": "x".repeat(70_000), "values": {"a": 1}})).await.unwrap_err();
    assert!(long.to_string().contains("longer than 65536"), "{long}");
    drop(server);
    assert!(InputClient::connect(&home.socket_path()).await.is_err());
    agent.stop().await.unwrap();
}
