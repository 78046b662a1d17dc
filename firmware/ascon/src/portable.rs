//! SP 800-232 §3.2 to §3.4 as it stands there: what the kernel for AVR has to agree with.

use crate::END;

pub(crate) fn permute(state: &mut [u64; 5], mut constant: u8) {
    while constant != END {
        *state = round(*state, constant);
        constant -= 15;
    }
}

fn round([x0, x1, x2, x3, x4]: [u64; 5], constant: u8) -> [u64; 5] {
    // Substitution, §3.3, on 64 columns at once.
    let (x0, x2, x4) = (x0 ^ x4, x2 ^ x1 ^ u64::from(constant), x4 ^ x3);
    let y0 = x0 ^ !x1 & x2;
    let y1 = x1 ^ !x2 & x3;
    let y2 = x2 ^ !x3 & x4;
    let y3 = x3 ^ !x4 & x0;
    let y4 = x4 ^ !x0 & x1;
    let (y1, y0, y3, y2) = (y1 ^ y0, y0 ^ y4, y3 ^ y2, !y2);
    // Linear layer, §3.4.
    [
        y0 ^ y0.rotate_right(19) ^ y0.rotate_right(28),
        y1 ^ y1.rotate_right(61) ^ y1.rotate_right(39),
        y2 ^ y2.rotate_right(1) ^ y2.rotate_right(6),
        y3 ^ y3.rotate_right(10) ^ y3.rotate_right(17),
        y4 ^ y4.rotate_right(7) ^ y4.rotate_right(41),
    ]
}
