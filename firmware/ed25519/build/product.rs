//! Products and squares of 16 bytes, the kernels on which all else rests.

use thingward_assembly::{ADD, Assembly, op};

/// Eight bytes of the first factor.
const A: [u8; 8] = [2, 3, 4, 5, 6, 7, 8, 9];
/// Nine bytes of the sum, which rotate: the lowest leaves with each row and comes back empty as the highest.
const SUM: [u8; 9] = [10, 11, 12, 13, 14, 15, 16, 17, 18];
/// One byte of the second factor.
const B: u8 = 19;
/// Six bytes of products that wait to be added.
const WAITING: u8 = 20;

/// Adds one row, `A` times the byte at `X`, which moves on. Returns the sum's registers from the lowest on. `MUL`
/// destroys the carry, so products of even and of odd bytes are added in two chains.
fn row(asm: &mut Assembly, number: usize, sum_is_empty: bool) -> [u8; 9] {
    let sum: [u8; 9] = std::array::from_fn(|k| SUM[(number + k) % 9]);
    op!(asm, "ld r{B}, X+");
    if sum_is_empty {
        for k in (0..8).step_by(2) {
            op!(asm, "mul r{}, r{B}", A[k]);
            op!(asm, "movw r{}, r0", sum[k]);
        }
        op!(asm, "clr r{}", sum[8]);
    } else {
        wait_for_products(asm, [A[0], A[2], A[4]], A[6]);
        add_waiting(asm, &sum[..8]);
        op!(asm, "clr r{}", sum[8]);
        op!(asm, "adc r{0}, r{0}", sum[8]);
    }
    wait_for_products(asm, [A[1], A[3], A[5]], A[7]);
    add_waiting(asm, &sum[1..]);
    sum
}

fn wait_for_products(asm: &mut Assembly, waiting: [u8; 3], last: u8) {
    for (k, a) in (0..).step_by(2).zip(waiting) {
        op!(asm, "mul r{a}, r{B}");
        op!(asm, "movw r{}, r0", WAITING + k);
    }
    op!(asm, "mul r{last}, r{B}");
}

fn add_waiting(asm: &mut Assembly, sum: &[u8]) {
    for (k, r) in (0..).zip(&sum[..6]) {
        asm.chain(k == 0, ADD, *r, WAITING + k);
    }
    op!(asm, "adc r{}, r0", sum[6]);
    op!(asm, "adc r{}, r1", sum[7]);
}

/// `Z[32] = Y[16] * X[16]`. `X` moves on by 16, `Z` by 8, `Y` stays; r0 to r25 are lost.
pub(crate) fn product_16(asm: &mut Assembly) {
    asm.routine("ed25519_product_16");
    asm.load(A[0], 8, 'Y', 0);
    let mut sum = SUM;
    for j in 0..16 {
        sum = row(asm, j, j == 0);
        op!(asm, "st Z+, r{}", sum[0]);
    }
    for r in &sum[1..] {
        op!(asm, "st Z+, r{r}");
    }
    op!(asm, "sbiw r26, 16");
    op!(asm, "sbiw r30, 16");
    second_half(asm);
    op!(asm, "ret");
}

/// Adds the upper half of the first factor times the second one, to the sum at `Z`.
fn second_half(asm: &mut Assembly) {
    asm.load(A[0], 8, 'Y', 8);
    op!(asm, "push r28");
    op!(asm, "push r29");
    asm.load(SUM[0], 8, 'Z', 0);
    let mut sum = SUM;
    for j in 0..16 {
        sum = row(asm, j, false);
        op!(asm, "std Z+{j}, r{}", sum[0]);
        if j == 7 {
            // The rest of the first half's sum fits in here; its carry waits in r28.
            for k in 0..8 {
                op!(asm, "ldd r20, Z+{}", 8 + k);
                asm.chain(k == 0, ADD, sum[1 + k], 20);
            }
            op!(asm, "clr r28");
            op!(asm, "adc r28, r28");
        }
    }
    op!(asm, "clr r29");
    op!(asm, "add r{}, r28", sum[1]);
    for r in &sum[2..] {
        op!(asm, "adc r{r}, r29");
    }
    for (k, r) in (16..).zip(&sum[1..]) {
        op!(asm, "std Z+{k}, r{r}");
    }
    op!(asm, "pop r29");
    op!(asm, "pop r28");
}

