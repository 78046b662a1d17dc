//! The lines of `data/zigbee2mqtt.csv` and `data/zigbee2mqtt_units.csv`.

use std::sync::LazyLock;

/// One line: something that Zigbee2MQTT exposes.
#[derive(Debug)]
pub(super) struct Line {
    /// Of what it is a feature; empty where of nothing.
    of: &'static str,
    name: &'static str,
    /// Empty where it is not shown.
    pub(super) property: &'static str,
    /// Empty where the unit is the exposed one.
    pub(super) unit: &'static str,
    pub(super) reads: Reads,
    pub(super) actions: Vec<Action>,
}

/// How it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// As its type says.
    Plain,
    /// Of its highest value.
    Percent,
    /// Two coordinates of a color.
    Xy,
    /// It happens.
    Event,
}

/// Something to do.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) name: &'static str,
    /// Whether each needs the user's own approval.
    pub(super) is_sensitive: bool,
    pub(super) sends: Sends,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sends {
    /// What it names so.
    On,
    /// What it names so.
    Off,
    /// What is given, in a member of this name; without one it is all that is given.
    Given(&'static str),
    /// Both coordinates.
    Xy,
    /// This.
    Text(&'static str),
}

/// A unit as Zigbee2MQTT writes it.
#[derive(Debug)]
pub(super) struct Unit {
    name: &'static str,
    /// As SenML writes it.
    pub(super) senml: &'static str,
    /// By what values are multiplied.
    pub(super) factor: f64,
}

/// The line for something.
pub(super) fn line(of: &str, name: &str) -> Option<&'static Line> {
    LINES.iter().find(|line| line.of == of && line.name == name)
}

/// The line for a unit, if it is written differently.
pub(super) fn unit(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.name == name)
}

const TEXT: &str = include_str!("../../data/zigbee2mqtt.csv");
const UNITS_TEXT: &str = include_str!("../../data/zigbee2mqtt_units.csv");

static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| TEXT.lines().skip(1).filter_map(read).collect());
static UNITS: LazyLock<Vec<Unit>> =
    LazyLock::new(|| UNITS_TEXT.lines().skip(1).filter_map(read_unit).collect());

fn read(text: &'static str) -> Option<Line> {
    let columns: Vec<&'static str> = text.split(',').collect();
    let [of, name, property, unit, reads, actions] = *columns else { return None };
    let reads = match reads {
        "" => Reads::Plain,
        "percent" => Reads::Percent,
        "xy" => Reads::Xy,
        "event" => Reads::Event,
        _ => return None,
    };
    let actions = actions.split_whitespace().map(action).collect::<Option<_>>()?;
    Some(Line { of, name, property, unit, reads, actions })
}

fn action(text: &'static str) -> Option<Action> {
    let (name, sends) = text.split_once('=')?;
    let plain = name.strip_suffix('!');
    let sends = match sends {
        "on" => Sends::On,
        "off" => Sends::Off,
        "value" => Sends::Given(""),
        "{xy}" => Sends::Xy,
        text => match text.strip_prefix('{') {
            Some(member) => Sends::Given(member.strip_suffix('}')?),
            None => Sends::Text(text),
        },
    };
    Some(Action { name: plain.unwrap_or(name), is_sensitive: plain.is_some(), sends })
}

fn read_unit(text: &'static str) -> Option<Unit> {
    let columns: Vec<&'static str> = text.split(',').collect();
    let [name, senml, factor] = *columns else { return None };
    Some(Unit { name, senml, factor: factor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_tables_can_be_read() {
        assert_eq!(LINES.len(), TEXT.lines().count() - 1);
        assert_eq!(UNITS.len(), UNITS_TEXT.lines().count() - 1);
    }
}
