//! The tables, read once. What a line must be, a test holds it to.

use std::sync::LazyLock;

/// Which interaction affordance a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has a value at any time.
    Property,
    /// It happens.
    Event,
}

/// The type of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Yes or no.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A word.
    Word,
}

/// What a name or a value follows from, beside the field itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Nothing.
    Field,
    /// The value is a word of `states.csv`.
    Word,
    /// The name is a word of `states.csv`, by the number in this field.
    Name(&'static str),
    /// Name and unit are in `quantities.csv`, by what is measured and its scale.
    Quantity,
    /// The value is a word of `events.csv`, by its kind.
    Event,
    /// Whether the number is more than nothing.
    Positive,
}

/// A field of a command and what it is called: `affordances.csv`.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Command class.
    pub class: u8,
    /// Command.
    pub command: u8,
    /// Field; empty where the command says it all.
    pub field: &'static str,
    /// Property or event.
    pub kind: Kind,
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub value_type: ValueType,
    /// Its unit, of SenML; empty where there is none, or where it follows from the quantity.
    pub unit: &'static str,
    /// The number that is 100 per cent, where the number that is sent is not the value.
    pub full: Option<i64>,
    /// What name or value follow from.
    pub by: By,
    /// Whether it is there only where a thing has shown it: its class has it, or has it under this name, for some things only.
    pub when_seen: bool,
    /// A command in hexadecimal digits.
    pub example: &'static str,
    /// What the example shows.
    pub shows: &'static str,
}

/// Something that is measured or set, in one of its units: `quantities.csv`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    class: u8,
    kind: i64,
    scale: i64,
    /// Its name.
    pub name: &'static str,
    /// Its unit, of SenML.
    pub unit: &'static str,
    /// What was sent is multiplied by this.
    pub factor: f64,
    /// And this is added.
    pub offset: f64,
}

struct State {
    class: u8,
    field: &'static str,
    number: i64,
    name: &'static str,
}

/// The files.
pub(super) const AFFORDANCES: &str = include_str!("../../data/affordances.csv");
pub(super) const QUANTITIES: &str = include_str!("../../data/quantities.csv");
pub(super) const STATES: &str = include_str!("../../data/states.csv");
pub(super) const EVENTS: &str = include_str!("../../data/events.csv");

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| table(AFFORDANCES, row));
static QUANTITY_ROWS: LazyLock<Vec<Quantity>> = LazyLock::new(|| table(QUANTITIES, quantity));
static STATE_ROWS: LazyLock<Vec<State>> = LazyLock::new(|| table(STATES, state));
static EVENT_ROWS: LazyLock<Vec<(i64, i64, &'static str)>> = LazyLock::new(|| table(EVENTS, event));

/// What is shown of a command class.
pub fn rows(class: u8) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.class == class)
}

/// What is measured, by the numbers of a class.
#[must_use]
pub fn quantities(class: u8, kind: i64, scale: i64) -> Option<&'static Quantity> {
    QUANTITY_ROWS.iter().find(|row| (row.class, row.kind, row.scale) == (class, kind, scale))
}

/// The words for numbers in a field.
pub(super) fn words(class: u8, field: &str) -> impl Iterator<Item = &'static str> {
    STATE_ROWS.iter().filter(move |row| (row.class, row.field) == (class, field)).map(|row| row.name)
}

/// The number for a word in a field.
pub(super) fn state_number(class: u8, field: &str, name: &str) -> Option<u8> {
    let row = STATE_ROWS.iter().find(|row| (row.class, row.field, row.name) == (class, field, name))?;
    row.number.try_into().ok()
}

/// The word for a number in a field.
#[must_use]
pub fn states(class: u8, field: &str, number: i64) -> Option<&'static str> {
    let row = STATE_ROWS.iter().find(|row| (row.class, row.field, row.number) == (class, field, number));
    row.map(|row| row.name)
}

/// The word for an event of a kind.
#[must_use]
pub fn events(kind: i64, event: i64) -> Option<&'static str> {
    EVENT_ROWS.iter().find(|(of, number, _)| (*of, *number) == (kind, event)).map(|(_, _, name)| *name)
}

/// The lines after the first, which names the columns.
pub(super) fn table<T>(text: &'static str, line: fn(&[&'static str]) -> Option<T>) -> Vec<T> {
    text.lines().skip(1).filter_map(|text| line(&text.split(',').collect::<Vec<_>>())).collect()
}

fn row(fields: &[&'static str]) -> Option<Row> {
    let [class, command, field, kind, name, value_type, unit, full, by, there, example, shows] = *fields
    else {
        return None;
    };
    let kind = match kind {
        "property" => Kind::Property,
        "event" => Kind::Event,
        _ => return None,
    };
    let value_type = match value_type {
        "boolean" => ValueType::Boolean,
        "integer" => ValueType::Integer,
        "number" => ValueType::Number,
        "word" => ValueType::Word,
        _ => return None,
    };
    let by = match by {
        "" => By::Field,
        "word" => By::Word,
        "quantity" => By::Quantity,
        "event" => By::Event,
        "positive" => By::Positive,
        other => By::Name(other.strip_prefix("name:")?),
    };
    let full = if full.is_empty() { None } else { Some(full.parse().ok()?) };
    let when_seen = match there {
        "" => false,
        "seen" => true,
        _ => return None,
    };
    let (class, command) = (byte(class)?, byte(command)?);
    Some(Row { class, command, field, kind, name, value_type, unit, full, by, when_seen, example, shows })
}

fn quantity(fields: &[&'static str]) -> Option<Quantity> {
    let [class, kind, scale, name, unit, factor, offset] = *fields else { return None };
    let (class, kind, scale) = (byte(class)?, byte(kind)?.into(), scale.parse().ok()?);
    Some(Quantity { class, kind, scale, name, unit, factor: ratio(factor)?, offset: ratio(offset)? })
}

fn state(fields: &[&'static str]) -> Option<State> {
    let [class, field, number, name] = *fields else { return None };
    Some(State { class: byte(class)?, field, number: byte(number)?.into(), name })
}

fn event(fields: &[&'static str]) -> Option<(i64, i64, &'static str)> {
    let [kind, event, name] = *fields else { return None };
    Some((byte(kind)?.into(), byte(event)?.into(), name))
}

pub(super) fn byte(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Hexadecimal digits, two for a byte.
pub(super) fn hex(digits: &str) -> Option<Vec<u8>> {
    let pairs =
        digits.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect()
}

/// A number, or a fraction of two.
fn ratio(text: &str) -> Option<f64> {
    match text.split_once('/') {
        Some((above, below)) => Some(above.parse::<f64>().ok()? / below.parse::<f64>().ok()?),
        None => text.parse().ok(),
    }
}
