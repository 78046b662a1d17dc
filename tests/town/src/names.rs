//! Who lives in a town.

use thingward_model::{DeviceName, TenantName};

/// The tenant of the town, and its neighbour.
pub const TENANTS: [&str; 2] = ["acme", "other"];
/// What every device measures.
pub const STREAM: &str = "power";
/// In what it is measured. Whoever finds this word in what is kept has found a reading that is not sealed.
pub const UNIT: &str = "W-unsealed";
/// What every device can be told to do.
pub const ACTION: &str = "lamp";
/// In every identity.
pub const TRUST_DOMAIN: &str = "town.test";

/// A device, and whose it is.
pub type Whose = (TenantName, DeviceName);

/// The tenant of the town.
#[must_use]
pub fn tenant() -> TenantName {
    let [own, _] = tenants();
    own
}

/// Both tenants.
#[must_use]
pub fn tenants() -> [TenantName; 2] {
    TENANTS.map(|name| name.parse().expect("a name"))
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
