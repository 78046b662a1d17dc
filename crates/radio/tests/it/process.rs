//! The loop between line, radio and gateway, shut in as it always is.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::tcgetattr;
use thingward_radio::process::EXIT_LINE;
use thingward_radio::wire::{Counters, Order, Report, Sentence, Start, Value};

use crate::bench::Driver;

/// The thing and the number of a reading.
fn reading(report: Option<Report>) -> (String, f64) {
    let Some(Report::Readings(said)) = report else { panic!("no readings: {report:?}") };
    let Value::Number(number) = said.readings[0].value else { panic!("no number: {said:?}") };
    (said.thing.to_string(), number)
}

#[test]
fn bytes_of_the_line_become_reports_and_the_radio_answers_on_the_line() {
    let mut driver = Driver::started();
    driver.script("reading a\nreading b\necho hello\n");
    assert_eq!(reading(driver.report()), ("a".to_owned(), 1.0));
    assert_eq!(reading(driver.report()), ("b".to_owned(), 2.0));
    let mut room = [0; 5];
    driver.line.read_exact(&mut room).unwrap();
    assert_eq!(&room, b"hello");
}

/// There and back: with what means something to a terminal, and beyond seven bits.
fn carries_all_bytes<L: Read + Write>(driver: &mut Driver<L>) {
    let text: String = (1..=255_u8).filter(|byte| *byte != b'\n').map(char::from).collect();
    driver.line.write_all(format!("echo {text}\n").as_bytes()).unwrap();
    let mut room = vec![0; text.len()];
    driver.line.read_exact(&mut room).unwrap();
    assert_eq!(room, text.as_bytes());
}

#[test]
fn a_line_over_tcp_carries_all_bytes_and_one_that_nobody_answers_ends_the_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let mut driver = Driver::on(&[&address], || listener.accept().unwrap().0);
    driver.start();
    carries_all_bytes(&mut driver);
    drop(listener);
    let mut driver = Driver::on(&[&address], std::io::empty);
    assert_eq!(driver.end().0.code(), Some(EXIT_LINE.into()));
}

#[test]
fn a_terminal_carries_all_bytes_at_its_speed_and_is_nobody_elses() {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let path = ptsname(&controller, vec![]).unwrap().into_string().unwrap();
    let controller = File::from(controller);
    let mut driver = Driver::on(&[&format!("{path}?baud=57600")], || controller);
    driver.start();
    carries_all_bytes(&mut driver);
    assert_eq!(tcgetattr(&driver.line).unwrap().output_speed(), 57_600);
    // Where nothing is refused to root, exclusive use is not to be seen.
    if !geteuid().is_root() {
        assert!(File::open(&path).is_err());
    }
    driver.line = File::open("/dev/null").unwrap();
    assert!(matches!(driver.report(), Some(Report::Trouble(_))));
    assert_eq!(driver.end().0.code(), Some(EXIT_LINE.into()));
}

#[test]
fn nothing_is_taken_from_the_line_before_the_start_and_the_process_is_alive_all_the_same() {
    let mut driver = Driver::new();
    driver.script("reading early\n");
    driver.order(&Order::Ask(7));
    let alive = |answer, received| {
        let counters = Counters { received, ..Counters::default() };
        Some(Report::Alive { answer, counters })
    };
    assert_eq!(driver.report(), alive(7, 0));
    driver.order(&Order::Start(Start::default()));
    assert!(matches!(driver.report(), Some(Report::Ready { .. })));
    assert_eq!(reading(driver.report()), ("early".to_owned(), 1.0));
    driver.order(&Order::Ask(8));
    assert_eq!(driver.report(), alive(8, 14));
}

#[test]
fn the_time_comes_to_a_radio_that_waits_for_it() {
    let mut driver = Driver::started();
    driver.script("tick\n");
    let begun = Instant::now();
    for number in [1.0, 2.0, 3.0] {
        assert_eq!(reading(driver.report()), ("clock".to_owned(), number));
    }
    assert!(begun.elapsed() >= Duration::from_millis(18));
}

#[test]
fn it_ends_with_its_gateway() {
    let mut driver = Driver::started();
    driver.orders = None;
    assert_eq!(driver.end().0.code(), Some(0));
}

#[test]
fn it_says_so_and_ends_when_its_line_ends() {
    let mut driver = Driver::started();
    driver.line.shutdown(std::net::Shutdown::Both).unwrap();
    let words = Sentence::fitting("the line: closed at the other end");
    assert_eq!(driver.report(), Some(Report::Trouble(words)));
    assert_eq!(driver.report(), None);
    assert_eq!(driver.end().0.code(), Some(EXIT_LINE.into()));
}

#[test]
fn orders_out_of_turn_and_what_is_no_order_end_it() {
    let mut driver = Driver::new();
    driver.order(&Order::Close);
    assert_eq!(driver.end().0.code(), Some(1));
    let mut driver = Driver::started();
    driver.order(&Order::Start(Start::default()));
    let (status, words) = driver.end();
    assert_eq!((status.code(), words.as_str()), (Some(1), "the gateway: an order out of turn\n"));
    let mut driver = Driver::started();
    driver.orders.as_mut().unwrap().write_all(&[0xff; 4]).unwrap();
    assert_eq!(driver.end().0.code(), Some(1));
}

#[test]
fn a_radio_that_panics_ends_with_its_word_and_an_exit_code() {
    let mut driver = Driver::started();
    driver.script("panic\n");
    let (status, words) = driver.end();
    assert_eq!(status.code(), Some(101));
    assert!(words.contains("told to"), "{words}");
}

#[test]
fn while_the_gateway_does_not_read_a_loud_thing_loses_readings_and_a_quiet_one_none() {
    let mut driver = Driver::started();
    for _ in 0..50 {
        driver.script("flood 2000\nreading quiet\n");
    }
    // The flood has been taken from the line before it is asked.
    std::thread::sleep(Duration::from_millis(500));
    driver.order(&Order::Ask(1));
    let (mut quiet, mut loud) = (0, 0);
    let counters = loop {
        match driver.report() {
            Some(Report::Alive { counters, .. }) => break counters,
            Some(Report::Readings(said)) if said.thing.as_str() == "quiet" => quiet += 1,
            Some(Report::Readings(_)) => loud += 1,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(loud + counters.dropped, 100_000);
    assert!(counters.dropped > 50_000, "{counters:?}");
    assert_eq!(quiet, 50);
}
