//! The Zigbee Cluster Library: what devices are asked and told. Section numbers are those of the Zigbee Cluster Library
//! specification, revision 8 (07-5123-08).

mod data_type;
mod display;
mod foundation;
mod header;
mod integer;
mod reporting;
mod status;
mod structured;
mod value;

pub use data_type::DataType;
pub use foundation::{Attribute, AttributeRead, AttributeStatus, Foundation};
pub use header::{Direction, FrameScope, ZclHeader};
pub use integer::{Class, Integer};
pub use reporting::{Reporting, ReportingRead, ReportingStatus};
pub use status::status;
pub use structured::{ElementRead, ElementStatus, ElementWrite, Selector};
pub use value::{Collection, DEPTH_MAX, Length, Value};
