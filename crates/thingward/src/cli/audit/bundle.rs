//! A log in a folder: written from a service, verified without one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path as FilePath;

use serde_json::{Value as Json, json};
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::note::SignedNote;
use thingward_audit::tile::{self, Kind, TILE_WIDTH, Tile};
use thingward_audit::verify::{LogFault, Verified, Verifier};
use thingward_pki::SigningRequest;

use super::trust::{Believed, Trust};
use super::{Global, Whose};
use crate::api::{Api, Path};
use crate::failure::Failure;
use crate::output::{self, Progress, fields};

const CHECKPOINT: &str = "checkpoint";

pub(super) async fn export(global: &Global, tenant: &Whose, folder: &FilePath) -> Result<(), Failure> {
    let api = global.api()?;
    let tenant = tenant.name(&api).await?;
    let note = api.fetch(Path::new(&["tenants", &tenant, "log", CHECKPOINT]).as_str()).await?;
    let note = String::from_utf8(note).map_err(Failure::of)?;
    let parsed = SignedNote::parse(&note).map_err(Failure::of)?;
    let checkpoint: Checkpoint = parsed.text_unverified().parse().map_err(Failure::of)?;
    fs::create_dir(folder).map_err(Failure::file(folder))?;
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

/// A folder with its checkpoint, which is believed; the entries are not read yet.
struct Bundle<'a> {
    folder: &'a FilePath,
    note: String,
    believed: Believed,
}

pub(super) fn verify(
    global: &Global,
    folder: &FilePath,
    other: Option<&FilePath>,
    against: Option<&FilePath>,
    trust: &Trust,
) -> Result<(), Failure> {
    let mut newest = Bundle::open(folder, trust)?;
    let mut former = against.map(read).transpose()?;
    if let Some(other) = other {
        let mut older = Bundle::open(other, trust)?;
        if older.believed.checkpoint.size > newest.believed.checkpoint.size {
            std::mem::swap(&mut older, &mut newest);
        }
        older.verify(global, None, trust)?;
        former = Some(older.note);
    }
    let Verified { words, gaps, .. } = newest.verify(global, former.as_deref(), trust)?;
    let Bundle { folder, believed, .. } = newest;
    let shown = json!({
        "log": believed.checkpoint.origin,
        "entries": believed.checkpoint.size,
        "folder": folder.display().to_string(),
        "witnesses": believed.witnesses(),
        "signed_by": counts(words.iter().map(|(word, count)| (word.as_str(), *count))),
        "gaps": counts(gaps.iter().map(|(gateway, count)| (gateway.as_str(), *count))),
        "continues_former": former.is_some(),
        "verified": true,
    });
    output::value(global.output, &shown, fields);
    whole(&gaps)
}

/// What gateways did by themselves is all there.
fn whole(gaps: &BTreeMap<String, u64>) -> Result<(), Failure> {
    if gaps.is_empty() {
        return Ok(());
    }
    let gateways: Vec<&str> = gaps.keys().map(String::as_str).collect();
    Err(Failure::Gaps(format!(
        "accounts of {} do not follow each other: some are missing, or two stories are told",
        gateways.join(", ")
    )))
}

fn counts<'a>(all: impl Iterator<Item = (&'a str, u64)>) -> Json {
    Json::Object(all.map(|(of, count)| (of.to_owned(), count.into())).collect())
}

impl<'a> Bundle<'a> {
    fn open(folder: &'a FilePath, trust: &Trust) -> Result<Self, Failure> {
        let note = read(&folder.join(CHECKPOINT))?;
        let believed = trust.believe(&note).map_err(|why| forged(folder, trust, &why))?;
        Ok(Self { folder, note, believed })
    }

    fn verify(&self, global: &Global, former: Option<&str>, trust: &Trust) -> Result<Verified, Failure> {
        let fault = |fault: LogFault| forged(self.folder, trust, &fault);
        let size = self.believed.checkpoint.size;
        let progress = Progress::new(global.output, "entries", Some(size));
        let fresh = Verifier::new(&trust.key, |der| SigningRequest::from_der(der).ok().map(|r| r.key));
        let mut verifier = match former {
            None => fresh,
            Some(former) => fresh.continuing(former).map_err(fault)?,
        };
        for bundle in bundles(size) {
            let file = self.folder.join(bundle.to_string());
            let bytes = fs::read(&file).map_err(Failure::file(&file))?;
            let entries = tile::entries(&bytes).filter(|all| all.len() == usize::from(bundle.width));
            let none = || format!("{bundle} is no bundle of {} entries", bundle.width);
            let entries = entries.ok_or_else(|| forged(self.folder, trust, &none()))?;
            entries.into_iter().try_for_each(|entry| verifier.entry(entry)).map_err(fault)?;
            progress.advance(bundle.width.into());
        }
        progress.finish();
        verifier.finish(&self.note).map_err(fault)
    }
}

fn forged(folder: &FilePath, trust: &Trust, why: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(format!("{} is NOT the log of {}: {why}", folder.display(), trust.key.name()))
}

fn read(note: &FilePath) -> Result<String, Failure> {
    fs::read_to_string(note).map_err(Failure::file(note))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_that_are_missing_end_it_with_a_code_of_their_own() {
        assert_eq!(whole(&BTreeMap::new()), Ok(()));
        let failure = whole(&[("gateway/hall".to_owned(), 2)].into()).unwrap_err();
        assert_eq!(failure.code(), 6);
        assert!(failure.to_string().contains("gateway/hall"), "{failure}");
    }
}
