//! What people and programs see.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value as Json, json};

use crate::failure::Failure;

/// For whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs: one JSON value, or one per line where there is no end.
    Json,
}

/// Says why a command failed.
pub(crate) fn print_failure(output: Output, failure: &Failure) {
    let text = match output {
        Output::Text => format!("thingward: {failure}"),
        Output::Json => {
            json!({"error": {"code": failure.word(), "message": failure.to_string()}}).to_string()
        }
    };
    // Nobody is left to tell when this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes a line to standard output. A closed pipe ends the program as if it had been done.
pub(crate) fn line(text: &str) {
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// A value as a program gets it, or as `text` shows it to people.
pub(crate) fn value(output: Output, value: &Json, text: impl FnOnce(&Json) -> String) {
    match output {
        Output::Json => line(&value.to_string()),
        Output::Text => line(text(value).trim_end()),
    }
}

/// A column of a table: its title and the field that it shows.
pub(crate) type Column = (&'static str, &'static str);

/// Items as a table with aligned columns.
pub(crate) fn table(items: &[Json], columns: &[Column]) -> String {
    let title = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let row = |item: &Json| columns.iter().map(|(_, field)| cell(item.get(field))).collect();
    let rows: Vec<Vec<String>> = std::iter::once(title).chain(items.iter().map(row)).collect();
    let width = |n: usize| rows.iter().filter_map(|r| r.get(n)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The fields of an object, one per line.
pub(crate) fn fields(object: &Json) -> String {
    let all = object.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null());
    all.map(|(name, v)| format!("{:<18} {}\n", name.replace('_', " "), cell(Some(v)))).collect()
}

fn cell(value: Option<&Json>) -> String {
    let text = match value {
        None | Some(Json::Null) => return "-".to_owned(),
        Some(Json::Object(fields)) if fields.is_empty() => return "-".to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Object(fields)) => {
            fields.iter().map(|(name, v)| format!("{name} {}", cell(Some(v)))).collect::<Vec<_>>().join(", ")
        }
        Some(Json::Array(items)) => items.iter().map(|i| cell(Some(i))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    };
    // What devices sent may hold anything; a terminal must not obey it.
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// How long work goes: a bar on a terminal, a line now and then elsewhere, nothing for programs.
pub(crate) struct Progress {
    bar: ProgressBar,
    plain: bool,
    told: u64,
}

impl Progress {
    /// `total` is what is to do, when that is known.
    pub(crate) fn new(output: Output, what: &'static str, total: Option<u64>) -> Self {
        let on_terminal = std::io::stderr().is_terminal() && output == Output::Text;
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = if total.is_some() {
            "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}"
        } else {
            "{spinner} {msg} {human_pos}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        if on_terminal {
            bar.enable_steady_tick(Duration::from_millis(100));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar, plain: !on_terminal && output == Output::Text, told: 0 }
    }

    /// So much is done, of so much.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        let tenth = done.saturating_mul(10) / total.max(1);
        if self.plain && tenth > self.told {
            self.told = tenth;
            let _ = writeln!(std::io::stderr(), "{}: {done} of {total}", self.bar.message());
        }
    }

    /// So much more is done.
    pub(crate) fn advance(&self, more: u64) {
        self.bar.inc(more);
    }

    /// The work is over.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_no_value_can_steer_a_terminal() {
        let items =
            [json!({"name": "meter-1", "state": "enrolled"}), json!({"name": "\u{1b}[31m", "state": null})];
        let text = table(&items, &[("NAME", "name"), ("STATE", "state")]);
        assert_eq!(text, "NAME     STATE\nmeter-1  enrolled\n\u{fffd}[31m    -\n");
    }
}
