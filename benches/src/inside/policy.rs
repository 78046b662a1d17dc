//! Decisions about who may what: the baseline and a hundred policies of the tenant.

use std::hint::black_box;

use thingward_model::{DeviceName, Role};
use thingward_policy::{
    Action, Member, Operation, Policies, PolicyFile, Resource, Source, Subject, User, UserRole, World,
};

use crate::clock::{Rounds, rate};

const ROUNDS: usize = 5;
const DEVICES: usize = 100;
const REMEMBERED: u32 = 1_000_000;
const MADE: u32 = 10_000;

/// In a second of the processor.
#[derive(Default)]
pub(crate) struct Decisions {
    pub(crate) remembered: Rounds,
    pub(crate) made: Rounds,
}

fn device(number: usize) -> DeviceName {
    format!("pump-{number}").parse().unwrap()
}

/// One person, who is an operator, and pumps that are in a ward each.
fn world() -> World {
    let roles = [UserRole::Operator].into();
    let pump = |number| {
        let mut member = Member::new(Role::Device);
        let operation = Operation { roles: [UserRole::Operator].into(), is_sensitive: false };
        member.operations = [("set-rate".parse().unwrap(), operation)].into();
        member.groups = [format!("ward-{}", number % 10).parse().unwrap()].into();
        (device(number), member)
    };
    World {
        users: [("otto".parse().unwrap(), User { roles, groups: [].into() })].into(),
        members: (0..DEVICES).map(pump).collect(),
        ..World::default()
    }
}

/// No pump may be set above a rate of its own.
fn policies() -> Policies {
    let text: String = (0..DEVICES)
        .map(|number| {
            format!(
                "forbid (principal in Role::\"operator\", action == Action::\"commands:send\", \
                 resource == Operation::\"pump-{number}/set-rate\")\n\
                 when {{ context has value && context.value.greaterThan(decimal(\"{}.0\")) }};\n",
                number + 100
            )
        })
        .collect();
    let source = Source::new(&[PolicyFile { name: "own.cedar".to_owned(), text }]).unwrap();
    Policies::new("acme".parse().unwrap(), source, world()).unwrap()
}

pub(crate) fn measure() -> Decisions {
    let mut decisions = Decisions::default();
    let who = Subject::User("otto".parse().unwrap());
    for _ in 0..ROUNDS {
        let policies = policies();
        let mut number = 0;
        let mut decide = |values: i64| {
            number += 1;
            let on = Resource::Operation(
                device(number % DEVICES),
                "set-rate".parse().unwrap(),
                Some(number as i64 % values),
            );
            assert!(black_box(policies.decision(&who, Action::SendCommands, &on)).is_allowed());
        };
        // Never the same twice.
        decisions.made.push(rate(MADE, || decide(i64::MAX)));
        decide(1);
        decisions.remembered.push(rate(REMEMBERED, || decide(1)));
    }
    decisions
}
