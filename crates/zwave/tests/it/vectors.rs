//! The shared vectors, which may be absent.

use std::path::Path;

use serde_json::Value;
use thingward_zwave::Key;

/// The cases of a file; none, with a note, where there is no folder of vectors beside the repository.
pub(crate) fn cases(file: &str) -> Vec<Value> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut paths = above.map(|dir| dir.join("shared/vectors/zwave").join(file));
    let Some(path) = paths.find(|path| path.exists()) else {
        println!("SKIPPED: the shared vectors are absent");
        return Vec::new();
    };
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    json["cases"].as_array().cloned().unwrap()
}

/// Bytes from hexadecimal digits.
pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// A field of hexadecimal digits.
pub(crate) fn bytes(case: &Value, field: &str) -> Vec<u8> {
    unhex(case[field].as_str().unwrap())
}

/// The same, of a known length.
pub(crate) fn array<const N: usize>(case: &Value, field: &str) -> [u8; N] {
    bytes(case, field).try_into().unwrap()
}

pub(crate) fn key(case: &Value, field: &str) -> Key {
    Key::new(array(case, field))
}

/// A field of a small number.
pub(crate) fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(case: &Value, field: &str) -> T {
    case[field].as_u64().unwrap().try_into().unwrap()
}
