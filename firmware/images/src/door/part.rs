//! The board `mps2-an386` under QEMU: serial port and timer as the chip has them. Memory that lasts is a file of the
//! emulator's, since the board has none: [`MEMORY_BYTES`] for the device, and behind them its secret.

use core::arch::asm;

use thingward_device::{DeviceSecret, Flash, FlashError, Measurement};
use zeroize::Zeroizing;

const MEMORY_BYTES: usize = 4064;
/// What the image is measured in.
const PAGE_BYTES: usize = 256;

// SAFETY, of all accesses: these registers exist on this board, and nothing else uses them.

/// A UART, as ARM's CMSDK has it: registers for data, state, control, interrupts and the divider.
pub(super) struct Uart(*mut u32);

impl Uart {
    /// The gateway's line.
    pub(super) fn line() -> Self {
        Self::open(0x4000_4000 as *mut u32)
    }

    /// In place of the switch of a casing, which the board does not have: a byte is an alarm.
    pub(super) fn alarm() -> Self {
        Self::open(0x4000_5000 as *mut u32)
    }

    fn open(registers: *mut u32) -> Self {
        // 25 MHz / 217 is 115200. Sends and receives.
        unsafe {
            registers.add(4).write_volatile(217);
            registers.add(2).write_volatile(3);
        }
        Self(registers)
    }

    fn state(&self) -> u32 {
        unsafe { self.0.add(1).read_volatile() }
    }

    pub(super) fn get(&self) -> Option<u8> {
        (self.state() & 2 != 0).then(|| unsafe { self.0.read_volatile() } as u8)
    }

    pub(super) fn put(&self, byte: u8) {
        while self.state() & 1 != 0 {}
        unsafe { self.0.write_volatile(byte.into()) }
    }
}

/// Timer 0, which counts down 25 times in a microsecond.
pub(super) struct Clock {
    last: u32,
}

impl Clock {
    const CONTROL: *mut u32 = 0x4000_0000 as *mut u32;
    const VALUE: *mut u32 = 0x4000_0004 as *mut u32;
    const RELOAD: *mut u32 = 0x4000_0008 as *mut u32;
    const TICKS_PER_MICRO: u32 = 25;

    pub(super) fn start() -> Self {
        unsafe {
            Self::RELOAD.write_volatile(u32::MAX);
            Self::VALUE.write_volatile(u32::MAX);
            Self::CONTROL.write_volatile(1);
        }
        Self { last: u32::MAX }
    }

    /// Microseconds since the last call, which has to be less than two minutes ago.
    pub(super) fn elapsed(&mut self) -> u32 {
        let elapsed = self.last.wrapping_sub(unsafe { Self::VALUE.read_volatile() }) / Self::TICKS_PER_MICRO;
        // What is less than a microsecond counts next time.
        self.last = self.last.wrapping_sub(elapsed * Self::TICKS_PER_MICRO);
        elapsed
    }
}

/// The file `memory` where the emulator runs.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    handle: u32,
}

impl Memory {
    pub(super) fn open() -> Option<Self> {
        const OPEN: u32 = 1;
        const READ_AND_WRITE: u32 = 3;
        const NAME: &core::ffi::CStr = c"memory";
        let handle = semihost(OPEN, [NAME.as_ptr().addr() as u32, READ_AND_WRITE, 6]);
        (handle != u32::MAX).then_some(Self { handle })
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

/// Calls the emulator; what it does goes by the number of the operation.
fn semihost(operation: u32, arguments: [u32; 3]) -> u32 {
    let answer;
    // SAFETY: it reads the arguments, and reads or writes what they point to, as long as they say.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => answer, in("r1") &arguments, options(nostack)) }
    answer
}

/// What a chip in use has in fuses, or where only its boot loader reads it.
pub(super) struct Secret(pub(super) Memory);

impl DeviceSecret for Secret {
    fn read(&mut self) -> Option<Zeroizing<[u8; 32]>> {
        let mut secret = Zeroizing::new([0; 32]);
        self.0.read(MEMORY_BYTES, secret.as_mut()).ok()?;
        (*secret != [0xff; 32]).then_some(secret)
    }

    fn erase(&mut self) {
        // There is nothing else to be done when that fails.
        let _ = self.0.write(MEMORY_BYTES, &[0xff; 32]);
    }
}

/// Of the whole image, as it stands in flash.
pub(super) fn measurement() -> Measurement {
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
