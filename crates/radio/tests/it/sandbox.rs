//! What a driver that was taken over can do: nothing but read, write and end.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use thingward_radio::Kind;
use thingward_radio::process::EXIT_LINE;
use thingward_radio::wire::{Admission, Order, Report, Secret, Start};

use crate::bench::{Driver, Line};

const SIGABRT: i32 = 6;
const SIGSYS: i32 = 31;

/// Has the radio do it, and demands that the kernel ends the process.
fn is_forbidden(words: &str) {
    let mut driver = Driver::started();
    driver.script("reading before\n");
    assert!(matches!(driver.report(), Some(Report::Readings(_))));
    driver.script(&format!("{words}\nreading after\n"));
    assert_eq!(driver.report(), None, "{words}");
    assert_eq!(driver.end().0.signal(), Some(SIGSYS), "{words}");
}

#[test]
fn it_opens_no_file() {
    is_forbidden("open /etc/passwd");
    is_forbidden("open /proc/self/mem");
    is_forbidden("create /tmp/thingward-radio-test");
}

#[test]
fn it_makes_no_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    is_forbidden(&format!("connect {}", listener.local_addr().unwrap()));
    is_forbidden("udp 127.0.0.1:0");
    is_forbidden(&format!("unix {}", Line::new().path.display()));
}

#[test]
fn it_starts_no_program_and_no_thread() {
    is_forbidden("exec /bin/true");
    is_forbidden("thread");
}

#[test]
fn its_memory_has_a_bound() {
    let mut driver = Driver::started();
    driver.script("memory\n");
    assert_eq!(driver.report(), None);
    let (status, words) = driver.end();
    assert_eq!(status.signal(), Some(SIGABRT), "{words}");
    assert!(words.contains("memory allocation of"), "{words}");
}

#[test]
fn what_it_inherited_is_of_no_use_to_it() {
    is_forbidden("inherited-write");
    is_forbidden("inherited-read");
}

#[test]
fn it_signals_nobody() {
    is_forbidden("signal");
}

#[test]
fn the_kernel_says_that_it_is_shut_in() {
    let driver = Driver::started();
    let status = std::fs::read_to_string(format!("/proc/{}/status", driver.child.id())).unwrap();
    let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(value("NoNewPrivs:"), Some("1"));
    assert_eq!(value("Seccomp:"), Some("2"));
    assert_eq!(value("Threads:"), Some("1"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", driver.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"));
}

/// What a protocol needs of the system while it starts, is told to let things join, hears noise and waits, it has.
#[test]
fn every_kind_of_radio_runs_shut_in() {
    for kind in Kind::ALL {
        let mut driver = Driver::of(kind);
        driver.order(&Order::Start(Start::default()));
        let printed = match kind {
            Kind::Ble => "54:48:E6:8F:80:A5:00112233445566778899aabbccddeeff",
            _ => "12345",
        };
        let printed = Some(Secret::new(printed.as_bytes().to_vec()));
        driver.order(&Order::Admit(Admission { seconds: 60, printed }));
        let noise: Vec<u8> = (0..20_000_u32).map(|number| (number * number / 7).to_le_bytes()[1]).collect();
        let _ = driver.line.write_all(&noise);
        std::thread::sleep(Duration::from_secs(3));
        // A protocol that gives its line up for such noise has ended by its own will.
        if let Some(status) = driver.child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(EXIT_LINE.into()), "{}: {:?}", kind.as_str(), driver.end());
            continue;
        }
        driver.order(&Order::Ask(1));
        loop {
            match driver.report() {
                Some(Report::Alive { answer: 1, .. }) => break,
                Some(_) => {}
                None => panic!("{}: {:?}", kind.as_str(), driver.end()),
            }
        }
        driver.orders = None;
        assert_eq!(driver.end().0.code(), Some(0), "{}", kind.as_str());
    }
}
