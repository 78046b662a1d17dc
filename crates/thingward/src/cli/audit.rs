//! `audit`: who did what, and the proof of it.

use std::fs;
use std::path::{Path as FilePath, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use serde_json::{Value as Json, json};
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::note::{LogKey, SignedNote};
use thingward_audit::tile::{self, Kind, TILE_WIDTH, Tile};
use thingward_audit::verify::Verifier;
use thingward_audit::{Hash, Subtree, leaf_hash, verify_inclusion};

use super::Global;
use super::connection::Tenant as Whose;
use crate::api::{Api, Path};
use crate::failure::Failure;
use crate::output::{self, Progress, fields, table};

const CHECKPOINT: &str = "checkpoint";

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List entries, oldest first.
    List {
        #[command(flatten)]
        tenant: Whose,
        /// Entries after this one.
        #[arg(long)]
        after: Option<u64>,
        /// Most entries.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Show an entry and prove that it is in the log.
    Prove {
        #[command(flatten)]
        tenant: Whose,
        /// Its number.
        index: u64,
        /// The log's key, known from before; without it the service's word is taken for it.
        #[arg(long)]
        key: Option<String>,
    },
    /// Show the log's key, name and size. Keep the key where the service cannot change it.
    Key {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Write the log into a folder, to verify it elsewhere.
    Export {
        #[command(flatten)]
        tenant: Whose,
        /// A folder that is not there yet.
        folder: PathBuf,
    },
    /// Verify an exported log with nothing but its key. Needs no service.
    Verify {
        /// The folder that `audit export` wrote.
        folder: PathBuf,
        /// The log's key, as `audit key` showed it.
        #[arg(long)]
        key: String,
    },
}

impl Audit {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Verify { folder, key } => verify(global, &folder, &key),
            Self::List { tenant, after, limit } => list(global, &tenant, after, limit).await,
            Self::Prove { tenant, index, key } => prove(global, &tenant, index, key.as_deref()).await,
            Self::Key { tenant } => {
                let api = global.api()?;
                let log = api.get(Path::new(&["tenants", &tenant.name(&api).await?, "log"]).as_str()).await?;
                output::value(global.output, &log, fields);
                Ok(())
            }
            Self::Export { tenant, folder } => export(global, &tenant, &folder).await,
        }
    }
}

async fn list(global: &Global, tenant: &Whose, after: Option<u64>, limit: u64) -> Result<(), Failure> {
    let api = global.api()?;
    let path = Path::new(&["tenants", &tenant.name(&api).await?, "log", "entries"])
        .query("after", after.map(|n| n.to_string()).as_deref())
        .query("limit", Some(&limit.to_string()));
    let mut page = api.get(path.as_str()).await?;
    let items = page.get_mut("items").map(Json::take).unwrap_or_default();
    let columns = [
        ("ENTRY", "index"),
        ("TIME", "time"),
        ("ACTOR", "actor"),
        ("ACTION", "action"),
        ("TARGET", "target"),
    ];
    output::value(global.output, &items, |items| {
        table(items.as_array().map_or(&[], Vec::as_slice), &columns)
    });
    Ok(())
}

async fn prove(global: &Global, tenant: &Whose, index: u64, key: Option<&str>) -> Result<(), Failure> {
    let api = global.api()?;
    let tenant = tenant.name(&api).await?;
    let ask = async |parts: &[&str]| {
        let path = [&["tenants", &tenant, "log"], parts].concat();
        api.get(Path::new(&path).as_str()).await
    };
    let key = match key {
        Some(key) => key.to_owned(),
        None => text(&ask(&[]).await?, "key")?.to_owned(),
    };
    let key = log_key(&key)?;
    let proof = ask(&["entries", &index.to_string(), "proof"]).await?;
    let after = index.checked_sub(1).map(|n| n.to_string());
    let path = Path::new(&["tenants", &tenant, "log", "entries"])
        .query("after", after.as_deref())
        .query("limit", Some("1"));
    let mut entry = api.get(path.as_str()).await?.pointer("/items/0").cloned().unwrap_or_default();
    let size = check_proof(&key, index, &entry, &proof)?;
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("proved".to_owned(), format!("in the log of {} with {size} entries", key.name()).into());
    }
    output::value(global.output, &entry, fields);
    Ok(())
}

