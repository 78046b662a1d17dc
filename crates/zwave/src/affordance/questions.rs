//! What is asked to learn which values there are: `questions.csv`.

use std::sync::LazyLock;

use super::as_int;
use super::tables::{byte, hex, table};
use crate::Command;
use crate::command_class::Value;

struct Question {
    class: u8,
    ask: Vec<u8>,
    /// The command and its field that lists numbers, and what is asked for each.
    then: Option<(u8, &'static str, Vec<Part>)>,
}

#[derive(Clone, Copy)]
enum Part {
    Byte(u8),
    /// The number, by so many bits to the left.
    Number(u32),
}

/// The file.
pub(super) const QUESTIONS: &str = include_str!("../../data/questions.csv");

static ROWS: LazyLock<Vec<Question>> = LazyLock::new(|| table(QUESTIONS, row));

/// What a node with this class is asked first.
pub fn questions(class: u8) -> impl Iterator<Item = Command> {
    ROWS.iter().filter(move |row| row.class == class).filter_map(|row| Command::parse(&row.ask).ok())
}

/// What follows from its answer: a question for each number in it.
#[must_use]
pub fn follow_ups(answer: &Command) -> Vec<Command> {
    let number = answer.to_bytes().get(1).copied();
    let then =
        ROWS.iter().filter(|row| u16::from(row.class) == answer.class()).find_map(|row| row.then.as_ref());
    let Some((_, field, parts)) = then.filter(|(command, ..)| Some(*command) == number) else {
        return Vec::new();
    };
    let values = answer.values();
    let Some((_, Value::List(listed))) = values.into_iter().find(|(name, _)| name == field) else {
        return Vec::new();
    };
    let numbers = listed.iter().filter_map(as_int).filter_map(|number| u8::try_from(number).ok());
    numbers.filter_map(|number| written(parts, number)).collect()
}

fn written(parts: &[Part], number: u8) -> Option<Command> {
    let bytes = parts.iter().map(|part| match *part {
        Part::Byte(byte) => Some(byte),
        Part::Number(bits) => number.checked_mul(1 << bits),
    });
    Command::parse(&bytes.collect::<Option<Vec<u8>>>()?).ok()
}

fn row(fields: &[&'static str]) -> Option<Question> {
    let [class, ask, answer, field, then] = *fields else { return None };
    let then = if then.is_empty() { None } else { Some((byte(answer)?, field, parts(then)?)) };
    Some(Question { class: byte(class)?, ask: hex(ask)?, then })
}

/// Bytes, `*` for the number and `*<3` for the number by three bits to the left.
fn parts(text: &str) -> Option<Vec<Part>> {
    let (before, after) = text.split_once('*')?;
    let mut all: Vec<Part> = hex(before)?.into_iter().map(Part::Byte).collect();
    match after.strip_prefix('<') {
        Some(bits) => all.push(Part::Number(bits.parse().ok().filter(|bits| *bits < 8)?)),
        None => {
            all.push(Part::Number(0));
            all.extend(hex(after)?.into_iter().map(Part::Byte));
        }
    }
    Some(all)
}

/// How many rows could be read.
#[cfg(test)]
pub(super) fn count() -> usize {
    ROWS.len()
}
