//! `policy`: who may do what in a tenant, why, and what other policies would change.

use std::path::{Path as FilePath, PathBuf};

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value as Json, json};
use thingward_model::clock::now;
use thingward_policy::Action;

use super::Global;
use super::connection::Tenant as Whose;
use crate::api::{Api, Path};
use crate::failure::Failure;
use crate::output::{self, fields, table};
use crate::when;

#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Show a tenant's policies.
    Show {
        #[command(flatten)]
        tenant: Whose,
        /// An old version of them.
        #[arg(long = "number", value_name = "VERSION")]
        version: Option<u64>,
        /// What holds in every tenant, and what policies can talk about.
        #[arg(long, conflicts_with = "version")]
        baseline: bool,
    },
    /// Look whether policies could be applied. Nothing is changed.
    Check(Files),
    /// Apply policies: these files, and no others. They hold from the next decision on.
    Apply {
        #[command(flatten)]
        files: Files,
        /// What to say about them, for whoever reads the history.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// List versions of a tenant's policies, the newest first.
    History {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Apply the files of an old version again.
    Rollback {
        #[command(flatten)]
        tenant: Whose,
        /// Which, as `policy history` shows it.
        version: u64,
    },
    /// Say why something is decided as it is, and what would have to change.
    Explain {
        #[command(flatten)]
        tenant: Whose,
        /// Who: a user, or device/NAME, gateway/NAME, application/NAME. Whoever calls when nothing is said.
        #[arg(long = "as", value_name = "WHO")]
        who: Option<String>,
        /// To do what: an action, or one of its short names command, read, publish, forward.
        #[arg(long, value_parser = action)]
        action: Action,
        /// To what: METER/set-rate for a command, METER/climate/temperature for a reading, a device, or tenant.
        #[arg(long, default_value = "tenant")]
        on: String,
    },
    /// Decide the past again by other policies, and list what would be decided otherwise. Nothing is changed.
    Try {
        #[command(flatten)]
        files: Files,
        /// From when on: a time, or how long ago.
        #[arg(long, default_value = "7d")]
        since: String,
    },
}

/// Policy files.
#[derive(Debug, Args)]
pub(super) struct Files {
    #[command(flatten)]
    tenant: Whose,
    /// Files that end in .cedar, or folders with such files. None takes all of the tenant's own away.
    files: Vec<PathBuf>,
}

impl Files {
    fn read(&self) -> Result<Json, Failure> {
        let mut all = Vec::new();
        for path in &self.files {
            if path.is_dir() {
                let mut inside: Vec<PathBuf> = std::fs::read_dir(path)
                    .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect())
                    .map_err(Failure::file(path))?;
                inside.retain(|file| file.extension().is_some_and(|e| e == "cedar"));
                inside.sort();
                all.extend(inside);
            } else {
                all.push(path.clone());
            }
        }
        let files: Vec<Json> = all.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        Ok(Json::Array(files))
    }
}

fn read(path: &FilePath) -> Result<Json, Failure> {
    let text = std::fs::read_to_string(path).map_err(Failure::file(path))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(json!({"name": name, "text": text}))
}

/// An action's word, or its short name.
fn action(text: &str) -> Result<Action, String> {
    match text {
        "command" => Ok(Action::SendCommands),
        "read" => Ok(Action::ReadReadings),
        "publish" => Ok(Action::PublishReadings),
        "forward" => Ok(Action::Forward),
        word => word.parse().map_err(|e| format!("`{word}` {e}, or command, read, publish, forward")),
    }
}

