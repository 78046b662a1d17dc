//! Whose word is taken for a log: its key's, and that of witnesses.

use clap::Args;
use serde_json::{Value as Json, json};
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::cosignature::WitnessKey;
use thingward_audit::note::{LogKey, SignedNote};
use thingward_audit::quorum::{Quorum, Witnessed};
use thingward_model::Timestamp;

use crate::failure::Failure;

/// Who has to have co-signed.
#[derive(Debug, Args)]
pub(in crate::cli) struct Witnesses {
    /// The key of a witness, known from before. Once for each.
    #[arg(long = "witness", value_name = "VKEY")]
    witnesses: Vec<String>,
    /// How many of them have to have co-signed [default: all].
    #[arg(long, requires = "witnesses", value_name = "NUMBER")]
    quorum: Option<usize>,
}

impl Witnesses {
    fn quorum(&self) -> Result<Quorum, Failure> {
        let key = |text: &String| {
            let key: Result<WitnessKey, _> = text.parse();
            key.map_err(|e| Failure::Usage(format!("--witness: {e}; `thingward witness show` shows it")))
        };
        let keys: Vec<WitnessKey> = self.witnesses.iter().map(key).collect::<Result<_, _>>()?;
        let wanted = self.quorum.unwrap_or(keys.len());
        if wanted == 0 && !keys.is_empty() {
            return Err(Failure::Usage("--quorum: none is what holds without --witness".to_owned()));
        }
        Quorum::new(keys, wanted).map_err(|e| Failure::Usage(format!("--witness: {e}")))
    }
}

/// Whose word is taken for a log.
pub(super) struct Trust {
    pub(super) key: LogKey,
    quorum: Quorum,
}

/// A checkpoint that is believed.
pub(super) struct Believed {
    pub(super) checkpoint: Checkpoint,
    witnessed: Vec<Witnessed>,
}

impl Trust {
    pub(super) fn new(key: &str, witnesses: &Witnesses) -> Result<Self, Failure> {
        let key = key.parse();
        let key = key.map_err(|e| Failure::Usage(format!("--key: {e}; `thingward audit key` shows it")))?;
        Ok(Self { key, quorum: witnesses.quorum()? })
    }

    /// Reads a checkpoint that the log signed and enough witnesses co-signed.
    pub(super) fn believe(&self, note: &str) -> Result<Believed, String> {
        let note = SignedNote::parse(note).map_err(|e| e.to_string())?;
        let checkpoint = Checkpoint::verify(&note, &self.key).map_err(|e| e.to_string())?;
        let witnessed = self.quorum.check(&note).map_err(|e| e.to_string())?;
        Ok(Believed { checkpoint, witnessed })
    }
}

impl Believed {
    /// Who co-signed, and when.
    pub(super) fn witnesses(&self) -> Json {
        let line = |w: &Witnessed| {
            let time = Timestamp::from_seconds(i64::try_from(w.seconds).unwrap_or(i64::MAX));
            json!(format!("{} at {time}", w.witness))
        };
        Json::Array(self.witnessed.iter().map(line).collect())
    }
}
