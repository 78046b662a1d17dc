//! Files of captured frames, as sniffers write them: pcap and pcapng, with the link types of IEEE 802.15.4.

mod link;
mod pcap;
mod pcapng;

pub use link::LinkType;

use std::time::Duration;

use crate::bytes::Malformed;
use crate::ieee802154::Fcs;

/// A captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captured<'a> {
    /// When it was heard, from the start of 1970; absent where the file does not say it.
    pub at: Option<Duration>,
    /// Whether it was heard well.
    pub fcs: Fcs,
    /// The frame without its checksum.
    pub frame: &'a [u8],
}

/// Why a file, or a frame in it, cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// It begins as no capture does.
    #[error("not a capture: it begins neither as pcap nor as pcapng does")]
    NotACapture,
    /// Frames of something else.
    #[error("frames of link type {0}; IEEE 802.15.4 has 195, 230 and 283")]
    LinkType(u32),
    /// The file is broken here. Nothing after it can be read.
    #[error("the file is broken: {0}")]
    Broken(Malformed),
    /// One frame is broken, or was not captured whole.
    #[error("frame not whole: {0}")]
    Frame(Malformed),
}

/// The frames of a file.
#[derive(Debug)]
pub struct Capture<'a>(Format<'a>);

#[derive(Debug)]
enum Format<'a> {
    Pcap(pcap::Pcap<'a>),
    PcapNg(pcapng::PcapNg<'a>),
}

impl<'a> Capture<'a> {
    /// Begins to read a file.
    ///
    /// # Errors
    ///
    /// When it is no capture of IEEE 802.15.4.
    pub fn open(file: &'a [u8]) -> Result<Self, CaptureError> {
        match file.first_chunk() {
            Some(&pcapng::SECTION) => Ok(Self(Format::PcapNg(pcapng::PcapNg::new(file)))),
            Some(magic) => pcap::Pcap::open(*magic, file).map(|pcap| Self(Format::Pcap(pcap))),
            None => Err(CaptureError::NotACapture),
        }
    }
}

/// Of so many checksums one is right at least where they are checksums. What is in their place happens to be right once in
/// 65,536 frames, or more often where somebody sends frames that are made for it.
const CHECKSUMS_PER_RIGHT_ONE: usize = 8;

/// Whether what is in the place of checksums in a file are checksums. Where hardly any is right, they are none: receivers of
/// TI write signal strength and quality in their place, and say of damaged frames nothing that can be relied on.
///
/// # Errors
///
/// When the file is no capture of IEEE 802.15.4.
pub fn has_checksums(file: &[u8]) -> Result<bool, CaptureError> {
    let (mut right, mut wrong) = (0usize, 0usize);
    for captured in Capture::open(file)?.flatten() {
        match captured.fcs {
            Fcs::Good => right += 1,
            Fcs::Bad { .. } => wrong += 1,
            Fcs::Absent => {}
        }
    }
    Ok(right > 0 && right.saturating_mul(CHECKSUMS_PER_RIGHT_ONE) >= right + wrong)
}

impl<'a> Iterator for Capture<'a> {
    type Item = Result<Captured<'a>, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Format::Pcap(pcap) => pcap.next(),
            Format::PcapNg(pcapng) => pcapng.next(),
        }
    }
}

/// Reads numbers in the order of octets that a file says it has.
#[derive(Debug, Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    const fn u16(self, octets: [u8; 2]) -> u16 {
        if self.big { u16::from_be_bytes(octets) } else { u16::from_le_bytes(octets) }
    }

    const fn u32(self, octets: [u8; 4]) -> u32 {
        if self.big { u32::from_be_bytes(octets) } else { u32::from_le_bytes(octets) }
    }
}

/// A length in a file. Where it does not fit, it is longer than any file.
fn length(octets: u32) -> usize {
    usize::try_from(octets).unwrap_or(usize::MAX)
}
