use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_model::{DeviceName, Principal, Role, TenantName, Timestamp};
use thingward_policy::{Action, PolicyFile, UserRole};

use super::*;
use crate::error::StoreError;
use crate::keys::tests::{NOW, tenant};
use bench::Bench;

#[macro_use]
mod bench;
mod at_once;
mod grants;
mod members;
mod people;
mod postgres;
mod purchases;
mod sqlite;

on_both!(
    everything_is_there_after_a_restart,
    a_name_is_one_principals_and_a_tenant_sees_its_own_only,
    lists_come_in_pages_without_gap_or_double,
    hardware_goes_to_a_new_tenant_only_after_its_release,
    a_revocation_takes_every_certificate_key_and_claim_code_of_the_member,
    a_new_claim_code_ends_the_older_ones_of_the_name,
    crl_numbers_only_rise,
    a_claim_code_works_once_before_it_expires,
    a_token_works_until_it_expires_or_is_revoked,
    revoking_a_token_revokes_all_that_were_made_with_it,
    makers_and_what_is_expected_of_them_belong_to_one_tenant,
    of_two_who_add_metadata_one_is_told_that_it_is_there,
    tenants_come_in_pages,
    policies_come_in_versions_and_who_is_slower_is_told,
    who_is_removed_leaves_no_name_no_membership_and_no_token_that_works,
    only_who_is_there_can_be_put_into_a_group,
);

fn device(name: &str) -> DeviceName {
    name.parse().unwrap()
}

fn principal(of: &str, role: Role, name: &str) -> Principal {
    Principal { tenant: tenant(of), role, name: device(name) }
}

fn meter(of: &str, name: &str, serial: Option<&str>) -> NewPrincipal {
    let hardware = serial.map(|serial| hardware(of, serial));
    let principal = principal(of, Role::Device, name);
    NewPrincipal { principal, state: PrincipalState::Claimed, hardware, keeper: None }
}

/// Of one maker, which each tenant calls by another name.
fn hardware(of: &str, serial: &str) -> Hardware {
    Hardware { maker: format!("maker-of-{of}"), maker_key: [1; 32], serial: serial.into() }
}

fn later(seconds: i64) -> Timestamp {
    NOW.plus_micros(seconds * 1_000_000)
}

async fn everything_is_there_after_a_restart(Bench { home, registry }: Bench) {
    registry.add_principal(&meter("acme", "meter-1", Some("sn1")), NOW).await.unwrap();
    registry.set_customer_public_key(&tenant("acme"), Some(b"public")).await.unwrap();
    registry.close().await;
    let registry = home.open(2).await;
    let acme = registry.tenant(&tenant("acme")).await.unwrap();
    assert_eq!(acme.customer_public_key.as_deref(), Some(b"public".as_slice()));
    assert_eq!((acme.created, acme.withdrawn), (NOW, None));
    let entry = registry.principal(&tenant("acme"), &device("meter-1")).await.unwrap();
    assert_eq!(entry.principal, principal("acme", Role::Device, "meter-1"));
    assert_eq!(entry.hardware, Some(hardware("acme", "sn1")));
}

async fn a_name_is_one_principals_and_a_tenant_sees_its_own_only(Bench { home: _home, registry }: Bench) {
    registry.add_principal(&meter("acme", "meter-1", None), NOW).await.unwrap();
    let again = registry.add_principal(&meter("acme", "meter-1", None), NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    registry.add_principal(&meter("other", "meter-1", None), NOW).await.unwrap();
    let nobody = registry.add_principal(&meter("nobody", "meter-1", None), NOW).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })), "{nobody:?}");
    assert_eq!(registry.principals(&tenant("acme"), None, None, 10).await.unwrap().len(), 1);
    let missing = registry.principal(&tenant("acme"), &device("meter-2")).await;
    assert!(matches!(missing, Err(StoreError::NotFound { what: "principal" })));
}

