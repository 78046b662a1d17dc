//! Texts from bytes. On chips the firmware's own crate reads them: the core library's table would take RAM.

/// The text that `bytes` are; `None` when they are no UTF-8 (RFC 3629).
#[cfg(not(target_os = "none"))]
pub(crate) fn from_utf8(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

#[cfg(target_os = "none")]
pub(crate) use thingward_text::from_utf8;
