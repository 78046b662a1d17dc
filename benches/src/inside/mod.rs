//! What the service does inside, without a network: its log, its policies, its history.

mod log;
mod policy;
mod query;

use std::fmt::Write as _;
use std::path::Path;

use crate::clock::Rounds;
use crate::plot::short;

/// See the module.
pub(crate) struct Inside {
    log: log::Log,
    policy: policy::Decisions,
    query: query::Query,
}

/// With the Python that has DuckDB.
pub(crate) fn measure(python: &Path) -> Inside {
    Inside { log: log::measure(), policy: policy::measure(), query: query::measure(python) }
}

impl Inside {
    pub(crate) fn text(&self) -> String {
        let Self { log, policy, query } = self;
        let mut text = String::from(
            "\n| Inside the service | A CPU-second | Least to most | Goal |\n|---|---|---|---|\n",
        );
        for (what, rounds, goal) in [
            ("entries of the audit log signed and made durable", &log.appended, "20 k"),
            ("proofs that an entry is in a log of 100 000", &log.proved, "50 k"),
            ("the same, checked by who gets them", &log.checked, ""),
            ("decisions of policy that are remembered", &policy.remembered, "1 M"),
            ("decisions of policy that are made", &policy.made, "20 k"),
        ] {
            let (least, most) = rounds.spread();
            writeln!(
                text,
                "| {what} | {} | {} to {} | {goal} |",
                short(rounds.median()),
                short(least),
                short(most)
            )
            .unwrap();
        }
        let of = |rounds: &Rounds| rounds.median() * 1e3;
        writeln!(
            text,
            "\n| Count, mean, least and greatest of a million values, by series and hour | CPU time |\n|---|---|\n\
             | Thingward, sealed | {:.0} ms |\n| DuckDB, the same rows in a plain Parquet file | {:.0} ms |\n\n\
             Thingward takes {:.1} times as long as DuckDB; the goal is at most 2 times.",
            of(&query.sealed),
            of(&query.plain),
            query.sealed.median() / query.plain.median(),
        )
        .unwrap();
        text
    }
}
