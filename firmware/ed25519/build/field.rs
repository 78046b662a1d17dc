//! Arithmetic modulo 2^256 - 38, twice the field's prime: values stay below 2^256 and are reduced when they are written.
//! No branch and no address depends on a value.
//!
//! Routines take pointers as C does on AVR, in r25:24, r23:22 and r21:20. They share `ed25519_scratch`.

use thingward_assembly::{ADD, Assembly, SUB, op};

pub(crate) const SCRATCH: &str = "ed25519_scratch";
/// In the scratch: the product of the lower halves, that of the upper ones, the one between, and two differences.
const LOW: u16 = 0;
const HIGH: u16 = 32;
const MIDDLE: u16 = 64;
const DIFFERENCES: u16 = 96;

pub(crate) fn routines(asm: &mut Assembly) {
    crate::product::product_16(asm);
    crate::product::square_8(asm);
    crate::product::square_16(asm, SCRATCH, DIFFERENCES);
    multiply(asm);
    square(asm);
    finish(asm);
    sum_or_difference(asm, "ed25519_add", ADD);
    sum_or_difference(asm, "ed25519_subtract", SUB);
    multiply_and_add(asm);
    swap_if(asm);
    multiply_16(asm);
}

/// r2..r17 = |Y[0..16] - Y[16..32]|, r19 = 0xff when it was negative.
fn absolute_difference(asm: &mut Assembly) {
    asm.load(2, 16, 'Y', 0);
    for k in 0..16 {
        op!(asm, "ldd r18, Y+{}", 16 + k);
        asm.chain(k == 0, SUB, 2 + k, 18);
    }
    op!(asm, "sbc r19, r19");
    for k in 0..16 {
        op!(asm, "eor r{}, r19", 2 + k);
    }
    for k in 0..16 {
        asm.chain(k == 0, SUB, 2 + k, 19);
    }
}

/// `multiply(result, a, b)` by one level of subtractive Karatsuba.
fn multiply(asm: &mut Assembly) {
    asm.routine("ed25519_multiply");
    asm.save_all();
    for r in [24, 25, 20, 21] {
        op!(asm, "push r{r}");
    }
    op!(asm, "movw r28, r22");
    op!(asm, "movw r26, r20");
    asm.address(30, SCRATCH, LOW);
    op!(asm, "call ed25519_product_16");
    op!(asm, "adiw r28, 16");
    asm.address(30, SCRATCH, HIGH);
    op!(asm, "call ed25519_product_16");
    op!(asm, "sbiw r28, 16");
    absolute_difference(asm);
    asm.address(30, SCRATCH, DIFFERENCES);
    for k in 0..16 {
        op!(asm, "st Z+, r{}", 2 + k);
    }
    op!(asm, "mov r20, r19");
    op!(asm, "pop r29");
    op!(asm, "pop r28");
    op!(asm, "push r20");
    absolute_difference(asm);
    for k in 0..16 {
        op!(asm, "st Z+, r{}", 2 + k);
    }
    // The middle is to be subtracted when both differences have one sign.
    op!(asm, "pop r20");
    op!(asm, "eor r20, r19");
    op!(asm, "com r20");
    op!(asm, "push r20");
    op!(asm, "movw r26, r30");
    op!(asm, "sbiw r26, 16");
    op!(asm, "movw r28, r26");
    op!(asm, "sbiw r28, 16");
    asm.address(30, SCRATCH, MIDDLE);
    op!(asm, "call ed25519_product_16");
    asm.address(30, SCRATCH, LOW);
    asm.address(28, SCRATCH, MIDDLE);
    op!(asm, "pop r22");
    op!(asm, "pop r27");
    op!(asm, "pop r26");
    op!(asm, "jmp ed25519_finish");
}

