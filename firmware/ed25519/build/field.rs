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
fn finish(asm: &mut Assembly) {
    asm.routine("ed25519_finish");
    combine(asm);
    fold(asm);
    asm.restore_all_and_return();
}

/// Adds lower, upper and middle products up to the 64 bytes at Z.
fn combine(asm: &mut Assembly) {
    // What is added twice: the upper half of the low product and the lower half of the high one.
    asm.load(2, 16, 'Z', 16);
    for k in 0..16 {
        op!(asm, "ldd r18, Z+{}", 32 + k);
        asm.chain(k == 0, ADD, 2 + k, 18);
    }
    op!(asm, "clr r19");
    op!(asm, "adc r19, r19");
    op!(asm, "clr r20");
    for k in 0..16 {
        op!(asm, "ldd r18, Z+{k}");
        asm.chain(k == 0, ADD, 18, 2 + k);
        op!(asm, "std Z+{}, r18", 16 + k);
    }
    for k in 0..16 {
        op!(asm, "adc r{}, r{}", 2 + k, if k == 0 { 19 } else { 20 });
    }
    op!(asm, "clr r21");
    op!(asm, "adc r21, r19");
    for k in 0..16 {
        op!(asm, "ldd r18, Z+{}", 48 + k);
        asm.chain(k == 0, ADD, 18, 2 + k);
        op!(asm, "std Z+{}, r18", 32 + k);
    }
    op!(asm, "adc r21, r20");
    // The middle, as it is or complemented with the carry for two's complement.
    op!(asm, "add r21, r22");
    op!(asm, "mov r23, r21");
    op!(asm, "lsl r23");
    op!(asm, "sbc r23, r23");
    op!(asm, "mov r24, r22");
    op!(asm, "lsr r24");
    for k in 0..32 {
        op!(asm, "ldd r18, Y+{k}");
        op!(asm, "eor r18, r22");
        op!(asm, "ldd r24, Z+{}", 16 + k);
        op!(asm, "adc r24, r18");
        op!(asm, "std Z+{}, r24", 16 + k);
    }
    for k in 48..64 {
        op!(asm, "ldd r24, Z+{k}");
        op!(asm, "adc r24, r{}", if k == 48 { 21 } else { 23 });
        op!(asm, "std Z+{k}, r24");
    }
}

/// X[32] = Z[0..32] + 38 Z[32..64], and 38 for what goes over that. As many low bytes as fit stay in registers.
fn fold(asm: &mut Assembly) {
    const KEPT: u8 = 20;
    op!(asm, "ldi r23, 38");
    op!(asm, "clr r24");
    op!(asm, "clr r25");
    for k in 0..32 {
        let to = if k < KEPT { 2 + k } else { 22 };
        op!(asm, "ldd r22, Z+{}", 32 + k);
        op!(asm, "mul r22, r23");
        op!(asm, "add r0, r25");
        op!(asm, "adc r1, r24");
        op!(asm, "ldd r{to}, Z+{k}");
        op!(asm, "add r{to}, r0");
        op!(asm, "adc r1, r24");
        op!(asm, "mov r25, r1");
        if k >= KEPT {
            op!(asm, "std Z+{k}, r{to}");
        }
    }
    op!(asm, "mul r25, r23");
    op!(asm, "add r2, r0");
    op!(asm, "adc r3, r1");
    for k in 2..KEPT {
        op!(asm, "adc r{}, r24", 2 + k);
    }
    for k in KEPT..32 {
        op!(asm, "ldd r22, Z+{k}");
        op!(asm, "adc r22, r24");
        op!(asm, "std Z+{k}, r22");
    }
    // After a second carry the value is small: three bytes are enough for the last 38.
    op!(asm, "sbc r25, r25");
    op!(asm, "andi r25, 38");
    op!(asm, "add r2, r25");
    op!(asm, "adc r3, r24");
    op!(asm, "adc r4, r24");
    for k in 0..KEPT {
        op!(asm, "st X+, r{}", 2 + k);
    }
    for k in KEPT..32 {
        op!(asm, "ldd r22, Z+{k}");
        op!(asm, "st X+, r22");
    }
}

/// `name(result, a, b)`; result may be a or b.
fn sum_or_difference(asm: &mut Assembly, name: &str, chain: [&str; 2]) {
    asm.routine(name);
    op!(asm, "push r28");
    op!(asm, "push r29");
    op!(asm, "movw r28, r22");
    op!(asm, "movw r30, r20");
    op!(asm, "movw r26, r24");
    for k in 0..32 {
        op!(asm, "ldd r22, Y+{k}");
        op!(asm, "ldd r23, Z+{k}");
        asm.chain(k == 0, chain, 22, 23);
        op!(asm, "st X+, r22");
    }
    op!(asm, "sbc r22, r22");
    op!(asm, "andi r22, 38");
    op!(asm, "movw r28, r24");
    op!(asm, "ldi r23, 0");
    for k in 0..32 {
        op!(asm, "ldd r20, Y+{k}");
        asm.chain(k == 0, chain, 20, if k == 0 { 22 } else { 23 });
        op!(asm, "std Y+{k}, r20");
    }
    // A second one over happens only within 38 of the modulus; then the lowest byte cannot go over again.
    op!(asm, "sbc r22, r22");
    op!(asm, "andi r22, 38");
    op!(asm, "ldd r20, Y+0");
    asm.chain(true, chain, 20, 22);
    op!(asm, "std Y+0, r20");
    op!(asm, "pop r29");
    op!(asm, "pop r28");
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