impl Policy {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        let place = async |tenant: Whose, parts: &[&str]| -> Result<Path, Failure> {
            let name = tenant.name(&api).await?;
            Ok(Path::new(&[&["tenants", &name, "policy"], parts].concat()))
        };
        match self {
            Self::Show { tenant, version, baseline } => {
                let text = version.map(|v| v.to_string());
                let parts = text.as_ref().map_or_else(Vec::new, |v| vec!["versions", v.as_str()]);
                let answer = api.get(place(tenant, &parts).await?.as_str()).await?;
                output::value(global.output, &answer, |answer| shown(answer, baseline));
            }
            Self::Check(files) => {
                let body = json!({"files": files.read()?});
                let answer = api.post(place(files.tenant, &["check"]).await?.as_str(), &body).await?;
                let problems = answer.get("items").and_then(Json::as_array).cloned().unwrap_or_default();
                output::value(global.output, &json!(problems), |_| problem_lines(&problems));
                if !problems.is_empty() {
                    return Err(Failure::Failed("the policies cannot be applied".to_owned()));
                }
            }
            Self::Apply { files, note } => {
                let sent = files.read()?;
                let path = place(files.tenant, &[]).await?;
                apply(global, &api, &path, &sent, &note).await?;
            }
            Self::History { tenant } => {
                let items = api.list(&place(tenant, &["versions"]).await?).await?;
                let columns = [
                    ("VERSION", "version"),
                    ("CREATED", "created"),
                    ("AUTHOR", "author"),
                    ("FILES", "files"),
                    ("NOTE", "note"),
                ];
                output::value(global.output, &json!(items), |_| table(&items, &columns));
            }
            Self::Rollback { tenant, version } => {
                let path = place(tenant.clone(), &[]).await?;
                let old = api.get(place(tenant, &["versions", &version.to_string()]).await?.as_str()).await?;
                let files = old.get("files").cloned().unwrap_or_default();
                apply(global, &api, &path, &files, &format!("back to version {version}")).await?;
            }
            Self::Explain { tenant, who, action, on } => {
                let who = who.map(|who| if who.contains('/') { who } else { format!("user/{who}") });
                let path = place(tenant, &["explain"]).await?;
                let path = path.query("as", who.as_deref()).query("action", Some(action.as_str()));
                let answer = api.get(path.query("on", Some(&on)).as_str()).await?;
                output::value(global.output, &answer, explained);
            }
            Self::Try { files, since } => {
                let since = when::moment(&since, now()).map_err(Failure::Usage)?;
                let body = json!({"files": files.read()?, "since": since.to_string()});
                let answer = api.post(place(files.tenant, &["try"]).await?.as_str(), &body).await?;
                output::value(global.output, &answer, tried);
            }
        }
        Ok(())
    }
}

async fn apply(global: &Global, api: &Api, path: &Path, files: &Json, note: &str) -> Result<(), Failure> {
    let newest = api.get(path.as_str()).await?;
    let after = newest.get("version").cloned().unwrap_or_default();
    let body = json!({"after": after, "note": note, "files": files});
    let applied = api.call(Method::PUT, path.as_str(), Some(&body)).await?;
    let version = applied.get("version").cloned().unwrap_or_default();
    output::value(global.output, &json!({"version": version}), fields);
    Ok(())
}

fn text<'a>(value: &'a Json, name: &str) -> &'a str {
    value.get(name).and_then(Json::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Json, name: &str) -> &'a [Json] {
    value.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn shown(answer: &Json, baseline: bool) -> String {
    if baseline {
        let part = |title: &str, name| format!("// {title}\n\n{}", text(answer, name));
        return format!("{}\n{}", part("schema", "schema"), part("baseline.cedar", "baseline"));
    }
    let version = answer.get("version").and_then(Json::as_u64).unwrap_or_default();
    if version == 0 {
        return "The tenant has no policies of its own; `policy show --baseline` shows what holds.\n"
            .to_owned();
    }
    let mut out =
        format!("// version {version}, {}, by {}\n", text(answer, "created"), text(answer, "author"));
    for file in items(answer, "files") {
        out += &format!("\n// {}\n{}", text(file, "name"), text(file, "text"));
    }
    out
}

fn problem_lines(problems: &[Json]) -> String {
    if problems.is_empty() {
        return "Nothing is wrong with them.\n".to_owned();
    }
    let line = |p: &Json| {
        let line = p.get("line").and_then(Json::as_u64).unwrap_or_default();
        format!("{}:{line}: {}\n", text(p, "file"), text(p, "message"))
    };
    problems.iter().map(line).collect()
}

fn explained(answer: &Json) -> String {
    let allowed = answer.get("allowed").and_then(Json::as_bool) == Some(true);
    let mut out =
        if allowed { "allowed\n".to_owned() } else { format!("denied: {}\n", text(answer, "reason")) };
    for policy in items(answer, "policies") {
        out += &format!("\nby {}\n", text(policy, "id"));
        out.extend(text(policy, "text").lines().map(|line| format!("    {line}\n")));
    }
    for error in items(answer, "errors") {
        out += &format!("\nfailed: {}\n", error.as_str().unwrap_or_default());
    }
    let changes = items(answer, "changes");
    if !changes.is_empty() {
        out += "\nany of these would change it:\n";
        out.extend(changes.iter().filter_map(Json::as_str).map(|change| format!("  - {change}\n")));
    }
    out
}

fn tried(answer: &Json) -> String {
    let columns = [
        ("WHO", "who"),
        ("ACTION", "action"),
        ("ON", "on"),
        ("NOW", "allowed_now"),
        ("THEN", "allowed_then"),
        ("REASON", "reason"),
        ("TIMES", "times"),
    ];
    let (asked, found) = (answer.get("questions").cloned().unwrap_or_default(), items(answer, "differences"));
    let head = format!("{} of {asked} decisions would be others\n", found.len());
    if found.is_empty() { head } else { format!("{head}\n{}", table(found, &columns)) }
}