/// `square(result, a)`.
fn square(asm: &mut Assembly) {
    asm.routine("ed25519_square");
    asm.save_all();
    op!(asm, "push r24");
    op!(asm, "push r25");
    op!(asm, "movw r28, r22");
    asm.address(30, SCRATCH, LOW);
    op!(asm, "call ed25519_square_16");
    op!(asm, "adiw r28, 16");
    asm.address(30, SCRATCH, HIGH);
    op!(asm, "call ed25519_square_16");
    op!(asm, "sbiw r28, 16");
    absolute_difference(asm);
    asm.address(28, SCRATCH, DIFFERENCES + 16);
    for k in 0..16 {
        op!(asm, "std Y+{k}, r{}", 2 + k);
    }
    asm.address(30, SCRATCH, MIDDLE);
    op!(asm, "call ed25519_square_16");
    asm.address(30, SCRATCH, LOW);
    asm.address(28, SCRATCH, MIDDLE);
    op!(asm, "ldi r22, 255");
    op!(asm, "pop r27");
    op!(asm, "pop r26");
    op!(asm, "jmp ed25519_finish");
}

/// The end of both: Z = scratch, Y = the middle, r22 = 0xff when that is subtracted, result to X.
///
/// With L and H for the products of the lower and the upper halves, and T = L + H and the middle, the product is
/// L + 2^128 T + 2^256 H. What is above 2^256 counts 38 times below, so that with 0 and 1 for lower and upper halves the
/// result is L0 + 38 (H0 + T1) and, 2^128 times that, L1 + T0 + 38 H1.
fn finish(asm: &mut Assembly) {
    asm.routine("ed25519_finish");
    op!(asm, "clr r24");
    // Bit 0 of r19 and r20: what the two sums of T have to carry.
    op!(asm, "clr r19");
    op!(asm, "mov r20, r22");
    half_of_middle(asm, 0);
    op!(asm, "clr r20");
    op!(asm, "adc r20, r24");
    // L1 + T0, in place of the middle's lower half; r21 is what it carries.
    add_half(asm, 16);
    op!(asm, "clr r21");
    op!(asm, "adc r21, r24");
    for k in 0..16 {
        op!(asm, "std Y+{k}, r{}", 2 + k);
    }
    half_of_middle(asm, 16);
    op!(asm, "adc r19, r22");
    // H0 + T1; what both carry is in r19.
    add_half(asm, 32);
    op!(asm, "adc r19, r24");
    fold(asm);
    asm.restore_all_and_return();
}

/// 16 bytes of T in r2 to r17, and r19 and the carry for what comes behind them.
fn half_of_middle(asm: &mut Assembly, half: u8) {
    op!(asm, "lsr r19");
    for k in 0..16 {
        op!(asm, "ldd r{}, Z+{}", 2 + k, half + k);
        op!(asm, "ldd r18, Z+{}", 32 + half + k);
        op!(asm, "adc r{}, r18", 2 + k);
    }
    op!(asm, "adc r19, r24");
    // The middle as it is, or complemented with the carry for two's complement.
    op!(asm, "lsr r20");
    for k in 0..16 {
        op!(asm, "ldd r18, Y+{}", half + k);
        op!(asm, "eor r18, r22");
        op!(asm, "adc r{}, r18", 2 + k);
    }
}

/// Adds 16 bytes of the scratch to r2 to r17.
fn add_half(asm: &mut Assembly, at: u8) {
    for k in 0..16 {
        op!(asm, "ldd r18, Z+{}", at + k);
        asm.chain(k == 0, ADD, 2 + k, 18);
    }
}

