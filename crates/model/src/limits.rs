//! Every bound that more than one crate must agree on, with its unit and its reason.

/// Longest name, in bytes. A DNS label, so that a name can be one.
pub const NAME_BYTES_MAX: usize = 63;

/// Largest sealed record in bytes. Two of them and an MQTT header must fit the 4 KiB scratch buffer of a
/// small chip; raising it changes device RAM, not just the service.
pub const RECORD_BYTES_MAX: usize = 1536;

/// Most readings in one record. Bounds the rows that one signature can stand for and the work of one decode.
pub const READINGS_PER_RECORD_MAX: usize = 64;

/// Longest text or binary value of a reading, in bytes.
pub const VALUE_BYTES_MAX: usize = 1024;

/// Longest unit of a reading, in bytes. The longest unit registered for SenML has 6.
pub const UNIT_BYTES_MAX: usize = 16;

/// Most records and statements in one message. With [`RECORD_BYTES_MAX`] it bounds a message to 96 KiB.
pub const ITEMS_PER_MESSAGE_MAX: usize = 64;

/// Most records between two checkpoints. Past it a device signs before it sends more, so a service never holds
/// an unbounded unsigned tail.
pub const CHECKPOINT_RECORDS_MAX: u64 = 256;

/// How far behind a chain's newest record one may lie that an honest sender sends again. A gateway that was killed has
/// up to 256 full messages of which it did not note that they had arrived.
pub const RESENT_RECORDS_MAX: u64 = 256 * ITEMS_PER_MESSAGE_MAX as u64;

/// Longest topic of a member, in bytes: it goes into a gateway's signed envelope, and bounds what a topic alias
/// of two bytes can stand for.
pub const TOPIC_BYTES_MAX: usize = 256;

/// Largest MQTT packet that a listener takes, in bytes. More than a chip with 16-bit addresses can count.
#[cfg(not(target_pointer_width = "16"))]
pub const PACKET_BYTES_MAX: usize = 256 * 1024;
