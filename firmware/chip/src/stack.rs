//! How much of the stack was used: what is free of it is painted, and later counted.

use crate::port;

const PAINT: u8 = 0xa5;
/// Above the stack pointer of [`paint`]'s caller nothing is painted; this much below it belongs to [`paint`] itself.
const OWN_FRAME: usize = 64;

unsafe extern "C" {
    /// Where static data ends and the stack may grow to.
    static mut _end: u8;
    /// Where the stack starts.
    static __stack: u8;
}

#[inline(never)]
pub(crate) fn paint() {
    let mut at = &raw mut _end;
    while at.addr() < port::stack_pointer() - OWN_FRAME {
        // SAFETY: memory between static data and the stack pointer, which nothing owns.
        unsafe {
            at.write_volatile(PAINT);
            at = at.add(1);
        }
    }
}

/// Bytes from the stack's start to the deepest byte that lost its paint. Ends the image when the first one did: the
/// stack may have run into data.
#[inline(never)]
pub(crate) fn peak() -> u16 {
    let mut at = &raw const _end;
    let first = at;
    // SAFETY: reads memory that exists; it ends at the latest at the stack in use.
    unsafe {
        while at.read_volatile() == PAINT {
            at = at.add(1);
        }
    }
    if at == first {
        crate::print("the stack ran into data\n");
        crate::end(false);
    }
    ((&raw const __stack).addr() - at.addr()) as u16
}
