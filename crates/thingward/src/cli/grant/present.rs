//! `grant use`: a grant is shown to the device itself, with no service in reach. `grant carry`: a device without one in
//! reach hears what was taken back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value as Json, json};
use thingward_agent::http::{Endpoint, HttpError};
use thingward_agent::local::{LocalClient, LocalError, Shown};
use thingward_crypto::VerifyingKey;
use thingward_grant::{Audience, Grant, OPERATION_BYTES_MAX, Operation, Value};
use thingward_model::{ActionName, DeviceName};
use thingward_seal::command::{Outcome, SignedReply, json as data};

use super::super::Global;
use super::super::connection::Tenant as Whose;
use super::file::{read_grant, read_holder_key};
use crate::api::Path;
use crate::failure::Failure;
use crate::output::{self, fields};

/// The port of a local link when an address names none.
const LOCAL_LINK_PORT: u16 = 8885;

/// What shall be done with a grant, and where.
#[derive(Debug, Args)]
pub(in crate::cli) struct Use {
    #[command(flatten)]
    tenant: Whose,
    /// The grant's file.
    file: PathBuf,
    /// The file with the key of the grant's holder.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the device takes grants: its local link.
    #[arg(long, value_name = "HOST:PORT")]
    at: String,
    /// Which device that is, when the grant is for all devices of a group.
    #[arg(long)]
    device: Option<DeviceName>,
    /// The device's public key, as `device show` and `device status` say it [default: what the service says].
    #[arg(long, value_name = "BASE64")]
    device_key: Option<String>,
    /// What it shall do.
    action: String,
    /// With what: a value, or parameters as minutes=90.
    #[arg(value_name = "[NAME=]VALUE")]
    input: Vec<String>,
}

impl Use {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let bytes = read_grant(&self.file)?;
        let grant = Grant::decode(&bytes).map_err(Failure::of)?;
        let device = self.device.map_or_else(|| device_of(&grant), Ok)?;
        let at = local_link(&self.at)?;
        let holder = read_holder_key(&self.key)?;
        let mut room = [0; OPERATION_BYTES_MAX];
        let operation = operation(&self.action, &self.input, &mut room)?;
        let key = match &self.device_key {
            Some(text) => device_key(text)
                .ok_or_else(|| Failure::Usage("--device-key is no public key in base64".to_owned()))?,
            None => ask_for_key(global, &self.tenant, &device).await?,
        };
        let client = LocalClient::new(at, device, key).map_err(Failure::of)?;
        let shown = client.show(&holder, &grant, &operation).await.map_err(failure)?;
        said(global, &shown)
    }
}

fn local_link(at: &str) -> Result<Endpoint, Failure> {
    Endpoint::parse(at, LOCAL_LINK_PORT).map_err(|e| Failure::Usage(format!("--at: {e}")))
}

/// Fetches what was taken back, and brings it to the device: its own, and of every class, as only the device knows in
/// which it is.
pub(super) async fn carry(
    global: &Global,
    tenant: &Whose,
    device: DeviceName,
    at: &str,
) -> Result<(), Failure> {
    let at = local_link(at)?;
    let api = global.api()?;
    let own = tenant.name(&api).await?;
    let all = api.list(&Path::new(&["tenants", &own, "grants"])).await?;
    let audiences = all.iter().filter_map(|grant| grant.get("audience")?.as_str());
    let audiences: BTreeSet<&str> = audiences.filter(|audience| audience.starts_with("class/")).collect();
    let key = ask_for_key(global, tenant, &device).await?;
    let client = LocalClient::new(at, device, key).map_err(Failure::of)?;
    let mut brought = Vec::new();
    for audience in [format!("device/{device}").as_str()].into_iter().chain(audiences) {
        let (kind, name) = match audience.split_once('/') {
            Some(("class", name)) => ("groups", name),
            _ => ("devices", device.as_str()),
        };
        let path = Path::new(&["tenants", &own, kind, name, "revocation"]);
        match client.carry(api.fetch(path.as_str()).await?).await {
            Ok(()) => brought.push(audience.to_owned()),
            // It is not in this class, or knows more than the service.
            Err(LocalError::Refused { code, .. }) if code == "wrong-audience" || code == "old-epoch" => {}
            Err(error) => return Err(failure(error)),
        }
    }
    output::value(global.output, &json!({"brought": brought}), fields);
    Ok(())
}

