//! Bad input on every port, while good members go on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::by_hand::ByHand;
use crate::common::{Place, Running, have, shown, wait_for};

/// Connections that never finish their handshake, per port.
const HALF_OPEN: usize = 100;
/// Longest wait of a good member for one reading.
const GOOD_WITHIN: Duration = Duration::from_secs(10);

/// How soon the other end has closed what is bad.
const CLOSED_WITHIN: Duration = Duration::from_secs(14);

/// CONNECT of MQTT 3.1.1 with a clean session.
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";

struct Town {
    place: Place,
    member: ByHand,
    _roles: Vec<Running>,
}

impl Town {
    /// A service, a gateway, a device behind it, a device at the service.
    fn new() -> Self {
        let place = Place::new();
        let mut roles = vec![place.service(&["acme"])];
        place.enrol("acme", "gateway", "gateway");
        roles.push(place.gateway());
        for (name, uplink) in [("behind", Some(place.gateway)), ("direct", None)] {
            place.enrol("acme", "device", name);
            roles.push(place.device(name, uplink));
        }
        let member = ByHand::enrolled(&place, "acme", "device", "hand-1");
        Self { place, member, _roles: roles }
    }

    /// Both devices send a number each until `stop`, and say how many they sent.
    fn live(&self, stop: &AtomicBool, sent: &AtomicU32) {
        while !stop.load(Ordering::Relaxed) {
            let n = sent.load(Ordering::Relaxed);
            for name in ["behind", "direct"] {
                let start = Instant::now();
                let home = self.place.path(name);
                self.place.done(&["device", "send", "--home", shown(&home), "count", &format!("n={n}")]);
                assert!(start.elapsed() < GOOD_WITHIN, "{name} waited {:?}", start.elapsed());
            }
            sent.store(n + 1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Does bad things while good members go on; then looks whether they did.
    fn survives(&self, bad: impl FnOnce()) {
        let (stop, sent) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            let good = scope.spawn(|| self.live(&stop, &sent));
            wait_for("a first reading", || sent.load(Ordering::Relaxed) > 0 || good.is_finished());
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(bad));
            let before = sent.load(Ordering::Relaxed);
            wait_for("a later reading", || sent.load(Ordering::Relaxed) > before || good.is_finished());
            stop.store(true, Ordering::Relaxed);
            good.join().unwrap();
            result.unwrap();
        });
        let want: Vec<_> = (0..sent.into_inner()).map(f64::from).collect();
        for name in ["behind", "direct"] {
            let ask = ["reading", "query", "--device", name, "--stream", "count", "--limit", "100000"];
            let values = || -> Vec<f64> {
                let all = self.place.done(&ask);
                all.as_array().unwrap().iter().map(|r| r["value"].as_f64().unwrap()).collect()
            };
            wait_for("all readings", || values().len() >= want.len());
            assert_eq!(values(), want, "{name}");
        }
        let findings = self.place.done(&["finding", "list"]);
        let of_good = |f: &&serde_json::Value| f["device"] != "hand-1";
        assert_eq!(findings.as_array().unwrap().iter().find(of_good), None);
        let logs = self.place.logs();
        assert!(!logs.contains("panicked"), "{logs}");
    }

    const fn ports(&self) -> [u16; 4] {
        [self.place.mqtt, self.place.https, self.place.gateway, self.place.relay]
    }

    /// Sends bytes inside of a TLS connection of the good member, with a breath between the two; gives what came
    /// back before the other end closed.
    #[track_caller]
    fn inside_tls(&self, port: u16, first: &[u8], second: &[u8]) -> Vec<u8> {
        let mut command = Command::new("timeout");
        command.args(["16", "openssl", "s_client", "-quiet", "-no_ign_eof", "-connect"]);
        command.arg(format!("127.0.0.1:{port}")).args(["-CAfile", self.member.root()]);
        command.args(self.member.openssl_arguments());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let start = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        let (first, second) = (first.to_vec(), second.to_vec());
        // The other end may close before it has taken everything.
        let write = std::thread::spawn(move || {
            let _ = to.write_all(&first);
            std::thread::sleep(Duration::from_millis(300));
            let _ = to.write_all(&second);
            to
        });
        let mut back = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut back).unwrap();
        let _ = child.wait();
        drop(write.join().unwrap());
        assert!(start.elapsed() < CLOSED_WITHIN, "{port}: not closed");
        back
    }
}

/// Bytes that mean nothing, always the same.
fn garbage(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..len).map(next).collect()
}

