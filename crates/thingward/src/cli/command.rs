//! `command`: what devices can do, and telling them to.

use std::time::{Duration, Instant};

use clap::Subcommand;
use hyper::Method;
use serde_json::{Value as Json, json};
use thingward_model::description::ThingDescription;

use super::Global;
use super::connection::Tenant as Whose;
use crate::api::{Api, Path};
use crate::failure::Failure;
use crate::output::{self, fields, table};
use crate::when;

/// How often a command is looked at while it waits for its device.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tell a device to do something, and wait for its word on it.
    Send {
        #[command(flatten)]
        tenant: Whose,
        /// Which device.
        device: String,
        /// What: an action of its description, as `command actions` lists them.
        action: String,
        /// With what: one value, or NAME=VALUE for each part.
        #[arg(allow_negative_numbers = true)]
        input: Vec<String>,
        /// How long the command counts, up to 7d: a device that sleeps gets it when it wakes up in time.
        #[arg(long, default_value = "5m", value_parser = when::duration)]
        lifetime: Duration,
        /// How long to wait for the device's word. The command waits on.
        #[arg(long, default_value = "30s", value_parser = when::duration)]
        wait: Duration,
        /// A name of your choice, 32 hexadecimal digits: sent again with it, it is the same command.
        #[arg(long)]
        id: Option<String>,
    },
    /// List what a device can do.
    Actions {
        #[command(flatten)]
        tenant: Whose,
        /// Which device.
        device: String,
    },
    /// List a device's commands, the newest first.
    List {
        #[command(flatten)]
        tenant: Whose,
        /// Which device.
        device: String,
    },
    /// Show a command, and what became of it.
    Show {
        #[command(flatten)]
        tenant: Whose,
        /// Which device.
        device: String,
        /// Which command.
        id: String,
    },
    /// Take a command back that waits for its device.
    Cancel {
        #[command(flatten)]
        tenant: Whose,
        /// Which device.
        device: String,
        /// Which command.
        id: String,
    },
}

impl Command {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        match self {
            Self::Send { tenant, device, action, input, lifetime, wait, id } => {
                let tenant = tenant.name(&api).await?;
                let input = read_input(&api, &tenant, &device, &action, &input).await?;
                let mut body =
                    json!({"action": action, "input": input, "lifetime_seconds": lifetime.as_secs()});
                if let (Some(id), Some(body)) = (id, body.as_object_mut()) {
                    body.insert("id".to_owned(), id.into());
                }
                let path = Path::new(&["tenants", &tenant, "devices", &device, "commands"]);
                let sent = api.post(path.as_str(), &body).await?;
                let ended = wait_for(&api, &tenant, &device, sent, wait).await?;
                output::value(global.output, &ended, fields);
                judge(&ended)
            }
            Self::Actions { tenant, device } => {
                let thing = describe(&api, &tenant.name(&api).await?, &device).await?;
                output::value(global.output, &json!(actions(&thing)), |all| {
                    let columns =
                        [("ACTION", "action"), ("TAKES", "takes"), ("ROLES", "roles"), ("WHAT", "what")];
                    table(all.as_array().map_or(&[], Vec::as_slice), &columns)
                });
                Ok(())
            }
            Self::List { tenant, device } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "devices", &device, "commands"]);
                let items = api.list(&path).await?;
                let columns = [
                    ("ID", "id"),
                    ("ACTION", "action"),
                    ("INPUT", "input"),
                    ("STATE", "state"),
                    ("REASON", "reason"),
                    ("ACTOR", "actor"),
                    ("ISSUED", "issued"),
                ];
                output::value(global.output, &json!(items), |_| table(&items, &columns));
                Ok(())
            }
            Self::Show { tenant, device, id } => {
                let path =
                    Path::new(&["tenants", &tenant.name(&api).await?, "devices", &device, "commands", &id]);
                output::value(global.output, &api.get(path.as_str()).await?, fields);
                Ok(())
            }
            Self::Cancel { tenant, device, id } => {
                let path =
                    Path::new(&["tenants", &tenant.name(&api).await?, "devices", &device, "commands", &id]);
                api.call(Method::DELETE, path.as_str(), None).await?;
                output::value(global.output, &json!({"cancelled": id}), fields);
                Ok(())
            }
        }
    }
}

async fn describe(api: &Api, tenant: &str, device: &str) -> Result<ThingDescription, Failure> {
    let path = Path::new(&["tenants", tenant, "devices", device, "description"]);
    let document = api.get(path.as_str()).await?;
    ThingDescription::parse(document.to_string().as_bytes()).map_err(Failure::of)
}

/// The words as the action's schema reads them. Who may not see what the device can do sends them as they look.
async fn read_input(
    api: &Api,
    tenant: &str,
    device: &str,
    action: &str,
    words: &[String],
) -> Result<Json, Failure> {
    let thing = match describe(api, tenant, device).await {
        Ok(thing) => thing,
        Err(Failure::NotPermitted(_)) => return Ok(as_they_look(words)),
        Err(other) => return Err(other),
    };
    let known = thing.actions.iter().find(|(name, _)| name.as_str() == action);
    let Some((_, known)) = known else {
        let names: Vec<&str> = thing.actions.keys().map(|name| name.as_str()).collect();
        return Err(Failure::Usage(format!(
            "{device} has no action `{action}`; it has {}",
            names.join(", ")
        )));
    };
    known.read_input(words).map_err(|e| Failure::Usage(format!("{action}: {e}")))
}

fn as_they_look(words: &[String]) -> Json {
    match words {
        [] => Json::Null,
        [word] => serde_json::from_str(word).unwrap_or_else(|_| word.as_str().into()),
        words => words.iter().cloned().collect(),
    }
}

/// Until the device has answered, or for so long.
async fn wait_for(
    api: &Api,
    tenant: &str,
    device: &str,
    sent: Json,
    wait: Duration,
) -> Result<Json, Failure> {
    let (until, mut seen) = (Instant::now() + wait, sent);
    let id = seen.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    let path = Path::new(&["tenants", tenant, "devices", device, "commands", &id]);
    while state(&seen) == "waiting" && Instant::now() < until {
        tokio::time::sleep(LOOK_EVERY).await;
        match api.get(path.as_str()).await {
            Ok(now) => seen = now,
            // Whoever may send need not be one who may look.
            Err(Failure::NotPermitted(_)) => break,
            Err(other) => return Err(other),
        }
    }
    Ok(seen)
}

fn state(command: &Json) -> &str {
    command.get("state").and_then(Json::as_str).unwrap_or_default()
}

fn judge(command: &Json) -> Result<(), Failure> {
    let said = |name: &str| command.get(name).and_then(Json::as_str).unwrap_or_default();
    match state(command) {
        "done" => Ok(()),
        "waiting" => {
            let (device, id) = (said("device"), said("id"));
            Err(Failure::Failed(format!(
                "the device has not answered yet; `thingward command show {device} {id}` says what becomes of it"
            )))
        }
        other => Err(Failure::Failed(
            format!("{other}: {} {}", said("reason"), said("text")).trim_end().to_owned(),
        )),
    }
}

fn actions(thing: &ThingDescription) -> Vec<Json> {
    let action = |(name, action): (&thingward_model::ActionName, &thingward_model::description::Action)| {
        let takes = action.input.as_ref().map_or_else(|| "nothing".to_owned(), |schema| schema.wanted());
        let what = action.description.as_ref().or(action.title.as_ref());
        json!({
            "action": name.as_str(), "takes": takes, "roles": action.roles, "what": what,
            "sensitive": action.is_sensitive
        })
    };
    thing.actions.iter().map(action).collect()
}
