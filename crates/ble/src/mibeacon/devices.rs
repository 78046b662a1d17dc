//! The products whose objects mean something of their own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::table::lines;

pub(super) const FILE: &str = include_str!("../../data/mibeacon_devices.csv");

static PRODUCTS: LazyLock<BTreeMap<u16, Product>> = LazyLock::new(|| lines(FILE).filter_map(parse).collect());

/// One of the maker's products.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    pub(super) model: &'static str,
    /// Its light sensor says light or dark, not how much.
    pub(super) light_is_a_flag: bool,
    pub(super) style: Option<Style>,
    /// The names of its buttons by their codes, between `|`; several pressed at once have a `+` between. A device
    /// with a single button has none.
    pub(super) buttons: &'static str,
}

/// How a product tells what was done with its buttons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A code of the button and one of the press: single, double, long.
    Press,
    /// The same, with long before double.
    Switch,
    /// A knob that is turned and pressed.
    Dimmer,
    /// A cube that is turned.
    Cube,
    /// An object for each kind of press, with a code of the button.
    Click,
    /// One object, with a code of the kind of press.
    Coded,
}

/// A line of the file.
pub(super) fn parse(mut fields: impl Iterator<Item = &'static str>) -> Option<(u16, Product)> {
    let id = u16::from_str_radix(fields.next()?, 16).ok()?;
    let (model, light, style, buttons) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let style = match style {
        "" => None,
        "press" => Some(Style::Press),
        "switch" => Some(Style::Switch),
        "dimmer" => Some(Style::Dimmer),
        "cube" => Some(Style::Cube),
        "click" => Some(Style::Click),
        "coded" => Some(Style::Coded),
        _ => return None,
    };
    Some((id, Product { model, light_is_a_flag: light == "flag", style, buttons }))
}

pub(super) fn find(id: u16) -> Option<Product> {
    PRODUCTS.get(&id).copied()
}

impl Product {
    /// The buttons that a code stands for; `None` for an unknown code.
    pub(super) fn pressed(self, code: u8) -> Option<impl Iterator<Item = &'static str>> {
        let names = self.buttons.split('|').nth(code.into()).filter(|names| !names.is_empty())?;
        Some(names.split('+'))
    }
}
