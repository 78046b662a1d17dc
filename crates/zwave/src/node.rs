//! Who is on a network.

/// The number of a network, which its controller drew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HomeId(pub u32);

/// A node of a network: 1 to 232 on the mesh, 256 to 4000 with Long Range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u16);

impl std::fmt::Display for HomeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl NodeId {
    /// The number of a network's first controller.
    pub const FIRST: Self = Self(1);

    /// A node by its number; `None` for those that no node has.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            1..=232 | 256..=4000 => Some(Self(number)),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its number in one byte, if it is on the mesh.
    #[must_use]
    pub fn mesh(self) -> Option<u8> {
        u8::try_from(self.0).ok()
    }

    /// Whether it speaks Long Range.
    #[must_use]
    pub const fn is_long_range(self) -> bool {
        self.0 >= 256
    }
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
