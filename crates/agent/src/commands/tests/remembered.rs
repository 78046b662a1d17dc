//! What is remembered, for how long, and through power cuts and changed files.

use super::*;

#[test]
fn what_is_over_is_forgotten_and_cannot_come_back() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    let execute = |commands: &mut Commands<MemoryDisk>, sent: &Sent| {
        assert!(commands.receive(sent.id, &sent.bytes(), sent.issued));
        let order = commands.next_order(sent.issued).unwrap();
        commands.finish(&order.id, Ending::Done(Value::Null), sent.issued);
        said(commands)
    };
    let first = Sent::new(1);
    execute(&mut commands, &first);
    let second =
        Sent { issued: START.plus_micros(first.lifetime + journal::KEEP_MICROS - 1), ..Sent::new(2) };
    execute(&mut commands, &second);
    assert_eq!(bench.disk.files.borrow().len(), 2);
    let third = Sent { issued: START.plus_micros(first.lifetime + journal::KEEP_MICROS), ..Sent::new(3) };
    execute(&mut commands, &third);
    let files: Vec<_> = bench.disk.files.borrow().keys().cloned().collect();
    assert_eq!(
        files,
        [format!("{}.command", "02".repeat(16)), format!("{}.command", "03".repeat(16)), "mark".to_owned()]
    );
    for commands in [&mut commands, &mut bench.open(START).unwrap()] {
        assert!(!commands.receive([1; 16], &first.bytes(), START));
        assert!(said(commands)[0].starts_with("expired"));
    }
}

#[test]
fn a_full_journal_takes_nothing_new_before_something_has_expired() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    let id = |n: usize| -> CommandId { sha256(&[&n.to_be_bytes()])[..16].try_into().unwrap() };
    let execute = |commands: &mut Commands<MemoryDisk>, sent: Sent| {
        commands.receive(sent.id, &sent.bytes(), sent.issued);
        let order = commands.next_order(sent.issued)?;
        commands.finish(&order.id, Ending::Done(Value::Null), sent.issued);
        said(commands).pop()
    };
    for n in 0..journal::ENTRIES_MAX {
        assert!(execute(&mut commands, Sent { id: id(n), ..Sent::new(0) }).is_some());
    }
    let at = |micros| START.plus_micros(micros);
    assert_eq!(execute(&mut commands, Sent { id: id(5000), ..Sent::new(0) }), None);
    let later = Sent { id: id(5001), issued: at(59 * SECOND), ..Sent::new(0) };
    assert_eq!(execute(&mut commands, later), None);
    let later = Sent { id: id(5002), issued: at(60 * SECOND), ..Sent::new(0) };
    assert!(execute(&mut commands, later).is_some());
    assert_eq!(bench.disk.files.borrow().len(), journal::ENTRIES_MAX + 1);
}

#[test]
fn a_changed_or_exchanged_file_is_noticed_before_a_command_is_executed_again() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    for n in [1, 2] {
        commands.receive([n; 16], &Sent::new(n).bytes(), START);
        commands.next_order(START).unwrap();
    }
    let good = bench.disk.files.borrow().clone();
    let open_with = |files: BTreeMap<String, Vec<u8>>| {
        *bench.disk.files.borrow_mut() = files;
        bench.open(START).map(drop)
    };
    let names: Vec<String> = good.keys().cloned().collect();
    for at in 0..good[&names[0]].len() {
        let mut bent = good.clone();
        bent.get_mut(&names[0]).unwrap()[at] ^= 1;
        assert!(matches!(open_with(bent), Err(JournalError::Damaged { .. })), "byte {at}");
    }
    let mut exchanged = good.clone();
    exchanged.insert(names[0].clone(), good[&names[1]].clone());
    assert!(matches!(open_with(exchanged), Err(JournalError::Damaged { .. })));
    assert!(open_with(good).is_ok());
}

/// A device that dies, and a service that sends until it has an answer.
struct World {
    bench: Bench,
    executed: BTreeMap<CommandId, u32>,
    answers: BTreeMap<CommandId, Vec<String>>,
}

impl World {
    /// One life of the device: it is sent all commands, and works until nothing is left. The writes of `failing` fail.
    fn live(&mut self, failing: std::ops::Range<u32>, now: Timestamp) {
        *self.bench.disk.writes.borrow_mut() = 0;
        *self.bench.disk.failing.borrow_mut() = failing;
        let Ok(mut commands) = self.bench.open(now) else { return };
        for _ in 0..3 {
            for n in 1..=3 {
                commands.receive([n; 16], &Sent::new(n).bytes(), now);
            }
            while let Some(order) = commands.next_order(now) {
                *self.executed.entry(order.id).or_default() += 1;
                commands.finish(&order.id, Ending::Done(order.input), now);
            }
            commands.save();
            for (id, _, said) in replies(&mut commands) {
                self.answers.entry(id).or_default().push(said);
            }
        }
    }
}

#[test]
fn killed_at_any_write_no_command_is_executed_twice_and_its_answer_never_changes() {
    for is_deaf in [false, true] {
        // From some write on nothing reaches the disk, as in a kill; or one write fails, and life goes on.
        for (last, writes) in [(u32::MAX, 0..12), (1, 0..12)] {
            for number in writes {
                let bench = Bench::new();
                *bench.disk.is_deaf.borrow_mut() = is_deaf && last == 1;
                let mut world = World { bench, executed: BTreeMap::new(), answers: BTreeMap::new() };
                world.live(number..number.saturating_add(last), START);
                world.live(0..0, START);
                world.live(0..0, START);
                let case = format!("write {number}, {last} of them, deaf {is_deaf}");
                assert_eq!(world.answers.len(), 3, "{case}");
                for (id, answers) in &world.answers {
                    let times = world.executed.get(id).copied().unwrap_or_default();
                    assert!(times <= 1, "{case}: executed {times} times");
                    assert!(answers.iter().all(|a| *a == answers[0]), "{case}: {answers:?}");
                    let is_done = answers[0] == "done true";
                    assert!(is_done || answers[0] == "interrupted", "{case}: {answers:?}");
                    assert!(!is_done || times == 1, "{case}: {answers:?} and not executed");
                }
            }
        }
    }
}
