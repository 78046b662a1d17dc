//! Who may what: the baseline, a tenant's own policies, and what changes reach.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use thingward_model::{DeviceName, Principal, Role, TenantName, UserName};
use thingward_policy::{
    Action, Categories, Decision, Member, Operation, Policies, PolicyFile, Resource, Scopes, Source, Subject,
    User, UserRole, World,
};

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

fn user(name: &str) -> Subject {
    Subject::User(name.parse().unwrap())
}

fn member(role: Role, name: &str) -> Subject {
    Subject::Member(Principal { tenant: acme(), role, name: name.parse().unwrap() })
}

fn token(user: Option<&str>, scopes: &[Action]) -> Subject {
    let user = user.map(|name| name.parse().unwrap());
    Subject::Token { name: "t1".parse().unwrap(), user, scopes: scopes.iter().copied().collect::<Scopes>() }
}

fn stream(path: &str) -> Resource {
    let (device, stream) = path.split_once('/').unwrap();
    Resource::Stream(device.parse().unwrap(), stream.parse().unwrap())
}

fn field(path: &str) -> Resource {
    let mut parts = path.split('/');
    let (device, stream) = (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
    let field = parts.next().map(|name| name.parse().unwrap());
    Resource::Field(device, stream, field, Categories::guessed(field.as_ref(), None))
}

fn operation(path: &str, value: Option<i64>) -> Resource {
    let (device, name) = path.split_once('/').unwrap();
    Resource::Operation(device.parse().unwrap(), name.parse().unwrap(), value)
}

/// anna administers, otto operates, vera looks, aude audits, nora is nobody. meter-1 takes its rate from operators and
/// its language from viewers too.
fn world() -> World {
    let person = |name: &str, role: Option<UserRole>| {
        (name.parse::<UserName>().unwrap(), User { roles: role.into_iter().collect(), groups: [].into() })
    };
    let operation = |name: &str, roles: &[UserRole]| {
        let roles = roles.iter().copied().collect();
        (name.parse().unwrap(), Operation { roles, is_sensitive: false })
    };
    let mut meter = Member::new(Role::Device);
    meter.operations = [
        operation("set-rate", &[UserRole::Operator, UserRole::Administrator]),
        operation("set-language", &[UserRole::Operator, UserRole::Viewer]),
    ]
    .into();
    meter.groups = ["north".parse().unwrap()].into();
    let name = |text: &str| text.parse::<DeviceName>().unwrap();
    World {
        users: [
            person("anna", Some(UserRole::Administrator)),
            person("otto", Some(UserRole::Operator)),
            person("vera", Some(UserRole::Viewer)),
            person("aude", Some(UserRole::Auditor)),
            person("nora", None),
        ]
        .into(),
        members: [
            (name("meter-1"), meter),
            (name("meter-2"), Member::new(Role::Device)),
            (name("hub"), Member::new(Role::Gateway)),
            (name("panel"), Member::new(Role::Application)),
        ]
        .into(),
        groups: [("north".parse().unwrap(), ["city".parse().unwrap()].into())].into(),
    }
}

fn source(text: &str) -> Source {
    Source::new(&[PolicyFile { name: "own.cedar".to_owned(), text: text.to_owned() }]).unwrap()
}

fn policies(text: &str) -> Policies {
    Policies::new(acme(), source(text), world()).unwrap()
}

#[track_caller]
fn check(policies: &Policies, who: &Subject, action: Action, on: &Resource, want: Decision) {
    assert_eq!(policies.decision(who, action, on), want, "{who:?} {action} {on:?}");
    // And from memory.
    assert_eq!(policies.decision(who, action, on), want, "{who:?} {action} {on:?} again");
}

use Action as A;
use Decision::{Allowed, Failed, Forbidden, NotPermitted, OtherTenant, OutOfScope};

#[test]
fn each_role_may_what_it_is_for_and_nothing_else() {
    let p = policies("");
    let people = ["anna", "otto", "vera", "aude", "nora", "unknown"].map(user);
    let may = |action, on: Resource, who: &str| {
        for (person, letter) in people.iter().zip("aovunx".chars()) {
            let want = if who.contains(letter) { Allowed } else { NotPermitted };
            check(&p, person, action, &on, want);
        }
    };
    may(A::ReadReadings, field("meter-1/climate/temperature"), "aov");
    may(A::ReadReadings, field("meter-1/climate"), "aov");
    may(A::ReadReadings, field("meter-1/place/latitude"), "ao");
    may(A::SendCommands, operation("meter-1/set-rate", Some(35_000)), "ao");
    may(A::SendCommands, operation("meter-1/set-language", None), "ov");
    may(A::SendCommands, operation("meter-1/undescribed", None), "");
    may(A::IssueGrants, operation("meter-1/set-language", None), "ao");
    may(A::IssueGrants, operation("meter-2/undescribed", None), "ao");
    may(A::IssueGrants, Resource::Tenant, "");
    may(A::RevokeGrants, Resource::Member("meter-1".parse().unwrap()), "ao");
    may(A::RevokeGrants, Resource::Tenant, "ao");
    may(A::ReadDevices, Resource::Tenant, "aovu");
    may(A::ReadDevices, Resource::Member("meter-1".parse().unwrap()), "aovu");
    may(A::ManageDevices, Resource::Tenant, "ao");
    may(A::ReadLog, Resource::Tenant, "au");
    may(A::ReadPolicy, Resource::Tenant, "au");
    for action in [A::ReadSegments, A::ManageKeys, A::ManageUsers, A::ManagePolicy, A::ManageTokens] {
        may(action, Resource::Tenant, "a");
    }
    may(A::PublishReadings, stream("meter-1/climate"), "");
    may(A::ManageTenants, Resource::Tenant, "a");
}

#[test]
fn a_device_publishes_its_own_streams_and_only_a_gateway_forwards() {
    let p = policies("");
    for (role, name) in [(Role::Device, "meter-1"), (Role::Gateway, "hub")] {
        check(&p, &member(role, name), A::PublishReadings, &stream(&format!("{name}/climate")), Allowed);
        check(&p, &member(role, name), A::PublishReadings, &stream("meter-2/climate"), NotPermitted);
        check(&p, &member(role, name), A::ReadReadings, &field("meter-2/climate/x"), NotPermitted);
        check(&p, &member(role, name), A::ManageKeys, &Resource::Tenant, NotPermitted);
    }
    check(
        &p,
        &member(Role::Application, "panel"),
        A::PublishReadings,
        &stream("panel/climate"),
        NotPermitted,
    );
    check(&p, &member(Role::Gateway, "hub"), A::Forward, &Resource::Tenant, Allowed);
    check(&p, &member(Role::Device, "meter-1"), A::Forward, &Resource::Tenant, NotPermitted);
    check(&p, &member(Role::Application, "panel"), A::ReadReadings, &field("meter-1/place/lat"), Allowed);
    check(
        &p,
        &member(Role::Application, "panel"),
        A::SendCommands,
        &operation("meter-1/set-rate", None),
        NotPermitted,
    );
    let stranger =
        Principal { tenant: "other".parse().unwrap(), role: Role::Device, name: "meter-1".parse().unwrap() };
    check(&p, &Subject::Member(stranger), A::PublishReadings, &stream("meter-1/climate"), OtherTenant);
}

#[test]
fn a_token_does_what_its_maker_may_as_far_as_its_scopes_go() {
    let p = policies("");
    let on = field("meter-1/climate/temperature");
    check(&p, &token(None, &[A::ReadReadings]), A::ReadReadings, &on, Allowed);
    check(&p, &token(None, &[A::ReadReadings]), A::ManageKeys, &Resource::Tenant, OutOfScope);
    check(&p, &token(Some("vera"), &[A::ReadReadings]), A::ReadReadings, &on, Allowed);
    check(
        &p,
        &token(Some("vera"), &[A::ReadReadings]),
        A::ReadReadings,
        &field("meter-1/place/lat"),
        NotPermitted,
    );
    check(&p, &token(Some("vera"), &[A::ManageKeys]), A::ManageKeys, &Resource::Tenant, NotPermitted);
    check(&p, &token(Some("anna"), &[A::ManageKeys]), A::ManageKeys, &Resource::Tenant, Allowed);
}

#[test]
fn a_forbid_wins_and_a_policy_that_fails_denies_whatever_it_would_have_said() {
    let p = policies("forbid (principal == User::\"otto\", action, resource in Device::\"meter-1\");");
    check(&p, &user("otto"), A::ReadReadings, &field("meter-1/climate/x"), Forbidden);
    check(&p, &user("otto"), A::ReadReadings, &field("meter-2/climate/x"), Allowed);
    check(&p, &user("anna"), A::ReadReadings, &field("meter-1/climate/x"), Allowed);
    // It overflows where the value is large: that is not known when it is checked against the schema.
    for effect in ["forbid", "permit"] {
        let text = format!(
            "{effect} (principal is User, action == Action::\"readings:read\", resource)
             when {{ resource.name like \"big*\" && 9223372036854775807 + 1 == 0 }};"
        );
        let p = policies(&text);
        check(&p, &user("anna"), A::ReadReadings, &field("meter-1/climate/big"), Failed);
        check(&p, &user("anna"), A::ReadReadings, &field("meter-1/climate/small"), Allowed);
    }
}

#[test]
fn groups_hold_through_other_groups() {
    let p = policies(
        "permit (principal == User::\"nora\", action == Action::\"readings:read\", resource in Group::\"city\");
         permit (principal in Group::\"night\", action == Action::\"devices:read\", resource);",
    );
    check(&p, &user("nora"), A::ReadReadings, &field("meter-1/climate/x"), Allowed);
    check(&p, &user("nora"), A::ReadReadings, &field("meter-2/climate/x"), NotPermitted);
    check(&p, &user("nora"), A::ReadDevices, &Resource::Tenant, NotPermitted);
    p.update(|world| {
        world.users.get_mut(&"nora".parse().unwrap()).unwrap().groups.insert("late".parse().unwrap());
        world.groups.insert("late".parse().unwrap(), ["night".parse().unwrap()].into());
    });
    check(&p, &user("nora"), A::ReadDevices, &Resource::Tenant, Allowed);
}

#[test]
fn groups_that_are_in_each_other_are_no_trap() {
    let p = policies("permit (principal in Group::\"a\", action == Action::\"devices:read\", resource);");
    p.update(|world| {
        world.users.get_mut(&"nora".parse().unwrap()).unwrap().groups.insert("b".parse().unwrap());
        world.groups.insert("a".parse().unwrap(), ["b".parse().unwrap()].into());
        world.groups.insert("b".parse().unwrap(), ["a".parse().unwrap()].into());
    });
    // Cedar has no hierarchy with cycles, so nobody is let in by one.
    check(&p, &user("nora"), A::ReadDevices, &Resource::Tenant, NotPermitted);
}

#[test]
fn a_policy_may_look_at_the_number_that_is_sent() {
    let p = policies(
        "forbid (principal in Role::\"operator\", action == Action::\"commands:send\", resource == Operation::\"meter-1/set-rate\")
         unless { context has value && context.value.lessThanOrEqual(decimal(\"5.0\")) };",
    );
    check(&p, &user("otto"), A::SendCommands, &operation("meter-1/set-rate", Some(50_000)), Allowed);
    check(&p, &user("otto"), A::SendCommands, &operation("meter-1/set-rate", Some(50_001)), Forbidden);
    check(&p, &user("otto"), A::SendCommands, &operation("meter-1/set-rate", None), Forbidden);
    check(&p, &user("anna"), A::SendCommands, &operation("meter-1/set-rate", Some(90_000)), Allowed);
}

#[test]
fn other_policies_and_other_roles_hold_from_the_next_question_on() {
    let p = policies("");
    let on = field("meter-1/climate/temperature");
    check(&p, &user("vera"), A::ReadReadings, &on, Allowed);
    p.apply(source("forbid (principal in Role::\"viewer\", action, resource);")).unwrap();
    check(&p, &user("vera"), A::ReadReadings, &on, Forbidden);
    p.apply(Source::default()).unwrap();
    check(&p, &user("vera"), A::ReadReadings, &on, Allowed);
    p.update(|world| world.users.get_mut(&"vera".parse().unwrap()).unwrap().roles.clear());
    check(&p, &user("vera"), A::ReadReadings, &on, NotPermitted);
}

#[test]
fn what_a_member_is_holds_from_the_next_question_on_also_for_those_who_ask_about_it() {
    let p = policies(
        "permit (principal == User::\"nora\", action == Action::\"readings:read\", resource in Group::\"city\");",
    );
    let (first, second) = (field("meter-1/climate/x"), field("meter-2/climate/x"));
    let nora = |one, other| {
        check(&p, &user("nora"), A::ReadReadings, &first, one);
        check(&p, &user("nora"), A::ReadReadings, &second, other);
    };
    nora(Allowed, NotPermitted);
    let groups_of = |name: &str, groups: &[&str]| {
        p.update_member(name.parse().unwrap(), |member| {
            member.as_mut().unwrap().groups = groups.iter().map(|group| group.parse().unwrap()).collect();
        });
    };
    groups_of("meter-2", &["city"]);
    nora(Allowed, Allowed);
    groups_of("meter-1", &[]);
    nora(NotPermitted, Allowed);
    p.update_member("meter-2".parse().unwrap(), |member| *member = None);
    nora(NotPermitted, NotPermitted);
}

#[test]
fn a_tenant_that_locks_everybody_out_does_not_lock_out_the_operator_of_the_installation() {
    let p = policies("forbid (principal, action, resource);");
    check(&p, &user("anna"), A::ManagePolicy, &Resource::Tenant, Forbidden);
    check(&p, &token(None, Action::ALL), A::ManagePolicy, &Resource::Tenant, Forbidden);
    check(&p, &Subject::Operator, A::ManagePolicy, &Resource::Tenant, Allowed);
}

#[test]
fn a_tenant_whose_files_cannot_be_used_is_closed_to_all_but_the_operator_until_others_are_applied() {
    let p = Policies::closed(acme());
    check(&p, &user("anna"), A::ReadPolicy, &Resource::Tenant, Failed);
    check(&p, &member(Role::Device, "meter-1"), A::PublishReadings, &stream("meter-1/climate"), Failed);
    check(&p, &Subject::Operator, A::ManagePolicy, &Resource::Tenant, Allowed);
    p.apply(Source::default()).unwrap();
    check(&p, &member(Role::Device, "meter-1"), A::PublishReadings, &stream("meter-1/climate"), Allowed);
}

#[test]
fn a_name_with_quotes_cannot_be_made_so_no_policy_can_be_written_by_one() {
    assert!("a\", resource); permit(principal, action, resource); //".parse::<UserName>().is_err());
}

#[test]
fn a_tenants_file_cannot_take_the_place_of_the_baseline() {
    let file = PolicyFile {
        name: "baseline.cedar".to_owned(),
        text: "@id(\"administrator\") permit (principal, action, resource);".to_owned(),
    };
    assert!(Source::new(&[file]).unwrap_err().to_string().contains("choose another name"));
}

#[test]
fn an_explanation_names_what_decided_and_what_would_change_it() {
    let p = policies(
        "@id(\"no-rates\") forbid (principal == User::\"otto\", action == Action::\"commands:send\", resource);",
    );
    let rate = operation("meter-1/set-rate", None);

    let yes = p.explain(&user("anna"), A::SendCommands, &rate);
    assert_eq!(yes.decision, Allowed);
    let ids: Vec<&str> = yes.policies.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids, ["baseline.cedar#described-roles-command"]);
    assert!(yes.changes.is_empty());

    let forbidden = p.explain(&user("otto"), A::SendCommands, &rate);
    assert_eq!(forbidden.decision, Forbidden);
    assert_eq!(forbidden.policies[0].id, "own.cedar#no-rates");
    assert!(forbidden.policies[0].place.text.contains("forbid"));

    let no = p.explain(&user("vera"), A::SendCommands, &rate);
    assert_eq!((no.decision, no.policies.len()), (NotPermitted, 0));
    assert_eq!(
        no.changes,
        [
            "the role `administrator` for vera",
            "the role `operator` for vera",
            "a policy that permits `commands:send` here"
        ]
    );
    let unknown = p.explain(&user("zoe"), A::ReadDevices, &Resource::Tenant);
    assert_eq!(unknown.changes[0], "a user called `zoe`");
    let scope = p.explain(&token(Some("anna"), &[]), A::ReadLog, &Resource::Tenant);
    assert_eq!(scope.changes, ["a token with the scope `log:read`"]);
}

#[test]
fn an_explanation_names_groups_that_would_be_enough() {
    let p = policies(
        "permit (principal == User::\"nora\", action == Action::\"readings:read\", resource in Group::\"north\");",
    );
    let no = p.explain(&user("nora"), A::ReadReadings, &field("meter-2/climate/x"));
    assert!(no.changes.contains(&"meter-2 in the group `north`".to_owned()), "{:?}", no.changes);
}

#[test]
fn a_draft_is_compared_with_what_holds_now() {
    let p = policies("");
    let draft = source("forbid (principal in Role::\"viewer\", action, resource in Device::\"meter-1\");");
    let questions = [
        (user("vera"), A::ReadReadings, field("meter-1/climate/x")),
        (user("vera"), A::ReadReadings, field("meter-2/climate/x")),
        (user("otto"), A::ReadReadings, field("meter-1/climate/x")),
        (user("vera"), A::ManageKeys, Resource::Tenant),
    ];
    let differences = p.compare(draft, questions.into_iter()).unwrap();
    assert_eq!(differences.len(), 1);
    assert_eq!((differences[0].now, differences[0].then), (Allowed, Forbidden));
    check(&p, &user("vera"), A::ReadReadings, &field("meter-1/climate/x"), Allowed);
}
