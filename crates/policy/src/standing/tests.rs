use thingward_crypto::{SignatureAlgorithm, SoftwareKey};
use thingward_model::Principal;

use super::*;
use crate::action::Action;
use crate::resource::Resource;
use crate::subject::Subject;
use crate::weak::WeakJoin;
use crate::world::User;

const OWN: &str = r#"
    permit (principal == Application::"home", action == Action::"commands:send", resource in Group::"lights")
      unless { resource.sensitive };
    @reason("the old lock has nothing better")
    permit (principal == Thing::"zwave-1/c0ffee01-7", action == Action::"things:join-weakly",
      resource == Gateway::"hall");
    @reason("was tried")
    permit (principal == Thing::"zwave-1/c0ffee01-8", action == Action::"things:join-weakly",
      resource == Gateway::"hall");
    forbid (principal == Thing::"zwave-1/c0ffee01-8", action == Action::"things:join-weakly", resource);
"#;

fn key(seed: u8) -> SoftwareKey {
    SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[seed; 32]).unwrap()
}

fn files(text: &str) -> Vec<PolicyFile> {
    vec![PolicyFile { name: "home.cedar".to_owned(), text: text.to_owned() }]
}

fn world() -> World {
    let mut bulb = Member::new(Role::Device);
    bulb.groups = ["lights".parse().unwrap()].into();
    let operation = |is_sensitive| Operation { roles: [UserRole::Operator].into(), is_sensitive };
    bulb.operations =
        [("turn-on".parse().unwrap(), operation(false)), ("reset".parse().unwrap(), operation(true))].into();
    bulb.categories = [("place".parse().unwrap(), Categories { location: true, personal: false })].into();
    let mut world = World::default();
    world.users.insert("anna".parse().unwrap(), User::default());
    for (name, member) in [
        ("bulb-1", bulb.clone()),
        ("hall", Member::new(Role::Gateway)),
        ("home", Member::new(Role::Application)),
        ("elsewhere", bulb),
    ] {
        world.members.insert(name.parse().unwrap(), member);
    }
    world.groups.insert("lights".parse().unwrap(), ["house".parse().unwrap()].into());
    world.groups.insert("others".parse().unwrap(), BTreeSet::new());
    world
}

fn standing(text: &str) -> Standing {
    Standing {
        tenant: "acme".parse().unwrap(),
        gateway: "hall".parse().unwrap(),
        version: 7,
        issued: Timestamp::from_micros(1_800_000_000_000_000),
        files: files(text),
        world: world().of_members(|name, _| name.as_str() != "elsewhere"),
    }
}

fn may(policies: &Policies, who: &str, thing: &str, action: &str) -> bool {
    let who =
        Principal { tenant: "acme".parse().unwrap(), role: Role::Application, name: who.parse().unwrap() };
    let on = Resource::Operation(thing.parse().unwrap(), action.parse().unwrap(), None);
    policies.decision(&Subject::Member(who), Action::SendCommands, &on).is_allowed()
}

#[test]
fn a_gateway_decides_as_its_service_does_by_what_was_signed_for_it() {
    let signed = standing(OWN).sign(&key(1)).unwrap();
    let read = Standing::verify(&signed, key(1).public_key()).unwrap();
    assert_eq!(read, standing(OWN));
    let policies = read.policies().unwrap();
    assert!(may(&policies, "home", "bulb-1", "turn-on"));
    assert!(!may(&policies, "home", "bulb-1", "reset"), "sensitive");
    assert!(!may(&policies, "other", "bulb-1", "turn-on"));
    assert!(!may(&policies, "home", "elsewhere", "turn-on"), "in no group that the gateway knows");
    assert!(!may(&policies, "home", "bulb-1", "unheard-of"), "what nobody described is sensitive");
}

#[test]
fn only_a_thing_that_a_policy_names_with_a_reason_joins_weakly_and_not_when_one_forbids_it() {
    let policies = standing(OWN).policies().unwrap();
    let joins =
        |gateway: &str, radio: &str| policies.weak_joins(&gateway.parse().unwrap(), &radio.parse().unwrap());
    let lock =
        WeakJoin { address: "c0ffee01-7".to_owned(), reason: "the old lock has nothing better".to_owned() };
    assert_eq!(joins("hall", "zwave-1"), [lock]);
    assert_eq!(joins("other", "zwave-1"), []);
    assert_eq!(joins("hall", "zwave-2"), []);
}

