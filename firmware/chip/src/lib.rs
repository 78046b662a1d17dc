//! How a firmware image starts, prints, measures itself and ends, on AVR and on Cortex-M.
//!
//! An image prints lines for `runner`: `result NAME HEX` is compared with what the host computes, `measured NAME
//! cycles N stack M` is checked against a bound and goes into the table. The emulator writes the cycles.

#![no_std]
#![allow(unsafe_code, reason = "registers, the stack and the linker's symbols")]

#[cfg(target_arch = "avr")]
#[path = "avr.rs"]
mod port;
#[cfg(target_arch = "arm")]
#[path = "cortex_m.rs"]
mod port;
mod stack;

pub use core::hint::black_box;
pub use port::end;

/// Makes `run` the image's program: it ends well when that returns.
#[macro_export]
macro_rules! image {
    ($run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main() -> ! {
            $run();
            $crate::end(true)
        }
    };
}

/// Prints `text`.
#[inline(never)]
pub fn print(text: &str) {
    text.bytes().for_each(port::put);
}

/// Prints what the host has to come to as well.
#[inline(never)]
pub fn result(name: &str, bytes: &[u8]) {
    print("result ");
    print(name);
    print(" ");
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            port::put(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        }
    }
    print("\n");
}

/// Runs `work` and prints its cycles, and how deep the stack is at its deepest.
#[inline(always)]
pub fn measure<R>(name: &str, work: impl FnOnce() -> R) -> R {
    begin(name);
    let result = work();
    finish();
    result
}

#[inline(never)]
fn begin(name: &str) {
    print("measured ");
    print(name);
    print(" ");
    stack::paint();
    port::start();
}

#[inline(never)]
fn finish() {
    port::stop();
    print("stack ");
    decimal(stack::peak());
    print("\n");
}

fn decimal(mut number: u16) {
    let mut digits = [0; 5];
    let mut count = 0;
    for digit in &mut digits {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        count += 1;
        if number == 0 {
            break;
        }
    }
    digits.iter().take(count).rev().for_each(|digit| port::put(*digit));
}

/// Overwrites what was on the stack before and is not in use.
pub fn wipe_stack() {
    stack::paint();
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    print("panic\n");
    end(false)
}
