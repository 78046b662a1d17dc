//! What a device can sell: by its description, an action that begins a use for so long, and one that ends it and says
//! how much was left.

use std::collections::BTreeMap;

use thingward_grant::owned::{OwnedBound, OwnedPermission, OwnedValue};
use thingward_model::ActionName;
use thingward_model::description::{Action, Bounds, Kind, Schema, ThingDescription, UseStep};
use thingward_store::registry::Offer;

/// The member of the end's output that says how much was left.
pub(crate) const REST: &str = "rest";

/// What is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ware {
    start: ActionName,
    finish: ActionName,
    /// The parameter with the quantity; empty when the input is no map.
    parameter: String,
    pub(crate) unit: Unit,
    /// Quantities that the device takes.
    pub(crate) least: u64,
    pub(crate) most: u64,
}

/// In what it is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Second,
    Minute,
    Hour,
}

/// Why a device cannot sell something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotForSale {
    #[error("`{0}` is no action of the device")]
    NoAction(ActionName),
    #[error("`{0}` is not open to grants")]
    Closed(ActionName),
    #[error("`{0}` is not the {1} of a use: its description has no such `tw:step`")]
    Step(ActionName, &'static str),
    #[error("`{0}` does not take one whole number of `s`, `min` or `h` with its least and its most")]
    Quantity(ActionName),
    #[error("`{0}` takes an input")]
    Input(ActionName),
    #[error("`{0}` does not give `rest`, a whole number of the same unit")]
    Rest(ActionName),
}

impl Unit {
    fn of(schema: &Schema) -> Option<Self> {
        match schema.unit.as_deref()? {
            "s" => Some(Self::Second),
            "min" => Some(Self::Minute),
            "h" => Some(Self::Hour),
            _ => None,
        }
    }

    /// As descriptions have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
        }
    }

    pub(crate) const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }
}

impl Ware {
    /// What `start` and `finish` of a description let the device sell.
    pub(crate) fn of(
        thing: &ThingDescription,
        start: ActionName,
        finish: ActionName,
    ) -> Result<Self, NotForSale> {
        let begin = step(thing, start, UseStep::Start, "start")?;
        let end = step(thing, finish, UseStep::End, "end")?;
        if end.input.is_some() {
            return Err(NotForSale::Input(finish));
        }
        let wrong = || NotForSale::Quantity(start);
        let (parameter, schema) = begin.input.as_ref().and_then(quantity).ok_or_else(wrong)?;
        let unit = Unit::of(schema).ok_or_else(wrong)?;
        let (least, most) = bounds(schema).ok_or_else(wrong)?;
        let rest = end.output.as_ref().and_then(|output| member(output, REST));
        if !rest.is_some_and(|rest| matches!(rest.kind, Kind::Integer(_)) && Unit::of(rest) == Some(unit)) {
            return Err(NotForSale::Rest(finish));
        }
        Ok(Self { start, finish, parameter: parameter.to_owned(), unit, least, most })
    }

    /// What a grant of so much allows.
    pub(crate) fn permissions(&self, quantity: u64) -> Vec<OwnedPermission> {
        let exactly =
            OwnedBound::OneOf(vec![OwnedValue::Integer(i64::try_from(quantity).unwrap_or(i64::MAX))]);
        let bounds = BTreeMap::from([(self.parameter.clone(), exactly)]);
        let start = OwnedPermission { action: self.start, bounds };
        vec![start, OwnedPermission { action: self.finish, bounds: BTreeMap::new() }]
    }
}

/// What so much costs, in the smallest unit of the currency, rounded up; `None` beyond 2⁶³.
pub(crate) fn price(offer: &Offer, quantity: u64) -> Option<u64> {
    let all = u128::from(offer.amount) * u128::from(quantity);
    let price = all.div_ceil(u128::from(offer.per.max(1)));
    u64::try_from(price).ok().filter(|price| i64::try_from(*price).is_ok())
}

fn step<'t>(
    thing: &'t ThingDescription,
    name: ActionName,
    want: UseStep,
    word: &'static str,
) -> Result<&'t Action, NotForSale> {
    let action = thing.actions.get(&name).ok_or(NotForSale::NoAction(name))?;
    if !action.is_open_to_grants {
        return Err(NotForSale::Closed(name));
    }
    if action.step == Some(want) { Ok(action) } else { Err(NotForSale::Step(name, word)) }
}

/// The one whole number that an input is, or has.
fn quantity(input: &Schema) -> Option<(&str, &Schema)> {
    match &input.kind {
        Kind::Integer(_) => Some(("", input)),
        Kind::Object { properties, .. } => {
            let mut all = properties.iter();
            let (name, schema) = all.next()?;
            all.next().is_none().then_some((name.as_str(), schema))
        }
        _ => None,
    }
}

