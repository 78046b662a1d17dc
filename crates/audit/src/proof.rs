//! Verifying that an entry is in a tree and that one tree continues another: RFC 9162 §2.1.3 and §2.1.4, and the same
//! for subtrees (draft-ietf-plants-merkle-tree-certs, §4).

use core::fmt;

use crate::hash::{EMPTY_ROOT, Hash, node_hash};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError {
    /// The leaf or subtree is not in a tree of this size, or is no subtree that a tree can have.
    Range,
    /// The proof has more or fewer hashes than its place in the tree asks for.
    Length,
    /// The proof leads to another root: entry, tree or proof are not what they are said to be.
    Root,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Range => "not a place in a tree of this size",
            Self::Length => "the proof has a wrong number of hashes",
            Self::Root => "the proof leads to another root",
        })
    }
}

impl core::error::Error for ProofError {}

/// The leaves from `start` to before `end`, where `start` is a multiple of the least power of two that is not below
/// their number: what a larger tree has as one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtree {
    start: u64,
    end: u64,
}

impl Subtree {
    /// These leaves; `None` where they are no subtree.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        let Some(leaves) = end.checked_sub(start) else { return None };
        let Some(unit) = leaves.checked_next_power_of_two() else { return None };
        if start.is_multiple_of(unit) { Some(Self { start, end }) } else { None }
    }

    /// The first `size` leaves.
    #[must_use]
    pub const fn first(size: u64) -> Self {
        Self { start: 0, end: size }
    }

    /// Its first leaf.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The leaf behind its last.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }
}

/// Checks that the leaf with this hash is number `index`, from 0, among the leaves of a tree, of which `part` has the
/// hash `root`.
///
/// # Errors
///
/// [`ProofError`].
pub fn verify_inclusion<'a>(
    index: u64,
    leaf: &Hash,
    part: Subtree,
    root: &Hash,
    proof: impl IntoIterator<Item = &'a Hash>,
) -> Result<(), ProofError> {
    if !(part.start..part.end).contains(&index) {
        return Err(ProofError::Range);
    }
    let (mut at, mut last) = (index - part.start, part.end - part.start - 1);
    let mut hash = *leaf;
    for other in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if is_odd(at) || at == last {
            hash = node_hash(other, &hash);
            while !is_odd(at) && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that a tree of `size` leaves and hash `root` has the leaves `part` with the hash `part_root`. With
/// [`Subtree::first`] that is: the tree continues the one that `part_root` was the root of.
///
/// Nothing is asked of `root` where `part` is empty, which every tree has.
///
/// # Errors
///
/// [`ProofError`].
pub fn verify_consistency<'a>(
    part: Subtree,
    part_root: &Hash,
    size: u64,
    root: &Hash,
    proof: impl IntoIterator<Item = &'a Hash>,
) -> Result<(), ProofError> {
    let mut proof = proof.into_iter();
    if part.end > size {
        return Err(ProofError::Range);
    }
    if part.start == part.end {
        return match (proof.next(), *part_root == EMPTY_ROOT) {
            (Some(_), _) => Err(ProofError::Length),
            (None, false) => Err(ProofError::Root),
            (None, true) => Ok(()),
        };
    }
    let (mut first, mut last, mut tree_last) = (part.start, part.end - 1, size - 1);
    // Up to the largest complete node that ends where the part ends.
    while first != last && (last == tree_last || is_odd(last)) {
        (first, last, tree_last) = (first >> 1, last >> 1, tree_last >> 1);
    }
    let start = if first == last { *part_root } else { *proof.next().ok_or(ProofError::Length)? };
    let (mut of_part, mut of_tree) = (start, start);
    for other in proof {
        if tree_last == 0 {
            return Err(ProofError::Length);
        }
        if is_odd(last) || last == tree_last {
            if first < last {
                of_part = node_hash(other, &of_part);
            }
            of_tree = node_hash(other, &of_tree);
            while !is_odd(last) && last != 0 {
                (first, last, tree_last) = (first >> 1, last >> 1, tree_last >> 1);
            }
        } else {
            of_tree = node_hash(&of_tree, other);
        }
        (first, last, tree_last) = (first >> 1, last >> 1, tree_last >> 1);
    }
    if tree_last != 0 {
        return Err(ProofError::Length);
    }
    if of_part == *part_root && of_tree == *root { Ok(()) } else { Err(ProofError::Root) }
}

const fn is_odd(number: u64) -> bool {
    number & 1 == 1
}
