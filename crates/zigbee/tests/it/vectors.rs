//! The shared vectors, which may be absent.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of the vectors; `None`, with a note, where there is no folder of vectors beside the repository.
pub(crate) fn path(file: &str) -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let path = above.map(|dir| dir.join("shared/vectors/zigbee").join(file)).find(|path| path.exists());
    if path.is_none() {
        println!("skipped: the shared vectors are absent");
    }
    path
}

/// A whole file of JSON.
pub(crate) fn json(file: &str) -> Option<Value> {
    Some(serde_json::from_str(&std::fs::read_to_string(path(file)?).unwrap()).unwrap())
}

/// The cases of a file; none where the vectors are absent.
pub(crate) fn cases(file: &str) -> Vec<Value> {
    json(file).map(|json| json["cases"].as_array().unwrap().clone()).unwrap_or_default()
}

/// Bytes from hexadecimal digits.
pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    base16ct::mixed::decode_vec(hex).unwrap()
}

/// Hexadecimal digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}
