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

// Copying and filling, from the end where that is allowed, by words where all is whole words: what the compiler brings along takes a kilobyte.
global_asm!(
    ".macro routine names:vararg",
    ".irp name, \\names",
    ".global \\name",
    ".type \\name, %function",
    "\\name:",
    ".endr",
    ".endm",
    ".section .text.memory, \"ax\"",
    ".thumb",
    ".balign 2",
    "routine memmove, __aeabi_memmove, __aeabi_memmove4, __aeabi_memmove8",
    "cmp r0, r1",
    "bhi memcpy",
    "mov r12, r0",
    "b 2f",
    "1: ldrb r3, [r1]",
    "strb r3, [r0]",
    "adds r0, #1",
    "adds r1, #1",
    "2: subs r2, #1",
    "bcs 1b",
    "mov r0, r12",
    "bx lr",
    "routine memcpy, __aeabi_memcpy, __aeabi_memcpy4, __aeabi_memcpy8",
    "mov r3, r0",
    "orrs r3, r1",
    "orrs r3, r2",
    "lsls r3, r3, #30",
    "beq 4f",
    "b 2f",
    "1: ldrb r3, [r1, r2]",
    "strb r3, [r0, r2]",
    "2: subs r2, #1",
    "bcs 1b",
    "bx lr",
    "3: ldr r3, [r1, r2]",
    "str r3, [r0, r2]",
    "4: subs r2, #4",
    "bcs 3b",
    "bx lr",
    "routine __aeabi_memclr, __aeabi_memclr4, __aeabi_memclr8",
    "movs r2, #0",
    "routine __aeabi_memset, __aeabi_memset4, __aeabi_memset8",
    "mov r3, r1",
    "mov r1, r2",
    "mov r2, r3",
    "routine memset",
    "b 2f",
    "1: strb r1, [r0, r2]",
    "2: subs r2, #1",
    "bcs 1b",
    "bx lr",
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
