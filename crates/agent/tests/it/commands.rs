//! Commands over real connections: from the service's key to the signed reply.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use thingward_agent::agent::{Agent, AgentHandle, AgentSettings};
use thingward_agent::commands::hex;
use thingward_agent::home::Home;
use thingward_agent::input::{self, InputClient};
use thingward_crypto::Signer;
use thingward_model::clock::now;
use thingward_model::description::{CONTEXT, ThingDescription};
use thingward_seal::command::{
    CANONICAL_BYTES_MAX, COMMAND_BYTES_MAX, Command, CommandId, Data, Outcome, SignedReply, json as data,
    sign,
};

use crate::installation::{Installation, member};
use crate::{enrolled, open, private_folder, until};

fn description() -> Arc<ThingDescription> {
    let document = json!({
        "@context": CONTEXT,
        "title": "Lamp",
        "securityDefinitions": {"auto_sc": {"scheme": "auto"}},
        "security": "auto_sc",
        "actions": {"dim": {
            "input": {"type": "integer", "minimum": 0, "maximum": 100},
            "forms": [{"href": "devices/me/commands"}],
        }},
    });
    Arc::new(ThingDescription::parse(document.to_string().as_bytes()).unwrap())
}

fn start(home: &Home) -> AgentHandle {
    let settings = AgentSettings { description: Some(description()), ..AgentSettings::default() };
    Agent::start(home, settings).unwrap()
}

/// Sends a command once.
fn send(installation: &Installation, id: CommandId, level: i64) {
    let input = data::encode(&json!(level)).unwrap();
    let command = Command {
        tenant: member("meter-1").tenant,
        device: member("meter-1").name,
        id,
        action: "dim".parse().unwrap(),
        input: Data::from_bytes(&input).unwrap(),
        issued: now(),
        expires: now().plus_micros(60_000_000),
        actor: "user:01h",
    };
    let mut canonical = [0; CANONICAL_BYTES_MAX];
    let len = command.encode(&mut canonical).unwrap();
    send_again(installation, id, &canonical[..len]);
}

fn send_again(installation: &Installation, id: CommandId, canonical: &[u8]) {
    let mut out = [0; COMMAND_BYTES_MAX];
    let len = sign(&installation.command_key.as_ref(), canonical, None, None, &mut out).unwrap();
    installation.send("meter-1", &format!("commands/{}", hex(&id)), out[..len].to_vec());
}

/// What the device said to a command, each time that it said something.
fn answers(installation: &Installation, home: &Home, id: CommandId) -> Vec<String> {
    let key = home.identity().unwrap().key;
    let inbox = installation.inbox.lock().unwrap();
    let own = inbox.iter().filter(|(_, topic, ..)| *topic == format!("devices/me/replies/{}", hex(&id)));
    own.map(|(_, _, bytes, _)| {
        let reply = SignedReply::decode(bytes).unwrap().verify(key.public_key()).unwrap();
        assert_eq!(reply.id, id);
        match reply.outcome {
            Outcome::Done(output) => format!("done {}", data::decode(output)),
            Outcome::Refused { reason, text } => format!("{reason}: {text}"),
            Outcome::Failed { text } => format!("failed {text}"),
            Outcome::Interrupted => "interrupted".to_owned(),
        }
    })
    .collect()
}

fn is_online(installation: &Installation) -> bool {
    !installation.inbox.lock().unwrap().is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_executed_and_answered_and_the_description_stays_at_the_service() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let agent = start(&home);
    until("described", || is_online(&installation)).await;
    {
        let inbox = installation.inbox.lock().unwrap();
        let (who, topic, document, retain) = &inbox[0];
        assert_eq!(
            (*who, topic.as_str(), *retain),
            (member("meter-1"), "devices/me/state/description", true)
        );
        assert_eq!(ThingDescription::parse(document).unwrap(), *description());
    }
    send(&installation, [1; 16], 40);
    send(&installation, [2; 16], 400);
    send(&installation, [3; 16], 50);
    let action = agent.next_action().await;
    assert_eq!((action.order().action.as_str(), &action.order().input), ("dim", &json!(40)));
    action.done(json!({"level": 40})).await;
    agent.next_action().await.failed("the bulb is broken").await;
    until("answered", || [1, 2, 3].iter().all(|n| !answers(&installation, &home, [*n; 16]).is_empty())).await;
    assert_eq!(answers(&installation, &home, [1; 16]), ["done {\"level\":40}"]);
    assert_eq!(answers(&installation, &home, [2; 16]), ["bad-input: 400 is above the maximum 100"]);
    assert_eq!(answers(&installation, &home, [3; 16]), ["failed the bulb is broken"]);
    let status = agent.status().await.unwrap().commands.unwrap();
    assert_eq!((status.waiting, status.started), (0, 0));
    agent.stop().await.unwrap();
}

