//! Which sequence numbers of the other endpoint were seen: RFC 8613 §3.2.2 and §7.4.

use super::PartialIv;

/// RFC 8613 §3.2.2: the default size of the window.
const WINDOW_BITS: u64 = 32;

/// The largest number that was taken, and of those just below which were.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    /// One more than the largest number, so that nothing was seen at first.
    next: u64,
    /// Bit `i` stands for `next - 1 - i`.
    seen: u32,
}

impl Window {
    /// A window in which `number` and everything before it was seen.
    pub(super) const fn after(number: PartialIv) -> Self {
        Self { next: number.number() + 1, seen: u32::MAX }
    }

    pub(super) fn would_take(&self, number: PartialIv) -> bool {
        match self.age(number) {
            None => true,
            Some(age) => age < WINDOW_BITS && self.seen & (1 << age) == 0,
        }
    }

    pub(super) fn take(&mut self, number: PartialIv) {
        if let Some(age) = self.age(number) {
            self.seen |= 1_u32.checked_shl(u32::try_from(age).unwrap_or(u32::MAX)).unwrap_or(0);
        } else {
            let ahead = number.number() + 1 - self.next;
            let shifted = u32::try_from(ahead).ok().and_then(|ahead| self.seen.checked_shl(ahead));
            self.seen = shifted.unwrap_or(0) | 1;
            self.next = number.number() + 1;
        }
    }

    /// How far `number` is below the largest one; `None` above it.
    const fn age(&self, number: PartialIv) -> Option<u64> {
        self.next.checked_sub(number.number() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u64) -> PartialIv {
        PartialIv::new(number).unwrap()
    }

    #[test]
    fn each_number_is_taken_once_and_old_ones_are_not() {
        let mut window = Window::default();
        for (value, fine) in [
            (0, true),
            (0, false),
            (40, true),
            (8, false),
            (9, true),
            (9, false),
            (40, false),
            (41, true),
            (9, false),
        ] {
            assert_eq!(window.would_take(number(value)), fine, "{value}");
            if fine {
                window.take(number(value));
            }
        }
        window.take(number(PartialIv::MAX));
        assert!(!window.would_take(number(PartialIv::MAX)));
        assert!(window.would_take(number(PartialIv::MAX - 1)));
        assert!(!Window::after(number(7)).would_take(number(7)));
        assert!(Window::after(number(7)).would_take(number(8)));
    }
}
