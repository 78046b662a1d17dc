//! The time of day, for the shells; everything that decides takes `now`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// What the system's clock says.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
