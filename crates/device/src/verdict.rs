//! Decisions that a fault should not turn: a skipped instruction, a flipped bit, a wrong word from memory.

use core::hint::black_box;

/// Yes or no, in two words of which every bit differs. One wrong step does not make both of them, and anything else is no.
#[must_use]
#[derive(Clone, Copy)]
pub struct Verdict {
    first: u32,
    second: u32,
}

const FIRST_YES: u32 = 0x5ca9_36b1;
const SECOND_YES: u32 = 0xa356_c94e;

impl Verdict {
    /// Asks twice.
    #[inline(never)]
    pub fn of(is_good: impl Fn() -> bool) -> Self {
        let mut verdict = Self { first: 0, second: 0 };
        if black_box(is_good()) {
            verdict.first = black_box(FIRST_YES);
        }
        if !black_box(!is_good()) {
            verdict.second = black_box(SECOND_YES);
        }
        verdict
    }

    /// Looks twice.
    #[must_use]
    #[inline(never)]
    pub fn is_good(self) -> bool {
        let verdict = black_box(self);
        if verdict.first != FIRST_YES || verdict.second != SECOND_YES {
            return false;
        }
        let verdict = black_box(self);
        verdict.first ^ verdict.second == FIRST_YES ^ SECOND_YES && verdict.first == FIRST_YES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_two_words_alone_is_no() {
        assert!(Verdict::of(|| true).is_good());
        assert!(!Verdict::of(|| false).is_good());
        let good = Verdict { first: FIRST_YES, second: SECOND_YES };
        for bit in 0..32 {
            assert!(!Verdict { first: good.first ^ 1 << bit, ..good }.is_good());
            assert!(!Verdict { second: good.second ^ 1 << bit, ..good }.is_good());
        }
    }
}