async fn lists_come_in_pages_without_gap_or_double(Bench { home: _home, registry }: Bench) {
    for i in 0..25 {
        registry.add_principal(&meter("acme", &format!("m{i:02}"), None), NOW).await.unwrap();
    }
    let gateway =
        NewPrincipal { principal: principal("acme", Role::Gateway, "m99"), ..meter("acme", "m99", None) };
    registry.add_principal(&gateway, NOW).await.unwrap();
    let (mut names, mut last) = (vec![], None);
    loop {
        let page = registry.principals(&tenant("acme"), Some(Role::Device), last.as_ref(), 7).await.unwrap();
        let Some(end) = page.last() else { break };
        last = Some(end.principal.name);
        names.extend(page.iter().map(|p| p.principal.name.to_string()));
    }
    assert_eq!(names, (0..25).map(|i| format!("m{i:02}")).collect::<Vec<_>>());
}

async fn hardware_goes_to_a_new_tenant_only_after_its_release(Bench { home: _home, registry }: Bench) {
    let hardware = hardware("acme", "sn1");
    registry.add_principal(&meter("acme", "meter-1", Some("sn1")), NOW).await.unwrap();
    let taken = registry.add_principal(&meter("other", "pump", Some("sn1")), NOW).await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");

    let (acme, name) = (tenant("acme"), device("meter-1"));
    let goes = RevocationReason::AffiliationChanged;
    registry.revoke_member(&acme, &name, NOW, goes, true).await.unwrap();
    assert!(registry.principal_of_hardware(&hardware).await.is_err());
    registry.add_principal(&meter("other", "pump", Some("sn1")), NOW).await.unwrap();
    let now = registry.principal_of_hardware(&hardware).await.unwrap();
    assert_eq!(now.principal, principal("other", Role::Device, "pump"));
    // And back: the old name is free for the same thing.
    let back = registry.add_principal(&meter("acme", "meter-1", Some("sn1")), NOW).await;
    assert!(matches!(back, Err(StoreError::Conflict { .. })));
    let (other, pump) = (tenant("other"), device("pump"));
    registry.revoke_member(&other, &pump, NOW, goes, true).await.unwrap();
    registry.add_principal(&meter("acme", "meter-1", Some("sn1")), NOW).await.unwrap();
    assert_eq!(registry.principal(&acme, &name).await.unwrap().state, PrincipalState::Claimed);
}

