//! Secrets are marked undefined, and memcheck looks for branches and addresses that depend on them: in what ships, hence
//! with optimisation only. What it may find is in `decisions.supp`.
#![cfg(all(target_arch = "x86_64", not(debug_assertions)))]

use std::process::Command;

/// What valgrind exits with when it found something.
const FOUND: i32 = 99;

/// What memcheck has to say about a subject, and how that ended.
fn watch(subject: &str) -> (Option<i32>, String) {
    let output = Command::new("valgrind")
        .args(["--quiet", &format!("--error-exitcode={FOUND}")])
        .arg(concat!("--suppressions=", env!("CARGO_MANIFEST_DIR"), "/decisions.supp"))
        .args([env!("CARGO_BIN_EXE_thingward-constant-time"), subject])
        .output()
        .expect("valgrind runs; scripts/install test installs it");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn assert_constant_time(subject: &str) {
    let (code, findings) = watch(subject);
    assert_eq!(code, Some(0), "{subject}:\n{findings}");
}

fn assert_found(subject: &str, finding: &str) {
    let (code, findings) = watch(subject);
    assert_eq!(code, Some(FOUND), "{subject}:\n{findings}");
    assert!(findings.contains(finding), "{subject}:\n{findings}");
}

#[test]
fn a_comparison_that_leaves_early_is_found() {
    assert_found("leaky-compare", "Conditional jump or move depends on uninitialised value");
}

#[test]
fn a_table_read_where_a_secret_says_is_found() {
    assert_found("leaky-lookup", "Use of uninitialised value");
}

#[test]
fn a_mac_is_made_in_constant_time() {
    assert_constant_time("mac-tag");
}

#[test]
fn a_mac_is_compared_in_constant_time() {
    assert_constant_time("mac-verify");
}

#[test]
fn ed25519_signs_in_constant_time() {
    assert_constant_time("ed25519-sign");
}

#[test]
fn p256_signs_in_constant_time() {
    assert_constant_time("p256-sign");
}

#[test]
fn the_ed25519_of_chips_signs_in_constant_time() {
    assert_constant_time("chip-ed25519-sign");
}

#[test]
fn the_x25519_of_chips_agrees_in_constant_time() {
    assert_constant_time("chip-x25519");
}

#[test]
fn the_ascon_of_chips_permutes_in_constant_time() {
    assert_constant_time("chip-ascon");
}

#[test]
fn each_cipher_seals_and_opens_in_constant_time() {
    assert_constant_time("aead");
}

#[test]
fn a_file_is_sealed_and_opened_in_constant_time() {
    assert_constant_time("sealed-file");
}

#[test]
fn a_symmetric_grant_is_made_and_decided_in_constant_time() {
    assert_constant_time("symmetric-grant");
}
