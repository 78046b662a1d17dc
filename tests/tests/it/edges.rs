//! Which crate may depend on which: a new edge is a line here, for somebody to look at.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every crate with the crates of ours that it is built on, from the words at the bottom to the program.
const ALLOWED: [(&str, &[&str]); 27] = [
    ("model", &[]),
    ("crypto", &[]),
    ("seal", &["model", "crypto"]),
    ("grant", &["model", "crypto"]),
    ("audit", &["crypto", "seal", "grant"]),
    ("policy", &["model", "crypto", "audit"]),
    ("mqtt", &["model"]),
    ("zwave", &[]),
    ("ble", &[]),
    ("coap", &["model", "crypto"]),
    ("pki", &["model", "crypto"]),
    ("zigbee", &["model"]),
    ("radio", &["model", "zwave", "zigbee", "ble", "mqtt"]),
    ("tpm", &["crypto"]),
    ("pkcs11", &["crypto"]),
    ("attest", &["model", "crypto"]),
    ("device", &["model", "crypto", "seal", "grant", "attest"]),
    ("witness", &["model", "crypto", "audit", "pki"]),
    ("oidc", &["model", "crypto", "policy"]),
    ("payment", &["model", "crypto"]),
    ("store", &["model", "crypto", "grant", "audit", "policy", "pkcs11"]),
    ("cluster", &["crypto", "store"]),
    ("ingress", &["model", "crypto", "mqtt", "coap", "pki"]),
    (
        "agent",
        &["model", "crypto", "seal", "grant", "device", "mqtt", "coap", "pki", "tpm", "pkcs11", "attest"],
    ),
    (
        "gateway",
        &[
            "model", "crypto", "seal", "grant", "audit", "policy", "device", "mqtt", "coap", "pki",
            "ingress", "agent", "radio",
        ],
    ),
    (
        "service",
        &[
            "model", "crypto", "seal", "grant", "audit", "policy", "mqtt", "coap", "pki", "witness", "oidc",
            "payment", "store", "cluster", "ingress", "tpm", "pkcs11", "attest",
        ],
    ),
    (
        "thingward",
        &[
            "model", "crypto", "seal", "grant", "audit", "policy", "mqtt", "pki", "witness", "oidc",
            "payment", "store", "ingress", "agent", "gateway", "service", "zigbee", "zwave", "radio",
        ],
    ),
];

/// The crates of ours that are measured.
const MEASURED: [&str; 11] =
    ["model", "crypto", "seal", "zigbee", "zwave", "mqtt", "store", "ingress", "service", "audit", "policy"];

/// The crates of ours under `[dependencies]` of a manifest.
fn edges(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.strip_prefix("thingward-"));
    names.map(|rest| rest.split(['.', ' ', '=']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn crates_depend_downwards_only() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let known: BTreeSet<String> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let there = fs::read_dir(&crates).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        there.collect::<BTreeSet<_>>(),
        known,
        "a crate without its line, or a line without its crate"
    );
    let mut below: BTreeSet<&str> = BTreeSet::new();
    for (name, allowed) in ALLOWED {
        assert!(allowed.iter().all(|a| below.contains(a)), "{name} is allowed an edge that goes up");
        let manifest = fs::read_to_string(crates.join(name).join("Cargo.toml")).unwrap();
        let allowed: BTreeSet<String> = allowed.iter().map(|a| (*a).to_owned()).collect();
        assert_eq!(edges(&manifest), allowed, "{name}");
        below.insert(name);
    }
}

/// The crates of ours that towns are made of.
const IN_TOWNS: [&str; 11] =
    ["agent", "audit", "crypto", "gateway", "ingress", "model", "mqtt", "policy", "seal", "service", "store"];

#[test]
fn towns_depend_on_what_they_are_made_of_and_nothing_depends_on_them() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = |folder: &str| fs::read_to_string(workspace.join(folder).join("Cargo.toml")).unwrap();
    assert_eq!(edges(&manifest("tests/town")), IN_TOWNS.iter().map(|name| (*name).to_owned()).collect());
    assert!(!edges(&manifest("tests")).contains("town") && !edges(&manifest("benches")).contains("town"));
}

#[test]
fn benchmarks_depend_on_what_they_measure_and_nothing_depends_on_them() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = |folder: &str| fs::read_to_string(workspace.join(folder).join("Cargo.toml")).unwrap();
    assert_eq!(edges(&manifest("benches")), MEASURED.iter().map(|name| (*name).to_owned()).collect());
    assert!(!edges(&manifest("tests")).contains("benches"));
}
