//! Grants for all devices of a group.

use axum::http::StatusCode;
use serde_json::{Value as Json, json};
use thingward_grant::{Audience, SignedRevocation, TrustedKey};
use thingward_model::{DeviceName, Role};
use thingward_store::registry::GrantAudience;

use super::browser::code_of;
use super::grants::{DESCRIPTION, GRANTS, acme, body, ed25519, taken_back_of};
use super::*;

const GROUPS: &str = "/api/v1/tenants/acme/groups";

impl Fixture {
    async fn put(&self, group: &str, member: &str) {
        let path = format!("{GROUPS}/{group}/{member}");
        assert_eq!(self.admin("put", &path, "").await.0, StatusCode::NO_CONTENT, "{member}");
    }

    async fn take_out(&self, group: &str, member: &str) {
        let path = format!("{GROUPS}/{group}/{member}");
        assert_eq!(self.admin("delete", &path, "").await.0, StatusCode::NO_CONTENT, "{member}");
    }

    /// The classes that a device is told that it is in.
    async fn classes_of(&self, device: &DeviceName) -> Vec<String> {
        let classes = self.app.shared.classes_of(acme(), device).await.unwrap();
        classes.into_iter().map(|(name, _)| name.to_string()).collect()
    }

    async fn issue(&self, class: &str) -> (StatusCode, Json) {
        let mut body = body(&ed25519());
        body["audience"] = format!("class/{class}").into();
        self.admin("post", GRANTS, &body.to_string()).await
    }

