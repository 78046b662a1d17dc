//! Verifying: RFC 8032 §5.1.7, without the cofactor. Strict: encodings have to be the canonical ones, and neither key nor
//! commitment may be of small order, for then a signature would say nothing about the key or the message.
//!
//! The equation is S B = R + k A. It is multiplied by the denominator of k as a [`Fraction`]: then all scalars but that of
//! the base point have half the length, and half of the doublings are saved. Pornin, "Optimized lattice basis reduction in
//! dimension 2, and fast Schnorr and EdDSA signature verification", 2020.
//!
//! What is verified is public, so this branches on it.

use crate::comb::{SHAPE, odd_multiple};
use crate::curve::BASE_SHIFT;
use crate::field::Element;
use crate::point::{Point, T};
use crate::scalar::Scalar;
use crate::sign::hash_to_scalar;
use crate::{Refused, SIGNATURE_BYTES};

mod digits;
mod fraction;

use digits::Digits;
use fraction::Fraction;

/// A public key, as RFC 8032 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

const D: Element = Element::from_bytes(&crate::curve::D);
/// Width of the digits that key and commitment are multiplied by: wider takes more memory for their multiples.
const POINT_WIDTH: usize = 3;
/// A square root of -1.
const ROOT_OF_MINUS_ONE: Element = Element::from_bytes(&[
    0xb0, 0xa0, 0x0e, 0x4a, 0x27, 0x1b, 0xee, 0xc4, 0x78, 0xe4, 0x2f, 0xad, 0x06, 0x18, 0x43, 0x2f, 0xa7,
    0xd7, 0xfb, 0x3d, 0x99, 0x00, 0x4d, 0x2b, 0x0b, 0xdf, 0xc1, 0x4f, 0x80, 0x24, 0x83, 0x2b,
]);

impl PublicKey {
    /// # Errors
    ///
    /// [`Refused`] when the signature is not this key's over `message`, or one of them is not as it has to be.
    pub fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Result<(), Refused> {
        self.verify_parts(&[message], signature)
    }

    /// As [`Self::verify`], of the concatenation of `parts`.
    ///
    /// # Errors
    ///
    /// See [`Self::verify`].
    pub fn verify_parts(&self, parts: &[&[u8]], signature: &[u8; SIGNATURE_BYTES]) -> Result<(), Refused> {
        let (commitment, response) = halves(signature);
        let response = Scalar::from_canonical(response).ok_or(Refused)?;
        let mut multiples = [const { Multiples([Cached::NONE, Cached::NONE]) }; 2];
        let [of_key, of_commitment] = &mut multiples;
        of_key.set_to_negative(&self.0)?;
        of_commitment.set_to_negative(commitment)?;
        let challenge = Fraction::of(&hash_to_scalar(&[commitment, &self.0], parts));
        let response = Scalar::product_and_sum(&challenge.denominator, &response, &Scalar::ZERO);
        if is_identity(&response, &challenge, &multiples) { Ok(()) } else { Err(Refused) }
    }
}

fn halves(signature: &[u8; SIGNATURE_BYTES]) -> (&[u8; 32], &[u8; 32]) {
    let [first, second] = signature.as_chunks().0 else { unreachable!("64 bytes are two times 32") };
    (first, second)
}

impl Point {
    /// Of order 1, 2, 4 or 8. A coordinate is 0 for orders up to 4; twice a point of order 8 has y = 0, and that is
    /// where x^2 + y^2 = 0.
    fn is_of_small_order(&self) -> bool {
        let sum = &self.x.squared() + &self.y.squared();
        (&(&self.x * &self.y) * &sum).canonical() == [0; 32]
    }

    /// x = 0 and y = 1.
    fn is_identity(&self) -> bool {
        self.x.canonical() == [0; 32] && self.y.canonical() == self.z.canonical()
    }
}

/// The negative of the point that 32 bytes stand for, which is not of small order: RFC 8032 §5.1.3.
#[inline(never)]
fn decode_negated(bytes: &[u8; 32]) -> Result<Point, Refused> {
    let sign = bytes[31] >> 7;
    let mut unsigned = *bytes;
    unsigned[31] &= 0x7f;
    let y = Element::from_bytes(&unsigned);
    if y.canonical() != unsigned {
        return Err(Refused);
    }
    let y2 = y.squared();
    let u = &y2 - &Element::one();
    let v = &(&y2 * &D) + &Element::one();
    let x = root_of_ratio(&u, &v).ok_or(Refused)?;
    let canonical = x.canonical();
    // RFC 8032: x = 0 has no sign. Such a point is of small order in any case.
    let x = if canonical[0] & 1 == sign { x.negated() } else { x };
    let t = &x * &y;
    let point = Point { x, y, z: Element::one(), t };
    if point.is_of_small_order() { Err(Refused) } else { Ok(point) }
}

