//! What something is done to.

use std::fmt;

use thingward_model::{ActionName, DeviceName, FieldName, StreamName};

use crate::action::Action;

/// What a field is about, where that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Categories {
    /// Where somebody or something is.
    pub location: bool,
    /// About a person.
    pub personal: bool,
}

/// Names of fields that are places whatever their unit.
const PLACES: [&str; 7] = ["location", "position", "lat", "latitude", "lon", "longitude", "geohash"];

impl Categories {
    /// What a field is about when its device's description does not say: by its name, or by a unit that only places
    /// have (`lat` and `lon` of RFC 8428 §12.1).
    #[must_use]
    pub fn guessed(field: Option<&FieldName>, unit: Option<&str>) -> Self {
        let is_place =
            |name: &FieldName| PLACES.iter().any(|place| name.as_str().eq_ignore_ascii_case(place));
        let location = field.is_some_and(is_place) || matches!(unit, Some("lat" | "lon"));
        Self { location, personal: false }
    }

    /// What either says.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self { location: self.location | other.location, personal: self.personal | other.personal }
    }

    /// The words that policies use.
    pub(crate) fn words(self) -> impl Iterator<Item = &'static str> {
        [(self.location, "location"), (self.personal, "personal")]
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, w)| w)
    }
}

/// A number as policies look at it, in ten-thousandths. One with more places is taken for the next one further from
/// zero, so that it is not within a bound that it is beyond; one that is too large for the largest there is.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the conversion saturates, as is said")]
pub fn ten_thousandths(number: f64) -> i64 {
    let scaled = number * 10_000.0;
    let nearest = scaled.round();
    // A double is not quite what was written.
    let is_whole = (scaled - nearest).abs() <= scaled.abs() * 4.0 * f64::EPSILON;
    (if is_whole { nearest } else { scaled.abs().ceil().copysign(scaled) }) as i64
}

/// What something is done to, inside one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// All of it.
    Tenant,
    /// A device, gateway or application.
    Member(DeviceName),
    /// A series of readings.
    Stream(DeviceName, StreamName),
    /// One value of a reading; `None` where a stream has one value without a name.
    Field(DeviceName, StreamName, Option<FieldName>, Categories),
    /// Something that a device does when told to, and the input in ten-thousandths, when it is a number.
    Operation(DeviceName, ActionName, Option<i64>),
}

/// `tenant`, `meter-1`, `meter-1/climate`, `meter-1/climate/temperature`, `meter-1/set-rate`.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => f.write_str("tenant"),
            Self::Member(name) => write!(f, "{name}"),
            Self::Stream(device, stream) | Self::Field(device, stream, None, _) => {
                write!(f, "{device}/{stream}")
            }
            Self::Field(device, stream, Some(field), _) => write!(f, "{device}/{stream}/{field}"),
            Self::Operation(device, name, _) => write!(f, "{device}/{name}"),
        }
    }
}

impl Resource {
    /// The member that it is, or is of.
    #[must_use]
    pub const fn member(&self) -> Option<&DeviceName> {
        match self {
            Self::Tenant => None,
            Self::Member(name)
            | Self::Stream(name, _)
            | Self::Field(name, ..)
            | Self::Operation(name, ..) => Some(name),
        }
    }

    /// Reads what [`Display`](fmt::Display) writes; the action says what kind of thing it is.
    ///
    /// # Errors
    ///
    /// What would be right.
    pub fn parse(action: Action, text: &str) -> Result<Self, &'static str> {
        let parts: Vec<&str> = text.split('/').collect();
        let name = |wanted| move |_| wanted;
        match (action, parts.as_slice()) {
            (Action::PublishReadings, [device, stream]) => {
                let wrong = "DEVICE/STREAM";
                Ok(Self::Stream(device.parse().map_err(name(wrong))?, stream.parse().map_err(name(wrong))?))
            }
            (Action::PublishReadings, _) => Err("DEVICE/STREAM"),
            (Action::ReadReadings, [device, stream, field @ ..]) if field.len() <= 1 => {
                let wrong = "DEVICE/STREAM or DEVICE/STREAM/FIELD";
                let field = field.first().map(|f| f.parse::<FieldName>().map_err(name(wrong))).transpose()?;
                let (device, stream) =
                    (device.parse().map_err(name(wrong))?, stream.parse().map_err(name(wrong))?);
                Ok(Self::Field(device, stream, field, Categories::guessed(field.as_ref(), None)))
            }
            (Action::ReadReadings, _) => Err("DEVICE/STREAM or DEVICE/STREAM/FIELD"),
            (Action::SendCommands | Action::IssueGrants, [device, operation]) => {
                let wrong = "DEVICE/OPERATION";
                let operation = operation.parse().map_err(name(wrong))?;
                Ok(Self::Operation(device.parse().map_err(name(wrong))?, operation, None))
            }
            (Action::SendCommands | Action::IssueGrants, _) => Err("DEVICE/OPERATION"),
            (_, ["tenant" | ""]) => Ok(Self::Tenant),
            (Action::ReadDevices | Action::ManageDevices | Action::RevokeGrants, [device]) => {
                Ok(Self::Member(device.parse().map_err(name("DEVICE or tenant"))?))
            }
            (Action::ReadDevices | Action::ManageDevices | Action::RevokeGrants, _) => {
                Err("DEVICE or tenant")
            }
            _ => Err("tenant"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ten_thousandths;

    #[test]
    fn a_number_beyond_a_bound_is_never_taken_for_one_within() {
        for (number, want) in [
            (5.0, 50_000),
            (3.3, 33_000),
            (0.1 + 0.2, 3_000),
            (5.000_04, 50_001),
            (-5.000_04, -50_001),
            (1e-9, 1),
            (0.0, 0),
            (1e300, i64::MAX),
            (-1e300, i64::MIN),
        ] {
            assert_eq!(ten_thousandths(number), want, "{number}");
        }
    }
}
