//! The step of the inversion that is worth a kernel: a linear combination of two numbers of 33 bytes.

use thingward_assembly::{Assembly, SUB, op};

/// The bytes of a number.
const BYTES: u8 = 33;
/// Lower and upper byte of the two factors' magnitudes.
const FACTORS: [[u8; 2]; 2] = [[2, 3], [4, 5]];
/// 0xff for each negative factor.
const SIGNS: [u8; 2] = [6, 7];
const ZERO: u8 = 12;
const FOUR: u8 = 13;
/// The upper part of the last byte times four.
const OVER: u8 = 14;
/// 0xff where a number, with its factor's sign, is negative.
const NEGATIVE: [u8; 2] = [15, 16];
const BYTE: u8 = 17;
/// Four bytes of the sum, which rotate.
const SUM: [u8; 4] = [8, 9, 10, 11];

/// `combine(result, x, y, factors)`: (u x + v y + start) / 2^14, of two's complement numbers. `factors` are the
/// magnitudes of u and v in two bytes each, their signs as masks, and `start` in three bytes. The result may be x or y:
/// what is written was read two bytes ago.
pub(crate) fn combine(asm: &mut Assembly) {
    asm.routine("ed25519_combine");
    asm.save_all();
    op!(asm, "movw r30, r18");
    asm.load(FACTORS[0][0], 4, 'Z', 0);
    asm.load(SIGNS[0], 2, 'Z', 4);
    asm.load(SUM[0], 3, 'Z', 6);
    op!(asm, "movw r26, r24");
    op!(asm, "movw r28, r22");
    op!(asm, "movw r30, r20");
    op!(asm, "clr r{ZERO}");
    op!(asm, "clr r{OVER}");
    op!(asm, "clr r{}", SUM[3]);
    op!(asm, "ldi r18, 4");
    op!(asm, "mov r{FOUR}, r18");
    for i in 0..BYTES {
        let sum = sum_at(i);
        for (pointer, number) in [('Y', 0), ('Z', 1)] {
            add_product(asm, pointer, i, number, sum);
        }
        write_byte(asm, i, sum[0]);
    }
    top(asm);
    asm.restore_all_and_return();
}

fn sum_at(byte: u8) -> [u8; 4] {
    std::array::from_fn(|k| SUM[(usize::from(byte) + k) % 4])
}

/// Adds a byte of a number times its factor. A negative factor takes the complement; its one is part of `start`.
fn add_product(asm: &mut Assembly, pointer: char, byte: u8, number: usize, sum: [u8; 4]) {
    let [low, high] = FACTORS[number];
    op!(asm, "ldd r{BYTE}, {pointer}+{byte}");
    op!(asm, "eor r{BYTE}, r{}", SIGNS[number]);
    op!(asm, "mul r{BYTE}, r{low}");
    op!(asm, "add r{}, r0", sum[0]);
    op!(asm, "adc r{}, r1", sum[1]);
    op!(asm, "adc r{}, r{ZERO}", sum[2]);
    op!(asm, "adc r{}, r{ZERO}", sum[3]);
    op!(asm, "mul r{BYTE}, r{high}");
    op!(asm, "add r{}, r0", sum[1]);
    op!(asm, "adc r{}, r1", sum[2]);
    op!(asm, "adc r{}, r{ZERO}", sum[3]);
    if byte == BYTES - 1 {
        op!(asm, "lsl r{BYTE}");
        op!(asm, "sbc r{0}, r{0}", NEGATIVE[number]);
    }
}

/// Dividing by 2^14 is multiplying by four and dropping two bytes.
fn write_byte(asm: &mut Assembly, byte: u8, lowest: u8) {
    op!(asm, "mul r{lowest}, r{FOUR}");
    if byte >= 2 {
        op!(asm, "or r0, r{OVER}");
        op!(asm, "st X+, r0");
    }
    op!(asm, "mov r{OVER}, r1");
    op!(asm, "clr r{lowest}");
}

/// The two bytes above: a negative number is its bytes less 2^264, so its factor is taken off there.
fn top(asm: &mut Assembly) {
    let sum = sum_at(BYTES);
    for (number, [low, high]) in FACTORS.into_iter().enumerate() {
        op!(asm, "and r{low}, r{}", NEGATIVE[number]);
        op!(asm, "and r{high}, r{}", NEGATIVE[number]);
        asm.chain(true, SUB, sum[0], low);
        asm.chain(false, SUB, sum[1], high);
    }
    write_byte(asm, BYTES, sum[0]);
    write_byte(asm, BYTES + 1, sum[1]);
}
