//! Points of the curve in extended coordinates: x = X/Z, y = Y/Z, x y = T/Z. RFC 8032 §5.1.4.

use zeroize::Zeroize;

use crate::field::Element;

#[derive(Clone, Zeroize)]
pub(crate) struct Point {
    pub(crate) x: Element,
    pub(crate) y: Element,
    pub(crate) z: Element,
    /// Only as good as the last operation was asked to make it.
    pub(crate) t: Element,
}

/// A point of a table, with Z = 1: y + x, y - x and 2 d x y.
#[derive(Zeroize)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) sum: Element,
    pub(crate) difference: Element,
    pub(crate) product: Element,
}

impl Entry {
    /// A place for one.
    pub(crate) const EMPTY: Self =
        Self { sum: Element::ZERO, difference: Element::ZERO, product: Element::ZERO };
}

/// Whether an operation has to come to T as well: a doubling does not read it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum T {
    Needed,
    Skipped,
}

impl Point {
    #[inline(never)]
    pub(crate) fn identity() -> Self {
        Self { x: Element::ZERO, y: Element::one(), z: Element::one(), t: Element::ZERO }
    }

    /// Adds a point of a table, or takes it off when `negative` is 0xff. It takes as long either way.
    #[inline(never)]
    pub(crate) fn add(&mut self, entry: &mut Entry, negative: u8, t: T) {
        Element::swap_if(negative, &mut entry.sum, &mut entry.difference);
        let mut a = &self.y - &self.x;
        a *= &entry.difference;
        let mut b = &self.y + &self.x;
        b *= &entry.sum;
        self.t *= &entry.product;
        let d = &self.z + &self.z;
        self.finish_sum(&mut a, &mut b, &d, negative, t);
    }

    /// The end of every addition: from (y1 - x1)(y2 - x2), (y1 + x1)(y2 + x2) and 2 z1 z2, with 2 d t1 t2 in T.
    pub(crate) fn finish_sum(&mut self, a: &mut Element, b: &mut Element, d: &Element, negative: u8, t: T) {
        // Every place is used again as soon as it can be: the stack is small.
        self.x.set_difference(b, a);
        self.y.set_sum(b, a);
        a.set_difference(d, &self.t);
        b.set_sum(d, &self.t);
        Element::swap_if(negative, a, b);
        self.finish(a, b, t);
    }

    #[inline(never)]
    pub(crate) fn double(&mut self, t: T) {
        // As in a sum, every place is used again; T is free until the end.
        let Self { x, y, z, t: e } = self;
        e.set_sum(x, y);
        e.square();
        x.square();
        y.square();
        z.square();
        let g = &*x - &*y;
        z.double();
        *z += &g;
        *y += x;
        x.set_difference(y, e);
        if t == T::Needed {
            e.set_product(x, y);
        }
        *x *= z;
        *y *= &g;
        *z *= &g;
    }

    /// x = e f, y = g h, z = f g and t = e h, with e in x and h in y.
    fn finish(&mut self, f: &Element, g: &Element, t: T) {
        if t == T::Needed {
            self.t.set_product(&self.x, &self.y);
        }
        self.x *= f;
        self.y *= g;
        self.z.set_product(f, g);
    }

    /// RFC 8032 §5.1.2.
    #[inline(never)]
    pub(crate) fn encoded(&self) -> [u8; 32] {
        let inverse = self.z.inverse();
        let mut affine = &self.x * &inverse;
        let sign = affine.canonical()[0] << 7;
        affine.set_product(&self.y, &inverse);
        let mut encoded = affine.canonical();
        encoded[31] |= sign;
        encoded
    }
}
