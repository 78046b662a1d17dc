use std::path::Path;

use thingward_agent::disk::Directory;
use thingward_crypto::system_rng;

use super::*;

fn limits(bytes_max: u64) -> QueueLimits {
    QueueLimits { bytes_max, age_max: Duration::from_secs(60) }
}

fn open(path: &Path, key: &SealingKey, bytes_max: u64) -> Queue<Directory> {
    Queue::open(Directory::open(path).unwrap(), key.clone(), limits(bytes_max)).unwrap()
}

fn message(child: &str, n: u32) -> Queued {
    Queued {
        child: child.parse().unwrap(),
        topic: "devices/me/telemetry/climate".to_owned(),
        received: Timestamp::from_seconds(i64::from(n)),
        link: Link::ALL[n as usize % Link::ALL.len()],
        message: format!("message {n} of {child}").into_bytes(),
    }
}

fn drain(queue: &mut Queue<Directory>) -> Vec<Queued> {
    let mut all = Vec::new();
    while let Some((id, queued)) = queue.next_message(&BTreeSet::new()).unwrap() {
        queue.done(&queued.child, id);
        all.push(queued);
    }
    all
}

#[test]
fn messages_come_out_in_order_per_child_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let mut queue = open(folder.path(), &key, 1 << 20);
    for n in 0..10 {
        queue.push(&message("a", n)).unwrap();
        queue.push(&message("b", n)).unwrap();
        queue.commit().unwrap();
    }
    drop(queue);
    let mut queue = open(folder.path(), &key, 1 << 20);
    let all = drain(&mut queue);
    for child in ["a", "b"] {
        let of_child: Vec<_> = all.iter().filter(|q| q.child.as_str() == child).cloned().collect();
        assert_eq!(of_child, (0..10).map(|n| message(child, n)).collect::<Vec<_>>());
    }
    queue.commit_all().unwrap();
    drop(queue);
    assert!(drain(&mut open(folder.path(), &key, 1 << 20)).is_empty());
}

#[test]
fn a_flooding_child_fills_its_share_and_leaves_room_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let mut queue = open(folder.path(), &key, 64 * 1024);
    let mut taken = 0;
    while queue.push(&message("flood", taken)).is_ok() {
        queue.commit().unwrap();
        taken += 1;
        assert!(taken < 10_000, "the flood has no end");
    }
    assert!(taken > 10);
    for n in 0..10 {
        queue.push(&message("quiet", n)).unwrap();
    }
    queue.commit().unwrap();
    // Turns are fair: the quiet child does not wait for the flood to drain.
    let first: Vec<_> =
        (0..4).map(|_| queue.next_message(&BTreeSet::new()).unwrap().unwrap().1.child.to_string()).collect();
    assert_eq!(first.iter().filter(|c| *c == "quiet").count(), 2, "{first:?}");
}

#[test]
fn a_child_that_is_held_back_does_not_hold_up_another() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let mut queue = open(folder.path(), &key, 1 << 20);
    for n in 0..3 {
        queue.push(&message("a", n)).unwrap();
        queue.push(&message("b", n)).unwrap();
    }
    queue.commit().unwrap();
    let held = BTreeSet::from(["a".parse().unwrap()]);
    for n in 0..3 {
        assert_eq!(queue.next_message(&held).unwrap().unwrap().1, message("b", n));
    }
    assert!(queue.next_message(&held).unwrap().is_none());
    assert_eq!(drain(&mut queue), [message("a", 0), message("a", 1), message("a", 2)]);
}

#[test]
fn what_was_not_committed_is_not_there_and_a_torn_tail_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let mut queue = open(folder.path(), &key, 1 << 20);
    queue.push(&message("a", 1)).unwrap();
    queue.commit().unwrap();
    queue.push(&message("a", 2)).unwrap();
    drop(queue);
    let file = folder.path().join("0000000000000000.queue");
    let whole = std::fs::read(&file).unwrap();
    for cut in 1..40 {
        let mut torn = whole.clone();
        torn.extend_from_slice(&whole[..cut]);
        std::fs::write(&file, &torn).unwrap();
        let mut queue = open(folder.path(), &key, 1 << 20);
        assert_eq!(drain(&mut queue), [message("a", 1)], "torn after {cut} bytes");
        drop(queue);
        std::fs::write(&file, &whole).unwrap();
    }
}

#[test]
fn every_flipped_bit_is_damage_and_never_another_message() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let mut queue = open(folder.path(), &key, 1 << 20);
    queue.push(&message("a", 1)).unwrap();
    queue.push(&message("a", 2)).unwrap();
    queue.commit().unwrap();
    drop(queue);
    let file = folder.path().join("0000000000000000.queue");
    let whole = std::fs::read(&file).unwrap();
    let first = 4 + usize::try_from(u32::from_be_bytes(whole[..4].try_into().unwrap())).unwrap();
    for at in 4..first {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        std::fs::write(&file, &bent).unwrap();
        let opened = Queue::open(Directory::open(folder.path()).unwrap(), key.clone(), limits(1 << 20));
        assert!(matches!(opened, Err(QueueError::Damaged { .. })), "byte {at}");
    }
}

#[test]
fn a_message_that_waited_too_long_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let mut queue = open(folder.path(), &key, 1 << 20);
    queue.push(&message("a", 0)).unwrap();
    queue.push(&message("a", 100)).unwrap();
    queue.commit().unwrap();
    queue.expire(Timestamp::from_seconds(100));
    assert_eq!(queue.expired.values().sum::<u64>(), 1);
    assert_eq!(drain(&mut queue), [message("a", 100)]);
}

#[test]
fn a_message_that_cannot_be_read_back_holds_up_its_child_alone_and_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let mut queue = open(folder.path(), &key, 1 << 20);
    for n in 0..3 {
        queue.push(&message("a", n)).unwrap();
        queue.push(&message("b", n)).unwrap();
    }
    queue.commit().unwrap();
    let file = folder.path().join("0000000000000000.queue");
    let whole = std::fs::read(&file).unwrap();
    let mut bent = whole.clone();
    bent[20] ^= 1;
    std::fs::write(&file, &bent).unwrap();
    let error = queue.next_message(&BTreeSet::new()).unwrap_err().to_string();
    assert!(error.starts_with("a message of a at byte 0 of queue file 0000000000000000.queue"), "{error}");
    for _ in 0..2 {
        queue.look_again();
        assert!(drain(&mut queue).iter().all(|queued| queued.child.as_str() == "b"));
        assert_eq!(queue.backlog().keys().map(DeviceName::as_str).collect::<Vec<_>>(), ["a"]);
    }
    std::fs::write(&file, &whole).unwrap();
    assert!(drain(&mut queue).is_empty(), "it is not tried all the time");
    queue.look_again();
    assert_eq!(drain(&mut queue), [message("a", 0), message("a", 1), message("a", 2)]);
}
