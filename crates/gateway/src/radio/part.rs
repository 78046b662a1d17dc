//! What a thing of a radio is to its device.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use thingward_device::Argument as Given;
use thingward_device::{Call, Thing};
use thingward_model::description::ThingDescription;
use thingward_radio::wire::{Address, Argument, Name, Value, Words};
use thingward_seal::command::Refusal;

use super::desk::Desk;

/// The stream of everything that things of radios say.
pub(crate) const STREAM: &str = "readings";
/// An empty scope in AIF: nothing is open to grants.
const NOTHING: u8 = 0x80;

/// What a thing can be told to do. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Actions(Arc<RwLock<BTreeSet<String>>>);

impl Actions {
    pub(super) fn set(&self, description: &ThingDescription) {
        let names = description.actions.keys().map(ToString::to_string).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names;
    }

    fn has(&self, name: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }
}

/// See the module.
pub(super) struct Part {
    pub(super) address: Address,
    pub(super) actions: Actions,
    pub(super) desk: Desk,
}

impl Thing for Part {
    const STREAM: &'static str = STREAM;
    const FIRMWARE: (&'static str, &'static str) = ("thingward-gateway", env!("CARGO_PKG_VERSION"));
    type Failure = String;

    fn opened<'b>(&self, room: &'b mut [u8; 128]) -> &'b [u8] {
        let [first, ..] = room;
        *first = NOTHING;
        room.get(..1).unwrap_or_default()
    }

    fn check(&self, call: &Call<'_>) -> Result<(), Refusal> {
        if !self.actions.has(call.action()) {
            return Err(Refusal::UnknownAction);
        }
        arguments(call).map(|_| ()).ok_or(Refusal::BadInput)
    }

    fn perform(&mut self, call: &Call<'_>) -> Result<(), String> {
        let arguments = arguments(call).ok_or("arguments that no radio takes")?;
        let done = self.desk.call(&self.address, call.action(), arguments).map_err(|why| why.to_string());
        if let Err(reason) = &done {
            tracing::info!(thing = %self.address, action = call.action(), reason, "a thing did not do it");
        }
        done
    }
}

/// The arguments as radios take them; `None` when one is too long for that.
fn arguments(call: &Call<'_>) -> Option<Vec<Argument>> {
    let (mut all, mut wrong) = (Vec::new(), false);
    call.each_argument(|name, given| match (Name::new(name), value(&given)) {
        (Some(name), Some(value)) => all.push(Argument { name, value }),
        _ => wrong = true,
    });
    (!wrong && all.len() <= thingward_radio::wire::ARGUMENTS_MAX).then_some(all)
}

fn value(given: &Given<'_>) -> Option<Value> {
    Some(match given {
        Given::Bool(value) => Value::Bool(*value),
        Given::Number(value) => Value::Number(number(*value)?),
        Given::Fraction(value) => Value::Number(*value),
        Given::Text(text) => Value::Text(Words::new(text)?),
    })
}

/// As a double, when that is exact.
fn number(whole: i64) -> Option<f64> {
    i32::try_from(whole).ok().map(f64::from)
}