    async fn issued(&self, class: &str) -> String {
        let (status, issued) = self.issue(class).await;
        assert_eq!(status, StatusCode::CREATED, "{issued}");
        assert_eq!((&issued["audience"], &issued["device"]), (&json!(format!("class/{class}")), &Json::Null));
        issued["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_hear_of_their_classes_once_grants_are_issued_for_them_and_when_they_come_and_go() {
    let fixture = Fixture::new().await;
    let [one, two] = [fixture.meter("meter-1").await, fixture.meter("meter-2").await];
    fixture.put("north", "device/meter-1").await;
    fixture.put("city", "group/north").await;
    fixture.put("west", "device/meter-1").await;
    assert!(fixture.classes_of(&one.name).await.is_empty(), "nobody granted anything for a group");
    let mut lines = [one.connect().await, two.connect().await];
    for line in &mut lines {
        line.subscribe("devices/me/membership").await;
    }
    let [line, other] = &mut lines;
    fixture.issued("city").await;
    assert_eq!(line.message().await.0, "devices/me/membership");
    assert_eq!(fixture.classes_of(&one.name).await, ["city"]);
    // The second grant of a class changes no membership; a group that is no class does not either.
    fixture.issued("city").await;
    fixture.put("west", "device/meter-2").await;
    fixture.put("north", "device/meter-2").await;
    assert_eq!(other.message().await.0, "devices/me/membership");
    assert_eq!(fixture.classes_of(&two.name).await, ["city"]);
    fixture.take_out("north", "device/meter-1").await;
    assert_eq!(line.message().await.0, "devices/me/membership");
    assert!(fixture.classes_of(&one.name).await.is_empty());
    fixture.take_out("city", "group/north").await;
    assert_eq!(other.message().await.0, "devices/me/membership");
    assert!(fixture.classes_of(&two.name).await.is_empty());
    // Whoever was away hears of it when it is back.
    let mut later = one.connect().await;
    later.subscribe("devices/me/membership").await;
    assert_eq!(later.message().await.0, "devices/me/membership");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_of_a_class_is_told_to_all_its_devices_and_is_of_it_alone() {
    let fixture = Fixture::new().await;
    let meter = fixture.meter("meter-1").await;
    let _other = fixture.meter("meter-2").await;
    fixture.put("north", "device/meter-1").await;
    fixture.put("north", "device/meter-2").await;
    let id = fixture.issued("north").await;
    let mut line = meter.connect().await;
    line.subscribe("devices/me/membership").await;
    line.message().await;
    assert_eq!(fixture.admin("delete", &format!("{GRANTS}/{id}"), "").await.0, StatusCode::NO_CONTENT);
    line.message().await;
    let class = GrantAudience::Class("north".parse().unwrap());
    let shared = &fixture.app.shared;
    let carried = shared.revocation(acme(), class).await.unwrap();
    let north = Audience::Class(thingward_model::NameRef::new("north").unwrap());
    assert_eq!(taken_back_of(&fixture, &carried, &north), (0, vec![id]));
    let own = shared.revocation(acme(), GrantAudience::Device(meter.name)).await.unwrap();
    let key = TrustedKey::Public(&key_of(&shared.grant_key));
    let own = SignedRevocation::decode(&own).unwrap().verify(&key, acme().borrowed()).unwrap();
    assert_eq!(own.ids.len(), 0);
    let (_, told) = shared.classes_of(acme(), &meter.name).await.unwrap().pop().unwrap();
    assert_eq!(told, carried);
    let entries = fixture.entries().await;
    let of_grants = entries.iter().filter(|entry| entry.action.starts_with("grant."));
    assert!(
        of_grants.clone().count() == 2 && of_grants.clone().all(|entry| entry.details["class"] == "north")
    );
    let (_folder, settings) = fixture.stopped().await;
    let report = crate::fsck::fsck(&settings.data_dir).await.unwrap();
    assert_eq!((report.problems, report.grants), (Vec::new(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_for_a_class_needs_what_one_for_each_of_its_devices_needs() {
    let fixture = Fixture::new().await;
    let _meter = fixture.meter("meter-1").await;
    let told = async |class: &str, wanted: u16, message: &str| {
        let (status, said) = fixture.issue(class).await;
        assert_eq!(status.as_u16(), wanted, "{said}");
        let text = said["error"]["message"].as_str().unwrap().to_owned();
        assert!(text.contains(message), "{text}");
    };
    told("nothing", 409, "no device of the group nothing has said yet").await;
    told("a b", 400, "`audience`").await;
    fixture.put("north", "device/meter-1").await;
    let enrolled = |name: &str| {
        fixture.app.shared.directory.enrolled(acme(), name.parse().unwrap(), Role::Device, &key_of(&p256()));
    };
    // One that has not described itself yet does not stand in the way; one that opens less does.
    let _mute = fixture.meter_with("mute", DESCRIPTION).await;
    enrolled("mute");
    fixture.put("north", "device/mute").await;
    fixture.issued("north").await;
    let closed = DESCRIPTION.replace(r#""leave": {"tw:grants": true, "#, r#""leave": {"#);
    let _closed = fixture.meter_with("closed", &closed).await;
    fixture.put("north", "device/closed").await;
    told("north", 409, "closed: `leave` is not open to grants").await;
    fixture.take_out("north", "device/closed").await;
    let id = fixture.issued("north").await;
    // What somebody may not at one of them, they may not for all of them.
    let forbid = r#"forbid (principal in Role::"operator", action, resource in Group::"south");"#;
    assert_eq!(fixture.apply(0, forbid).await.0, StatusCode::OK);
    let (anna, _) = fixture.administrator().await;
    anna.call("PUT", "tenants/acme/users/otto", json!({"roles": ["operator"]})).await;
    let (_, invite) = anna.call("POST", "tenants/acme/users/otto/link", json!({"kind": "invite"})).await;
    let mut otto = fixture.browser();
    otto.redeem(&code_of(&invite), None).await;
    let mut of_class = body(&ed25519());
    of_class["audience"] = "class/north".into();
    assert_eq!(otto.call("POST", "tenants/acme/grants", of_class.clone()).await.0, StatusCode::CREATED);
    fixture.put("south", "device/mute").await;
    assert_eq!(otto.call("POST", "tenants/acme/grants", of_class).await.0, StatusCode::FORBIDDEN);
    let path = format!("tenants/acme/grants/{id}");
    assert_eq!(otto.call("DELETE", &path, Json::Null).await.0, StatusCode::FORBIDDEN);
    assert_eq!(
        otto.call("GET", &path, Json::Null).await.0,
        StatusCode::OK,
        "they see another of its devices"
    );
    for device in ["meter-1", "mute"] {
        fixture.take_out("north", &format!("device/{device}")).await;
    }
    assert_eq!(otto.call("DELETE", &path, Json::Null).await.0, StatusCode::NO_CONTENT, "it has no device");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devices_grants_are_its_own_and_those_of_its_classes() {
    let fixture = Fixture::new().await;
    let [_one, _two] = [fixture.meter("meter-1").await, fixture.meter("meter-2").await];
    fixture.put("north", "device/meter-1").await;
    let of_class = fixture.issued("north").await;
    let (_, own) = fixture.admin("post", GRANTS, &body(&ed25519()).to_string()).await;
    let listed = async |device: &str| {
        let (_, found) = fixture.admin("get", &format!("{GRANTS}?device={device}"), "").await;
        let ids =
            found["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(listed("meter-1").await, [own["id"].as_str().unwrap().to_owned(), of_class]);
    assert!(listed("meter-2").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_there_fetches_what_was_taken_back_and_learns_nothing_of_what_is_in_which_group() {
    let fixture = Fixture::new().await;
    let [one, _two] = [fixture.meter("meter-1").await, fixture.meter("meter-2").await];
    fixture.put("north", "device/meter-1").await;
    let id = fixture.issued("north").await;
    fixture.admin("delete", &format!("{GRANTS}/{id}"), "").await;
    let fetched = async |rest: &str| {
        let asked = request(remote(), "get", &format!("/api/v1/near/acme/{rest}"), None, "");
        let answer = fixture.tls().oneshot(asked).await.unwrap();
        let is_there = answer.status().is_success();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        is_there.then(|| body.to_vec())
    };
    let own = fixture.app.shared.revocation(acme(), GrantAudience::Device(one.name)).await.unwrap();
    assert_eq!(fetched("meter-1/revocation").await, Some(own));
    let class = GrantAudience::Class("north".parse().unwrap());
    let of_class = fixture.app.shared.revocation(acme(), class).await.unwrap();
    assert_eq!(fetched("meter-1/revocation?class=north").await.as_ref(), Some(&of_class));
    assert_eq!(fetched("meter-2/revocation?class=north").await, Some(of_class));
    for (nobody, audience) in [
        ("meter-2/revocation", "device/meter-2"),
        ("other/revocation", "device/other"),
        ("meter-1/revocation?class=south", "class/south"),
    ] {
        let nothing = fixture.app.shared.revocation(acme(), audience.parse().unwrap()).await.unwrap();
        assert_eq!(fetched(nobody).await, Some(nothing), "{nobody}");
    }
    assert_eq!(fetched("meter-1/revocation?class=a%20b").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_group_that_changes_nothing_is_answered() {
    let fixture = Fixture::new().await;
    fixture.app.shared.core.tell_membership(acme(), Vec::new()).await.unwrap();
    // A class that no device is in any more: all of its devices are told at once.
    let _meter = fixture.meter("meter-1").await;
    fixture.put("north", "device/meter-1").await;
    let id = fixture.issued("north").await;
    fixture.take_out("north", "device/meter-1").await;
    let (status, _) = fixture.admin("delete", &format!("{GRANTS}/{id}"), "").await;
    assert!(status.is_success());
    assert!(fixture.app.shared.store.registry().grants_untold().await.unwrap().is_empty());
}
