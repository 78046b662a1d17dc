//! What was done with buttons, knobs and cubes: each product has its own way to say it.

use crate::draft::Draft;
use crate::mibeacon::devices::{Product, Style};
use crate::report::{Detail, Name};

const BUTTON: &str = "button";

/// An object for one kind of press.
pub(super) fn click(
    action: &'static str,
    value: &[u8],
    product: Option<Product>,
    draft: &mut Draft,
) -> Option<()> {
    let product = product?;
    match (product.style?, value) {
        (Style::Click, _) if product.buttons.is_empty() => draft.event(Name::new(BUTTON), Some(action), None),
        (Style::Click, [code]) => parts(product, *code, action, draft)?,
        (Style::Coded, [code]) => {
            let action = match code {
                1 => "press",
                8 => "long_press",
                15 => "double_press",
                _ => return None,
            };
            draft.event(Name::new(BUTTON), Some(action), None);
        }
        _ => return None,
    }
    Some(())
}

/// The object for all buttons: a code of the button, a number, a code of the press.
pub(super) fn read(value: &[u8], product: Product, draft: &mut Draft) -> Option<()> {
    let [button, number, press] = *<&[u8; 3]>::try_from(value).ok()?;
    match product.style? {
        Style::Press => named(product, button, pressed(press, button)?, draft),
        Style::Switch => named(product, button, switched(press)?, draft),
        Style::Dimmer => {
            let (action, detail) = dimmed(button, number, press)?;
            draft.event(Name::new("dimmer"), Some(action), detail);
            Some(())
        }
        Style::Cube => {
            let action = match button {
                0 => "rotate_right",
                1 => "rotate_left",
                _ => return None,
            };
            draft.event(Name::new("cube"), Some(action), None);
            Some(())
        }
        Style::Click | Style::Coded => None,
    }
}

fn named(product: Product, button: u8, action: &'static str, draft: &mut Draft) -> Option<()> {
    if product.buttons.is_empty() {
        draft.event(Name::new(BUTTON), Some(action), None);
        return Some(());
    }
    parts(product, button, action, draft)
}

fn parts(product: Product, code: u8, action: &'static str, draft: &mut Draft) -> Option<()> {
    for part in product.pressed(code)? {
        match part {
            "on" => draft.flag("power", true),
            "off" => draft.flag("power", false),
            _ => {}
        }
        draft.event(Name::part(BUTTON, part), Some(action), None);
    }
    Some(())
}

fn pressed(press: u8, button: u8) -> Option<&'static str> {
    match (press, button) {
        (0 | 5, _) | (3, 0) => Some("press"),
        (1, _) => Some("double_press"),
        (2 | 6, _) | (3, 1) => Some("long_press"),
        _ => None,
    }
}

fn switched(press: u8) -> Option<&'static str> {
    match press {
        0 => Some("press"),
        1 => Some("long_press"),
        2 => Some("double_press"),
        _ => None,
    }
}

/// A knob says in the button's place how it was pressed, or how far it was turned while it was.
fn dimmed(button: u8, number: u8, press: u8) -> Option<(&'static str, Option<Detail>)> {
    let steps = |raw: u8| Some(Detail::Steps(if raw < 128 { raw } else { raw.wrapping_neg() }));
    match (press, button) {
        (3, 0) => Some(("press", Some(Detail::Presses(number)))),
        (3, 1) => Some(("long_press", Some(Detail::Seconds(number)))),
        (4, 0) => Some((if number < 128 { "rotate_right" } else { "rotate_left" }, steps(number))),
        (4, turned) => {
            let action = if turned < 128 { "rotate_right_pressed" } else { "rotate_left_pressed" };
            Some((action, steps(turned)))
        }
        _ => None,
    }
}
