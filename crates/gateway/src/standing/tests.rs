use thingward_audit::account::Place;
use thingward_crypto::{SignatureAlgorithm, SoftwareKey};
use thingward_policy::{PolicyFile, World};

use super::*;
use crate::accounts::tests::{arrive, home, key, membership, open};

fn issuer() -> SoftwareKey {
    key(SignatureAlgorithm::Ed25519, 9)
}

fn standing(version: u64, issued: Timestamp) -> Standing {
    let text = "forbid (principal, action, resource);".to_owned();
    let files = vec![PolicyFile { name: "own.cedar".to_owned(), text }];
    let (tenant, gateway) = ("acme".parse().unwrap(), "hall".parse().unwrap());
    Standing { tenant, gateway, version, issued, files, world: World::default() }
}

fn version(rules: &Rules) -> Result<u64, &'static str> {
    rules.policies().map(|(_, version)| version)
}

#[test]
fn policies_are_gone_by_for_a_week() {
    let at = |seconds: i64| Timestamp::from_seconds(1_800_000_000 + seconds);
    let week = 7 * 86_400;
    for (now, good) in
        [(0, true), (week - 1, true), (week, false), (-299, true), (-301, false), (-week - 1, false)]
    {
        assert_eq!(is_good(at(0), at(now)), good, "{now}");
    }
}

#[test]
fn the_newest_policies_for_this_gateway_are_gone_by_and_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let accounts = open(&home).unwrap();
    let rules = Rules::open(&home, &membership(), accounts.clone());
    assert_eq!(version(&rules), Err("the gateway has heard of no policies yet"));
    let mut changes = rules.changes();
    let (before, today) = (now().plus_micros(-1_000_000), now());
    rules.take(&standing(2, today).sign(&issuer()).unwrap()).unwrap();
    assert_eq!(version(&rules), Ok(2));
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();

    let refused =
        |standing: &Standing, by: &SoftwareKey| rules.take(&standing.sign(by).unwrap()).unwrap_err();
    assert!(matches!(refused(&standing(1, before), &issuer()), StandingFault::Older));
    let forged = refused(&standing(3, today), &key(SignatureAlgorithm::Ed25519, 8));
    assert!(matches!(forged, StandingFault::Standing(StandingError::Signature(_))));
    let gateway = "attic".parse().unwrap();
    let of_another = refused(&Standing { gateway, ..standing(3, today) }, &issuer());
    assert!(matches!(of_another, StandingFault::Other));
    let later = today.plus_micros(3_600_000_000);
    assert!(matches!(refused(&standing(3, later), &issuer()), StandingFault::Early));
    assert!(matches!(rules.take(b"nothing"), Err(StandingFault::Standing(_))));
    assert_eq!(version(&rules), Ok(2));

    rules.take(&standing(2, today.plus_micros(1)).sign(&issuer()).unwrap()).unwrap();
    assert!(!changes.has_changed().unwrap(), "they say the same");
    let again = Rules::open(&home, &membership(), accounts.clone());
    assert_eq!(version(&again), Ok(2));
    let told = arrive(&accounts, &mut Place::FIRST.clone());
    let told: Vec<_> = told.iter().map(|entry| (entry.action.as_str(), entry.target.as_str())).collect();
    assert_eq!(told, [("gateway.policy", "policy/2")]);
}

#[test]
fn policies_of_long_ago_are_not_gone_by_and_neither_are_damaged_ones() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let accounts = open(&home).unwrap();
    let rules = Rules::open(&home, &membership(), accounts.clone());
    let long_ago = now().plus_micros(-8 * 86_400 * 1_000_000);
    rules.take(&standing(1, long_ago).sign(&issuer()).unwrap()).unwrap();
    assert_eq!(version(&rules), Err("the gateway has heard of no policies for a week"));
    rules.take(&standing(1, now()).sign(&issuer()).unwrap()).unwrap();
    assert_eq!(version(&rules), Ok(1));
    let mut kept = std::fs::read(home.policy_path()).unwrap();
    *kept.last_mut().unwrap() ^= 1;
    std::fs::write(home.policy_path(), kept).unwrap();
    let again = Rules::open(&home, &membership(), accounts);
    assert_eq!(version(&again), Err("the gateway has heard of no policies yet"));
}
