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

#[test]
fn a_message_that_was_handed_out_becomes_too_old_as_well_and_may_arrive_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let mut queue = open(folder.path(), &key, 1 << 20);
    queue.push(&message("a", 0)).unwrap();
    queue.push(&message("a", 100)).unwrap();
    queue.commit().unwrap();
    let (name, queued) = queue.next_message(&BTreeSet::new()).unwrap().unwrap();
    queue.expire(Timestamp::from_seconds(100));
    assert_eq!(queue.expired.values().sum::<u64>(), 1);
    queue.done(&queued.child, name);
    assert_eq!(drain(&mut queue), [message("a", 100)]);
    assert!(queue.backlog().is_empty());
}

/// A disk of which some writes fail.
struct Failing {
    disk: Directory,
    /// Numbers of the writes that fail.
    failing: std::ops::Range<u32>,
    /// They are there all the same, or a part of them: only their success was not heard of.
    is_deaf: bool,
    writes: u32,
}

impl Failing {
    fn write(
        &mut self,
        whole: impl FnOnce(&mut Directory) -> io::Result<()>,
        failed: impl FnOnce(&mut Directory) -> io::Result<()>,
    ) -> io::Result<()> {
        let fails = self.failing.contains(&self.writes);
        self.writes += 1;
        if !fails {
            return whole(&mut self.disk);
        }
        if self.is_deaf {
            failed(&mut self.disk)?;
        }
        Err(io::Error::other("the disk is gone"))
    }
}

impl Disk for Failing {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(name)
    }
    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.disk.read_at(name, offset, len)
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(|disk| disk.append(name, bytes), |disk| disk.append(name, &bytes[..bytes.len() / 2]))
    }
    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        self.write(|disk| disk.truncate(name, len), |disk| disk.truncate(name, len))
    }
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(|disk| disk.replace(name, bytes), |disk| disk.replace(name, bytes))
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.write(|disk| disk.remove(name), |disk| disk.remove(name))
    }
}

const SMALL: u64 = 64 * 1024;

/// A queue over half full, with what others said behind messages of `old` and `odd` that never arrive, and a few of `busy` that wait.
fn held_up(folder: &Path, key: &SealingKey) {
    let mut queue = open(folder, key, SMALL);
    let (old, odd) = ("old".parse().unwrap(), "odd".parse().unwrap());
    queue.push(&message("old", 0)).unwrap();
    queue.push(&message("odd", 0)).unwrap();
    for n in 0..280 {
        queue.push(&message("busy", n)).unwrap();
        queue.commit().unwrap();
        let (name, queued) = queue.next_message(&BTreeSet::from([old, odd])).unwrap().unwrap();
        queue.done(&queued.child, name);
    }
    queue.push(&message("old", 1)).unwrap();
    for n in 0..3 {
        queue.push(&message("busy", n)).unwrap();
    }
    queue.push(&message("old", 2)).unwrap();
    queue.commit_all().unwrap();
    assert!(queue.log.bytes() > SMALL / 2 && queue.log.segments() > 5);
}

/// Takes out all that waits, and holds it against that.
#[track_caller]
fn check_waiting(queue: &mut Queue<Directory>, old: u32, case: &str) {
    let all = drain(queue);
    for (child, count) in [("old", old), ("odd", 1), ("busy", 3)] {
        let said: Vec<_> = all.iter().filter(|queued| queued.child.as_str() == child).cloned().collect();
        assert_eq!(said, (0..count).map(|n| message(child, n)).collect::<Vec<_>>(), "{child}, {case}");
    }
}

#[test]
fn what_never_arrives_is_carried_on_in_its_order_and_what_is_behind_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    held_up(folder.path(), &key);
    let mut queue = open(folder.path(), &key, SMALL);
    // They are on their way, and keep the name that they have there.
    let busy = BTreeSet::from(["busy".parse().unwrap()]);
    let (name, first) = queue.next_message(&busy).unwrap().unwrap();
    queue.make_room().unwrap();
    assert!(queue.log.bytes() < SMALL / 8 && queue.log.segments() <= 2);
    let (bytes, files) = (queue.log.bytes(), std::fs::read_dir(folder.path()).unwrap().count());
    queue.make_room().unwrap();
    assert_eq!((queue.log.bytes(), files), (bytes, queue.log.segments()));
    drop(queue);
    check_waiting(&mut open(folder.path(), &key, SMALL), 3, "after a restart");
    assert_eq!((first.child.as_str(), name), ("odd", Place { segment: 0, offset: name.offset }));
    let mut queue = open(folder.path(), &key, SMALL);
    let (name, first) = queue.next_message(&busy).unwrap().unwrap();
    queue.push(&message("new", 0)).unwrap();
    queue.commit().unwrap();
    queue.carry(&[first.child]).unwrap();
    queue.done(&first.child, name);
    assert_eq!(queue.backlog().get(&first.child), None);
    queue.commit_all().unwrap();
    drop(queue);
    let left = drain(&mut open(folder.path(), &key, SMALL));
    assert!(left.iter().all(|queued| queued.child != first.child) && left.contains(&message("new", 0)));
}

#[test]
fn what_only_waits_for_the_service_is_not_carried_on() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    let mut queue = open(folder.path(), &key, SMALL);
    for n in 0..100 {
        for child in ["a", "b", "c", "d"] {
            let _full = queue.push(&message(child, n));
        }
    }
    queue.commit().unwrap();
    assert!(queue.log.bytes() > SMALL / 2);
    assert_eq!(queue.who_holds_up(), []);
}

#[test]
fn killed_while_messages_are_carried_on_nothing_is_lost_or_there_twice() {
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    for is_deaf in [false, true] {
        // From some write on nothing reaches the disk, as in a kill; or one write fails, and life goes on.
        for (number, last) in (0..12).flat_map(|number| [(number, u32::MAX), (number, number + 1)]) {
            let case = format!("writes {number} to {last}, deaf {is_deaf}");
            let folder = tempfile::tempdir().unwrap();
            held_up(folder.path(), &key);
            let disk = Directory::open(folder.path()).unwrap();
            let disk = Failing { disk, failing: number..last, is_deaf, writes: 0 };
            let mut count = 3;
            if let Ok(mut queue) = Queue::open(disk, key.clone(), limits(SMALL)) {
                for _ in 0..2 {
                    let _failed = queue.make_room();
                    let is_taken = queue.push(&message("old", count)).is_ok() && queue.commit().is_ok();
                    // The core ends when it cannot write.
                    if !is_taken {
                        break;
                    }
                    count += 1;
                }
            }
            let mut queue = open(folder.path(), &key, SMALL);
            // Not acknowledged, and there all the same.
            let waiting = queue.backlog()[&"old".parse().unwrap()].0;
            assert!((count as usize..=count as usize + 1).contains(&waiting), "{case}");
            check_waiting(&mut queue, u32::try_from(waiting).unwrap(), &case);
        }
    }
}

#[test]
fn a_copy_that_a_crash_cut_off_takes_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let key = SealingKey::generate(&mut system_rng()).unwrap();
    held_up(folder.path(), &key);
    let file = folder.path().join("0000000000000abc.new");
    std::fs::write(&file, b"part of a copy").unwrap();
    check_waiting(&mut open(folder.path(), &key, SMALL), 3, "with a part of a copy");
    assert!(!file.exists());
}