/// A certificate of `meter-1` of `acme` for a key, and how long it is valid.
async fn certify(registry: &Registry, serial: &[u8], spki: &[u8], seconds: std::ops::Range<i64>) {
    let serial = Serial::new(serial).unwrap();
    let (not_before, not_after) = (later(seconds.start), later(seconds.end));
    let holder = principal("acme", Role::Device, "meter-1");
    let key =
        PrincipalKey { id: [spki[0]; 8], spki: spki.to_vec(), serial, not_before, not_after, revoked: None };
    registry.enrol(&holder, Joining::Member, &key, None, NOW).await.unwrap();
    let again = registry.enrol(&holder, Joining::Member, &key, None, NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
}

/// Enrols who was nobody with a claim code.
async fn enrol_with(registry: &Registry, code: &str, name: &str, at: Timestamp) -> Result<(), StoreError> {
    let new = NewPrincipal { state: PrincipalState::Enrolled, ..meter("acme", name, None) };
    let serial = Serial::new(name.as_bytes()).unwrap();
    let key = PrincipalKey {
        id: [1; 8],
        spki: vec![1],
        serial,
        not_before: NOW,
        not_after: later(100),
        revoked: None,
    };
    registry.enrol(&new.principal, Joining::New(&new), &key, Some(code), at).await
}

async fn a_revocation_takes_every_certificate_key_and_claim_code_of_the_member(
    Bench { home: _home, registry }: Bench,
) {
    let (acme, name) = (tenant("acme"), device("meter-1"));
    registry.add_principal(&meter("acme", "meter-1", None), NOW).await.unwrap();
    certify(&registry, b"over", b"kept", 0..10).await;
    certify(&registry, b"a", b"kept", 5..100).await;
    certify(&registry, b"b", b"new", 6..200).await;
    let claim = Claim { principal: principal("acme", Role::Device, "meter-1") };
    registry.add_claim_code("code", &claim, later(60)).await.unwrap();
    assert_eq!(registry.certificates_ending_after(&acme, &name, later(50)).await.unwrap(), 2);

    let revoke =
        async |time, reason| registry.revoke_member(&acme, &name, time, reason, false).await.unwrap();
    let mut taken = revoke(later(11), RevocationReason::KeyCompromise).await;
    taken.sort();
    assert_eq!(taken, [Serial::new(b"a").unwrap(), Serial::new(b"b").unwrap()]);
    assert_eq!(revoke(later(12), RevocationReason::Superseded).await, []);

    let keys = registry.keys(&acme, &name).await.unwrap();
    assert_eq!(keys.iter().map(|k| k.spki.as_slice()).collect::<Vec<_>>(), [&b"new"[..], b"kept", b"kept"]);
    let when = Some((later(11), RevocationReason::KeyCompromise));
    assert!(keys.iter().all(|key| key.revoked == when), "{keys:?}");
    assert!(registry.claim("code", NOW).await.is_err());
    let listed = async |after: i64, last: Option<&Serial>| {
        let page = registry.revocations(later(after), last, 10).await.unwrap();
        page.into_iter().map(|r| r.serial).collect::<Vec<_>>()
    };
    assert_eq!(listed(11, None).await, taken);
    assert_eq!(listed(11, Some(&taken[0])).await, taken[1..]);
    assert_eq!(listed(100, None).await, taken[1..]);
    let unknown = registry.revoke_member(&acme, &device("x"), NOW, RevocationReason::Superseded, true).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "principal" })));
}

async fn a_new_claim_code_ends_the_older_ones_of_the_name(Bench { home: _home, registry }: Bench) {
    let claim = |name| Claim { principal: principal("acme", Role::Device, name) };
    for (code, name) in [("first", "d"), ("other", "e"), ("second", "d")] {
        registry.add_claim_code(code, &claim(name), later(60)).await.unwrap();
    }
    assert!(registry.claim("first", NOW).await.is_err());
    for (code, name) in [("second", "d"), ("other", "e")] {
        let shown = registry.claim(code, NOW).await.unwrap();
        assert_eq!(shown, ShownClaim { claim: claim(name), is_used: false });
    }
}

async fn crl_numbers_only_rise(Bench { home, registry }: Bench) {
    assert_eq!(registry.next_crl_number().await.unwrap(), 1);
    let again = home.open(2).await;
    assert_eq!(again.next_crl_number().await.unwrap(), 2);
    assert_eq!(again.next_crl_number().await.unwrap(), 3);
}

async fn a_claim_code_works_once_before_it_expires(Bench { home: _home, registry }: Bench) {
    let claim = Claim { principal: principal("acme", Role::Device, "d") };
    registry.add_claim_code("code", &claim, later(60)).await.unwrap();
    for (code, at) in [("other", NOW), ("code", later(60))] {
        let refused = enrol_with(&registry, code, "late", at).await;
        assert!(matches!(refused, Err(StoreError::NotFound { what: "claim code" })), "{refused:?}");
        let nobody = registry.principal(&tenant("acme"), &device("late")).await;
        assert!(matches!(nobody, Err(StoreError::NotFound { .. })), "nothing is left of it: {nobody:?}");
    }
    let tries: Vec<_> = (0..8)
        .map(|n| {
            let registry = registry.clone();
            tokio::spawn(async move { enrol_with(&registry, "code", &format!("d{n}"), NOW).await })
        })
        .collect();
    let mut won = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(()) => won += 1,
            Err(e) => assert!(matches!(e, StoreError::NotFound { what: "claim code" }), "{e:?}"),
        }
    }
    assert_eq!(won, 1);
    assert!(registry.claim("code", NOW).await.unwrap().is_used);
    assert_eq!(registry.principals(&tenant("acme"), None, None, 10).await.unwrap().len(), 1);
}

