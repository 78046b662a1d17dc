//! Test cards.

/// Pays.
pub const ACCEPTED: &str = "4242424242424242";
/// Does not, for want of money.
pub const DECLINED: &str = "4000000000000002";
/// Pays; its owner complains as soon as the money is taken.
pub const DISPUTED: &str = "4000000000000259";

/// What a card does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Card {
    Accepted,
    Declined,
    Disputed,
}

impl Card {
    /// The card of a number, with or without spaces; `None` for all that is no test card.
    pub(crate) fn of(number: &str) -> Option<Self> {
        let digits: String = number.chars().filter(|c| *c != ' ').take(32).collect();
        match digits.as_str() {
            ACCEPTED => Some(Self::Accepted),
            DECLINED => Some(Self::Declined),
            DISPUTED => Some(Self::Disputed),
            _ => None,
        }
    }
}
