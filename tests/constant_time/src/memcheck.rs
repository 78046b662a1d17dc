//! What the program says to valgrind's memcheck: which bytes are secret.
//!
//! Memcheck follows bytes that are not defined through every calculation, and reports a branch or an address that
//! depends on one. It does not care why they are not defined: a secret that is marked so is followed in the same way.

/// Marks `secret` undefined.
///
/// # Panics
///
/// Outside of memcheck, where nothing would be found.
pub(crate) fn hide(secret: &mut [u8]) {
    assert!(request(MAKE_UNDEFINED, secret.as_mut_ptr(), secret.len()), "run this under valgrind, on x86-64");
}

/// Marks the bytes of `secret` undefined wherever they stand in `key`, and leaves what is public beside them.
///
/// # Panics
///
/// As [`hide`], and when they stand nowhere.
#[allow(unsafe_code, reason = "a key lets nobody change its bytes")]
pub(crate) fn hide_within<T>(key: &mut T, secret: &[u8; 32]) {
    // SAFETY: all bytes of keys are initialised, and none is changed.
    let bytes = unsafe { std::slice::from_raw_parts_mut((&raw mut *key).cast::<u8>(), size_of::<T>()) };
    let at = bytes
        .windows(secret.len())
        .position(|window| window == secret)
        .expect("the secret stands in the key");
    hide(&mut bytes[at..at + secret.len()]);
}

/// Marks what everybody may know defined again: a signature, a tag that is sent.
pub(crate) fn reveal<T: Copy>(mut public: T) -> T {
    request(MAKE_DEFINED, (&raw mut public).cast(), size_of::<T>());
    public
}

/// `VG_USERREQ__MAKE_MEM_UNDEFINED` and `VG_USERREQ__MAKE_MEM_DEFINED` of memcheck.h: 'M' and 'C', then a number.
const MAKE_UNDEFINED: usize = 0x4d43_0001;
const MAKE_DEFINED: usize = 0x4d43_0002;

/// A client request, as valgrind.h has it for amd64: rotations that come to nothing, and an exchange of a register with
/// itself, which valgrind knows by sight and a processor ignores. Says whether memcheck heard it.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "a client request is a sequence of instructions")]
fn request(code: usize, start: *mut u8, len: usize) -> bool {
    let request = [code, start.expose_provenance(), len, 0, 0, 0];
    let mut answer = 0_usize;
    // SAFETY: changes `answer` and flags; memcheck changes what it knows of the bytes, never the bytes.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") &raw const request,
            inout("rdx") answer,
        );
    }
    answer != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn request(_: usize, _: *mut u8, _: usize) -> bool {
    false
}