/// A square root of u/v: u v^3 (u v^7)^((p-5)/8), or that times the root of -1.
fn root_of_ratio(u: &Element, v: &Element) -> Option<Element> {
    let v3 = &v.squared() * v;
    let uv7 = &(&v3.squared() * v) * u;
    let mut x = &(&uv7.power_of_eighth() * &v3) * u;
    let v_x2 = (&x.squared() * v).canonical();
    if v_x2 != u.canonical() {
        if v_x2 != u.negated().canonical() {
            return None;
        }
        x = &x * &ROOT_OF_MINUS_ONE;
    }
    Some(x)
}

/// A point to be added again and again: y + x, y - x, 2 d t, and 2 z.
struct Cached([Element; 4]);

impl Cached {
    /// A place for one.
    const NONE: Self = Self([Element::ZERO; 4]);

    #[inline(never)]
    fn set(&mut self, point: &Point) {
        let [sum, difference, t, z] = &mut self.0;
        sum.set_sum(&point.y, &point.x);
        difference.set_difference(&point.y, &point.x);
        t.set_product(&point.t, &D);
        t.double();
        z.set_sum(&point.z, &point.z);
    }
}

impl Point {
    #[inline(never)]
    fn add_cached(&mut self, Cached(other): &Cached, negative: bool, t: T) {
        let (with_difference, with_sum) = if negative { (0, 1) } else { (1, 0) };
        let mut a = &self.y - &self.x;
        a *= &other[with_difference];
        let mut b = &self.y + &self.x;
        b *= &other[with_sum];
        self.t *= &other[2];
        let d = &self.z * &other[3];
        self.finish_sum(&mut a, &mut b, &d, if negative { 0xff } else { 0 }, t);
    }
}

/// How many digits out of so many are not 0.
const fn most(digits: usize, width: usize) -> usize {
    digits.div_ceil(width)
}

/// Whether it comes to nothing: the base point times `response`, plus two points times numerator and denominator of a
/// fraction, with common doublings.
#[inline(never)]
fn is_identity(response: &Scalar, fraction: &Fraction, multiples: &[Multiples; 2]) -> bool {
    let mut numerator = Digits::<33, { most(257, POINT_WIDTH) }>::new(&fraction.numerator.0, POINT_WIDTH);
    let mut denominator = Digits::<17, { most(129, POINT_WIDTH) }>::new(&fraction.denominator.0, POINT_WIDTH);
    let (low, high) = response.0.split_at(BASE_SHIFT / 8);
    let digits = |half| Digits::<17, { most(129, SHAPE.base_width) }>::new(half, SHAPE.base_width);
    let mut base = [low, high].map(digits);
    let mut sum = Point::identity();
    let top = numerator.top().max(denominator.top()).max(base[0].top()).max(base[1].top());
    for position in (0..top).rev() {
        let numerator = numerator.take(position);
        let points = [if fraction.is_negative { -numerator } else { numerator }, denominator.take(position)];
        let base = [base[0].take(position), base[1].take(position)];
        let mut left = points.iter().chain(&base).filter(|digit| **digit != 0).count();
        let needed_by = |left: usize| if left == 0 { T::Skipped } else { T::Needed };
        sum.double(needed_by(left));
        for (multiples, digit) in multiples.iter().zip(points).filter(|(_, digit)| *digit != 0) {
            left -= 1;
            sum.add_cached(&multiples.0[usize::from(digit.unsigned_abs() / 2)], digit < 0, needed_by(left));
        }
        for (shift, digit) in (0..).zip(base).filter(|(_, digit)| *digit != 0) {
            left -= 1;
            let negative = if digit < 0 { 0xff } else { 0 };
            sum.add(&mut odd_multiple(shift, digit.unsigned_abs() / 2), negative, needed_by(left));
        }
    }
    sum.is_identity()
}

/// Once and three times a point, as its digits need them. Written where they stay: the stack is small.
struct Multiples([Cached; 2]);

impl Multiples {
    /// Of the negative of the point that 32 bytes stand for.
    #[inline(never)]
    fn set_to_negative(&mut self, bytes: &[u8; 32]) -> Result<(), Refused> {
        let [once, thrice] = &mut self.0;
        let mut sum = decode_negated(bytes)?;
        once.set(&sum);
        sum.double(T::Needed);
        sum.add_cached(once, false, T::Needed);
        thrice.set(&sum);
        Ok(())
    }
}
