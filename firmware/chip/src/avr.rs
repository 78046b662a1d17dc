//! ATmega: see `emulators/avr.c` for the two registers.

const GPIOR0: *mut u8 = 0x3e as *mut u8;
const GPIOR1: *mut u8 = 0x4a as *mut u8;
const STACK_POINTER: *const u16 = 0x5d as *const u16;

// SAFETY, all of this file: these registers exist on every chip that images are built for.

#[inline(never)]
pub(crate) fn start() {
    unsafe { GPIOR0.write_volatile(1) }
}

#[inline(never)]
pub(crate) fn stop() {
    unsafe { GPIOR0.write_volatile(2) }
}

pub(crate) fn put(character: u8) {
    unsafe { GPIOR1.write_volatile(character) }
}

pub(crate) fn stack_pointer() -> usize {
    usize::from(unsafe { STACK_POINTER.read_volatile() })
}

/// Where a panic ends: its texts would take RAM, so that images for AVR are built without them.
#[unsafe(no_mangle)]
extern "C" fn abort() -> ! {
    crate::print("panic\n");
    end(false)
}

/// Ends the emulation.
pub fn end(well: bool) -> ! {
    unsafe { GPIOR0.write_volatile(if well { 3 } else { 4 }) }
    loop {}
}
