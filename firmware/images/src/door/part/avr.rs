//! ATmega1284P and ATmega2560, which have the same registers for all of this: serial ports, timer 1, and EEPROM for what
//! lasts: [`MEMORY_BYTES`] for the device, and behind them its secret.

use core::arch::{asm, global_asm};

use thingward_device::{Flash, FlashError, Measurement};

/// Largest frame, in bytes between the flags.
pub(crate) const FRAME_BYTES: usize = 700;
/// How often a reading is taken, in microseconds. A reading takes a second to write to EEPROM.
pub(crate) const READING_EVERY: u32 = 10_000_000;
pub(crate) const MEMORY_BYTES: usize = 4064;
/// What the image is measured in.
const PAGE_BYTES: usize = 256;

// SAFETY, of all accesses: these registers exist on both chips, and nothing else uses them.

fn write(register: u8, value: u8) {
    unsafe { (usize::from(register) as *mut u8).write_volatile(value) }
}

fn read(register: u8) -> u8 {
    unsafe { (usize::from(register) as *const u8).read_volatile() }
}

/// A USART: its registers for state, control, the divider and data follow the first one.
pub(crate) struct Uart(u8);

impl Uart {
    /// The gateway's line.
    pub(crate) fn line() -> Self {
        Self::open(0xc0)
    }

    fn open(registers: u8) -> Self {
        // 16 MHz / 8 / 17 is 2 % from 115200.
        write(registers + 5, 0);
        write(registers + 4, 16);
        write(registers, 2);
        // Receives and sends, 8 bits.
        write(registers + 1, 0x18);
        write(registers + 2, 6);
        Self(registers)
    }

    pub(crate) fn get(&self) -> Option<u8> {
        (read(self.0) & 0x80 != 0).then(|| read(self.0 + 6))
    }

    pub(crate) fn put(&self, byte: u8) {
        while read(self.0) & 0x20 == 0 {}
        write(self.0 + 6, byte);
    }
}

/// In place of the switch of a casing: a byte on the second serial port is an alarm.
pub(crate) struct Casing(Uart);

impl Casing {
    pub(crate) fn watch() -> Self {
        Self(Uart::open(0xc8))
    }

    pub(crate) fn was_opened(&mut self) -> bool {
        self.0.get().is_some()
    }
}

/// Timer 1, which counts every 64 microseconds; an interrupt counts how often it went round.
pub(crate) struct Clock {
    last: u32,
}

global_asm!(
    // TIMER1_OVF of the ATmega1284P, and of the ATmega2560.
    ".global __vector_15",
    "__vector_15:",
    ".global __vector_20",
    "__vector_20:",
    "push r24",
    "in r24, 0x3f",
    "push r24",
    "lds r24, door_rounds",
    "inc r24",
    "sts door_rounds, r24",
    "pop r24",
    "out 0x3f, r24",
    "pop r24",
    "reti",
    ".pushsection .bss.door_rounds, \"aw\", @nobits",
    "door_rounds:",
    ".skip 1",
    ".popsection",
);

unsafe extern "C" {
    static door_rounds: u8;
}

impl Clock {
    const FLAGS: u8 = 0x36;
    const INTERRUPTS: u8 = 0x6f;
    const CONTROL: u8 = 0x81;
    const COUNT: u8 = 0x84;
    const MICROS_PER_TICK: u32 = 64;
    const OVERFLOW: u8 = 1;

    pub(crate) fn start() -> Self {
        // 16 MHz / 1024
        write(Self::CONTROL, 5);
        write(Self::INTERRUPTS, Self::OVERFLOW);
        unsafe { asm!("sei") }
        Self { last: 0 }
    }

    /// Microseconds since the last call, which has to be less than a quarter of an hour ago.
    pub(crate) fn elapsed(&mut self) -> u32 {
        let now = Self::ticks();
        let elapsed = now.wrapping_sub(self.last) & 0xff_ffff;
        self.last = now;
        elapsed * Self::MICROS_PER_TICK
    }

    /// 24 bits of them.
    fn ticks() -> u32 {
        unsafe { asm!("cli") }
        let [low, high] = [read(Self::COUNT), read(Self::COUNT + 1)];
        let mut rounds = unsafe { (&raw const door_rounds).read_volatile() };
        // One that nobody has counted yet.
        if read(Self::FLAGS) & Self::OVERFLOW != 0 && high < 0x80 {
            rounds = rounds.wrapping_add(1);
        }
        unsafe { asm!("sei") }
        u32::from_le_bytes([low, high, rounds, 0])
    }
}

/// EEPROM.
#[derive(Clone, Copy)]
pub(crate) struct Memory(());

impl Memory {
    const CONTROL: u8 = 0x3f;
    const DATA: u8 = 0x40;
    const ADDRESS: u8 = 0x41;
    const READ: u8 = 1;
    const WRITE: u8 = 2;

    pub(crate) fn open() -> Option<Self> {
        Some(Self(()))
    }

    fn select(at: usize) {
        while read(Self::CONTROL) & Self::WRITE != 0 {}
        let [low, high] = (at as u16).to_le_bytes();
        write(Self::ADDRESS, low);
        write(Self::ADDRESS + 1, high);
    }

    fn byte(at: usize) -> u8 {
        Self::select(at);
        write(Self::CONTROL, Self::READ);
        read(Self::DATA)
    }
}

impl Flash for Memory {
    const BYTES: usize = MEMORY_BYTES;

    fn read(&mut self, at: usize, out: &mut [u8]) -> Result<(), FlashError> {
        for (at, byte) in (at..).zip(out) {
            *byte = Self::byte(at);
        }
        Ok(())
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
        for (at, byte) in (at..).zip(bytes) {
            // A write takes 3.4 ms.
            if Self::byte(at) == *byte {
                continue;
            }
            write(Self::DATA, *byte);
            // The second bit counts for four cycles after the first, in which nothing may interrupt.
            unsafe {
                asm!("in {flags}, 0x3f", "cli", "sbi 0x1f, 2", "sbi 0x1f, 1", "out 0x3f, {flags}", flags = out(reg) _)
            }
        }
        while read(Self::CONTROL) & Self::WRITE != 0 {}
        Ok(())
    }
}

/// Of the whole image, as it stands in flash.
#[inline(never)]
pub(crate) fn measurement() -> Measurement {
    let (low, high, bank): (u8, u8, u8);
    // SAFETY: loads an address that the linker knows, of more than 16 bits.
    unsafe {
        asm!(
            "ldi {low}, lo8(__data_load_end)",
            "ldi {high}, hi8(__data_load_end)",
            "ldi {bank}, hh8(__data_load_end)",
            low = out(reg_upper) low,
            high = out(reg_upper) high,
            bank = out(reg_upper) bank,
            options(nomem, nostack)
        );
    }
    let len = u32::from_le_bytes([low, high, bank, 0]);
    let mut measurement = Measurement::default();
    for at in (0..len).step_by(PAGE_BYTES) {
        let mut page = [0; PAGE_BYTES];
        for (slot, at) in page.iter_mut().zip(at..len) {
            *slot = byte_of_flash(at);
        }
        measurement.take(&page);
    }
    measurement
}

fn byte_of_flash(at: u32) -> u8 {
    let [low, high, bank, _] = at.to_le_bytes();
    let byte;
    // SAFETY: reads flash.
    unsafe {
        asm!(
            "out 0x3b, {bank}",
            "elpm {byte}, Z",
            bank = in(reg) bank,
            byte = out(reg) byte,
            in("Z") u16::from_le_bytes([low, high]),
            options(nostack)
        );
    }
    byte
}
