//! Drivers that crash, hang, lie and flood, and the gateway's end of them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use thingward_radio::supervisor::{Event, Reason, Settings, Supervisor};
use thingward_radio::wire::{
    Address, Admission, Argument, Call, FrameError, Name, Order, Report, Secret, Start, Value,
};
use tokio::time::timeout;

use crate::bench::{DRIVER, Line};

/// How long a driver has for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

struct Bench {
    line: Line,
    supervisor: Supervisor,
}

impl Bench {
    /// A driver that is up, was told to start, and is ready.
    async fn started() -> (Self, UnixStream) {
        let line = Line::new();
        let supervisor = Supervisor::start(Settings {
            radio: "test".to_owned(),
            program: DRIVER.into(),
            arguments: vec![line.path.clone().into()],
            patience: PATIENCE,
        });
        let mut bench = Self { line, supervisor };
        let stream = bench.start(Start::default()).await;
        (bench, stream)
    }

    /// Waits for the process, tells it to start, and waits until it is ready.
    async fn start(&mut self, start: Start) -> UnixStream {
        assert_eq!(self.event().await, Event::Up);
        self.order(Order::Start(start)).await;
        let stream = self.line.accept();
        assert!(matches!(self.event().await, Event::Report(Report::Ready { .. })));
        stream
    }

    async fn event(&mut self) -> Event {
        timeout(PATIENCE * 6, self.supervisor.events.recv()).await.unwrap().unwrap()
    }

    async fn order(&self, order: Order) {
        self.supervisor.orders.send(order).await.unwrap();
    }

    /// The next event is its end; then it is there again, and works.
    async fn ends_and_works_again(&mut self, reason: Reason) -> UnixStream {
        assert_eq!(self.event().await, Event::Down(reason));
        let mut stream = self.start(Start::default()).await;
        script(&mut stream, "reading again\n");
        assert_eq!(thing_of(&self.event().await), Some("again"));
        stream
    }
}

fn script(line: &mut UnixStream, words: &str) {
    line.write_all(words.as_bytes()).unwrap();
}

fn thing_of(event: &Event) -> Option<&str> {
    let Event::Report(Report::Readings(said)) = event else { return None };
    Some(said.thing.as_str())
}

fn said(event: &Event) -> Option<&Value> {
    let Event::Report(Report::Readings(said)) = event else { return None };
    said.readings.first().map(|reading| &reading.value)
}

/// The process that has the other end of this line.
fn process(line: &UnixStream) -> Pid {
    rustix::net::sockopt::socket_peercred(line).unwrap().pid
}

#[tokio::test]
async fn it_starts_reports_and_does_what_it_is_told() {
    let (mut bench, mut line) = Bench::started().await;
    script(&mut line, "reading lamp\nthing lamp\n");
    assert_eq!(thing_of(&bench.event().await), Some("lamp"));
    assert!(
        matches!(bench.event().await, Event::Report(Report::Thing(thing)) if thing.address.as_str() == "lamp")
    );
    let call =
        Call { id: 9, thing: Address::fitting("lamp"), action: Name::fitting("set-on"), arguments: vec![] };
    bench.order(Order::Call(call)).await;
    assert_eq!(bench.event().await, Event::Report(Report::Done { id: 9, failure: None }));
    let health = bench.supervisor.health.clone();
    timeout(PATIENCE * 3, bench.supervisor.health.wait_for(|h| h.counters.received == 24))
        .await
        .unwrap()
        .unwrap();
    assert!(health.borrow().is_up && health.borrow().starts == 1);
}

#[tokio::test]
async fn a_call_that_is_beyond_its_bounds_fails_and_the_driver_does_not_hear_of_it() {
    let (mut bench, mut line) = Bench::started().await;
    let argument = Argument { name: Name::EMPTY, value: Value::Data(vec![0; 4096]) };
    let (thing, action) = (Address::fitting("lamp"), Name::fitting("write"));
    bench.order(Order::Call(Call { id: 5, thing, action, arguments: vec![argument] })).await;
    assert!(matches!(bench.event().await, Event::Report(Report::Done { id: 5, failure: Some(_) })));
    script(&mut line, "reading lamp\n");
    assert_eq!(thing_of(&bench.event().await), Some("lamp"));
}

#[tokio::test]
async fn one_that_is_killed_is_started_again_and_gets_what_the_gateway_kept() {
    let (mut bench, mut line) = Bench::started().await;
    script(&mut line, "keep counter=7\n");
    let Event::Report(Report::Keep(kept)) = bench.event().await else { panic!("nothing to keep") };
    kill_process(process(&line), Signal::KILL).unwrap();
    assert_eq!(bench.event().await, Event::Down(Reason::Killed(9)));
    // What was meant for the one before does not reach the next.
    bench.order(Order::Close).await;
    let mut line = bench.start(Start { kept: Some(kept), ..Start::default() }).await;
    assert_eq!(said(&bench.event().await), Some(&Value::Data(b"counter=7".to_vec())));
    script(&mut line, "reading again\n");
    assert_eq!(thing_of(&bench.event().await), Some("again"));
    assert_eq!(bench.supervisor.health.borrow().starts, 2);
}

#[tokio::test]
async fn one_that_hangs_is_killed_and_started_again() {
    let (mut bench, line) = Bench::started().await;
    kill_process(process(&line), Signal::STOP).unwrap();
    let mut line = bench.ends_and_works_again(Reason::Hung).await;
    script(&mut line, "spin\n");
    bench.ends_and_works_again(Reason::Hung).await;
}

