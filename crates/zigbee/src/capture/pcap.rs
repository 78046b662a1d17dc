//! The older format of captures: a header, then each frame behind its time and its lengths.

use std::time::Duration;

use super::{CaptureError, Captured, LinkType, Order, length};
use crate::bytes::Reader;

/// A file of this format.
#[derive(Debug)]
pub(super) struct Pcap<'a> {
    order: Order,
    /// Nanoseconds in one unit of a fraction.
    unit: u32,
    link: LinkType,
    rest: Reader<'a>,
}

impl<'a> Pcap<'a> {
    pub(super) fn open(magic: [u8; 4], file: &'a [u8]) -> Result<Self, CaptureError> {
        let (big, unit) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, 1000),
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, 1000),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, 1),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, 1),
            _ => return Err(CaptureError::NotACapture),
        };
        let (order, mut rest) = (Order { big }, Reader::new(file));
        // Magic, version, two fields that nobody uses, and the longest frame.
        rest.take("pcap.header", 20).map_err(CaptureError::Broken)?;
        let link = order.u32(rest.array("pcap.link_type").map_err(CaptureError::Broken)?);
        // The high bits may say how long checksums are.
        let link = LinkType::new(link & 0x03ff_ffff)?;
        Ok(Self { order, unit, link, rest })
    }

    pub(super) fn next(&mut self) -> Option<Result<Captured<'a>, CaptureError>> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.record().inspect_err(|error| {
            if matches!(error, CaptureError::Broken(_)) {
                self.rest = Reader::new(&[]);
            }
        }))
    }

    fn record(&mut self) -> Result<Captured<'a>, CaptureError> {
        let mut number = |field| {
            let octets = self.rest.array(field).map_err(CaptureError::Broken)?;
            Ok(self.order.u32(octets))
        };
        let (seconds, fraction) = (number("pcap.seconds")?, number("pcap.fraction")?);
        let (captured, whole) = (number("pcap.captured_length")?, number("pcap.length")?);
        let data = self.rest.take("pcap.data", length(captured)).map_err(CaptureError::Broken)?;
        let nanoseconds = u64::from(fraction) * u64::from(self.unit);
        let at = Duration::from_secs(seconds.into()).saturating_add(Duration::from_nanos(nanoseconds));
        self.link.frame(Some(at), data, length(whole))
    }
}
