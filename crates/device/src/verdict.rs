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
    pub fn of(is_good: impl Fn() -> bool) -> Self {
        Self::from_answers(black_box(is_good()), black_box(!is_good()))
    }

    /// By itself, for a chip has flash for one of it.
    #[inline(never)]
    fn from_answers(is_good: bool, is_bad: bool) -> Self {
        let mut verdict = Self { first: 0, second: 0 };
        if black_box(is_good) {
            verdict.first = black_box(FIRST_YES);
        }
        if !black_box(is_bad) {
            verdict.second = black_box(SECOND_YES);
        }
        verdict
    }

    /// What was decided; when a fault came between, `fault`.
    ///
    /// # Errors
    ///
    /// What was decided, or `fault`.
    pub fn hold<T, E>(decided: Result<T, E>, fault: E) -> Result<T, E> {
        let verdict = Self::of(|| black_box(&decided).is_ok());
        let good = decided?;
        if verdict.is_good() { Ok(good) } else { Err(fault) }
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
    fn what_was_decided_is_held() {
        assert_eq!(Verdict::hold(Ok::<_, u8>(7), 0), Ok(7));
        assert_eq!(Verdict::hold(Err::<u8, _>(7), 0), Err(7));
    }

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
