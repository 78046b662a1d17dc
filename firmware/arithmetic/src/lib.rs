//! A self-test of the compiler: integer arithmetic that host and chip have to agree about.
//!
//! Compilers for 8-bit chips put 64 and 128 bits together from bytes, and they have had faults there: LLVM 22 adds a
//! constant to a `u128` wrongly on AVR. Such a fault in a signature is silent. Each operation runs over the same
//! pseudo-random operands on both sides; what comes out is digested with 8-bit steps only, which can be trusted.

#![no_std]

mod digest;

use core::hint::black_box;

/// An operation's name and the digest of its results.
pub type Report<'a> = &'a mut dyn FnMut(&str, [u8; 8]);

/// Operations that are tested together.
pub type Part = fn(Report<'_>);

macro_rules! operation {
    ($report:ident, $name:literal, $type:ty, |$a:ident, $b:ident, $n:ident| $work:expr) => {
        $report(
            concat!(stringify!($type), ".", $name),
            digest::of_rounds(|operands, digest| {
                let $a = black_box(<$type>::from_le_bytes(operands.next()));
                let $b = black_box(<$type>::from_le_bytes(operands.next()));
                let [$n] = operands.next();
                let _ = (&$b, $n);
                digest.add(&$work.to_le_bytes());
            }),
        )
    };
}

macro_rules! width {
    ($sums:ident, $bits:ident, $unsigned:ty, $signed:ty) => {
        fn $sums(report: Report<'_>) {
            operation!(report, "add", $unsigned, |a, b, n| a.wrapping_add(b));
            operation!(report, "sub", $unsigned, |a, b, n| a.wrapping_sub(b));
            operation!(report, "carry", $unsigned, |a, b, n| {
                let (sum, carry) = a.overflowing_add(b);
                sum ^ <$unsigned>::from(carry)
            });
            operation!(report, "borrow", $unsigned, |a, b, n| {
                let (difference, borrow) = a.overflowing_sub(b);
                difference ^ <$unsigned>::from(borrow)
            });
            operation!(report, "add1", $unsigned, |a, b, n| a.wrapping_add(1));
            operation!(report, "sub1", $unsigned, |a, b, n| a.wrapping_sub(1));
            operation!(report, "addc", $unsigned, |a, b, n| a.wrapping_add(0x5a));
            operation!(report, "add8", $unsigned, |a, b, n| a.wrapping_add(<$unsigned>::from(n)));
            operation!(report, "mul", $unsigned, |a, b, n| a.wrapping_mul(b));
            operation!(report, "mulc", $unsigned, |a, b, n| a.wrapping_mul(38));
            operation!(report, "div", $unsigned, |a, b, n| a / (b | 1));
            operation!(report, "rem", $unsigned, |a, b, n| a % (b | 1));
            operation!(report, "divs", $signed, |a, b, n| a.wrapping_div(b | 1));
            operation!(report, "div10", $unsigned, |a, b, n| a / 10);
            operation!(report, "min", $unsigned, |a, b, n| a.min(b));
            operation!(report, "neg", $unsigned, |a, b, n| a.wrapping_neg());
        }

        fn $bits(report: Report<'_>) {
            const BITS: u32 = <$unsigned>::BITS;
            operation!(report, "shl", $unsigned, |a, b, n| a << (u32::from(n) % BITS));
            operation!(report, "shr", $unsigned, |a, b, n| a >> (u32::from(n) % BITS));
            operation!(report, "sar", $signed, |a, b, n| a >> (u32::from(n) % BITS));
            operation!(report, "rot", $unsigned, |a, b, n| a.rotate_left(u32::from(n) % BITS));
            operation!(report, "shl3", $unsigned, |a, b, n| a << 3);
            operation!(report, "shr5", $unsigned, |a, b, n| a >> 5);
            operation!(report, "sar5", $signed, |a, b, n| a >> 5);
            operation!(report, "top", $unsigned, |a, b, n| a >> (BITS - 3));
            operation!(report, "rot1", $unsigned, |a, b, n| a.rotate_right(1));
            operation!(report, "rot5", $unsigned, |a, b, n| a.rotate_right(5));
            operation!(report, "ltu", $unsigned, |a, b, n| u8::from(a < b));
            operation!(report, "lts", $signed, |a, b, n| u8::from(a < b));
            operation!(report, "eq", $unsigned, |a, b, n| u8::from(a == b));
            operation!(report, "clz", $unsigned, |a, b, n| a.leading_zeros());
            operation!(report, "ctz", $unsigned, |a, b, n| a.trailing_zeros());
            operation!(report, "pop", $unsigned, |a, b, n| a.count_ones());
            operation!(report, "swap", $unsigned, |a, b, n| a.swap_bytes());
            operation!(report, "pick", $unsigned, |a, b, n| if n & 1 == 1 { a } else { b });
        }
    };
}

width!(sums_8, bits_8, u8, i8);
width!(sums_16, bits_16, u16, i16);
width!(sums_32, bits_32, u32, i32);
width!(sums_64, bits_64, u64, i64);
width!(sums_128, bits_128, u128, i128);

/// The parts of the test: one chip has no room for all of it.
pub const PARTS: [(&str, Part); 5] =
    [("16", part_16), ("32", part_32), ("64", part_64), ("128-sums", sums_128), ("128-bits", bits_128)];

fn part_16(report: Report<'_>) {
    sums_8(report);
    bits_8(report);
    sums_16(report);
    bits_16(report);
}

fn part_32(report: Report<'_>) {
    sums_32(report);
    bits_32(report);
    mixed(report);
}

fn part_64(report: Report<'_>) {
    sums_64(report);
    bits_64(report);
}

/// Products that are wider than their factors, and chains of carries, as field arithmetic has them.
fn mixed(report: Report<'_>) {
    operation!(report, "16x16", u16, |a, b, n| u32::from(a) * u32::from(b));
    operation!(report, "32x32", u32, |a, b, n| u64::from(a) * u64::from(b));
    operation!(report, "64x64", u64, |a, b, n| u128::from(a) * u128::from(b));
    operation!(report, "i16xi16", i16, |a, b, n| i32::from(a) * i32::from(b));
    operation!(report, "i32xi32", i32, |a, b, n| i64::from(a) * i64::from(b));
    operation!(report, "carries", u64, |a, b, n| {
        let (sum, one) = a.overflowing_add(b);
        let (sum, two) = sum.overflowing_add(u64::from(n & 1));
        sum ^ u64::from(one | two)
    });
    operation!(report, "limbs51", u64, |a, b, n| {
        const MASK: u64 = (1 << 51) - 1;
        let product = u128::from(a & MASK) * u128::from(b & MASK) + u128::from(b & MASK) * 19;
        ((product >> 51) as u64).wrapping_add(product as u64 & MASK)
    });
}
