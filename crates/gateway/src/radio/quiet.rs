//! How many lines a radio writes into the log: strangers on the air may cause any number.

use std::time::Instant;

/// Lines at once, and lines in a second from then on.
const BURST: f64 = 20.0;
const PER_SECOND: f64 = 2.0;

/// See the module.
pub(super) struct Quiet {
    left: f64,
    at: Instant,
}

impl Quiet {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, at: now }
    }

    /// Whether another line may be written.
    pub(super) fn may_say(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + since * PER_SECOND).min(BURST);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_said_and_then_two_lines_a_second() {
        let start = Instant::now();
        let mut quiet = Quiet::new(start);
        assert_eq!((0..100).filter(|_| quiet.may_say(start)).count(), 20);
        let later = start + Duration::from_secs(3);
        assert_eq!((0..100).filter(|_| quiet.may_say(later)).count(), 6);
    }
}