/// The device that the grant names, which every block has to mean.
fn device_of(grant: &Grant<'_>) -> Result<DeviceName, Failure> {
    for terms in grant.terms_unverified() {
        if let Some(Audience::Device(name)) = terms.map_err(Failure::of)?.audience {
            return name.as_str().parse().map_err(Failure::of);
        }
    }
    Err(Failure::Usage("the grant is for all devices of a group; --device says which is there".to_owned()))
}

fn operation<'o>(action: &str, input: &[String], room: &'o mut [u8]) -> Result<Operation<'o>, Failure> {
    let action: ActionName = action.parse().map_err(|e| Failure::Usage(format!("`{action}`: {e}")))?;
    let argument = |text: &'_ String| match text.split_once('=') {
        Some((name, text)) => (name.to_owned(), text.to_owned()),
        None => (String::new(), text.clone()),
    };
    let arguments: Vec<(String, String)> = input.iter().map(argument).collect();
    let values: Vec<(&str, Value<'_>)> =
        arguments.iter().map(|(name, text)| (name.as_str(), value(text))).collect();
    Operation::write(action.borrowed(), &values, room)
        .map_err(|e| Failure::Usage(format!("the input cannot be in a grant's operation: it is {e}")))
}

fn value(text: &str) -> Value<'_> {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text.parse().map_or(Value::Text(text), Value::Integer),
    }
}

fn device_key(base64: &str) -> Option<VerifyingKey> {
    VerifyingKey::from_spki(&STANDARD.decode(base64).ok()?).ok()
}

/// The newest key that the service knows the device by.
async fn ask_for_key(global: &Global, tenant: &Whose, device: &DeviceName) -> Result<VerifyingKey, Failure> {
    let api = global.api()?;
    let path = Path::new(&["tenants", &tenant.name(&api).await?, "devices", device.as_str()]);
    let seen = api.get(path.as_str()).await?;
    let keys = seen.get("keys").and_then(Json::as_array).cloned().unwrap_or_default();
    let good = keys.iter().filter(|key| key.get("revoked").is_none_or(Json::is_null));
    let newest = good.max_by_key(|key| key.get("not_before").and_then(Json::as_str).map(str::to_owned));
    let text = newest.and_then(|key| key.get("key")?.as_str()).unwrap_or_default();
    device_key(text).ok_or_else(|| Failure::NotFound(format!("{device} has no key; it has not enrolled")))
}

fn failure(error: LocalError) -> Failure {
    match error {
        LocalError::Http(HttpError::Connect { .. }) => Failure::Unreachable(format!(
            "{error}. Is this the device's local link, and the device whose key it is?"
        )),
        LocalError::Refused { .. } | LocalError::Grant(_) => Failure::NotPermitted(error.to_string()),
        other => Failure::of(other),
    }
}

/// What the device says that came of it.
fn said(global: &Global, shown: &Shown) -> Result<(), Failure> {
    let Some(bytes) = &shown.reply else {
        output::value(global.output, &json!({"outcome": "it goes on"}), fields);
        return Ok(());
    };
    let reply = SignedReply::decode(bytes).map_err(Failure::of)?;
    let reply = reply.claimed_unverified();
    let mut said = json!({"outcome": reply.outcome.as_str(), "time": reply.time.to_string()});
    let failed = match reply.outcome {
        Outcome::Done(output) => {
            super::view::add(&mut said, "output", data::decode(output));
            None
        }
        Outcome::Refused { text, .. } | Outcome::Failed { text } => Some(text.to_owned()),
        Outcome::Interrupted => Some("the device was interrupted".to_owned()),
    };
    match failed {
        None => {
            output::value(global.output, &said, fields);
            Ok(())
        }
        Some(text) => Err(Failure::Failed(format!("it was not done: {text}"))),
    }
}