/// `Z[32] = Y[16]^2`. `Y` and `Z` stay, r0 to r27 are lost, and 16 bytes at `spare`.
pub(crate) fn square_16(asm: &mut Assembly, symbol: &str, spare: u16) {
    asm.routine("ed25519_square_16");
    op!(asm, "call ed25519_square_8");
    op!(asm, "adiw r28, 8");
    op!(asm, "adiw r30, 16");
    op!(asm, "call ed25519_square_8");
    op!(asm, "sbiw r28, 8");
    op!(asm, "sbiw r30, 16");
    // Twice the lower times the upper half belongs between the two squares.
    op!(asm, "movw r26, r28");
    asm.load(A[0], 8, 'Y', 8);
    for r in 28..32 {
        op!(asm, "push r{r}");
    }
    asm.address(30, symbol, spare);
    let mut sum = SUM;
    for j in 0..8 {
        sum = row(asm, j, j == 0);
        op!(asm, "st Z+, r{}", sum[0]);
    }
    op!(asm, "movw r28, r30");
    op!(asm, "sbiw r28, 8");
    op!(asm, "pop r31");
    op!(asm, "pop r30");
    asm.load(A[0], 8, 'Y', 0);
    let cross: Vec<u8> = A.into_iter().chain(sum[1..].iter().copied()).collect();
    op!(asm, "lsl r{}", cross[0]);
    for r in &cross[1..] {
        op!(asm, "rol r{r}");
    }
    op!(asm, "clr r19");
    op!(asm, "adc r19, r19");
    for (k, r) in cross.iter().enumerate() {
        op!(asm, "ldd r20, Z+{}", 8 + k);
        asm.chain(k == 0, ADD, 20, *r);
        op!(asm, "std Z+{}, r20", 8 + k);
    }
    op!(asm, "ldd r20, Z+24");
    op!(asm, "adc r20, r19");
    op!(asm, "std Z+24, r20");
    op!(asm, "ldi r21, 0");
    for k in 25..32 {
        op!(asm, "ldd r20, Z+{k}");
        op!(asm, "adc r20, r21");
        op!(asm, "std Z+{k}, r20");
    }
    op!(asm, "pop r29");
    op!(asm, "pop r28");
    op!(asm, "ret");
}

/// `Z[16] = Y[8]^2`, by columns: each product of two different bytes once, all doubled, then the squares.
pub(crate) fn square_8(asm: &mut Assembly) {
    const SQUARE: u8 = 10;
    const ZERO: u8 = 26;
    const CARRY: u8 = 27;
    asm.routine("ed25519_square_8");
    asm.load(A[0], 8, 'Y', 0);
    op!(asm, "clr r{ZERO}");
    for k in 0..16 {
        op!(asm, "clr r{}", SQUARE + k);
    }
    for column in 1..14 {
        for i in (0..8_u8).filter(|i| column >= *i && column - i < *i) {
            op!(asm, "mul r{}, r{}", A[usize::from(i)], A[usize::from(column - i)]);
            op!(asm, "add r{}, r0", SQUARE + column);
            op!(asm, "adc r{}, r1", SQUARE + column + 1);
            op!(asm, "adc r{}, r{ZERO}", SQUARE + column + 2);
        }
    }
    op!(asm, "lsl r{}", SQUARE + 1);
    for k in 2..16 {
        op!(asm, "rol r{}", SQUARE + k);
    }
    for i in 0..8 {
        op!(asm, "mul r{0}, r{0}", A[usize::from(i)]);
        if i > 0 {
            op!(asm, "add r0, r{CARRY}");
            op!(asm, "adc r1, r{ZERO}");
        }
        op!(asm, "add r{}, r0", SQUARE + 2 * i);
        op!(asm, "adc r{}, r1", SQUARE + 2 * i + 1);
        if i < 7 {
            op!(asm, "clr r{CARRY}");
            op!(asm, "adc r{CARRY}, r{CARRY}");
        }
    }
    for k in 0..16 {
        op!(asm, "std Z+{k}, r{}", SQUARE + k);
    }
    op!(asm, "ret");
}
