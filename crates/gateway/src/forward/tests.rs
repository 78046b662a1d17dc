use std::path::Path;
use std::sync::{Arc, Mutex};

use thingward_agent::disk::{Directory, Disk};
use thingward_crypto::SignatureAlgorithm;
use thingward_crypto::sealed::SealingKey;
use thingward_model::Timestamp;

use super::*;
use crate::accounts::tests::{home, key, membership, open};
use crate::core;
use crate::queue::{Queue, QueueLimits};

fn forwarder(folder: &Path) -> Forwarder {
    let disk: Box<dyn Disk + Send> = Box::new(Directory::open(&folder.join("queue")).unwrap());
    let sealing = SealingKey::from_bytes(&[5; 32]).unwrap();
    let queue = Arc::new(Mutex::new(Queue::open(disk, sealing, QueueLimits::default()).unwrap()));
    let home = home(folder);
    let accounts = open(&home).unwrap();
    let tenant = membership().tenant;
    let (core, _) = core::start(tenant, Arc::clone(&queue), Arc::default(), Switchboard::default()).unwrap();
    Forwarder {
        queue,
        key: Arc::new(key(SignatureAlgorithm::EcdsaP256, 1)),
        topic: TopicName::try_from("devices/me/forward").unwrap(),
        core,
        questions: Questions::new(Arc::default()),
        switchboard: Switchboard::default(),
        radios: Radios::default(),
        coap: None,
        told: Told::default(),
        accounts: accounts.clone(),
        rules: Rules::open(&home, &membership(), accounts),
    }
}

fn take(forwarder: &Forwarder, child: &str) {
    let mut queue = forwarder.queue.lock().unwrap();
    let queued = Queued {
        child: child.parse().unwrap(),
        topic: "devices/me/telemetry/climate".to_owned(),
        received: Timestamp::from_seconds(1_800_000_000),
        link: Link::MutualTls,
        message: b"21.5".to_vec(),
    };
    queue.push(&queued).unwrap();
    queue.commit().unwrap();
}

/// What leaves next: the child of a message, or the text of a finding.
fn next(forwarder: &mut Forwarder) -> Option<String> {
    let Outgoing { key, payload, .. } = forwarder.next(&BTreeSet::new())?;
    match key {
        Key::Message(child, _) => Some(child.to_string()),
        Key::Finding => Some(String::from_utf8(payload.to_vec()).unwrap()),
        _ => panic!("something else"),
    }
}

#[test]
fn a_damaged_message_is_a_finding_and_messages_of_other_children_leave() {
    let folder = tempfile::tempdir().unwrap();
    let mut forwarder = forwarder(folder.path());
    for child in ["a", "b"] {
        take(&forwarder, child);
    }
    let file = folder.path().join("queue/0000000000000000.queue");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(next(&mut forwarder).as_deref(), Some("b"));
    let finding = next(&mut forwarder).unwrap();
    let says = r#"{"kind":"queue-damaged","detail":"a message of a at byte 0 of queue file 0000000000000000.queue cannot"#;
    assert!(finding.starts_with(says), "{finding}");
    assert_eq!(next(&mut forwarder), None);
}

#[test]
fn a_finding_leaves_also_when_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut forwarder = forwarder(folder.path());
    take(&forwarder, "a");
    std::fs::remove_file(folder.path().join("queue/0000000000000000.queue")).unwrap();
    assert!(next(&mut forwarder).unwrap().starts_with(r#"{"kind":"queue-damaged""#));
    assert_eq!(next(&mut forwarder), None);
}
