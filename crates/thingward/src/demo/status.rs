//! One line for each thing, drawn in place on a terminal and now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::town::ThingStatus;

/// How often the lines are written where they cannot be drawn in place.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

pub(super) struct Screen {
    on_terminal: bool,
    lines: usize,
    written: Option<Instant>,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { on_terminal: std::io::stdout().is_terminal(), lines: 0, written: None }
    }

    pub(super) fn draw(&mut self, things: &[ThingStatus]) {
        if !self.on_terminal && self.written.is_some_and(|at| at.elapsed() < PLAIN_EVERY) {
            return;
        }
        self.written = Some(Instant::now());
        let mut text = String::new();
        if self.on_terminal && self.lines > 0 {
            text.push_str(&format!("\x1b[{}A", self.lines));
        }
        for thing in things {
            let state = if thing.online { "online " } else { "offline" };
            let line = format!(
                "{:<14} {:<7} {state} {:>4} waiting  {:<13} {}",
                thing.name, thing.way, thing.waiting, thing.assurance, thing.values
            );
            let end = if self.on_terminal { "\x1b[K\n" } else { "\n" };
            // A line that wrapped could not be drawn over.
            text.extend(line.chars().take(if self.on_terminal { 160 } else { usize::MAX }));
            text.push_str(end);
        }
        self.lines = things.len();
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
