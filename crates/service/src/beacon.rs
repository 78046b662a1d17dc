//! The time, signed for devices that have no clock.

use thingward_crypto::SoftwareKey;
use thingward_grant::{BEACON_BYTES_MAX, Beacon, FormatError, IssuerKey, Nonce};
use thingward_model::{TenantName, Timestamp};

const SECOND_MICROS: i64 = 1_000_000;

/// What time it is, by the issuer of grants, for the tenant's devices: in answer to the question of one of them, or for all.
///
/// # Errors
///
/// [`FormatError`] when the clock is set to a time before 1970 or after 2106.
pub(crate) fn beacon(
    key: &SoftwareKey,
    tenant: &TenantName,
    now: Timestamp,
    answers: Option<Nonce>,
) -> Result<Vec<u8>, FormatError> {
    let time = Timestamp::from_seconds(now.as_micros().div_euclid(SECOND_MICROS));
    let mut out = vec![0; BEACON_BYTES_MAX];
    let len = Beacon { issuer: tenant.borrowed(), time, answers }.sign(IssuerKey::Public(key), &mut out)?;
    out.truncate(len);
    Ok(out)
}
