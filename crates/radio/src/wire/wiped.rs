//! Bytes that may be secrets, of which no copy is left behind.

use std::convert::Infallible;
use std::ops::Deref;

use zeroize::{Zeroize, Zeroizing};

/// Bytes that come at one end and go at the other. What has gone is wiped at once, and so is the old place when they move to a
/// larger one.
#[derive(Default)]
pub(crate) struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    /// More comes.
    pub(crate) fn push(&mut self, more: &[u8]) {
        let len = self.0.len() + more.len();
        if len > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(len.max(2 * self.0.capacity())));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(more);
    }

    /// The first bytes go; all, where there are fewer.
    pub(crate) fn drop_front(&mut self, count: usize) {
        let count = count.min(self.0.len());
        let left = self.0.len() - count;
        self.0.copy_within(count.., 0);
        if let Some(gone) = self.0.get_mut(left..) {
            gone.zeroize();
        }
        self.0.truncate(left);
    }

    pub(crate) fn into_inner(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl minicbor::encode::Write for Wiped {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.push(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_goes_in_the_same_order_and_nothing_is_left_where_it_was() {
        let mut wiped = Wiped::default();
        for _ in 0..100 {
            wiped.push(b"key");
        }
        assert_eq!((wiped.len(), wiped.get(297..)), (300, Some(&b"key"[..])));
        wiped.drop_front(298);
        assert_eq!(&*wiped, b"ey");
        wiped.drop_front(7);
        assert!(wiped.is_empty());
        wiped.0.resize(300, 1);
        wiped.drop_front(100);
        wiped.push(b"k");
        assert_eq!(wiped.len(), 201);
    }
}
