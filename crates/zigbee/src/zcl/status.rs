//! How things went: 2.6.3, table 2-12.

/// What a status says; its number where it is unknown.
#[must_use]
pub fn status(number: u8) -> String {
    let name = match number {
        0x00 => "success",
        0x01 => "failure",
        0x7e => "not authorized",
        0x80 => "malformed command",
        0x81 => "unsupported cluster command",
        0x82 => "unsupported general command",
        0x83 => "unsupported command of the manufacturer in the cluster",
        0x84 => "unsupported general command of the manufacturer",
        0x85 => "invalid field",
        0x86 => "unsupported attribute",
        0x87 => "invalid value",
        0x88 => "read only",
        0x89 => "insufficient space",
        0x8a => "duplicate exists",
        0x8b => "not found",
        0x8c => "unreportable attribute",
        0x8d => "invalid data type",
        0x8e => "invalid selector",
        0x8f => "write only",
        0x90 => "inconsistent startup state",
        0x91 => "defined out of band",
        0x92 => "inconsistent",
        0x93 => "action denied",
        0x94 => "timeout",
        0x95 => "abort",
        0x96 => "invalid image",
        0x97 => "wait for data",
        0x98 => "no image available",
        0x99 => "require more image",
        0x9a => "notification pending",
        0xc0 => "hardware failure",
        0xc1 => "software failure",
        0xc2 => "calibration error",
        0xc3 => "unsupported cluster",
        _ => return format!("status {number:#04x}"),
    };
    name.to_owned()
}
