//! The kernel that the build script writes.

#![allow(unsafe_code, reason = "calls into assembly")]

unsafe extern "C" {
    fn ascon_permute(state: *mut [u64; 5], constant: u8);
}

pub(crate) fn permute(state: &mut [u64; 5], constant: u8) {
    // SAFETY: changes the state only.
    unsafe { ascon_permute(state, constant) }
}
