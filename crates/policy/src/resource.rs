//! What something is done to.

use thingward_model::{DeviceName, FieldName, OperationName, StreamName};

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

    /// The words that policies use.
    pub(crate) fn words(self) -> impl Iterator<Item = &'static str> {
        [(self.location, "location"), (self.personal, "personal")]
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, w)| w)
    }
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
    Operation(DeviceName, OperationName, Option<i64>),
}