#[tokio::test]
async fn one_that_answers_without_taking_what_it_is_told_is_killed() {
    let (mut bench, mut line) = Bench::started().await;
    script(&mut line, "deaf\n");
    // More than its pipe holds.
    for _ in 0..64 {
        let printed = Some(Secret::new(vec![0; 4096]));
        bench.order(Order::Admit(Admission { seconds: 1, printed })).await;
    }
    bench.ends_and_works_again(Reason::Hung).await;
}

#[tokio::test]
async fn one_that_only_seems_to_answer_is_killed() {
    let (mut bench, line) = Bench::started().await;
    let pid = process(&line);
    kill_process(pid, Signal::STOP).unwrap();
    // Answers to other questions are none, however often they come.
    let mut lies = line.try_clone().unwrap();
    script(&mut lies, "wrong-answer\nspin\n");
    kill_process(pid, Signal::CONT).unwrap();
    bench.ends_and_works_again(Reason::Hung).await;
}

#[tokio::test]
async fn what_is_no_report_what_is_forbidden_and_a_panic_end_it_each_for_its_reason() {
    let (mut bench, mut line) = Bench::started().await;
    script(&mut line, "garbage\n");
    let mut line = bench.ends_and_works_again(FrameError::TooLong(u32::MAX).into()).await;
    script(&mut line, "open /etc/passwd\n");
    let mut line = bench.ends_and_works_again(Reason::Forbidden).await;
    script(&mut line, "panic\n");
    let mut line = bench.ends_and_works_again(Reason::Exited(101)).await;
    script(&mut line, "trouble 20000\n");
    loop {
        match bench.event().await {
            Event::Report(Report::Trouble(_)) => {}
            Event::Down(reason) => break assert_eq!(reason, Reason::Talkative),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn one_whose_line_ends_says_so_and_is_started_again() {
    let (mut bench, line) = Bench::started().await;
    drop(line);
    assert!(matches!(bench.event().await, Event::Report(Report::Trouble(_))));
    bench.ends_and_works_again(Reason::Line).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_tried_again_and_no_order_waits_for_it() {
    let mut supervisor = Supervisor::start(Settings {
        radio: "test".to_owned(),
        program: "/nowhere/thingward".into(),
        arguments: vec![],
        patience: PATIENCE,
    });
    for _ in 0..2 {
        assert!(matches!(supervisor.events.recv().await, Some(Event::Down(Reason::NotStarted(_)))));
        for _ in 0..1000 {
            timeout(PATIENCE, supervisor.orders.send(Order::Close)).await.unwrap().unwrap();
        }
    }
    assert!(!supervisor.health.borrow().is_up);
}

#[tokio::test]
async fn one_that_floods_is_described_and_leaves_all_the_same() {
    let (mut bench, mut line) = Bench::started().await;
    let writer = tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            script(&mut line, "flood 60\n");
            std::thread::sleep(Duration::from_millis(10));
        }
        script(&mut line, "thing loud\nleft loud\n");
        line
    });
    let (mut floods, mut described) = (0, false);
    loop {
        match bench.event().await {
            Event::Flood(_) => floods += 1,
            Event::Report(Report::Thing(thing)) => described |= thing.address.as_str() == "loud",
            Event::Report(Report::Left(thing)) => {
                assert_eq!(thing.as_str(), "loud");
                break;
            }
            _ => {}
        }
    }
    assert!(floods > 0 && described);
    writer.await.unwrap();
}

/// So many things say 10 000 things a second together, as `loud` makes the driver do, and another one five.
async fn floods(loud: &str, things: u32) {
    let (mut bench, mut line) = Bench::started().await;
    let begun = Instant::now();
    let lines = loud.to_owned();
    let writer = tokio::task::spawn_blocking(move || {
        for round in 0..200 {
            script(&mut line, &format!("{lines} 100\n"));
            if round % 20 == 0 {
                script(&mut line, "reading quiet\n");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        script(&mut line, "reading last\n");
        line
    });
    let (mut quiet, mut other, mut floods) = (0, 0, Vec::new());
    loop {
        let event = bench.event().await;
        match thing_of(&event) {
            Some("last") => break,
            Some("quiet") => quiet += 1,
            Some(_) => other += 1,
            None => match event {
                Event::Flood(thing) => floods.push(thing),
                other => panic!("{other:?}"),
            },
        }
    }
    writer.await.unwrap();
    let dropped = bench.supervisor.health.borrow().dropped;
    println!("{loud}: {quiet} of 10 quiet, {other} loud, {dropped} dropped, floods of {floods:?}");
    assert_eq!(quiet, 10, "every report of the quiet one arrived");
    let shares = f64::from(things) * begun.elapsed().as_secs_f64().mul_add(50.0, 101.0);
    assert!(f64::from(other) <= shares, "the loud have their share and no more: {other} of {shares}");
    assert!(dropped > 1000 && bench.supervisor.health.borrow().starts == 1);
    assert!(floods.len() >= things.try_into().unwrap(), "every flood is told: {floods:?}");
}

#[tokio::test]
async fn of_a_thing_that_floods_the_others_lose_nothing() {
    floods("flood", 1).await;
}

#[tokio::test]
async fn of_a_driver_that_floods_in_the_name_of_three_things_the_fourth_loses_nothing() {
    floods("lies", 3).await;
}

#[tokio::test]
async fn one_that_nobody_wants_any_more_ends() {
    let (bench, mut line) = Bench::started().await;
    drop(bench.supervisor);
    line.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(tokio::task::spawn_blocking(move || line.read(&mut [0]).unwrap()).await.unwrap(), 0);
}
