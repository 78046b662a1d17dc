//! Drivers of radios.
//!
//! A driver is a process of its own, with its line and nothing else: it reads no file, opens no connection, and keeps nothing.
//! What it has to remember it gives its gateway to seal ([`Report::Keep`]) and gets back when it starts ([`Order::Start`]).
//!
//! - [`wire`]: what gateway and driver say to one another, and its bytes;
//! - [`Radio`]: what a driver's protocol is: a state machine without I/O;
//! - [`zigbee2mqtt`], [`zwave_js`]: what homes run today, as sources.

mod draft;
mod lenient;
mod outbox;
mod radio;
pub mod wire;
pub mod zigbee2mqtt;
pub mod zwave_js;

pub use radio::{Output, Radio};
pub use wire::{Order, Report};
