//! What policies can talk about, and what holds before a tenant says anything.

use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::Schema;

use crate::index::Index;
use crate::source::{PolicyFile, Source};

/// The schema as Cedar writes it.
pub const SCHEMA: &str = include_str!("cedar/schema.cedarschema");
/// The policies of every tenant, as Cedar writes them.
pub const BASELINE: &str = include_str!("cedar/baseline.cedar");
/// What the file of the baseline is called in answers.
pub const BASELINE_FILE: &str = "baseline.cedar";

/// The schema, parsed.
#[expect(clippy::expect_used, reason = "the text is part of the program, and tests parse it")]
pub(crate) fn schema() -> &'static Schema {
    static PARSED: LazyLock<Schema> = LazyLock::new(|| Schema::from_str(SCHEMA).expect("our own schema"));
    &PARSED
}

/// The baseline, parsed.
#[expect(clippy::expect_used, reason = "the text is part of the program, and tests parse it")]
pub(crate) fn baseline() -> &'static Source {
    static PARSED: LazyLock<Source> = LazyLock::new(|| {
        let file = PolicyFile { name: BASELINE_FILE.to_owned(), text: BASELINE.to_owned() };
        Source::of(&[file]).expect("our own policies")
    });
    &PARSED
}

/// The baseline alone, ready to be asked.
#[expect(clippy::expect_used, reason = "the text is part of the program, and tests index it")]
pub(crate) fn baseline_index() -> &'static Index {
    static INDEX: LazyLock<Index> =
        LazyLock::new(|| Index::new(baseline().policies()).expect("our own policies"));
    &INDEX
}
