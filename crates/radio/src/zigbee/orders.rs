//! What the gateway orders.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::job::Job;
use super::report::eui64;
use super::{EARLY_MAX, Phase, ZigbeeRadio};
use crate::wire::{AdmissionState, Argument, Call, Order, RefusalKind, Report, Value};

impl ZigbeeRadio {
    pub(super) fn ordered(&mut self, order: Order, now: Duration) {
        match (order, self.phase) {
            (Order::Start(start), _) => self.start(&start, now),
            (Order::Ask(answer), _) => self.say(Report::Alive { answer, counters: self.counters }),
            (Order::Kept, _) => self.durable(now),
            (order, Phase::Running) => self.ordered_at_work(order, now),
            (order, Phase::Starting(..)) if self.early.len() < EARLY_MAX => self.early.push_back(order),
            (Order::Call(call), _) => self.done(call.id, Some("the radio does not work")),
            (remove @ Order::Remove(_), Phase::Broken(_)) if self.early.len() < EARLY_MAX => {
                self.early.push_back(remove);
            }
            (Order::Admit(_), _) => self.say(Report::Admission(AdmissionState::Closed)),
            (Order::Close | Order::Remove(_) | Order::Roll, _) => {}
        }
    }

    fn ordered_at_work(&mut self, order: Order, now: Duration) {
        match order {
            Order::Admit(admission) => self.admit(&admission, now),
            Order::Close => self.close(now),
            Order::Call(call) => self.call(&call),
            Order::Remove(thing) => match eui64(thing.as_str()) {
                Some(eui64) => self.remove(eui64, now),
                None => self.refuse(None, RefusalKind::Malformed, "no address of a thing to be removed", now),
            },
            Order::Roll => self.start_roll(now),
            Order::Start(_) | Order::Ask(_) | Order::Kept => {}
        }
    }

    fn call(&mut self, call: &Call) {
        let node = eui64(call.thing.as_str()).and_then(|eui64| self.kept.as_ref()?.node(eui64));
        let Some(node) = node else { return self.done(call.id, Some("this network has no such thing")) };
        let eui64 = node.eui64;
        match node.thing.order(call.action.as_str(), &input(&call.arguments)) {
            Ok(order) => {
                if !self.put(eui64, Job::Call { id: call.id, order }) {
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
