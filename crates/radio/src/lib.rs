//! Drivers of radios.
//!
//! A driver is a process of its own, with its line and nothing else: it reads no file, opens no connection, and keeps nothing.
//! What it has to remember it gives its gateway to seal ([`Report::Keep`]) and gets back when it starts ([`Order::Start`]).
//!
//! - [`wire`]: what gateway and driver say to one another, and its bytes;
//! - [`Radio`]: what a driver's protocol is: a state machine without I/O;
//! - [`process`]: a driver's process, with a [`line`](mod@line), which it opens before it shuts itself in ([`sandbox`]);
//! - [`supervisor`]: what the gateway has of such a process;
//! - [`ble`]: advertisements of Bluetooth LE;
//! - [`zigbee`]: coordinators of Zigbee;
//! - [`zigbee2mqtt`]: Zigbee2MQTT, as a source;
//! - [`zwave`]: controllers of Z-Wave;
//! - [`zwave_js`]: Z-Wave JS, as a source.

pub mod ble;
mod draft;
mod kind;
mod lenient;
pub mod line;
mod outbox;
pub mod process;
mod radio;
pub mod sandbox;
pub mod supervisor;
pub mod wire;
pub mod zigbee;
pub mod zigbee2mqtt;
pub mod zwave;
pub mod zwave_js;

pub use kind::Kind;
pub use radio::{Output, Radio};
pub use wire::{Order, Report};
