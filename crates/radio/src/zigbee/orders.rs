//! What the gateway orders.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::job::{Job, PATIENCE};
use super::report::eui64;
use super::{Phase, UNWANTED_MAX, ZigbeeRadio};
use crate::wire::{AdmissionState, Argument, Call, Order, RefusalKind, Report, Value};

impl ZigbeeRadio {
    pub(super) fn ordered(&mut self, order: Order, now: Duration) {
        match (order, self.phase) {
            (Order::Start(start), _) => self.start(&start, now),
            (Order::Kept, _) => self.durable(now),
            (order, Phase::Running) => self.ordered_at_work(order, now),
            // Whoever calls or admits gives it up soon: what is done later, nobody wants any more.
            (Order::Call(call), _) => self.done(call.id, Some("the radio does not work")),
            (Order::Admit(_), _) => self.say(Report::Admission(AdmissionState::Closed)),
            (Order::Remove(thing), _) if self.unwanted.len() < UNWANTED_MAX => self.unwanted.push(thing),
            // The process answers what it is asked.
            (Order::Close | Order::Remove(_) | Order::Roll | Order::Ask(_), _) => {}
        }
    }

    fn ordered_at_work(&mut self, order: Order, now: Duration) {
        match order {
            Order::Admit(admission) => self.admit(&admission, now),
            Order::Close => self.close(now),
            Order::Call(call) => self.call(&call, now),
            Order::Remove(thing) => match eui64(thing.as_str()) {
                Some(eui64) => self.remove(eui64, now),
                None => self.refuse(None, RefusalKind::Malformed, "no address of a thing to be removed", now),
            },
            Order::Roll => self.start_roll(now),
            Order::Start(_) | Order::Ask(_) | Order::Kept => {}
        }
    }

    fn call(&mut self, call: &Call, now: Duration) {
        let permitted = eui64(call.thing.as_str()).filter(|eui64| !self.is_forbidden(*eui64));
        let node = permitted.and_then(|eui64| self.kept.as_ref()?.node(eui64));
        let Some(node) = node else { return self.done(call.id, Some("this network has no such thing")) };
        let eui64 = node.eui64;
        match node.thing.order(call.action.as_str(), &input(&call.arguments)) {
            Ok(order) => {
                if !self.put(eui64, Job::Call { id: call.id, order, due: now + PATIENCE }) {
                    self.done(call.id, Some("too many calls wait for this thing"));
                }
            }
            Err(error) => self.done(call.id, Some(&error.to_string())),
        }
    }
}

/// The input of an action: a map, or one value without a name.
fn input(arguments: &[Argument]) -> Json {
    match arguments {
        [] => Json::Null,
        [only] if only.name.as_str().is_empty() => json(&only.value),
        arguments => {
            let members = arguments.iter().map(|a| (a.name.to_string(), json(&a.value)));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Number(number) => Json::from(*number),
        Value::Bool(bool) => Json::from(*bool),
        Value::Text(text) => Json::from(text.as_str()),
        // No action takes octets.
        Value::Data(_) => Json::Null,
    }
}