#[test]
fn a_policy_that_lets_things_join_weakly_says_which_and_why() {
    let join = |principal: &str, reason: &str| {
        let text = format!(
            r#"{reason} permit ({principal}, action == Action::"things:join-weakly", resource == Gateway::"hall");"#
        );
        Source::new(&files(&text)).map(|_| ()).map_err(|problems| problems.to_string())
    };
    let (thing, why) = (r#"principal == Thing::"zwave-1/c0ffee01-7""#, r#"@reason("an old lock")"#);
    assert_eq!(join(thing, why), Ok(()));
    assert!(join(thing, "").unwrap_err().contains("@reason"));
    assert!(join(thing, r#"@reason("  ")"#).unwrap_err().contains("@reason"));
    assert!(join(thing, &format!(r#"@reason("{}")"#, "a".repeat(257))).unwrap_err().contains("256 bytes"));
    for vague in ["principal", "principal is Thing", r#"principal == Thing::"c0ffee01-7""#] {
        assert!(join(vague, why).unwrap_err().contains("RADIO/ADDRESS"), "{vague}");
    }
    let everything = r#"permit (principal is User, action, resource);"#;
    assert!(Source::new(&files(everything)).is_ok(), "one about everything lets nothing in by that");
}

#[test]
fn policies_about_people_and_what_only_people_do_stay_at_the_service() {
    let text = r#"
        permit (principal == User::"anna", action == Action::"readings:read", resource);
        permit (principal in Role::"operator", action == Action::"commands:send", resource);
        permit (principal is User in Group::"night", action, resource);
        forbid (principal, action == Action::"users:manage", resource);
        forbid (principal, action, resource) when { resource in Group::"closed" };
        permit (principal in Role::"application", action in [Action::"commands:send", Action::"readings:read"], resource);
        permit (principal == Application::"home", action == Action::"commands:send", resource);
    "#;
    let source = Source::new(&files(text)).unwrap();
    let [file] = &source.without_people()[..] else { panic!("one file") };
    assert_eq!((file.name.as_str(), file.text.matches(';').count()), ("home.cedar", 3));
    for gone in ["anna", "operator", "night", "users:manage"] {
        assert!(!file.text.contains(gone), "{gone}");
    }
    let ids = |source: &Source| source.policies().map(|policy| policy.id().to_string()).collect::<Vec<_>>();
    let read = Source::new(std::slice::from_ref(file)).unwrap();
    assert_eq!(ids(&read), ["home.cedar#5", "home.cedar#6", "home.cedar#7"], "as the tenant knows them");
    let numbers = r#"@id("x") permit (principal is User, action, resource); permit (principal is Application, action, resource);
        @id("1") forbid (principal, action, resource);"#;
    let files = Source::new(&files(numbers)).unwrap().without_people();
    assert_eq!(ids(&Source::new(&files).unwrap()), ["home.cedar#2", "home.cedar#1"]);
}

#[test]
fn nobodys_name_is_in_what_a_gateway_gets_and_no_group_that_it_has_nothing_to_do_with() {
    let signed = standing(OWN).sign(&key(1)).unwrap();
    let text = String::from_utf8_lossy(&signed);
    for not_its_own in ["anna", "elsewhere", "others"] {
        assert!(!text.contains(not_its_own), "{not_its_own}");
    }
}

#[test]
fn policies_that_somebody_else_signed_or_changed_are_none() {
    let signed = standing(OWN).sign(&key(1)).unwrap();
    let verify = |bytes: &[u8], seed| Standing::verify(bytes, key(seed).public_key());
    assert!(verify(&signed, 1).is_ok());
    assert!(matches!(verify(&signed, 2), Err(StandingError::Signature(EntryError::Signature))));
    for at in (0..signed.len()).step_by(7) {
        let mut wrong = signed.clone();
        wrong[at] ^= 1;
        assert!(verify(&wrong, 1).is_err(), "byte {at}");
        assert!(verify(&signed[..at], 1).is_err(), "cut at {at}");
    }
    let of_other_kind = sign1::sign(b"thingward audit entry", b"{}", &key(1)).unwrap();
    assert!(matches!(verify(&of_other_kind, 1), Err(StandingError::Signature(EntryError::Signature))));
    let no_policies = sign1::sign(CONTEXT, b"{}", &key(1)).unwrap();
    assert!(matches!(verify(&no_policies, 1), Err(StandingError::Json(_))));
    assert!(matches!(verify(&vec![0; STANDING_BYTES_MAX + 1], 1), Err(StandingError::TooLarge)));
}

#[test]
fn policies_that_do_not_pass_the_checks_decide_nothing() {
    let standing = standing("permit (principal, action, resource) when { principal.unheard };");
    let read = Standing::verify(&standing.sign(&key(1)).unwrap(), key(1).public_key()).unwrap();
    assert!(matches!(read.policies(), Err(StandingError::Problems(_))));
}
