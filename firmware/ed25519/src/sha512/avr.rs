//! The kernel that the build script writes.

#![allow(unsafe_code, reason = "calls into assembly")]

const SCRATCH_BYTES: usize = 320;

unsafe extern "C" {
    fn ed25519_sha512_block(state: *mut [u64; 8], block: *const [u8; 128]);
    static mut ed25519_scratch: [u8; SCRATCH_BYTES];
}

pub(super) fn compress(state: &mut [u64; 8], block: &[u8; 128]) {
    // SAFETY: reads the block, changes state and scratch.
    unsafe { ed25519_sha512_block(state, block) }
}

/// The schedule holds what was hashed.
pub(super) fn wipe() {
    for k in 0..SCRATCH_BYTES {
        // SAFETY: within the scratch, which nothing refers to between kernels.
        unsafe { (&raw mut ed25519_scratch).cast::<u8>().add(k).write_volatile(0) }
    }
}
