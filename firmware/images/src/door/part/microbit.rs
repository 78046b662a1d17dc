//! The board `microbit` under QEMU, with a Cortex-M0: serial port and timer as the nRF51 has them.

use super::exists;

// SAFETY, of all accesses: these registers exist on this board, and nothing else uses them.

fn write(register: usize, value: u32) {
    unsafe { (register as *mut u32).write_volatile(value) }
}

fn read(register: usize) -> u32 {
    unsafe { (register as *const u32).read_volatile() }
}

/// The UART.
pub(crate) struct Uart;

impl Uart {
    const START_RECEIVING: usize = 0x4000_2000;
    const START_SENDING: usize = 0x4000_2008;
    const RECEIVED: usize = 0x4000_2108;
    const SENT: usize = 0x4000_211c;
    const ENABLE: usize = 0x4000_2500;
    const RECEIVE: usize = 0x4000_2518;
    const SEND: usize = 0x4000_251c;
    const BAUD_RATE: usize = 0x4000_2524;

    /// The gateway's line.
    pub(crate) fn line() -> Self {
        // The reference manual's value for 115200.
        write(Self::BAUD_RATE, 0x01d7_e000);
        write(Self::ENABLE, 4);
        write(Self::START_RECEIVING, 1);
        write(Self::START_SENDING, 1);
        Self
    }

    pub(crate) fn get(&self) -> Option<u8> {
        if read(Self::RECEIVED) == 0 {
            return None;
        }
        // Before the byte is taken, for the next one says so again.
        write(Self::RECEIVED, 0);
        Some(read(Self::RECEIVE) as u8)
    }

    pub(crate) fn put(&self, byte: u8) {
        write(Self::SENT, 0);
        write(Self::SEND, byte.into());
        while read(Self::SENT) == 0 {}
    }
}

/// Timer 0, which counts microseconds.
pub(crate) struct Clock {
    last: u32,
}

impl Clock {
    const START: usize = 0x4000_8000;
    const CAPTURE: usize = 0x4000_8040;
    const BIT_MODE: usize = 0x4000_8508;
    const PRESCALER: usize = 0x4000_8510;
    const CAPTURED: usize = 0x4000_8540;

    pub(crate) fn start() -> Self {
        // 32 bits of 16 MHz / 2^4.
        write(Self::BIT_MODE, 3);
        write(Self::PRESCALER, 4);
        write(Self::START, 1);
        Self { last: 0 }
    }

    /// Microseconds since the last call, which has to be less than an hour ago.
    pub(crate) fn elapsed(&mut self) -> u32 {
        write(Self::CAPTURE, 1);
        let now = read(Self::CAPTURED);
        let elapsed = now.wrapping_sub(self.last);
        self.last = now;
        elapsed
    }
}

/// In place of the switch of a casing, which the board does not have: a file `casing` where the emulator runs.
pub(crate) struct Casing {
    looks: u16,
}

impl Casing {
    pub(crate) const fn watch() -> Self {
        Self { looks: 0 }
    }

    /// Looks rarely, because that stops the emulator.
    pub(crate) fn was_opened(&mut self) -> bool {
        self.looks = self.looks.wrapping_add(1);
        self.looks == 0 && exists(c"casing")
    }
}