fn token(tenant: Option<TenantName>, scopes: Vec<Action>, n: u8) -> NewToken {
    let id = TokenId::new([n; 8]).unwrap();
    NewToken { id, tenant, scopes, expires: later(60), parent: None, user: None, key: None }
}

#[tokio::test]
async fn secrets_are_in_the_file_as_hashes_only() {
    let Bench { home, registry } = Bench::in_file().await;
    let claim = Claim { principal: principal("acme", Role::Device, "d") };
    registry.add_claim_code("MARKED-CLAIM", &claim, later(60)).await.unwrap();
    let new = token(None, vec![Action::ReadReadings], 1);
    registry.add_token("MARKED-TOKEN", &new, NOW).await.unwrap();
    registry.close().await;
    for entry in std::fs::read_dir(home.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|w| w == b"MARKED-"));
    }
}

async fn a_token_works_until_it_expires_or_is_revoked(Bench { home: _home, registry }: Bench) {
    let scopes = vec![Action::ReadReadings, Action::ManageKeys];
    let key = SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng()).public_key().clone();
    let new = NewToken { key: Some(key), ..token(Some(tenant("acme")), scopes.clone(), 1) };
    registry.add_token("t1", &new, NOW).await.unwrap();
    let id = new.id;
    let got = registry.token("t1", NOW).await.unwrap();
    assert_eq!((got.id.clone(), got.tenant, got.scopes), (id.clone(), Some(tenant("acme")), scopes));
    assert_eq!(got.key, new.key);
    assert!(registry.token("t2", NOW).await.is_err());
    assert!(registry.token("t1", later(60)).await.is_err());
    let acme = tenant("acme");
    for stranger in [None, Some(&tenant("other"))] {
        assert!(registry.revoke_token(stranger, &id, later(1)).await.is_err());
        assert_eq!(registry.tokens(stranger, None, 10).await.unwrap(), []);
    }
    registry.revoke_token(Some(&acme), &id, later(1)).await.unwrap();
    assert!(registry.token("t1", later(2)).await.is_err());
    assert!(registry.revoke_token(Some(&acme), &id, later(3)).await.is_err());
    assert_eq!(registry.tokens(Some(&acme), None, 10).await.unwrap()[0].revoked, Some(later(1)));
    assert_eq!(registry.tokens(Some(&acme), Some(&id), 10).await.unwrap(), []);
}

async fn revoking_a_token_revokes_all_that_were_made_with_it(Bench { home: _home, registry }: Bench) {
    let add = async |secret: &str, n: u8, parent: Option<&TokenId>| {
        let new = token(None, vec![Action::ManageTenants], n);
        let new = NewToken { parent: parent.cloned(), ..new };
        registry.add_token(secret, &new, NOW).await.map(|()| new.id)
    };
    let root = add("root", 1, None).await.unwrap();
    let child = add("child", 2, Some(&root)).await.unwrap();
    add("grandchild", 3, Some(&child)).await.unwrap();
    add("stranger", 4, None).await.unwrap();
    registry.revoke_token(None, &root, NOW).await.unwrap();
    for token in ["root", "child", "grandchild"] {
        assert!(registry.token(token, NOW).await.is_err(), "{token}");
    }
    registry.token("stranger", NOW).await.unwrap();
    assert!(matches!(add("late", 5, Some(&child)).await, Err(StoreError::NotFound { .. })));
}

