//! Every decoder that bytes from outside reach, and the replay of their corpus.

pub mod decoders;
pub mod replay;
