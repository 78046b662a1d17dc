//! Cortex-M: vectors, reset, and output by semihosting. Two moves without effect tell the emulator when to count.

use core::arch::{asm, global_asm};

global_asm!(
    ".section .vectors, \"a\"",
    ".word __stack",
    ".word chip_reset + 1",
    ".rept 14",
    ".word chip_fault + 1",
    ".endr",
    ".text",
);

unsafe extern "C" {
    static mut __data_start: u32;
    static mut __data_end: u32;
    static __data_load: u32;
    static mut __bss_start: u32;
    static mut __bss_end: u32;
    fn main() -> !;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn chip_reset() -> ! {
    // SAFETY: the linker script's own symbols, before anything uses that memory.
    unsafe {
        let mut to = &raw mut __data_start;
        let mut from = &raw const __data_load;
        while to < &raw mut __data_end {
            to.write_volatile(from.read_volatile());
            to = to.add(1);
            from = from.add(1);
        }
        let mut to = &raw mut __bss_start;
        while to < &raw mut __bss_end {
            to.write_volatile(0);
            to = to.add(1);
        }
        main()
    }
}

#[unsafe(no_mangle)]
extern "C" fn chip_fault() -> ! {
    crate::print("fault\n");
    end(false)
}

#[inline(never)]
pub(crate) fn start() {
    // SAFETY: has no effect.
    unsafe { asm!("mov r10, r10") }
}

#[inline(never)]
pub(crate) fn stop() {
    // SAFETY: has no effect.
    unsafe { asm!("mov r11, r11") }
}

pub(crate) fn put(character: u8) {
    const WRITE_CHARACTER: u32 = 3;
    semihost(WRITE_CHARACTER, (&raw const character).addr() as u32);
}

pub(crate) fn stack_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) pointer) }
    pointer
}

/// Ends the emulation.
pub fn end(well: bool) -> ! {
    const EXIT: u32 = 0x18;
    semihost(EXIT, if well { 0x2_0026 } else { 0x2_0023 });
    loop {}
}

fn semihost(operation: u32, argument: u32) {
    // SAFETY: a call to the emulator, which reads at most the character behind `argument`.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => _, in("r1") argument, options(nostack)) }
}
