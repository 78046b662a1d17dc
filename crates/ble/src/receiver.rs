//! From advertisements to reports.

use std::collections::VecDeque;

use crate::ad::{MANUFACTURER, SERVICE_DATA_16, Structure, Structures};
use crate::address::{Address, AddressKind};
use crate::error::Error;
use crate::hci::{Advertisement, DataStatus};
use crate::key::Devices;
use crate::report::{Report, Security};
use crate::{bthome, mibeacon, ruuvi, xiaomi};

/// Advertisements in parts that are remembered. Parts follow closely, so that it is a few at a time.
const IN_PARTS_MAX: usize = 64;

/// Reads advertisements, with what it has to remember between them: the devices that encrypt, and advertisements of
/// which only parts came.
#[derive(Default)]
pub struct Receiver {
    /// The devices with keys.
    pub devices: Devices,
    /// Address and set of those whose next report is another part, oldest first.
    in_parts: VecDeque<(Address, Option<u8>)>,
}

impl Receiver {
    /// What an advertisement says: for each structure in a format of ours a report, or why there is none. Of all else
    /// it says nothing, and nothing of one that names nobody. Of several parts only the first is read.
    pub fn receive(&mut self, advertisement: &Advertisement<'_>) -> Vec<Result<Report, Error>> {
        let Advertisement { address, address_kind, set, status, data, .. } = *advertisement;
        if address_kind == AddressKind::Anonymous {
            return Vec::new();
        }
        // A later part begins anywhere in a structure.
        if self.is_later_part((address, set), status) {
            return vec![Err(Error::Incomplete)];
        }
        let mut said: Vec<_> =
            Structures::new(data).filter_map(|structure| self.structure(address, structure)).collect();
        if status != DataStatus::Complete {
            said.push(Err(Error::Incomplete));
        }
        said
    }

    /// Whether earlier parts came; notes whether more will.
    fn is_later_part(&mut self, which: (Address, Option<u8>), status: DataStatus) -> bool {
        let before = self.in_parts.len();
        self.in_parts.retain(|other| *other != which);
        let is_later = self.in_parts.len() < before;
        if status == DataStatus::MoreToCome {
            if self.in_parts.len() >= IN_PARTS_MAX {
                self.in_parts.pop_front();
            }
            self.in_parts.push_back(which);
        }
        is_later
    }

    fn structure(&mut self, address: Address, structure: Structure<'_>) -> Option<Result<Report, Error>> {
        let (tag, data) = structure.tagged()?;
        let devices = &mut self.devices;
        let read = match (structure.kind, tag) {
            (SERVICE_DATA_16, bthome::SERVICE) => bthome::read(address, data, devices),
            (SERVICE_DATA_16, bthome::SERVICE_V1) => Ok(bthome::read_v1(address, data)),
            (SERVICE_DATA_16, bthome::SERVICE_V1_ENCRYPTED) => {
                bthome::read_v1_encrypted(address, data, devices)
            }
            (SERVICE_DATA_16, mibeacon::SERVICE) => mibeacon::read(address, data, devices).transpose()?,
            (SERVICE_DATA_16, xiaomi::SERVICE_PLANT) => Ok(xiaomi::read_plant(address, data)?),
            (SERVICE_DATA_16, xiaomi::SERVICE_SCALE) => Ok(xiaomi::read_scale(address, data)?),
            (SERVICE_DATA_16, xiaomi::SERVICE_BODY_SCALE) => Ok(xiaomi::read_body_scale(address, data)?),
            (MANUFACTURER, ruuvi::COMPANY) => ruuvi::read(address, data),
            _ => return None,
        };
        let open = |report: &Report| report.security == Security::Open;
        let downgraded = read.as_ref().is_ok_and(open) && self.devices.is_known(address);
        Some(if downgraded { Err(Error::Downgraded) } else { read })
    }
}
