//! History: Parquet files with modular encryption that the customer's own tools open with the customer's key.
//!
//! A segment holds rows of one tenant, sorted by device, stream, field, time. Columns, one row per reading:
//!
//! | column | Parquet type | |
//! |---|---|---|
//! | `device`, `stream` | string | |
//! | `field` | string, may be null | null: the stream has one value |
//! | `chain` | fixed binary(8) | |
//! | `seq`, `item` | int64, uint8 | place of the record in the chain, of the reading in the record |
//! | `time`, `received` | timestamp(µs, UTC) | |
//! | `value`, `bool`, `text`, `data`, `sealed` | double, boolean, string, binary, binary | exactly one is not null |
//! | `unit` | string, may be null | |
//! | `assurance` | string | as in `thingward_model::Assurance` |
//! | `link`, `gateway`, `gateway_received` | string, string, timestamp | null: it came through no gateway; absent in older segments |
//!
//! Everything, footer included, is AES-256-GCM under one random key per segment. The footer's key metadata is the
//! key material of Parquet's key tools: the segment's key boxed under the tenant's Parquet KEK, and that boxed under
//! the customer's key (see [`crate::keys`]).

mod columns;
mod file;
mod manifest;
mod material;
mod roll;

pub use manifest::{SegmentId, SegmentInfo};
pub use roll::RollPolicy;

use columns::read_schema;
pub(crate) use columns::{Columns, NUMBERS, WRITE_ROWS, batch_of, schema};
pub(crate) use file::{damaged, file_of, folder_of, open_segment, orphans, path_of, remove_unfinished};
pub(crate) use manifest::segments_of;
pub(crate) use roll::select;

#[cfg(test)]
pub(crate) mod tests;
