//! Tricks with paths and headers, on the listener that a proxy hands everything to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::{Place, free_port};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that comes back until the other end closes.
fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn tricks_with_paths_and_headers_reach_nothing_behind_the_console() {
    let port = free_port();
    let place = Place::with(&format!(
        "[service.console]\norigins = [\"http://localhost:{port}\"]\nloopback = \"127.0.0.1:{port}\"\n"
    ));
    let _service = place.service(&["acme"]);
    for path in [
        "/../data/root.pem",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/assets/..%2f..%2fsealing.key",
        "/assets/../index.html",
        "/..\\..\\etc\\passwd",
        "/assets/%00",
        "/api/v1/../../admin",
        "/.well-known/../api/v1/tenants",
        "/.well-known/est/cacerts",
        "http://evil.example/",
        "*",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = ask(port, &request);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    // A proxy that reads the length otherwise would take what is inside for somebody else's request.
    let inside = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (headers, body) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: xchunked", ""),
        ("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("Content-Length: 0\r\nContent-Length: 40", ""),
        ("Content-Length: +0", ""),
        ("Content-Length : 40", ""),
        ("X: a\r\n b\r\nContent-Length: 0", ""),
        ("X: a\0b", ""),
    ] {
        let head = format!("POST /api/v1/links/open HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n");
        let answer = ask(port, &format!("{head}{body}{inside}"));
        assert!(answer.starts_with("HTTP/1.1 4"), "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answer}");
    }
}

#[test]
fn only_the_page_before_a_device_may_talk_to_other_places_and_no_page_runs_scripts_of_others() {
    let port = free_port();
    let place = Place::with(&format!(
        "[service.console]\norigins = [\"http://localhost:{port}\"]\nloopback = \"127.0.0.1:{port}\"\n"
    ));
    let _service = place.service(&[]);
    for (path, connects) in [
        ("/", "connect-src 'self';"),
        ("/near/", "connect-src 'self';"),
        ("/near.html", "connect-src 'self';"),
        ("/near", "connect-src 'self' http: https:;"),
    ] {
        let headers = "Host: localhost\r\nAccept: text/html\r\nConnection: close";
        let answer = ask(port, &format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(connects), "{path}: {answer}");
        assert!(answer.contains("script-src 'self';") && answer.contains("frame-ancestors 'none'"), "{path}");
    }
}
