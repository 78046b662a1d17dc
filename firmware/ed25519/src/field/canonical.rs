//! Which of the numbers that stand for an element is below p. No branch and no address depends on it.

/// The one representative below 2^255 - 19.
pub(crate) fn canonical(a: &[u8; 32]) -> [u8; 32] {
    let mut value = *a;
    for _ in 0..2 {
        let over = value[31] >> 7;
        value[31] &= 0x7f;
        add_small(&mut value, 19 * over);
    }
    // It is the prime or more when 19 more reach 2^255. Not by choosing one of two arrays: compilers choose the address.
    let mut more = value;
    add_small(&mut more, 19);
    add_small(&mut value, 19 * (more[31] >> 7));
    value[31] &= 0x7f;
    value
}

fn add_small(value: &mut [u8; 32], small: u8) {
    let mut carry = u16::from(small);
    for byte in value {
        carry += u16::from(*byte);
        *byte = carry as u8;
        carry >>= 8;
    }
}