fn member<'s>(output: &'s Schema, name: &str) -> Option<&'s Schema> {
    match &output.kind {
        Kind::Object { properties, required } if required.iter().any(|needed| needed == name) => {
            properties.get(name)
        }
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole, from 1 to 2⁵³: what is outside is not taken"
)]
fn bounds(schema: &Schema) -> Option<(u64, u64)> {
    let Kind::Integer(Bounds { minimum, maximum, .. }) = &schema.kind else { return None };
    let exact = |n: &f64| (1.0..=9_007_199_254_740_992.0).contains(n);
    let least = minimum.map(|n| n.ceil().max(1.0)).filter(exact)?;
    let most = maximum.map(f64::floor).filter(exact)?;
    (least <= most).then_some((least as u64, most as u64))
}

#[cfg(test)]
pub(crate) mod tests {
    use thingward_model::Timestamp;

    use super::*;

    /// A meter that sells minutes; `start` and `finish` are members of its two actions.
    fn thing(start: &str, finish: &str) -> ThingDescription {
        let text = format!(
            r#"{{"@context": ["https://www.w3.org/2022/wot/td/v1.1", {{"tw": "urn:thingward:td:"}}], "title": "Meter",
            "securityDefinitions": {{"n": {{"scheme": "nosec"}}}}, "security": "n", "actions": {{
            "park": {{"forms": [{{"href": "x"}}], {start}}}, "leave": {{"forms": [{{"href": "x"}}], {finish}}}}}}}"#
        );
        ThingDescription::parse(text.as_bytes()).unwrap()
    }

    const START: &str = r#""tw:grants": true, "tw:step": "start",
        "input": {"type": "integer", "unit": "min", "minimum": 1, "maximum": 240}"#;
    const FINISH: &str = r#""tw:grants": true, "tw:step": "end", "output": {"type": "object", "required": ["rest"],
        "properties": {"rest": {"type": "integer", "unit": "min"}}}"#;

    fn ware(start: &str, finish: &str) -> Result<Ware, NotForSale> {
        Ware::of(&thing(start, finish), "park".parse().unwrap(), "leave".parse().unwrap())
    }

    fn offer(amount: u64, per: u64) -> Offer {
        Offer {
            device: "meter-1".parse().unwrap(),
            start: "park".parse().unwrap(),
            finish: "leave".parse().unwrap(),
            amount,
            currency: "EUR".to_owned(),
            per,
            most: 120,
            notice: String::new(),
            set_at: Timestamp::from_seconds(0),
            set_by: "operator".to_owned(),
        }
    }

    #[test]
    fn a_grant_of_a_ware_allows_exactly_what_was_paid_for() {
        let ware = ware(START, FINISH).unwrap();
        assert_eq!((ware.unit, ware.least, ware.most), (Unit::Minute, 1, 240));
        let allowed: Vec<String> = ware.permissions(90).iter().map(ToString::to_string).collect();
        assert_eq!(allowed, ["park =90", "leave"]);
        let inside = START.replace(
            r#"{"type": "integer""#,
            r#"{"type": "object", "required": ["minutes"], "properties": {"minutes": {"type": "integer""#,
        );
        let inside = super::tests::ware(&format!("{inside}}}}}"), FINISH).unwrap();
        assert_eq!(inside.permissions(5).first().map(ToString::to_string).unwrap(), "park minutes=5");
    }

    #[test]
    fn what_has_no_start_no_end_no_unit_or_no_rest_is_not_for_sale() {
        let (park, leave): (ActionName, ActionName) = ("park".parse().unwrap(), "leave".parse().unwrap());
        let none = Ware::of(&thing(START, FINISH), "fly".parse().unwrap(), leave);
        assert_eq!(none, Err(NotForSale::NoAction("fly".parse().unwrap())));
        let check = |start: &str, finish: &str, want| assert_eq!(ware(start, finish), Err(want));
        check(r#""title": "Park""#, FINISH, NotForSale::Closed(park));
        check(r#""tw:grants": true"#, FINISH, NotForSale::Step(park, "start"));
        check(START, &FINISH.replace("\"end\"", "\"start\""), NotForSale::Step(leave, "end"));
        for bad in [
            START.replace("min\"", "EUR\""),
            START.replace("integer", "number"),
            START.replace(r#", "maximum": 240"#, ""),
        ] {
            check(&bad, FINISH, NotForSale::Quantity(park));
        }
        check(START, &FINISH.replace("\"rest\": {", "\"left\": {"), NotForSale::Rest(leave));
        check(START, &FINISH.replace("min", "s"), NotForSale::Rest(leave));
        check(START, &format!(r#"{FINISH}, "input": {{"type": "boolean"}}"#), NotForSale::Input(leave));
    }

    #[test]
    fn a_price_is_rounded_up_to_the_smallest_unit() {
        assert_eq!(price(&offer(240, 60), 90), Some(360));
        assert_eq!(price(&offer(100, 60), 1), Some(2));
        assert_eq!(price(&offer(u64::MAX, 1), 2), None);
    }
}
