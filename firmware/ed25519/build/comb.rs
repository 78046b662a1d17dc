//! Multiples of the base point, computed from the curve's equation with the arithmetic that the host's tests check.

#[path = "../src/field/canonical.rs"]
mod canonical;
#[path = "../src/curve.rs"]
#[allow(dead_code, reason = "some of it only the crate needs")]
mod curve;
mod portable;

use canonical::canonical;
pub(crate) use curve::Shape;
use curve::{BASE_SHIFT, D};
use portable::{Element, add, multiply, subtract};

/// Three coordinates of a point: y + x, y - x and 2 d x y.
pub(crate) const ENTRY_BYTES: usize = 96;

/// X, Y, Z and T, with x = X/Z, y = Y/Z and x y = T/Z.
type Point = [Element; 4];

/// Every sum of one table's teeth, with signs: the highest tooth counts as plus, bit `k` of an entry's number says
/// whether tooth `k` does.
pub(crate) fn table(Shape { teeth, tables, columns, .. }: Shape) -> Vec<u8> {
    let powers: Vec<_> = powers_of_base().take(teeth * tables * columns).collect();
    let mut table = Vec::new();
    for j in 0..tables {
        let tooth = |k: usize| powers[columns * (k + teeth * j)];
        for entry in 0..1 << (teeth - 1) {
            let sum = (0..teeth - 1).fold(tooth(teeth - 1), |sum, k| {
                plus(&sum, &if entry >> k & 1 == 1 { tooth(k) } else { minus(&tooth(k)) })
            });
            table.extend(coordinates(&sum));
        }
    }
    table
}

/// The base point, then 2^128 times that, times 1, 3, 5 and on, for verifying.
pub(crate) fn odd_multiples(shape: Shape) -> Vec<u8> {
    let powers: Vec<_> = powers_of_base().take(BASE_SHIFT + 2).collect();
    let shifted = |shift: usize| {
        let (first, twice) = (powers[shift], powers[shift + 1]);
        let multiples = std::iter::successors(Some(first), move |last| Some(plus(last, &twice)));
        multiples.take(shape.odd_multiples() / 2).flat_map(|point| coordinates(&point))
    };
    [0, BASE_SHIFT].into_iter().flat_map(shifted).collect()
}

/// The base point, doubled again and again.
fn powers_of_base() -> impl Iterator<Item = Point> {
    std::iter::successors(Some(base()), |last| Some(plus(last, last)))
}

fn coordinates([x, y, z, _]: &Point) -> impl Iterator<Item = u8> + use<> {
    let inverse = inverse(z);
    let (x, y) = (multiply(x, &inverse), multiply(y, &inverse));
    let t = multiply(&multiply(&small(2), &D), &multiply(&x, &y));
    [add(&y, &x), subtract(&y, &x), t].into_iter().flat_map(|element| canonical(&element))
}

/// RFC 8032 §5.1.4; it doubles as well.
fn plus([x1, y1, z1, t1]: &Point, [x2, y2, z2, t2]: &Point) -> Point {
    let a = multiply(&subtract(y1, x1), &subtract(y2, x2));
    let b = multiply(&add(y1, x1), &add(y2, x2));
    let c = multiply(&multiply(t1, &add(&D, &D)), t2);
    let d = multiply(&add(z1, z1), z2);
    let [e, f, g, h] = [subtract(&b, &a), subtract(&d, &c), add(&d, &c), add(&b, &a)];
    [multiply(&e, &f), multiply(&g, &h), multiply(&f, &g), multiply(&e, &h)]
}

fn minus([x, y, z, t]: &Point) -> Point {
    [subtract(&small(0), x), *y, *z, subtract(&small(0), t)]
}

/// y = 4/5, and the even x: RFC 8032 §5.1.
fn base() -> Point {
    let y = multiply(&small(4), &inverse(&small(5)));
    let y2 = multiply(&y, &y);
    let x2 = multiply(&subtract(&y2, &small(1)), &inverse(&add(&multiply(&D, &y2), &small(1))));
    let x = square_root(&x2);
    let x = if x[0] & 1 == 0 { x } else { canonical(&subtract(&small(0), &x)) };
    [x, y, small(1), multiply(&x, &y)]
}

/// RFC 8032 §5.1.3.
fn square_root(square: &Element) -> Element {
    // (p + 3) / 8 and (p - 1) / 4
    let mut root = power(square, &exponent(0xfe, 0x0f));
    if canonical(&multiply(&root, &root)) != canonical(square) {
        root = multiply(&root, &power(&small(2), &exponent(0xfb, 0x1f)));
    }
    canonical(&root)
}

fn small(value: u8) -> Element {
    let mut element = [0; 32];
    element[0] = value;
    element
}

/// A number whose bytes are all ones but the lowest and the highest.
fn exponent(lowest: u8, highest: u8) -> Element {
    let mut exponent = [0xff; 32];
    (exponent[0], exponent[31]) = (lowest, highest);
    exponent
}

/// To the power of p - 2.
fn inverse(element: &Element) -> Element {
    power(element, &exponent(0xeb, 0x7f))
}

fn power(element: &Element, exponent: &Element) -> Element {
    (0..256).rev().fold(small(1), |power, bit| {
        let square = multiply(&power, &power);
        if exponent[bit / 8] >> (bit % 8) & 1 == 1 { multiply(&square, element) } else { square }
    })
}
