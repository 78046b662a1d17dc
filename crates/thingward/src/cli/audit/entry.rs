//! Entries of a running service's log: listed, followed, shown and proved.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value as Json, json};
use thingward_audit::entry::{Entry, SignedEntry};
use thingward_audit::{Hash, Subtree, leaf_hash, verify_inclusion};
use thingward_model::Timestamp;

use super::trust::{Believed, Trust, Witnesses};
use super::{Global, Whose};
use crate::api::{Api, Path};
use crate::failure::Failure;
use crate::output::{self, Output, fields, table};

/// How long the service lets a follower wait for an answer, in seconds.
const WAIT_SECONDS: &str = "30";

/// What is known of a log from before.
#[derive(Debug, Args)]
pub(in crate::cli) struct Known {
    /// The log's key, known from before; without it the service's word is taken for it.
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    witnesses: Witnesses,
}

pub(super) async fn list(
    global: &Global,
    tenant: &Whose,
    after: Option<u64>,
    limit: u64,
) -> Result<(), Failure> {
    let api = global.api()?;
    let path = entries(&tenant.name(&api).await?, after).query("limit", Some(&limit.to_string()));
    let items = Json::Array(items(&api, &path).await?);
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

pub(super) async fn follow(global: &Global, tenant: &Whose, after: Option<u64>) -> Result<(), Failure> {
    let api = global.api()?;
    let tenant = tenant.name(&api).await?;
    let mut after = match after {
        Some(after) => Some(after),
        None => {
            let log = api.get(Path::new(&["tenants", &tenant, "log"]).as_str()).await?;
            log.get("entries").and_then(Json::as_u64).and_then(|entries| entries.checked_sub(1))
        }
    };
    loop {
        let path = entries(&tenant, after).query("wait", Some(WAIT_SECONDS));
        for entry in items(&api, &path).await? {
            let index = entry.get("index").and_then(Json::as_u64);
            after = Some(index.ok_or_else(|| Failure::Failed("an entry has no `index`".to_owned()))?);
            match global.output {
                Output::Json => output::line(&entry.to_string()),
                Output::Text => output::line(&one_line(&entry)),
            }
        }
    }
}

fn one_line(entry: &Json) -> String {
    let columns = ["index", "time", "actor", "action", "target"].map(|field| (field, field));
    let with_title = table(std::slice::from_ref(entry), &columns);
    with_title.lines().nth(1).unwrap_or_default().to_owned()
}

pub(super) async fn show(
    global: &Global,
    tenant: &Whose,
    index: u64,
    known: &Known,
    in_full: bool,
) -> Result<(), Failure> {
    let api = global.api()?;
    let tenant = tenant.name(&api).await?;
    let ask = async |parts: &[&str]| {
        let path = [&["tenants", &tenant, "log"], parts].concat();
        api.get(Path::new(&path).as_str()).await
    };
    let key = match &known.key {
        Some(key) => key.clone(),
        None => text(&ask(&[]).await?, "key")?.to_owned(),
    };
    let trust = Trust::new(&key, &known.witnesses)?;
    let proof = ask(&["entries", &index.to_string(), "proof"]).await?;
    let path = entries(&tenant, index.checked_sub(1)).query("limit", Some("1"));
    let found = items(&api, &path).await?.into_iter().next().unwrap_or_default();
    let bytes = STANDARD.decode(text(&found, "entry")?).map_err(Failure::of)?;
    let proved = prove(&trust, index, &bytes, &proof)
        .map_err(|why| Failure::Failed(format!("entry {index} is NOT proved: {why}")))?;
    let shown = proved.shown(index, in_full.then_some(bytes.as_slice()));
    output::value(global.output, &shown, in_lines);
    Ok(())
}

/// An entry of which nothing is the service's word alone.
struct Proved {
    entry: Entry,
    signer: String,
    under: Believed,
}

fn prove(trust: &Trust, index: u64, bytes: &[u8], proof: &Json) -> Result<Proved, String> {
    let note = proof.get("checkpoint").and_then(Json::as_str).ok_or("there is no checkpoint")?;
    let under = trust.believe(note)?;
    let hashes = proof.get("proof").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let hash = |text: &Json| STANDARD.decode(text.as_str()?).ok()?.try_into().ok();
    let hashes: Option<Vec<Hash>> = hashes.iter().map(hash).collect();
    let hashes = hashes.ok_or("the proof has texts that are no hashes")?;
    let tree = Subtree::first(under.checkpoint.size);
    verify_inclusion(index, &leaf_hash(bytes), tree, &under.checkpoint.root, &hashes)
        .map_err(|e| e.to_string())?;
    let signed = SignedEntry::decode(bytes).map_err(|e| e.to_string())?;
    let entry = signed.verify(trust.key.verifying()).map_err(|e| e.to_string())?.clone();
    let signer = signed.key_id().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Proved { entry, signer, under })
}

impl Proved {
    /// As it is shown; with its bytes, everything there is.
    fn shown(&self, index: u64, bytes: Option<&[u8]>) -> Json {
        let (entry, checkpoint) = (&self.entry, &self.under.checkpoint);
        let mut shown = json!({
            "index": index,
            "time": Timestamp::from_micros(entry.time).to_string(),
            "actor": entry.actor,
            "action": entry.action,
            "target": entry.target,
            "details": entry.details,
        });
        let more = match bytes {
            None => json!({}),
            Some(bytes) => json!({
                "evidence": entry.evidence.as_ref().map(|evidence| STANDARD.encode(evidence)),
                "signer": self.signer,
                "leaf": STANDARD.encode(leaf_hash(bytes)),
                "entry": STANDARD.encode(bytes),
            }),
        };
        let proof = json!({
            "proved": format!("in the log of {} with {} entries", checkpoint.origin, checkpoint.size),
            "witnesses": self.under.witnesses(),
        });
        for part in [more, proof] {
            if let (Some(shown), Json::Object(part)) = (shown.as_object_mut(), part) {
                shown.extend(part);
            }
        }
        shown
    }
}

/// A field per line, and a detail per line.
fn in_lines(entry: &Json) -> String {
    let mut flat = serde_json::Map::new();
    for (name, value) in entry.as_object().into_iter().flatten() {
        match value {
            Json::Object(details) => {
                flat.extend(details.iter().map(|(name, value)| (format!("- {name}"), value.clone())));
            }
            Json::Array(items) if items.is_empty() => {}
            _ => drop(flat.insert(name.clone(), value.clone())),
        }
    }
    fields(&Json::Object(flat))
}

fn entries(tenant: &str, after: Option<u64>) -> Path {
    Path::new(&["tenants", tenant, "log", "entries"]).query("after", after.map(|n| n.to_string()).as_deref())
}

async fn items(api: &Api, path: &Path) -> Result<Vec<Json>, Failure> {
    let mut page = api.get(path.as_str()).await?;
    match page.get_mut("items").map(Json::take) {
        Some(Json::Array(items)) => Ok(items),
        _ => Err(Failure::Failed("the service's answer has no `items`".to_owned())),
    }
}

fn text<'a>(answer: &'a Json, name: &str) -> Result<&'a str, Failure> {
    let text = answer.get(name).and_then(Json::as_str);
    text.ok_or_else(|| Failure::Failed(format!("the service's answer has no `{name}`")))
}
