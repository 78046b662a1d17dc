//! The lines of `data/things.csv`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::words::Enumeration;
use crate::library::{self, AttributeInfo, CommandInfo};
use crate::zcl::Direction;

/// One line: something that a node with this cluster has.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) cluster: u16,
    pub(super) subject: Subject,
    pub(super) name: &'static str,
    /// The unit, as SenML writes it (RFC 8428, section 12.1); empty without.
    pub(super) unit: &'static str,
    pub(super) conversion: Conversion,
    /// Whether each command needs its user's own approval.
    pub(super) sensitive: bool,
    pub(super) inputs: Vec<Input>,
}

/// What it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    Property(&'static AttributeInfo),
    /// An attribute that is set.
    Write(&'static AttributeInfo),
    Action(&'static CommandInfo),
    Event(&'static CommandInfo),
}

/// How a value becomes one in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Conversion {
    /// It is one.
    Plain,
    /// What one step of it is.
    Factor(f64),
    /// A word of this enumeration.
    Word(Enumeration),
    /// The lowest bit.
    LowestBit,
    /// 10,000 times the decimal logarithm, and one (4.2.2.2.1).
    Illuminance,
    /// Of 254, in whole per cent.
    Percent,
    /// By figures that the node itself says.
    Ratio(Ratio),
    /// Times the one, divided by the other.
    Fraction(f64, f64),
}

/// Attributes of the same cluster that say what one step of a value is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) multiplier: u16,
    pub(super) divisor: u16,
    /// What the unit is of the node's.
    pub(super) factor: f64,
    /// The one that says which unit the node's is: it has to be the first of its list, in binary or decimal (10.4.2.2.4.1).
    pub(super) unit: Option<u16>,
}

/// A field of a command.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) field: &'static str,
    /// What it is called; empty where nobody is asked for it.
    pub(super) name: &'static str,
    pub(super) minimum: f64,
    pub(super) maximum: f64,
    /// What one step of it is.
    pub(super) factor: f64,
    pub(super) unit: &'static str,
    /// What it is where nobody says it.
    pub(super) default: Option<f64>,
}

impl Line {
    /// Whether the client of the cluster sends it.
    pub(super) const fn is_from_client(&self) -> bool {
        match self.subject {
            Subject::Event(info) => matches!(info.direction, Direction::ToServer),
            Subject::Property(_) | Subject::Write(_) | Subject::Action(_) => false,
        }
    }
}

pub(super) fn lines() -> impl Iterator<Item = &'static Line> {
    LINES.iter()
}

/// The lines of a name: two clusters may have the same.
pub(super) fn named(name: &str) -> &'static [&'static Line] {
    NAMES.get(name).map_or(&[], Vec::as_slice)
}

/// How many lines there are, and how many of them could be read.
#[cfg(test)]
pub(super) fn counts() -> (usize, usize) {
    (TEXT.lines().skip(1).count(), LINES.len())
}

const TEXT: &str = include_str!("../../data/things.csv");

static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| TEXT.lines().skip(1).filter_map(line).collect());

static NAMES: LazyLock<BTreeMap<&str, Vec<&Line>>> = LazyLock::new(|| {
    let mut names: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines() {
        names.entry(line.name).or_default().push(line);
    }
    names
});

fn line(text: &'static str) -> Option<Line> {
    let mut columns = text.split(',');
    let cluster = number(columns.next()?)?;
    let kind = columns.next()?;
    let id = number(columns.next()?)?;
    let name = columns.next()?;
    let unit = columns.next()?;
    let conversion = match columns.next()? {
        "" => Conversion::Plain,
        "word" => Conversion::Word((cluster, id)),
        "bit0" => Conversion::LowestBit,
        "lux" => Conversion::Illuminance,
        "percent" => Conversion::Percent,
        ratio if ratio.starts_with("ratio|") => Conversion::Ratio(self::ratio(ratio)?),
        factor => Conversion::Factor(factor.parse().ok()?),
    };
    let sensitive = columns.next()? == "sensitive";
    let inputs = columns.next()?.split_whitespace().map(input).collect::<Option<_>>()?;
    let command = |direction| library::command(cluster, direction, u8::try_from(id).ok()?);
    let subject = match kind {
        "property" => Subject::Property(library::attribute(cluster, id)?),
        "write" => Subject::Write(library::attribute(cluster, id).filter(|info| info.writable)?),
        "action" => Subject::Action(command(Direction::ToServer)?),
        // Where both sides have a command of the number, news come from the server, but for a keypad's.
        "event" if cluster == KEYPAD => Subject::Event(command(Direction::ToServer)?),
        "event" => Subject::Event(command(Direction::ToClient)?),
        _ => return None,
    };
    Some(Line { cluster, subject, name, unit, conversion, sensitive, inputs })
}

fn ratio(text: &str) -> Option<Ratio> {
    let mut parts = text.split('|').skip(1);
    Some(Ratio {
        multiplier: number(parts.next()?)?,
        divisor: number(parts.next()?)?,
        factor: parts.next()?.parse().ok()?,
        unit: match parts.next()? {
            "" => None,
            unit => Some(number(unit)?),
        },
    })
}

/// IAS ACE: a keypad is its client.
const KEYPAD: u16 = 0x0501;

fn input(text: &'static str) -> Option<Input> {
    let mut parts = text.split('|');
    let (field, name) = (parts.next()?, parts.next()?);
    let mut figure = |otherwise: f64| match parts.next()? {
        "" => Some(otherwise),
        figure => figure.parse().ok(),
    };
    let (minimum, maximum, factor) = (figure(0.0)?, figure(0.0)?, figure(1.0)?);
    let unit = parts.next()?;
    let default = match parts.next()? {
        "" => None,
        default => Some(default.parse().ok()?),
    };
    Some(Input { field, name, minimum, maximum, factor, unit, default })
}

fn number(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_line_of_the_table_can_be_read() {
        let (written, read) = super::counts();
        assert_eq!(written, read);
    }

    #[test]
    fn lines_of_the_same_name_are_the_same_of_two_clusters() {
        for lines in super::NAMES.values().filter(|lines| lines.len() > 1) {
            let properties = lines.iter().filter(|line| matches!(line.subject, super::Subject::Property(_)));
            assert_eq!(properties.count(), lines.len());
            for pair in lines.windows(2) {
                assert!(pair[0].unit == pair[1].unit && pair[0].cluster != pair[1].cluster, "{pair:?}");
            }
        }
    }
}