/// The size of the log whose checkpoint the entry was proved under.
fn check_proof(key: &LogKey, index: u64, entry: &Json, proof: &Json) -> Result<u64, Failure> {
    let refuse = |e: &dyn std::fmt::Display| Failure::Failed(format!("entry {index} is NOT proved: {e}"));
    let note = SignedNote::parse(text(proof, CHECKPOINT)?).map_err(|e| refuse(&e))?;
    let checkpoint = Checkpoint::verify(&note, key).map_err(|e| refuse(&e))?;
    let bytes = STANDARD.decode(text(entry, "entry")?).map_err(|e| refuse(&e))?;
    let hashes = proof.get("proof").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let hash = |text: &Json| STANDARD.decode(text.as_str()?).ok()?.try_into().ok();
    let hashes: Option<Vec<Hash>> = hashes.iter().map(hash).collect();
    let hashes = hashes.ok_or_else(|| refuse(&"the proof has texts that are no hashes"))?;
    verify_inclusion(index, &leaf_hash(&bytes), Subtree::first(checkpoint.size), &checkpoint.root, &hashes)
        .map_err(|e| refuse(&e))?;
    Ok(checkpoint.size)
}

async fn export(global: &Global, tenant: &Whose, folder: &FilePath) -> Result<(), Failure> {
    let api = global.api()?;
    let tenant = tenant.name(&api).await?;
    fs::create_dir(folder).map_err(Failure::file(folder))?;
    let note = api.fetch(Path::new(&["tenants", &tenant, "log", CHECKPOINT]).as_str()).await?;
    let note = String::from_utf8(note).map_err(Failure::of)?;
    let parsed = SignedNote::parse(&note).map_err(Failure::of)?;
    let checkpoint: Checkpoint = parsed.text_unverified().parse().map_err(Failure::of)?;
    let progress = Progress::new(global.output, "entries", Some(checkpoint.size));
    for bundle in bundles(checkpoint.size) {
        let name = bundle.to_string();
        save(folder, &name, &piece(&api, &tenant, &name).await?)?;
        progress.advance(bundle.width.into());
    }
    progress.finish();
    // Last, so that a folder with a checkpoint is whole.
    save(folder, CHECKPOINT, note.as_bytes())?;
    let shown =
        json!({"folder": folder.display().to_string(), "entries": checkpoint.size, "log": checkpoint.origin});
    output::value(global.output, &shown, fields);
    Ok(())
}

async fn piece(api: &Api, tenant: &str, name: &str) -> Result<Vec<u8>, Failure> {
    let parts: Vec<&str> = ["tenants", tenant, "log"].into_iter().chain(name.split('/')).collect();
    api.fetch(Path::new(&parts).as_str()).await
}

fn verify(global: &Global, folder: &FilePath, key: &str) -> Result<(), Failure> {
    let key = log_key(key)?;
    let note = folder.join(CHECKPOINT);
    let note = fs::read_to_string(&note).map_err(Failure::file(&note))?;
    let forged =
        |e: &dyn std::fmt::Display| Failure::Failed(format!("this is NOT the log of {}: {e}", key.name()));
    let parsed = SignedNote::parse(&note).map_err(|e| forged(&e))?;
    let said = Checkpoint::verify(&parsed, &key).map_err(|e| forged(&e))?;
    let progress = Progress::new(global.output, "entries", Some(said.size));
    let mut verifier = Verifier::new(&key);
    for bundle in bundles(said.size) {
        let file = folder.join(bundle.to_string());
        let bytes = fs::read(&file).map_err(Failure::file(&file))?;
        let entries = tile::entries(&bytes).filter(|all| all.len() == usize::from(bundle.width));
        let entries =
            entries.ok_or_else(|| forged(&format!("{bundle} is no bundle of {} entries", bundle.width)))?;
        entries.into_iter().try_for_each(|entry| verifier.entry(entry)).map_err(|e| forged(&e))?;
        progress.advance(bundle.width.into());
    }
    progress.finish();
    let checkpoint = verifier.finish(&note).map_err(|e| forged(&e))?;
    let shown = json!({"log": checkpoint.origin, "entries": checkpoint.size, "verified": true});
    output::value(global.output, &shown, fields);
    Ok(())
}

/// The entry bundles of a log of this size.
fn bundles(size: u64) -> impl Iterator<Item = Tile> {
    (0..size.div_ceil(TILE_WIDTH)).map(move |index| {
        let width = u16::try_from((size - index * TILE_WIDTH).min(TILE_WIDTH)).unwrap_or(256);
        Tile { kind: Kind::Entries, index, width }
    })
}

fn save(folder: &FilePath, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let file = folder.join(name);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(Failure::file(parent))?;
    }
    fs::write(&file, bytes).map_err(Failure::file(&file))
}

fn log_key(text: &str) -> Result<LogKey, Failure> {
    text.parse().map_err(|e| Failure::Usage(format!("--key: {e}; `thingward audit key` shows it")))
}

fn text<'a>(answer: &'a Json, name: &str) -> Result<&'a str, Failure> {
    let text = answer.get(name).and_then(Json::as_str);
    text.ok_or_else(|| Failure::Failed(format!("the service's answer has no `{name}`")))
}