#[test]
fn half_open_connections_disturb_nobody() {
    if !have(&["openssl", "curl"]) {
        return;
    }
    let town = Town::new();
    town.survives(|| {
        let mut open = Vec::new();
        for port in town.ports() {
            for n in 0..HALF_OPEN {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                // Nothing at all, or the start of a ClientHello that says it is 512 bytes long.
                if n % 2 == 0 {
                    stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
                }
                open.push(stream);
            }
        }
        // New members come in meanwhile.
        let _new = ByHand::enrolled(&town.place, "acme", "device", "hand-2");
        town.place.enrol("acme", "device", "late");
        let _late = town.place.device("late", Some(town.place.gateway));
        let home = town.place.path("late");
        town.place.done(&["device", "send", "--home", shown(&home), "climate", "temperature=1"]);
        wait_for("the late reading", || {
            !town.place.run(&["reading", "query", "--device", "late"]).1[0].is_null()
        });
    });
}

#[test]
fn garbage_in_front_of_tls_disturbs_nobody() {
    if !have(&["openssl", "curl"]) {
        return;
    }
    let town = Town::new();
    let noise = garbage(200_000);
    let record = [b"\x16\x03\x01\xff\xff".as_slice(), &noise].concat();
    let sends: [&[u8]; 5] =
        [&noise, &record, b"GET / HTTP/1.1\r\n\r\n", CONNECT, b"\x15\x03\x03\x00\x02\x02\x28"];
    town.survives(|| {
        for port in town.ports() {
            for bytes in sends {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
                // The other end may close before it has taken everything.
                let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
                let mut back = Vec::new();
                let ended = stream.read_to_end(&mut back);
                let reset = std::io::ErrorKind::ConnectionReset;
                assert!(ended.as_ref().map_or_else(|e| e.kind() == reset, |_| true), "{port}: {ended:?}");
                assert!(back.len() < 64, "{port} said {} bytes", back.len());
            }
        }
    });
    let metrics = metrics(&town);
    let refused = metrics.lines().find(|l| l.starts_with("thingward_connections_refused_total")).unwrap();
    assert!(refused.rsplit(' ').next().unwrap().parse::<u32>().unwrap() >= 5, "{refused}");
}

fn metrics(town: &Town) -> String {
    let socket = town.place.path("data/admin.sock");
    assert_eq!(town.member.curl(&["--unix-socket", shown(&socket), "http://localhost/metrics"]), "200");
    town.member.answer()
}

#[test]
fn garbage_and_oversize_from_a_member_end_its_own_session_only() {
    if !have(&["openssl", "curl"]) {
        return;
    }
    let town = Town::new();
    let noise = garbage(100_000);
    // PUBLISH whose length says 256 MiB, one that is larger than a packet may be, lengths that lie, and noise.
    let endless = [b"\x32\xff\xff\xff\x7f".as_slice(), &noise].concat();
    let huge = [b"\x30\x80\x80\x20\x00\x01a".as_slice(), &vec![b'x'; 600_000]].concat();
    let sends: [(&[u8], &[u8]); 8] = [
        (&noise, b""),
        (b"\x32\x07\x00\x01a\x00\x01hi", b""),
        (CONNECT, &noise),
        (CONNECT, &endless),
        (CONNECT, &huge),
        (CONNECT, b"\x32\xff\xff\xff\xff\xff\x01"),
        (CONNECT, b"\x30\x05\x00\xffabc"),
        (CONNECT, CONNECT),
    ];
    const CONNACK: &[u8] = b"\x20\x02\x00\x00";
    town.survives(|| {
        for port in [town.place.mqtt, town.place.gateway] {
            for (first, second) in &sends {
                let back = town.inside_tls(port, first, second);
                let want = if *first == CONNECT { CONNACK } else { b"" };
                let sent = &second[..second.len().min(16)];
                assert_eq!(back, want, "{port}: {sent:02x?}");
            }
        }
    });
}

#[test]
fn garbage_and_oversize_over_http_get_an_answer_and_disturb_nobody() {
    if !have(&["openssl", "curl"]) {
        return;
    }
    let town = Town::new();
    let long = "x".repeat(20_000);
    let sends = [
        (garbage(3_000), "HTTP/1.1 400"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n").into_bytes(), "HTTP/1.1 431"),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(), "HTTP/1.1 4"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(500)).into_bytes(), "HTTP/1.1 431"),
        // HTTP/2 was not agreed on in the handshake.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ""),
        (b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(), "HTTP/1.1 404"),
        // A body that never comes: closed after 10 seconds.
        (
            b"POST /.well-known/est/simplereenroll HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\nA"
                .to_vec(),
            "HTTP/1.1 400",
        ),
        (
            b"POST /.well-known/est/simplereenroll HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nA"
                .to_vec(),
            "HTTP/1.1 400",
        ),
    ];
    town.survives(|| {
        for port in [town.place.https, town.place.relay] {
            for (bytes, want) in &sends {
                let back = town.inside_tls(port, bytes, b"");
                let back = String::from_utf8_lossy(&back);
                let sent = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
                assert!(back.starts_with(want), "{port}: {sent:?} gets {back:?} instead of {want}");
            }
        }
    });
}