/// The last sums of [`finish`]: as many low bytes as fit stay in registers. What goes over 2^256 counts 38 times.
fn fold(asm: &mut Assembly) {
    const KEPT: u8 = 19;
    op!(asm, "ldi r23, 38");
    op!(asm, "clr r25");
    for k in 0..16 {
        op!(asm, "mul r{}, r23", 2 + k);
        add_to_product(asm, 2 + k, ('Z', k));
    }
    op!(asm, "mul r19, r23");
    op!(asm, "add r25, r0");
    for k in 0..16 {
        let to = if 16 + k < KEPT { 18 + k } else { 22 };
        op!(asm, "ldd r22, Z+{}", 48 + k);
        op!(asm, "mul r22, r23");
        add_to_product(asm, to, ('Y', k));
        if 16 + k >= KEPT {
            op!(asm, "std Y+{k}, r{to}");
        }
    }
    op!(asm, "add r25, r21");
    // It changes the carry, so not further down.
    op!(asm, "adiw r26, {KEPT}");
    op!(asm, "mul r25, r23");
    op!(asm, "add r2, r0");
    op!(asm, "adc r3, r1");
    for k in 2..KEPT {
        op!(asm, "adc r{}, r24", 2 + k);
    }
    for k in KEPT..32 {
        op!(asm, "ldd r22, Y+{}", k - 16);
        op!(asm, "adc r22, r24");
        op!(asm, "st X+, r22");
    }
    // After a second carry the value is small: three bytes are enough for the last 38.
    op!(asm, "sbc r25, r25");
    op!(asm, "andi r25, 38");
    op!(asm, "add r2, r25");
    op!(asm, "adc r3, r24");
    op!(asm, "adc r4, r24");
    op!(asm, "sbiw r26, 32");
    for k in 0..KEPT {
        op!(asm, "st X+, r{}", 2 + k);
    }
}

/// Adds to the product in r1:r0 what is carried in r25, and a byte behind a pointer. Its low byte is left in `to`, the
/// other in r25.
fn add_to_product(asm: &mut Assembly, to: u8, (pointer, offset): (char, u8)) {
    op!(asm, "add r0, r25");
    op!(asm, "adc r1, r24");
    op!(asm, "ldd r{to}, {pointer}+{offset}");
    op!(asm, "add r{to}, r0");
    op!(asm, "adc r1, r24");
    op!(asm, "mov r25, r1");
}

/// `name(result, a, b)`; result may be a or b.
fn sum_or_difference(asm: &mut Assembly, name: &str, chain: [&str; 2]) {
    // The lowest bytes stay in registers that a routine need not give back.
    const KEPT: [u8; 7] = [18, 19, 20, 21, 24, 25, 0];
    let kept = || (0..).zip(KEPT);
    asm.routine(name);
    op!(asm, "push r28");
    op!(asm, "push r29");
    op!(asm, "movw r28, r22");
    op!(asm, "movw r30, r20");
    op!(asm, "movw r26, r24");
    op!(asm, "adiw r26, {}", KEPT.len());
    for (k, to) in kept().chain((KEPT.len()..32).map(|k| (k, 22))) {
        op!(asm, "ldd r{to}, Y+{k}");
        op!(asm, "ldd r23, Z+{k}");
        asm.chain(k == 0, chain, to, 23);
        if to == 22 {
            op!(asm, "st X+, r22");
        }
    }
    op!(asm, "sbc r22, r22");
    op!(asm, "andi r22, 38");
    op!(asm, "movw r28, r26");
    op!(asm, "sbiw r28, 32");
    for (k, to) in kept() {
        asm.chain(k == 0, chain, to, if k == 0 { 22 } else { 1 });
    }
    for k in KEPT.len()..32 {
        op!(asm, "ldd r22, Y+{k}");
        asm.chain(false, chain, 22, 1);
        op!(asm, "std Y+{k}, r22");
    }
    // A second one over happens only within 38 of the modulus; then the lowest byte cannot go over again.
    op!(asm, "sbc r22, r22");
    op!(asm, "andi r22, 38");
    asm.chain(true, chain, KEPT[0], 22);
    for (k, from) in kept() {
        op!(asm, "std Y+{k}, r{from}");
    }
    op!(asm, "pop r29");
    op!(asm, "pop r28");
    op!(asm, "ret");
}

