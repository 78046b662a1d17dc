//! Roots and proofs out of the hashes that a log keeps.

use std::vec::Vec;

use crate::hash::{EMPTY_ROOT, Hash, node_hash};
use crate::proof::Subtree;

/// Where the hashes of complete nodes are.
pub trait Nodes {
    /// Why a hash cannot be had.
    type Error;

    /// The hash of node `index`, from 0, of `level`: over the leaves from `index · 2^level` to before
    /// `(index + 1) · 2^level`. Asked for nodes only whose leaves are all there.
    ///
    /// # Errors
    ///
    /// What reading it says.
    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// The root over the first `size` leaves.
///
/// # Errors
///
/// What `nodes` says.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 { Ok(EMPTY_ROOT) } else { hash_of(nodes, 0, size) }
}

/// The proof that leaf `index` is among `part`: RFC 9162 §2.1.3.1. `index` has to be in `part`.
///
/// # Errors
///
/// What `nodes` says.
pub fn inclusion_proof<N: Nodes>(nodes: &N, index: u64, part: Subtree) -> Result<Vec<Hash>, N::Error> {
    let (mut start, mut end) = (part.start(), part.end());
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(hash_of(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(hash_of(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that a tree of `size` leaves has `part`: RFC 9162 §2.1.4.1. `part` has to be in the tree.
///
/// # Errors
///
/// What `nodes` says.
pub fn consistency_proof<N: Nodes>(nodes: &N, part: Subtree, size: u64) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    if part.start() == part.end() {
        return Ok(proof);
    }
    let (mut wanted, mut known) = (part.start(), true);
    let (mut start, mut end) = (0, size);
    while (wanted, part.end()) != (start, end) {
        let middle = start + split(end - start);
        if part.end() <= middle {
            proof.push(hash_of(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(hash_of(nodes, start, middle)?);
            if wanted < middle {
                // The part is more than its right side: what is left of it the proof gives.
                (wanted, known) = (middle, false);
            }
            start = middle;
        }
    }
    if !known {
        proof.push(hash_of(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The hash over the leaves from `start` to before `end`, a subtree with at least one leaf.
fn hash_of<N: Nodes>(nodes: &N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let leaves = end - start;
    if leaves.is_power_of_two() {
        let level = leaves.trailing_zeros();
        return nodes.node(u8::try_from(level).unwrap_or(u8::MAX), start >> level);
    }
    let middle = start + split(leaves);
    Ok(node_hash(&hash_of(nodes, start, middle)?, &hash_of(nodes, middle, end)?))
}

/// The largest power of two below `leaves`, which is at least 2.
const fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}
