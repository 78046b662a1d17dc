//! The lines of `data/zwave_js.csv`.

use std::sync::LazyLock;

/// One line: something that a value of Z-Wave JS shows.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) class: u8,
    /// `None` is any.
    property: Option<&'static str>,
    pub(super) name: &'static str,
    /// The type of its schema.
    pub(super) kind: &'static str,
    /// Its unit, of SenML; empty without.
    pub(super) unit: &'static str,
    pub(super) reads: Reads,
    /// The property that is written.
    pub(super) target: &'static str,
    pub(super) actions: Vec<Action>,
}

/// How a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// As it is.
    Plain,
    /// 99 is all of it.
    Percent,
    /// Whether it is more than zero.
    Positive,
    /// Whether it is this text.
    Is(&'static str),
    /// The word for a number in this field.
    Word(&'static str),
    /// As it is, under the word for the number in this member of the metadata.
    Name { field: &'static str, by: &'static str },
    /// In the unit of what is measured, which this member of the metadata says.
    Quantity { by: &'static str },
}

/// Something to do.
#[derive(Debug)]
pub(super) struct Action {
    /// `None`: `set-` and the property's name.
    pub(super) name: Option<&'static str>,
    /// Whether each needs the user's own approval.
    pub(super) is_sensitive: bool,
    pub(super) sends: Sends,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sends {
    Flag(bool),
    Number(u8),
    /// What the argument `level` says.
    Percent,
    /// The number for a word.
    Word,
    /// A number in the unit.
    Value,
}

/// What a value shows.
pub(super) fn lines(class: u16, property: &str) -> impl Iterator<Item = &'static Line> {
    let is_it = move |line: &&Line| {
        u16::from(line.class) == class && line.property.is_none_or(|wanted| wanted == property)
    };
    LINES.iter().filter(is_it)
}

const TEXT: &str = include_str!("../../data/zwave_js.csv");

static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| TEXT.lines().skip(1).filter_map(line).collect());

fn line(text: &'static str) -> Option<Line> {
    let columns: Vec<&'static str> = text.split(',').collect();
    let [class, property, name, kind, unit, reads, target, actions] = *columns else { return None };
    Some(Line {
        class: u8::from_str_radix(class.strip_prefix("0x")?, 16).ok()?,
        property: Some(property).filter(|property| *property != "*"),
        name,
        kind,
        unit,
        reads: how(reads)?,
        target,
        actions: actions.split_whitespace().map(action).collect::<Option<_>>()?,
    })
}

fn how(text: &'static str) -> Option<Reads> {
    let (word, rest) = text.split_once(':').unwrap_or((text, ""));
    Some(match word {
        "" => Reads::Plain,
        "percent" => Reads::Percent,
        "positive" => Reads::Positive,
        "is" => Reads::Is(rest),
        "word" => Reads::Word(rest),
        "name" => rest.split_once(':').map(|(field, by)| Reads::Name { field, by })?,
        "quantity" => Reads::Quantity { by: rest },
        _ => return None,
    })
}

fn action(text: &'static str) -> Option<Action> {
    let (name, sends) = text.split_once('=')?;
    let plain = name.strip_suffix('!');
    let sends = match sends {
        "true" => Sends::Flag(true),
        "false" => Sends::Flag(false),
        "percent" => Sends::Percent,
        "word" => Sends::Word,
        "number" => Sends::Value,
        number => Sends::Number(number.parse().ok()?),
    };
    let name = Some(plain.unwrap_or(name)).filter(|name| *name != "set-*");
    Some(Action { name, is_sensitive: plain.is_some(), sends })
}

#[cfg(test)]
mod tests {
    use thingward_zwave::affordance::states;

    use super::*;

    #[test]
    fn every_line_of_the_table_can_be_read() {
        assert_eq!(LINES.len(), TEXT.lines().count() - 1);
    }

    #[test]
    fn every_field_of_words_has_words() {
        for line in LINES.iter() {
            if let Reads::Word(field) | Reads::Name { field, .. } = line.reads {
                let words = (0..=255).filter_map(|number| states(line.class, field, number)).count();
                assert!(words > 1, "{line:?}");
            }
        }
    }
}
