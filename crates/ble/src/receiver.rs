//! From advertisements to reports.

use crate::ad::{MANUFACTURER, SERVICE_DATA_16, Structure, Structures};
use crate::address::Address;
use crate::error::Error;
use crate::hci::Advertisement;
use crate::key::Devices;
use crate::report::{Report, Security};
use crate::{bthome, mibeacon, ruuvi, xiaomi};

/// Reads advertisements, with what it has to remember between them: the devices that encrypt.
#[derive(Default)]
pub struct Receiver {
    /// The devices with keys.
    pub devices: Devices,
}

impl Receiver {
    /// What an advertisement says: for each structure in a format of ours a report, or why there is none. Of all else
    /// it says nothing.
    pub fn receive(&mut self, advertisement: &Advertisement<'_>) -> Vec<Result<Report, Error>> {
        let Advertisement { address, complete, data, .. } = *advertisement;
        let mut said: Vec<_> =
            Structures::new(data).filter_map(|structure| self.structure(address, structure)).collect();
        if !complete {
            said.push(Err(Error::Incomplete));
        }
        said
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