/// Executes whatever comes and counts how often each id is.
fn work(agent: &AgentHandle, executed: &Arc<Mutex<BTreeMap<CommandId, u32>>>) -> tokio::task::JoinHandle<()> {
    let (agent, executed) = (agent.clone(), Arc::clone(executed));
    tokio::spawn(async move {
        loop {
            let action = agent.next_action().await;
            *executed.lock().unwrap().entry(action.order().id).or_default() += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
            let output = action.order().input.clone();
            action.done(output).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn through_kills_and_cut_connections_no_command_is_executed_twice_and_each_is_answered() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let mut home = enrolled(&installation, folder.path(), "meter-1").await;
    let executed = Arc::new(Mutex::new(BTreeMap::new()));
    installation.faults.cut_every.store(4, Ordering::SeqCst);
    let ids: Vec<CommandId> = (1..=20).map(|n| [n; 16]).collect();
    let canonicals: Vec<Vec<u8>> = ids
        .iter()
        .map(|id| {
            let input = data::encode(&json!(id[0])).unwrap();
            let command = Command {
                tenant: member("meter-1").tenant,
                device: member("meter-1").name,
                id: *id,
                action: "dim".parse().unwrap(),
                input: Data::from_bytes(&input).unwrap(),
                issued: now(),
                expires: now().plus_micros(600_000_000),
                actor: "user:01h",
            };
            let mut out = [0; CANONICAL_BYTES_MAX];
            let len = command.encode(&mut out).unwrap();
            out[..len].to_vec()
        })
        .collect();
    let is_answered = |home: &Home, id: &CommandId| !answers(&installation, home, *id).is_empty();
    for life in 0..40_u64 {
        let agent = start(&home);
        let worker = work(&agent, &executed);
        for _ in 0..4 {
            for (id, canonical) in ids.iter().zip(&canonicals) {
                if !is_answered(&home, id) {
                    send_again(&installation, *id, canonical);
                }
            }
            tokio::time::sleep(Duration::from_millis(20 + life * 7 % 50)).await;
        }
        worker.abort();
        drop(agent);
        drop(home);
        home = open(folder.path()).await;
        if ids.iter().all(|id| is_answered(&home, id)) {
            break;
        }
    }
    let executed = executed.lock().unwrap();
    for id in &ids {
        let answers = answers(&installation, &home, *id);
        assert!(executed.get(id).copied().unwrap_or_default() <= 1, "{id:?} {executed:?}");
        assert!(!answers.is_empty(), "{id:?} has no answer");
        assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
        let is_done = answers[0] == format!("done {}", id[0]);
        assert!(is_done || answers[0] == "interrupted", "{answers:?}");
        assert!(!is_done || executed.contains_key(id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_program_executes_what_the_device_is_told() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let agent = start(&home);
    let server = input::serve(agent.clone(), &home.socket_path()).unwrap();
    let connect = async || InputClient::connect(&home.socket_path()).await.unwrap();
    let mut client = connect().await;
    until("described", || is_online(&installation)).await;

    send(&installation, [1; 16], 40);
    let asked = client.request(&json!({"next_action": true})).await.unwrap();
    let (id, action) = (hex(&[1; 16]), &asked["action"]);
    assert_eq!((&action["id"], &action["name"], &action["input"]), (&json!(id), &json!("dim"), &json!(40)));
    let done = json!({"done": id, "output": {"level": 40}});
    let stranger = connect().await.request(&done).await.unwrap_err().to_string();
    assert_eq!(stranger, format!("this connection has not taken an action {id}"));
    assert_eq!(client.request(&done).await.unwrap(), json!({"answered": true}));
    assert!(client.request(&done).await.is_err());

    send(&installation, [2; 16], 50);
    client.request(&json!({"next_action": true})).await.unwrap();
    let failed = json!({"failed": hex(&[2; 16]), "reason": "stuck"});
    assert_eq!(client.request(&failed).await.unwrap(), json!({"answered": true}));

    // A program that waits and goes has taken nothing; one that took something and goes leaves it interrupted.
    let mut waiting = connect().await;
    let nothing: Result<_, _> =
        tokio::time::timeout(Duration::from_millis(100), waiting.request(&json!({"next_action": true})))
            .await;
    assert!(nothing.is_err());
    drop(waiting);
    tokio::time::sleep(Duration::from_millis(50)).await;
    send(&installation, [3; 16], 60);
    let asked: Value = client.request(&json!({"next_action": true})).await.unwrap();
    assert_eq!(asked["action"]["input"], 60);
    drop(client);

    until("answered", || [1, 2, 3].iter().all(|n| !answers(&installation, &home, [*n; 16]).is_empty())).await;
    assert_eq!(answers(&installation, &home, [1; 16]), ["done {\"level\":40}"]);
    assert_eq!(answers(&installation, &home, [2; 16]), ["failed stuck"]);
    assert_eq!(answers(&installation, &home, [3; 16]), ["interrupted"]);
    drop(server);
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_hears_of_a_command_key_between_renewals_and_keeps_it() {
    let installation = Installation::start().await;
    installation.faults.no_command_key.store(true, Ordering::SeqCst);
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    assert_eq!(home.identity().unwrap().membership.command_key, None);
    installation.faults.no_command_key.store(false, Ordering::SeqCst);
    let agent = start(&home);
    until("described", || is_online(&installation)).await;
    until("told", || home.identity().unwrap().membership.command_key.is_some()).await;
    let key = home.identity().unwrap().membership.command_key;
    assert_eq!(key.as_ref(), Some(installation.command_key.public_key()));
    assert_eq!(installation.renewals.load(Ordering::SeqCst), 0);
    // The key is on disk a moment before it is in use.
    let action = loop {
        send(&installation, [1; 16], 40);
        if let Ok(action) = tokio::time::timeout(Duration::from_millis(200), agent.next_action()).await {
            break action;
        }
    };
    action.done(Value::Null).await;
    until("answered", || answers(&installation, &home, [1; 16]).contains(&"done null".to_owned())).await;
    agent.stop().await.unwrap();
}
