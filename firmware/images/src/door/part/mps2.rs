//! The board `mps2-an386` under QEMU, with a Cortex-M4: serial ports and timer as the chip has them.

// SAFETY, of all accesses: these registers exist on this board, and nothing else uses them.

/// A UART, as ARM's CMSDK has it: registers for data, state, control, interrupts and the divider.
pub(crate) struct Uart(*mut u32);

impl Uart {
    /// The gateway's line.
    pub(crate) fn line() -> Self {
        Self::open(0x4000_4000 as *mut u32)
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

    pub(crate) fn get(&self) -> Option<u8> {
        (self.state() & 2 != 0).then(|| unsafe { self.0.read_volatile() } as u8)
    }

    pub(crate) fn put(&self, byte: u8) {
        while self.state() & 1 != 0 {}
        unsafe { self.0.write_volatile(byte.into()) }
    }
}

/// Timer 0, which counts down 25 times in a microsecond.
pub(crate) struct Clock {
    last: u32,
}

impl Clock {
    const CONTROL: *mut u32 = 0x4000_0000 as *mut u32;
    const VALUE: *mut u32 = 0x4000_0004 as *mut u32;
    const RELOAD: *mut u32 = 0x4000_0008 as *mut u32;
    const TICKS_PER_MICRO: u32 = 25;

    pub(crate) fn start() -> Self {
        unsafe {
            Self::RELOAD.write_volatile(u32::MAX);
            Self::VALUE.write_volatile(u32::MAX);
            Self::CONTROL.write_volatile(1);
        }
        Self { last: u32::MAX }
    }

    /// Microseconds since the last call, which has to be less than two minutes ago.
    pub(crate) fn elapsed(&mut self) -> u32 {
        let elapsed = self.last.wrapping_sub(unsafe { Self::VALUE.read_volatile() }) / Self::TICKS_PER_MICRO;
        // What is less than a microsecond counts next time.
        self.last = self.last.wrapping_sub(elapsed * Self::TICKS_PER_MICRO);
        elapsed
    }
}

/// In place of the switch of a casing, which the board does not have: a byte on the second serial port is an alarm.
pub(crate) struct Casing(Uart);

impl Casing {
    pub(crate) fn watch() -> Self {
        Self(Uart::open(0x4000_5000 as *mut u32))
    }

    pub(crate) fn was_opened(&mut self) -> bool {
        self.0.get().is_some()
    }
}
