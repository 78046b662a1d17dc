//! X25519 (RFC 7748 §5), on the same field. In constant time.

use zeroize::{Zeroize, Zeroizing};

use crate::comb::add_columns;
use crate::field::Element;
use crate::point::Point;
use crate::scalar::Scalar;

/// The point with the coordinate `u`, times a secret scalar. Zeros for a point of small order.
#[must_use]
#[inline(never)]
pub fn multiple(scalar: &[u8; 32], u: &[u8; 32]) -> [u8; 32] {
    let scalar = clamped(scalar);
    let mut ladder = Ladder::new(u);
    let mut swap = 0;
    for position in (LOW_ZEROS..255).rev() {
        let bit = (scalar[usize::from(position / 8)] >> (position % 8) & 1).wrapping_neg();
        ladder.swap_if(swap ^ bit);
        swap = bit;
        ladder.step();
    }
    ladder.swap_if(swap);
    for _ in 0..LOW_ZEROS {
        ladder.double();
    }
    let inverse = Zeroizing::new(ladder.z2.inverse());
    ladder.x2 *= &inverse;
    ladder.x2.canonical()
}

/// The base point times a secret scalar: on the curve of signatures, whose tables are at hand, and from there by the map
/// of RFC 7748 §4.1.
#[must_use]
#[inline(never)]
pub fn multiple_of_base(scalar: &[u8; 32]) -> [u8; 32] {
    let mut wide = Zeroizing::new([0; 64]);
    wide[..32].copy_from_slice(clamped(scalar).as_ref());
    let mut point = Zeroizing::new(Point::identity());
    add_columns(&mut point, &Scalar::reduced(&wide));
    let Point { x: sum, y, z, t: difference } = &mut *point;
    sum.set_sum(z, y);
    difference.set_difference(z, y);
    let inverse = Zeroizing::new(difference.inverse());
    *sum *= &inverse;
    sum.canonical()
}

/// How many of the lowest bits are zeros in every scalar.
const LOW_ZEROS: u8 = 3;

fn clamped(scalar: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut scalar = Zeroizing::new(*scalar);
    scalar[0] &= 0xff << LOW_ZEROS;
    scalar[31] = scalar[31] & 0x7f | 0x40;
    scalar
}

/// Two neighbouring multiples in projective coordinates, and room to work.
struct Ladder {
    x1: Element,
    x2: Element,
    z2: Element,
    x3: Element,
    z3: Element,
    a: Element,
    b: Element,
}

impl Ladder {
    #[inline(never)]
    fn new(u: &[u8; 32]) -> Self {
        let mut u = *u;
        u[31] &= 0x7f;
        let x1 = Element::from_bytes(&u);
        let (zero, one) = (Element::ZERO, Element::one());
        Self { x1, x2: one, z2: zero, x3: x1, z3: one, a: zero, b: zero }
    }

    fn swap_if(&mut self, mask: u8) {
        Element::swap_if(mask, &mut self.x2, &mut self.x3);
        Element::swap_if(mask, &mut self.z2, &mut self.z3);
    }

    /// Adds the one multiple to the other, and doubles the one.
    #[inline(never)]
    fn step(&mut self) {
        let Self { x1, x2, z2, x3, z3, a, b } = self;
        a.set_sum(x2, z2);
        b.set_difference(x2, z2);
        x2.set_sum(x3, z3);
        z2.set_difference(x3, z3);
        *x2 *= b;
        *z2 *= a;
        x3.set_sum(x2, z2);
        x3.square();
        z3.set_difference(z2, x2);
        z3.square();
        *z3 *= x1;
        self.finish_double();
    }

    #[inline(never)]
    fn double(&mut self) {
        let Self { x2, z2, a, b, .. } = self;
        a.set_sum(x2, z2);
        b.set_difference(x2, z2);
        self.finish_double();
    }

    /// With the sum of what is doubled in `a`, and the difference in `b`.
    #[inline(never)]
    fn finish_double(&mut self) {
        let Self { x2, z2, a, b, .. } = self;
        a.square();
        b.square();
        x2.set_product(a, b);
        z2.set_difference(a, b);
        b.set_scaled_sum(z2, a);
        *z2 *= b;
    }
}

impl Drop for Ladder {
    fn drop(&mut self) {
        let Self { x1: _, x2, z2, x3, z3, a, b } = self;
        [x2, z2, x3, z3, a, b].into_iter().for_each(Zeroize::zeroize);
    }
}
