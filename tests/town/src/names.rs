//! Who lives in a town.

use thingward_model::{DeviceName, TenantName};

/// The one tenant.
pub const TENANT: &str = "acme";
/// What every device measures.
pub const STREAM: &str = "power";
/// In what it is measured. Whoever finds this word in what is kept has found a reading that is not sealed.
pub const UNIT: &str = "W-unsealed";
/// What every device can be told to do.
pub const ACTION: &str = "lamp";
/// In every identity.
pub const TRUST_DOMAIN: &str = "town.test";

/// The one tenant.
#[must_use]
pub fn tenant() -> TenantName {
    TENANT.parse().expect("a name")
}

/// A device by its number.
#[must_use]
pub fn device(number: usize) -> DeviceName {
    format!("device-{number}").parse().expect("a name")
}

/// A gateway by its number.
#[must_use]
pub fn gateway(number: usize) -> DeviceName {
    format!("gateway-{number}").parse().expect("a name")
}
