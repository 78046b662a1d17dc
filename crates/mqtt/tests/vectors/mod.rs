//! The shared vectors, which may be absent.

use std::path::Path;

use serde_json::Value;

/// The cases of a file; `None`, with a note, where there is no folder of vectors beside the repository.
pub(crate) fn cases(file: &str) -> Option<Vec<Value>> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut paths = above.map(|dir| dir.join("shared/vectors/mqtt").join(file));
    let Some(path) = paths.find(|path| path.exists()) else {
        println!("skipped: the shared vectors are absent");
        return None;
    };
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    json["cases"].as_array().cloned()
}

/// Bytes from hexadecimal digits.
pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}
