//! Boards with a Cortex-M under QEMU. Memory that lasts is a file of the emulator's, since they have none:
//! [`MEMORY_BYTES`] for the device, and behind them its secret.

#[cfg_attr(target_feature = "dsp", path = "mps2.rs")]
#[cfg_attr(not(target_feature = "dsp"), path = "microbit.rs")]
mod board;

use core::arch::asm;
use core::ffi::CStr;

use thingward_device::{Flash, FlashError, Measurement};

pub(crate) use board::{Casing, Clock, Uart};

/// Largest frame, in bytes between the flags.
pub(crate) const FRAME_BYTES: usize = 1200;
/// How often a reading is taken, in microseconds.
pub(crate) const READING_EVERY: u32 = 1_000_000;
pub(crate) const MEMORY_BYTES: usize = 4064;
/// What the image is measured in.
const PAGE_BYTES: usize = 256;

/// The file `memory` where the emulator runs.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    handle: u32,
}

impl Memory {
    pub(crate) fn open() -> Option<Self> {
        const READ_AND_WRITE: u32 = 3;
        open(c"memory", READ_AND_WRITE).map(|handle| Self { handle })
    }

    fn seek(self, at: usize) -> Result<(), FlashError> {
        const SEEK: u32 = 10;
        if semihost(SEEK, [self.handle, at as u32, 0]) == 0 { Ok(()) } else { Err(FlashError) }
    }
}

impl Flash for Memory {
    const BYTES: usize = MEMORY_BYTES;

    fn read(&mut self, at: usize, out: &mut [u8]) -> Result<(), FlashError> {
        const READ: u32 = 6;
        self.seek(at)?;
        let rest = semihost(READ, [self.handle, out.as_mut_ptr().addr() as u32, out.len() as u32]);
        if rest == 0 { Ok(()) } else { Err(FlashError) }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
        const WRITE: u32 = 5;
        self.seek(at)?;
        let rest = semihost(WRITE, [self.handle, bytes.as_ptr().addr() as u32, bytes.len() as u32]);
        if rest == 0 { Ok(()) } else { Err(FlashError) }
    }
}

fn open(name: &CStr, mode: u32) -> Option<u32> {
    const OPEN: u32 = 1;
    let handle = semihost(OPEN, [name.as_ptr().addr() as u32, mode, name.count_bytes() as u32]);
    (handle != u32::MAX).then_some(handle)
}

/// Whether there is a file where the emulator runs.
#[cfg(not(target_feature = "dsp"))]
fn exists(name: &CStr) -> bool {
    const CLOSE: u32 = 2;
    const READ: u32 = 0;
    open(name, READ).map(|handle| semihost(CLOSE, [handle, 0, 0])).is_some()
}

/// Calls the emulator; what it does goes by the number of the operation.
fn semihost(operation: u32, arguments: [u32; 3]) -> u32 {
    let answer;
    // SAFETY: it reads the arguments, and reads or writes what they point to, as long as they say.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => answer, in("r1") &arguments, options(nostack)) }
    answer
}

/// Of the whole image, as it stands in flash.
#[inline(never)]
pub(crate) fn measurement() -> Measurement {
    unsafe extern "C" {
        static __data_start: u8;
        static __data_end: u8;
        static __data_load: u8;
    }
    let data = (&raw const __data_end).addr() - (&raw const __data_start).addr();
    let len = (&raw const __data_load).addr() + data;
    let mut measurement = Measurement::default();
    for at in (0..len).step_by(PAGE_BYTES) {
        // SAFETY: flash begins at 0, and the image is that long. Not a slice, since none may begin there.
        let mut page = [0; PAGE_BYTES];
        for (slot, at) in page.iter_mut().zip(at..len) {
            *slot = unsafe { (at as *const u8).read_volatile() };
        }
        measurement.take(&page);
    }
    measurement
}
