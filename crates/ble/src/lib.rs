//! Sensors that advertise over Bluetooth LE, as a pure library: bytes of a controller or a recording go in, readings
//! and events come out.
//!
//! - [`hci`]: event packets of a controller, and the advertisements in them;
//! - [`btsnoop`]: a recording of such packets;
//! - [`ad`]: the structures that an advertisement is made of;
//! - [`Receiver`]: what they say, in one model ([`Report`]), with the keys and counters of the devices that encrypt;
//! - [`bthome`], [`ruuvi`], [`mibeacon`], [`xiaomi`]: the formats.
//!
//! What an open advertisement says, anybody in reach can say. A report therefore names the [`Security`] of its link,
//! and of a device whose key is known nothing in the open is taken.

pub mod ad;
mod address;
pub mod bthome;
pub mod btsnoop;
mod ccm;
mod draft;
mod error;
pub mod hci;
mod key;
pub mod mibeacon;
mod receiver;
mod report;
pub mod ruuvi;
mod table;
pub mod xiaomi;

pub use address::{Address, AddressKind};
pub use error::Error;
pub use key::{BindKey, DEVICES_MAX, Devices, TooManyDevices};
pub use receiver::Receiver;
pub use report::{Detail, Event, Format, Name, Raw, Reading, Report, Security, Value};
