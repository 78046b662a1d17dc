//! A sample of Wycheproof's cases for the chips, where the vectors are at hand. They are not part of this repository: images
//! get them from a folder that is written here.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::Result;
use crate::chip::workspace;
use crate::expected::Expected;

/// As many as a chip has room for.
const AGREEMENTS: usize = 24;
const SIGNATURES: usize = 14;
/// Longest message of a case.
const MESSAGE_BYTES_MAX: usize = 64;

/// What images are built from.
pub(crate) fn folder() -> PathBuf {
    workspace().join("target/wycheproof")
}

/// Whether an image needs vectors that are absent.
pub(crate) fn is_missing(image: &str) -> bool {
    image.starts_with("wycheproof-") && !source("x25519_test.json").exists()
}

/// Writes the samples, when there are vectors.
pub(crate) fn prepare() -> Result<()> {
    fs::create_dir_all(folder())?;
    if is_missing("wycheproof-agree") {
        println!("SKIPPED: Wycheproof's vectors are absent");
        return Ok(());
    }
    fs::write(folder().join("agree"), agreements()?.into_iter().flat_map(|case| case.0).collect::<Vec<_>>())?;
    fs::write(
        folder().join("verify"),
        signatures()?.into_iter().flat_map(|case| case.0).collect::<Vec<_>>(),
    )?;
    Ok(())
}

/// What two keys agree on.
pub(crate) fn agreed(_: &str) -> Expected {
    let cases = agreements().unwrap_or_default().into_iter();
    cases.map(|(_, shared)| ("agreed".to_owned(), shared)).collect()
}

/// Which signatures are good.
pub(crate) fn verdicts(_: &str) -> Expected {
    let cases = signatures().unwrap_or_default().into_iter();
    cases.map(|(_, is_good)| ("verdict".to_owned(), format!("{:02x}", u8::from(is_good)))).collect()
}

/// Secret and public key, and what they agree on in hex.
fn agreements() -> Result<Vec<(Vec<u8>, String)>> {
    let mut cases = Vec::new();
    for (_, test) in tests("x25519_test.json")? {
        let input = [bytes(&test["private"])?, bytes(&test["public"])?].concat();
        cases.push((input, test["shared"].as_str().unwrap_or_default().to_owned()));
    }
    Ok(spread(cases, AGREEMENTS))
}

/// Key, signature, the message's length and the message; whether that is good.
fn signatures() -> Result<Vec<(Vec<u8>, bool)>> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (group, test) in tests("ed25519_test.json")? {
        let (signature, message) = (bytes(&test["sig"])?, bytes(&test["msg"])?);
        if signature.len() != 64 || message.len() > MESSAGE_BYTES_MAX {
            continue;
        }
        let len = u8::try_from(message.len())?;
        let case = [bytes(&group["publicKey"]["pk"])?, signature, vec![len], message].concat();
        let is_good = test["result"] == "valid";
        if is_good { &mut good } else { &mut bad }.push((case, is_good));
    }
    Ok([spread(good, SIGNATURES / 2), spread(bad, SIGNATURES / 2)].concat())
}

/// So many of them, from everywhere.
fn spread<T>(cases: Vec<T>, count: usize) -> Vec<T> {
    let step = (cases.len() / count).max(1);
    cases.into_iter().step_by(step).take(count).collect()
}

/// All cases of a file, each with its group.
fn tests(file: &str) -> Result<Vec<(Value, Value)>> {
    let file: Value = serde_json::from_slice(&fs::read(source(file))?)?;
    let mut all = Vec::new();
    for group in file["testGroups"].as_array().into_iter().flatten() {
        for test in group["tests"].as_array().into_iter().flatten() {
            all.push((group.clone(), test.clone()));
        }
    }
    Ok(all)
}

fn source(file: &str) -> PathBuf {
    workspace().join("../../shared/vectors/wycheproof").join(file)
}

fn bytes(hex: &Value) -> Result<Vec<u8>> {
    let hex = hex.as_str().ok_or("no text")?;
    (0..hex.len())
        .step_by(2)
        .map(|k| Ok(u8::from_str_radix(hex.get(k..k + 2).ok_or("odd hex")?, 16)?))
        .collect()
}