async fn makers_and_what_is_expected_of_them_belong_to_one_tenant(Bench { home: _home, registry }: Bench) {
    let maker = |of: &str, admit, certificates: &[&[u8]]| Maker {
        tenant: tenant(of),
        name: "maker".into(),
        admit,
        certificates: certificates.iter().map(|c| c.to_vec()).collect(),
    };
    let acme = tenant("acme");
    registry.set_maker(&maker("acme", Admit::Listed, &[b"one"])).await.unwrap();
    registry.set_maker(&maker("other", Admit::AnySerial, &[b"x"])).await.unwrap();
    let expected = ExpectedSerial { serial: "sn1".into(), name: Some(device("meter-1")) };
    registry.expect_serial(&acme, "maker", &expected).await.unwrap();
    registry.set_maker(&maker("acme", Admit::Listed, &[b"two", b"one"])).await.unwrap();
    assert_eq!(
        registry.makers(None, 10).await.unwrap(),
        [maker("acme", Admit::Listed, &[b"two", b"one"]), maker("other", Admit::AnySerial, &[b"x"])]
    );
    let rest = registry.makers(Some((&acme, "maker")), 10).await.unwrap();
    assert_eq!(rest, [maker("other", Admit::AnySerial, &[b"x"])]);
    assert_eq!(registry.expected_serial(&acme, "maker", "sn1").await.unwrap(), Some(expected.clone()));
    assert_eq!(registry.expected_serial(&tenant("other"), "maker", "sn1").await.unwrap(), None);
    assert!(registry.expect_serial(&acme, "unknown", &expected).await.is_err());
    registry.remove_maker(&acme, "maker").await.unwrap();
    assert_eq!(registry.expected_serial(&acme, "maker", "sn1").await.unwrap(), None);
    assert!(registry.remove_maker(&acme, "maker").await.is_err());
}

async fn of_two_who_add_metadata_one_is_told_that_it_is_there(Bench { home: _home, registry }: Bench) {
    assert_eq!(registry.metadata("ca").await.unwrap(), None);
    registry.add_metadata("ca", b"one").await.unwrap();
    assert!(matches!(registry.add_metadata("ca", b"two").await, Err(StoreError::Conflict { .. })));
    assert_eq!(registry.metadata("ca").await.unwrap().as_deref(), Some(b"one".as_slice()));
    registry.set_metadata("ca", b"three").await.unwrap();
    assert_eq!(registry.metadata("ca").await.unwrap().as_deref(), Some(b"three".as_slice()));
}

async fn tenants_come_in_pages(Bench { home: _home, registry }: Bench) {
    let first = registry.tenants(None, 1).await.unwrap();
    assert_eq!(first[0].name, tenant("acme"));
    let names = |t: Vec<Tenant>| t.into_iter().map(|t| t.name).collect::<Vec<TenantName>>();
    assert_eq!(names(registry.tenants(Some(&first[0].name), 5).await.unwrap()), [tenant("other")]);
}

fn file(text: &str) -> PolicyFile {
    PolicyFile { name: "own.cedar".to_owned(), text: text.to_owned() }
}

async fn policies_come_in_versions_and_who_is_slower_is_told(Bench { home: _home, registry }: Bench) {
    let acme = tenant("acme");
    assert_eq!(registry.policy_version(&acme, None).await.unwrap(), None);
    assert_eq!(
        registry.add_policy_version(&acme, 0, "operator", "first", &[file("a")], NOW).await.unwrap(),
        1
    );
    assert_eq!(
        registry.add_policy_version(&acme, 1, "operator", "", &[file("b")], later(1)).await.unwrap(),
        2
    );
    let late = registry.add_policy_version(&acme, 1, "operator", "", &[file("c")], later(2)).await;
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    let newest = registry.policy_version(&acme, None).await.unwrap().unwrap();
    assert_eq!((newest.version, &newest.files), (2, &vec![file("b")]));
    let first = registry.policy_version(&acme, Some(1)).await.unwrap().unwrap();
    assert_eq!((first.note.as_str(), first.created), ("first", NOW));
    let page = registry.policy_versions(&acme, Some(2), 10).await.unwrap();
    assert_eq!(page.iter().map(|v| v.version).collect::<Vec<_>>(), [1]);
    assert_eq!(registry.policy_version(&tenant("other"), None).await.unwrap(), None);
}

