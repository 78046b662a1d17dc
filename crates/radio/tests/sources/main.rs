//! Sources and recordings: programs that homes run today, and what was recorded.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod ble;
mod home;
mod zigbee2mqtt;
mod zwave_js;
