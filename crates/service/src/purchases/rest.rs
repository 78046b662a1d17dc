//! How much of what was paid goes back when a use ends before its time.

use thingward_grant::usage::State;
use thingward_store::registry::{Close, GrantId, Purchase};

/// What goes back of each stay of one holder, the newest first, when the device says that `rest` units were left: the
/// newest was to run last, so it is the first that was not used. Never more than was paid for it, rounded down.
pub(super) fn closed(rest: u64, stays: &[Purchase]) -> Vec<(GrantId, Close)> {
    let mut left = rest;
    let close = |stay: &Purchase| {
        let unused = left.min(stay.quantity);
        left -= unused;
        let part = u128::from(stay.amount) * u128::from(unused) / u128::from(stay.quantity.max(1));
        let owed = u64::try_from(part).unwrap_or(stay.amount).min(stay.amount);
        (stay.id, Close { state: State::Ended, owed })
    };
    stays.iter().map(close).collect()
}

#[cfg(test)]
mod tests {
    use thingward_model::Timestamp;

    use super::*;

    fn stay(quantity: u64, amount: u64) -> Purchase {
        let at = Timestamp::from_seconds(0);
        Purchase {
            id: [7; 8],
            device: "meter-1".parse().unwrap(),
            holder: [1; 32],
            start: "park".parse().unwrap(),
            finish: "leave".parse().unwrap(),
            quantity,
            seconds: quantity * 60,
            amount,
            currency: "EUR".to_owned(),
            state: State::Active,
            payment: None,
            made: at,
            until: at,
            owed: 0,
            refunded: 0,
            started: None,
            news: 0,
        }
    }

    #[track_caller]
    fn check(rest: u64, stays: &[(u64, u64)], want: &[u64]) {
        let stays: Vec<Purchase> = stays.iter().map(|(quantity, amount)| stay(*quantity, *amount)).collect();
        let owed: Vec<u64> = closed(rest, &stays).into_iter().map(|(_, close)| close.owed).collect();
        assert_eq!(owed, want, "{rest}");
    }

    #[test]
    fn the_rest_goes_back_of_the_newest_first_and_never_more_than_was_paid() {
        check(0, &[(60, 240)], &[0]);
        check(30, &[(60, 240)], &[120]);
        check(1, &[(60, 250)], &[4]);
        check(60, &[(60, 240)], &[240]);
        check(90, &[(60, 240), (60, 300)], &[240, 150]);
        check(u64::MAX, &[(60, 240), (1, u64::MAX)], &[240, u64::MAX]);
    }
}
