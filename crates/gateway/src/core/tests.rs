use thingward_agent::disk::Directory;
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::system_rng;
use thingward_ingress::{Waiting, output};
use thingward_model::Principal;

use super::*;
use crate::queue::QueueLimits;

fn core(folder: &std::path::Path) -> Core {
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let queue = Queue::open(Directory::open(folder).unwrap(), key, QueueLimits::default()).unwrap();
    Core::new("acme".parse().unwrap(), Arc::new(Mutex::new(queue)), Arc::default())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_800_000_000 + seconds)
}

/// A child connects. Gives what it is sent.
fn connect(core: &mut Core, conn: ConnId, serial: u8) -> Waiting {
    let name = format!("meter-{conn}").parse().unwrap();
    let principal = Principal { tenant: "acme".parse().unwrap(), role: Role::Device, name };
    let who = Member { principal, serial: vec![serial], not_after: at(100) };
    let (output, waiting, _) = output();
    core.handle(at(0), Event::Accept { conn, who, output });
    let bytes = Bytes::from_static(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01a");
    core.handle(at(0), Event::Received { conn, bytes });
    core.release();
    waiting
}

/// The reason code of the CONNACK or DISCONNECT that came, and whether the connection is open.
fn told(receiver: &mut Waiting) -> (Option<u8>, bool) {
    let packet = receiver.try_next().ok();
    let reason = packet.map(|p| if p[0] == 0x20 { p[3] } else { p[2] });
    (reason, receiver.try_next() == Err(mpsc::error::TryRecvError::Empty))
}

#[test]
fn whose_certificate_is_revoked_has_no_session_and_gets_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = core(folder.path());
    let (mut revoked, mut other) = (connect(&mut core, 1, 1), connect(&mut core, 2, 2));
    assert_eq!((told(&mut revoked), told(&mut other)), ((Some(0), true), (Some(0), true)));
    core.handle(at(1), Event::Revoked { serials: BTreeSet::from([vec![1]]) });
    core.release();
    assert_eq!(told(&mut revoked), (Some(ReasonCode::AdministrativeAction.code()), false));
    assert_eq!(told(&mut other), (None, true));
    // Its handshake was made under the CRL before.
    let mut late = connect(&mut core, 3, 1);
    assert_eq!(told(&mut late), (Some(ReasonCode::NotAuthorized.code()), false));
}

#[track_caller]
fn check(topic: &str, want: Result<(), ReasonCode>) {
    assert_eq!(check_topic(topic), want, "{topic}");
}

#[test]
fn a_topic_that_the_service_would_refuse_is_refused_at_the_gateway() {
    let deep = |levels: usize| format!("devices/me/state{}", "/".repeat(levels - 3));
    check("devices/me/telemetry/climate", Ok(()));
    check("devices/me/replies/1", Ok(()));
    check(&deep(TOPIC_LEVELS_MAX), Ok(()));
    check(&deep(TOPIC_LEVELS_MAX + 1), Err(ReasonCode::TopicNameInvalid));
    check(&format!("devices/me/state/{}", "x".repeat(240)), Err(ReasonCode::TopicNameInvalid));
    for topic in ["devices/me/telemetry/two/levels", "devices/me/state/", "devices/me/forward", "x"] {
        check(topic, Err(ReasonCode::NotAuthorized));
    }
}

#[test]
fn what_was_delivered_is_not_sent_again_after_a_kill_some_seconds_later() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let open =
        || Queue::open(Directory::open(folder.path()).unwrap(), key.clone(), QueueLimits::default()).unwrap();
    let queue = Arc::new(Mutex::new(open()));
    {
        let mut queue = queue.lock().unwrap();
        let child = "meter-1".parse().unwrap();
        let topic = "devices/me/telemetry/climate".to_owned();
        queue.push(&Queued { child, topic, received: now(), message: b"21.5".to_vec() }).unwrap();
        queue.commit().unwrap();
        let (place, _) = queue.next_message(&BTreeSet::new()).unwrap().unwrap();
        queue.done(&child, place);
    }
    // The core keeps house at its first turn, and then every ten seconds.
    let core = Core::new("acme".parse().unwrap(), Arc::clone(&queue), Arc::default());
    let (events, inbox) = mpsc::channel(1);
    events.try_send(Event::Stop).unwrap();
    core.run(inbox);
    assert!(open().next_message(&BTreeSet::new()).unwrap().is_none());
}
