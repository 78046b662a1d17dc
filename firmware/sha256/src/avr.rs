//! The kernel that the build script writes.

#![allow(unsafe_code, reason = "calls into assembly")]

const SCRATCH_BYTES: usize = 160;

unsafe extern "C" {
    fn sha256_start(state: *mut [u32; 8]);
    fn sha256_block(state: *mut [u32; 8], block: *const [u8; 64]);
    static mut sha256_scratch: [u8; SCRATCH_BYTES];
}

pub(crate) fn start(state: &mut [u32; 8]) {
    // SAFETY: writes the state.
    unsafe { sha256_start(state) }
}

pub(crate) fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
    // SAFETY: reads the block, changes state and scratch.
    unsafe { sha256_block(state, block) }
}

/// Schedule and variables follow from what was hashed.
pub(crate) fn wipe() {
    for k in 0..SCRATCH_BYTES {
        // SAFETY: within the scratch, which nothing refers to between kernels.
        unsafe { (&raw mut sha256_scratch).cast::<u8>().add(k).write_volatile(0) }
    }
}
