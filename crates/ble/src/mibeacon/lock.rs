//! Locks: who opened them, and how.

use crate::draft::Draft;
use crate::mibeacon::devices::Product;
use crate::report::{Name, Value};

const ADMINISTRATOR: u32 = 0;
const UNKNOWN: u32 = u32::MAX;
const INVALID: u32 = 0xdead_beef;

/// The finger that was laid on.
pub(super) fn fingerprint(value: &[u8], draft: &mut Draft) -> Option<()> {
    let [a, b, c, d, result] = *<&[u8; 5]>::try_from(value).ok()?;
    let action = match result {
        0 => "match_successful",
        1 => "match_failed",
        2 => "timeout",
        3 => "low_quality",
        4 => "area_too_small",
        5 => "skin_too_dry",
        6 => "skin_too_wet",
        _ => return None,
    };
    let key = match u32::from_le_bytes([a, b, c, d]) {
        ADMINISTRATOR => "administrator".to_owned(),
        UNKNOWN => "unknown operator".to_owned(),
        id => id.to_string(),
    };
    draft.flag("fingerprint", result == 0);
    draft.reading("key_id", "", Value::Text(key));
    draft.event(Name::new("fingerprint"), Some(action), None);
    Some(())
}

/// Armed, and since when.
pub(super) fn armed(value: &[u8], draft: &mut Draft) -> Option<()> {
    let (state, since) = value.split_first()?;
    let since = match since {
        [] => None,
        [a, b, c, d] => Some(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => return None,
    };
    draft.flag("armed", state & 1 == 0);
    if let Some(since) = since {
        draft.reading("timestamp", "", Value::Time(since.into()));
    }
    Some(())
}

/// The lock itself: method and action, the key, the time. Only one product tells its other bolts from the lock.
pub(super) fn lock(value: &[u8], product: Option<Product>, draft: &mut Draft) -> Option<()> {
    let [what, a, b, c, d, times @ ..] = *<&[u8; 9]>::try_from(value).ok()?;
    let (bolt, open, action) = action(what & 0x0f)?;
    let method = method(what >> 4)?;
    let key = u32::from_le_bytes([a, b, c, d]);
    let tells_bolts = product.is_some_and(|product| product.model == "ZNMS17LM");
    draft.flag(if tells_bolts { bolt } else { "lock" }, open);
    draft.event(Name::new("lock"), Some(action), None);
    draft.reading("lock_method", "", Value::Text(method.to_owned()));
    draft.reading("key_id", "", Value::Text(operator(key)));
    draft.reading("timestamp", "", Value::Time(u32::from_le_bytes(times).into()));
    if let Some(error) = fault(key) {
        draft.event(Name::new("error"), Some(error), None);
    }
    Some(())
}

/// The bolt, whether it is open now, and what happened.
fn action(code: u8) -> Option<(&'static str, bool, &'static str)> {
    Some(match code {
        0 => ("lock", true, "unlock_outside_the_door"),
        1 => ("lock", false, "locked"),
        2 => ("antilock", false, "turn_on_antilock"),
        3 => ("antilock", true, "release_the_antilock"),
        4 => ("lock", true, "unlock_inside_the_door"),
        5 => ("lock", false, "lock_inside_the_door"),
        6 => ("childlock", false, "turn_on_child_lock"),
        7 => ("childlock", true, "turn_off_child_lock"),
        8 => ("lock", false, "lock_outside_the_door"),
        15 => ("lock", true, "abnormal"),
        _ => return None,
    })
}

fn method(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "bluetooth",
        1 => "password",
        2 => "biometrics",
        3 => "keys",
        4 => "turntable",
        5 => "nfc",
        6 => "one_time_password",
        7 => "two_step_verification",
        8 => "coercion",
        9 => "homekit",
        10 => "manual",
        11 => "automatic",
        15 => "abnormal",
        _ => return None,
    })
}

/// Whose key it was. Those that are no phone's have their kind in the upper half.
fn operator(key: u32) -> String {
    let short = key & 0xffff;
    match key {
        ADMINISTRATOR => "administrator".to_owned(),
        UNKNOWN => "unknown operator".to_owned(),
        INVALID => "invalid operator".to_owned(),
        1..=0x7fff_ffff => format!("Bluetooth key {key}"),
        0x8000_0000..=0x8001_ffff => format!("Fingerprint key id {short}"),
        0x8002_0000..=0x8002_ffff => format!("Password key id {short}"),
        0x8003_0000..=0x8003_ffff => format!("Keys key id {short}"),
        0x8004_0000..=0x8004_ffff => format!("NFC key id {short}"),
        0x8005_0000..=0x8005_ffff => format!("Two-step verification key id {short}"),
        0x8006_0000..=0x8006_ffff => format!("Human face key id {short}"),
        0x8007_0000..=0x8007_ffff => format!("Finger veins key id {short}"),
        0x8008_0000..=0x8008_ffff => format!("Palm print key id {short}"),
        _ => format!("key id {short}"),
    }
}

/// What went wrong, where a lock says so in the key's place.
fn fault(key: u32) -> Option<&'static str> {
    Some(match key {
        0xc0de_0000 => "wrong_passwords",
        0xc0de_0001 => "wrong_fingerprints",
        0xc0de_0002 => "entry_timeout",
        0xc0de_0003 => "picked",
        0xc0de_0004 => "reset_pressed",
        0xc0de_0005 => "wrong_keys",
        0xc0de_0006 => "keyhole_blocked",
        0xc0de_0007 => "key_left_in",
        0xc0de_0008 => "wrong_nfc",
        0xc0de_0009 => "not_locked_in_time",
        0xc0de_000a => "wrong_in_several_ways",
        0xc0de_000b => "wrong_faces",
        0xc0de_000c => "wrong_veins",
        0xc0de_000d => "duress",
        0xc0de_000e => "opened_from_inside_while_armed",
        0xc0de_000f => "wrong_palms",
        0xc0de_0010 => "moved",
        0xc0de_1000 => "battery_below_10_percent",
        0xc0de_1001 => "battery_below_5_percent",
        0xc0de_1002 => "fingerprint_sensor_broken",
        0xc0de_1003 => "accessory_battery_low",
        0xc0de_1004 => "mechanics_broken",
        0xc0de_1005 => "lock_sensor_broken",
        _ => return None,
    })
}