fn user(name: &str, n: u8, roles: &[UserRole]) -> User {
    let roles = roles.iter().copied().collect();
    User { id: UserId::new([n; 8]), name: name.parse().unwrap(), roles, created: NOW }
}

async fn who_is_removed_leaves_no_name_no_membership_and_no_token_that_works(
    Bench { home: _home, registry }: Bench,
) {
    let acme = tenant("acme");
    let anna = user("anna", 1, &[UserRole::Administrator, UserRole::Auditor]);
    registry.add_user(&acme, &anna).await.unwrap();
    assert!(matches!(
        registry.add_user(&acme, &user("anna", 2, &[])).await,
        Err(StoreError::Conflict { .. })
    ));
    registry.add_user(&tenant("other"), &user("anna", 2, &[])).await.unwrap();
    assert_eq!(registry.user(&acme, &anna.name).await.unwrap(), anna);
    let north = "north".parse().unwrap();
    registry.add_to_group(&acme, &north, &"user/anna".parse().unwrap()).await.unwrap();
    let new = NewToken { user: Some(anna.id.clone()), ..token(Some(acme), vec![Action::ReadReadings], 1) };
    registry.add_token("secret", &new, NOW).await.unwrap();
    let token = registry.token("secret", NOW).await.unwrap();
    assert_eq!(token.user, Some((anna.id.clone(), anna.name)));
    registry.set_roles(&acme, &anna.name, &[UserRole::Viewer].into()).await.unwrap();
    assert_eq!(registry.users(&acme, None, 10).await.unwrap()[0].roles, [UserRole::Viewer].into());

    registry.remove_user(&acme, &anna.name, NOW).await.unwrap();
    assert!(registry.users(&acme, None, 10).await.unwrap().is_empty());
    assert!(registry.groups(&acme).await.unwrap().is_empty());
    assert!(registry.token("secret", NOW).await.is_err());
    assert!(matches!(registry.remove_user(&acme, &anna.name, NOW).await, Err(StoreError::NotFound { .. })));
    assert_eq!(registry.users(&tenant("other"), None, 10).await.unwrap().len(), 1);
}

async fn only_who_is_there_can_be_put_into_a_group(Bench { home: _home, registry }: Bench) {
    let acme = tenant("acme");
    registry.add_principal(&meter("acme", "meter-1", None), NOW).await.unwrap();
    let (north, city) = ("north".parse().unwrap(), "city".parse().unwrap());
    let member = |text: &str| text.parse::<GroupMember>().unwrap();
    registry.add_to_group(&acme, &north, &member("device/meter-1")).await.unwrap();
    registry.add_to_group(&acme, &north, &member("device/meter-1")).await.unwrap();
    registry.add_to_group(&acme, &city, &member("group/north")).await.unwrap();
    for nobody in ["device/meter-2", "user/anna"] {
        let added = registry.add_to_group(&acme, &north, &member(nobody)).await;
        assert!(matches!(added, Err(StoreError::NotFound { .. })), "{nobody}");
    }
    let all = registry.groups(&acme).await.unwrap();
    assert_eq!(all, [(city, member("group/north")), (north, member("device/meter-1"))]);
    registry.remove_from_group(&acme, &north, &member("device/meter-1")).await.unwrap();
    let again = registry.remove_from_group(&acme, &north, &member("device/meter-1")).await;
    assert!(matches!(again, Err(StoreError::NotFound { .. })));
    for text in ["", "anna", "thing/x", "user/", "user/a b"] {
        assert!(text.parse::<GroupMember>().is_err(), "{text:?}");
    }
}
