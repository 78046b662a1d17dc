//! What a driver writes to standard error goes into the log: lines of it, bounded in length and number.

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::shares::{Share, Taken};
use crate::wire::Sentence;

/// Longest line, in bytes; what is behind is not shown.
const LINE_BYTES_MAX: usize = 256;
/// Lines per second, and how many may be saved up.
const LINES: f64 = 5.0;
const LINES_SAVED: f64 = 50.0;

/// Until the driver ends.
pub(super) async fn log(radio: &str, mut from: impl AsyncRead + Unpin) {
    let (begun, mut share) = (Instant::now(), Share::full(LINES, LINES_SAVED));
    let (mut lines, mut room) = (Lines::default(), [0; 1024]);
    while let Ok(len @ 1..) = from.read(&mut room).await {
        for line in lines.take(room.get(..len).unwrap_or_default()) {
            match share.take(begun.elapsed()) {
                Taken::Yes => tracing::warn!(radio, "{line}"),
                Taken::NotAnyMore => tracing::warn!(radio, "the driver writes too much to the log"),
                Taken::No => {}
            }
        }
    }
}

#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn take(&mut self, bytes: &[u8]) -> Vec<Sentence> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' {
                lines.push(Sentence::fitting(&String::from_utf8_lossy(&self.0)));
                self.0.clear();
            } else if self.0.len() < LINE_BYTES_MAX {
                self.0.push(byte);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_their_limit_and_have_no_control_characters() {
        let mut lines = Lines::default();
        assert!(lines.take(b"one, ").is_empty());
        let long = [b'x'; 1000];
        let taken: Vec<_> = [&b"whole\n\x1b[2J\xff\n"[..], &long, b"\nrest"]
            .into_iter()
            .flat_map(|b| lines.take(b))
            .collect();
        let taken: Vec<_> = taken.iter().map(Sentence::as_str).collect();
        assert_eq!(taken, ["one, whole", "\u{fffd}[2J\u{fffd}", &"x".repeat(LINE_BYTES_MAX)]);
        assert_eq!(lines.0, b"rest");
    }
}