/// `multiply_and_add(result, a, b)`: 121665 a + b, as X25519 needs it.
fn multiply_and_add(asm: &mut Assembly) {
    // What is carried, lowest byte first; the registers change places with each byte.
    const SUM: [u8; 4] = [18, 19, 24, 25];
    asm.routine("ed25519_multiply_and_add");
    op!(asm, "push r2");
    op!(asm, "push r28");
    op!(asm, "push r29");
    op!(asm, "movw r28, r22");
    op!(asm, "movw r30, r20");
    op!(asm, "movw r26, r24");
    op!(asm, "ldi r20, lo8(121665)");
    op!(asm, "ldi r21, hi8(121665)");
    op!(asm, "clr r2");
    for r in SUM {
        op!(asm, "clr r{r}");
    }
    for k in 0..32 {
        let [lowest, second, third, last] = std::array::from_fn(|n| SUM[(k + n) % SUM.len()]);
        op!(asm, "ldd r22, Y+{k}");
        op!(asm, "ldd r23, Z+{k}");
        op!(asm, "mul r22, r20");
        op!(asm, "add r0, r23");
        op!(asm, "adc r1, r2");
        op!(asm, "add r{lowest}, r0");
        op!(asm, "adc r{second}, r1");
        op!(asm, "adc r{third}, r2");
        op!(asm, "mul r22, r21");
        op!(asm, "clr r{last}");
        op!(asm, "add r{second}, r0");
        op!(asm, "adc r{third}, r1");
        op!(asm, "adc r{last}, r2");
        // The highest byte of 121665 is 1.
        op!(asm, "add r{third}, r22");
        op!(asm, "adc r{last}, r2");
        op!(asm, "st X+, r{lowest}");
    }
    // 38 times what is carried, in r22, r23 and r21: less than 2^23.
    op!(asm, "ldi r20, 38");
    op!(asm, "mul r{}, r20", SUM[0]);
    op!(asm, "movw r22, r0");
    op!(asm, "mul r{}, r20", SUM[1]);
    op!(asm, "add r23, r0");
    op!(asm, "adc r1, r2");
    op!(asm, "mov r21, r1");
    op!(asm, "mul r{}, r20", SUM[2]);
    op!(asm, "add r21, r0");
    op!(asm, "movw r28, r26");
    op!(asm, "sbiw r28, 32");
    for k in 0..32 {
        op!(asm, "ldd r0, Y+{k}");
        asm.chain(k == 0, ADD, 0, [22, 23, 21].get(k).copied().unwrap_or(2));
        op!(asm, "std Y+{k}, r0");
    }
    // After a second carry the value is small: three bytes are enough for the last 38.
    op!(asm, "sbc r22, r22");
    op!(asm, "andi r22, 38");
    for k in 0..3 {
        op!(asm, "ldd r0, Y+{k}");
        asm.chain(k == 0, ADD, 0, if k == 0 { 22 } else { 2 });
        op!(asm, "std Y+{k}, r0");
    }
    op!(asm, "clr r1");
    op!(asm, "pop r29");
    op!(asm, "pop r28");
    op!(asm, "pop r2");
    op!(asm, "ret");
}

/// `swap_if(a, b, mask)` swaps 32 bytes when the mask is 0xff, and takes as long when it is 0.
fn swap_if(asm: &mut Assembly) {
    asm.routine("ed25519_swap_if");
    op!(asm, "push r28");
    op!(asm, "push r29");
    op!(asm, "movw r28, r24");
    op!(asm, "movw r30, r22");
    op!(asm, "ldi r21, 32");
    asm.label("1");
    op!(asm, "ld r22, Y");
    op!(asm, "ld r23, Z");
    op!(asm, "mov r24, r22");
    op!(asm, "eor r24, r23");
    op!(asm, "and r24, r20");
    op!(asm, "eor r22, r24");
    op!(asm, "eor r23, r24");
    op!(asm, "st Y+, r22");
    op!(asm, "st Z+, r23");
    op!(asm, "dec r21");
    op!(asm, "brne 1b");
    op!(asm, "pop r29");
    op!(asm, "pop r28");
    op!(asm, "ret");
}

/// `multiply_16(result, a, b)`: the whole 32 bytes of the product of two numbers of 16, for scalars.
fn multiply_16(asm: &mut Assembly) {
    asm.routine("ed25519_multiply_16");
    asm.save_all();
    op!(asm, "movw r30, r24");
    op!(asm, "movw r28, r22");
    op!(asm, "movw r26, r20");
    op!(asm, "call ed25519_product_16");
    asm.restore_all_and_return();
}
