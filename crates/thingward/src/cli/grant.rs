//! `grant`: who may use a device for a while. The device checks it by itself; making keys, narrowing and looking at a
//! grant's file need no service either.

mod file;
mod present;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value as Json, json};
use thingward_crypto::SoftwareKey;
use thingward_grant::owned::{self, OwnedPermission};
use thingward_grant::{FormatError, GRANT_BYTES_MAX, Grant as Signed, SCOPE_BYTES_MAX, Terms, public};
use thingward_model::clock::now;
use thingward_model::{DeviceName, Timestamp};

use super::Global;
use super::connection::Tenant as Whose;
use crate::api::{Api, Path};
use crate::failure::Failure;
use crate::output::{self, Output, fields, table};
use crate::when;

use present::Use;

use file::{holder, holder_of, new_holder_key, read_grant, read_holder_key, write_grant};

/// What a grant, or a part of it that is handed on, allows.
#[derive(Debug, Args)]
pub(super) struct Limits {
    /// An action with bounds of its parameters, as 'park minutes=1..120', 'light =a,b' or 'leave'. May come several times.
    #[arg(long, value_name = "ACTION [NAME=BOUND…]")]
    allow: Vec<OwnedPermission>,
    /// How long it counts, as 2h or 30d.
    #[arg(long = "for", value_name = "TIME", value_parser = when::duration)]
    lifetime: Option<Duration>,
    /// How often it can be used.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
}

/// For whom a grant is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Audience {
    /// For which device.
    #[arg(long)]
    device: Option<String>,
    /// For all devices of this group: a class. It counts at each of them, also at those that come into it later.
    #[arg(long, value_name = "GROUP")]
    class: Option<String>,
}

impl Audience {
    /// As the API has it.
    fn word(&self) -> String {
        match (&self.device, &self.class) {
            (Some(device), _) => format!("device/{device}"),
            (None, class) => format!("class/{}", class.as_deref().unwrap_or_default()),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Grant {
    /// Make a holder's key in a new file that only its owner reads, and show its public half.
    Key {
        /// The file, PKCS#8 in PEM. One that is there is never overwritten.
        file: PathBuf,
    },
    /// Issue a grant for a device, or for all devices of a group, to whoever has a key.
    Issue {
        #[command(flatten)]
        tenant: Whose,
        #[command(flatten)]
        audience: Audience,
        #[command(flatten)]
        limits: Limits,
        /// From when on it counts, RFC 3339 [default: at once].
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Whose key has to show it, as `grant key` shows it.
        // One in 64 keys begins with a hyphen in base64url.
        #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
        holder: String,
        /// Why they have it, in up to 40 bytes that mean nothing to outsiders.
        #[arg(long)]
        reason: Option<String>,
        /// Write the grant to a new file, in place of showing it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Hand on a part of a grant, without the service.
    ///
    /// What is not limited here is as the grant has it.
    Narrow {
        /// The grant's file.
        file: PathBuf,
        /// The file with the key of the grant's holder.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        limits: Limits,
        /// The key of the next holder, as `grant key` shows it.
        #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
        to: String,
        /// Where to write it: a new file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Show a grant to its device, which does what it allows. The service need not be in reach.
    Use(Use),
    /// Bring a device what was taken back of its grants and those for its groups, when it cannot hear of that itself.
    Carry {
        #[command(flatten)]
        tenant: Whose,
        /// To which device.
        #[arg(long)]
        device: DeviceName,
        /// Where it takes grants: its local link.
        #[arg(long, value_name = "HOST:PORT")]
        at: String,
    },
    /// Show a grant: what is in its file, or what became of one by its id.
    Show {
        #[command(flatten)]
        tenant: Whose,
        /// The file, or an id that `grant list` shows.
        #[arg(value_name = "FILE|ID")]
        what: String,
    },
    /// List grants, the newest first.
    List {
        #[command(flatten)]
        tenant: Whose,
        /// Only for this device, and for the groups that it is in.
        #[arg(long)]
        device: Option<String>,
        /// Only active, not-yet, expired, used-up or revoked.
        #[arg(long)]
        state: Option<String>,
    },
    /// Take a grant back, with everything that was handed on of it.
    Revoke {
        #[command(flatten)]
        tenant: Whose,
        /// Which grant.
        id: String,
    },
}

impl Grant {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Key { file } => {
                let key = new_holder_key(&file)?;
                output::value(global.output, &json!({"holder": holder_of(&key)?, "file": file}), fields);
                Ok(())
            }
            Self::Issue { tenant, audience, limits, from, holder: key, reason, out } => {
                let wanted = Wanted { audience, limits, from, holder: key, reason };
                issue(global, &tenant, wanted, out).await
            }
            Self::Narrow { file, key, limits, to, out } => {
                let bytes = read_grant(&file)?;
                let narrowed = narrow(&bytes, &read_holder_key(&key)?, &limits, &to)?;
                write_grant(&out, &narrowed)?;
                let mut seen = view::of_file(&narrowed)?;
                view::add(&mut seen, "file", json!(out));
                show(global.output, &seen);
                Ok(())
            }
            Self::Use(shown) => shown.run(global).await,
            Self::Carry { tenant, device, at } => present::carry(global, &tenant, device, &at).await,
            Self::Show { tenant, what } => {
                let seen = if PathBuf::from(&what).is_file() {
                    view::of_file(&read_grant(what.as_ref())?)?
                } else if view::is_id(&what) {
                    let api = global.api()?;
                    let path = Path::new(&["tenants", &tenant.name(&api).await?, "grants", &what]);
                    api.get(path.as_str()).await?
                } else {
                    return Err(Failure::NotFound(format!(
                        "there is no file `{what}`, and an id has 16 hexadecimal digits; `thingward grant list` shows ids"
                    )));
                };
                show(global.output, &seen);
                Ok(())
            }
            Self::List { tenant, device, state } => {
                let api = global.api()?;
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "grants"])
                    .query("device", device.as_deref())
                    .query("state", state.as_deref());
                let items = api.list(&path).await?;
                output::value(global.output, &json!(items), |_| {
                    let columns = [
                        ("ID", "id"),
                        ("FOR", "audience"),
                        ("ALLOWS", "permissions"),
                        ("STATE", "state"),
                        ("USED", "used"),
                        ("OF", "uses"),
                        ("EXPIRES", "expires"),
                        ("REASON", "reason"),
                    ];
                    table(&items.iter().map(view::for_people).collect::<Vec<_>>(), &columns)
                });
                Ok(())
            }
            Self::Revoke { tenant, id } => {
                let api = global.api()?;
                revoke(global.output, &api, &tenant.name(&api).await?, &id).await
            }
        }
    }
}

fn show(output: Output, seen: &Json) {
    output::value(output, seen, |seen| fields(&view::for_people(seen)));
}

/// A grant to issue.
struct Wanted {
    audience: Audience,
    limits: Limits,
    from: Option<String>,
    holder: String,
    reason: Option<String>,
}

async fn issue(global: &Global, tenant: &Whose, wanted: Wanted, out: Option<PathBuf>) -> Result<(), Failure> {
    let Wanted { audience, limits, from, holder: key, reason } = wanted;
    if limits.allow.is_empty() {
        let device = audience.device.as_deref().unwrap_or("DEVICE");
        return Err(Failure::Usage(format!(
            "--allow says what may be done; `thingward command actions {device}` lists what {device} does"
        )));
    }
    if limits.lifetime.is_none() && limits.uses.is_none() {
        return Err(Failure::Usage("a grant ends: give --for, --uses, or both".to_owned()));
    }
    holder(&key)?;
    if let Some(out) = out.as_ref().filter(|out| out.exists()) {
        return Err(Failure::Failed(format!("{} is there already and stays as it is", out.display())));
    }
    let wrong =
        |text: &String| Failure::Usage(format!("--from: `{text}` is no time as 2026-01-31T12:00:00Z"));
    let read = |text: String| Timestamp::parse_rfc3339(&text).ok_or_else(|| wrong(&text));
    let start = from.map(read).transpose()?.map(|start| Timestamp::from_seconds(start.as_seconds()));
    let body = json!({
        "audience": audience.word(),
        "permissions": owned::permissions_to_json(&limits.allow),
        "holder": key,
        "not_before": start.map(|start| start.to_string()),
        "expires": limits.expires(start.unwrap_or_else(now)).map(|end| end.to_string()),
        "uses": limits.uses,
        "reason": reason.filter(|reason| !reason.is_empty()),
    });
    let api = global.api()?;
    let path = Path::new(&["tenants", &tenant.name(&api).await?, "grants"]);
    let mut issued = api.post(path.as_str(), &body).await?;
    let bytes = file::decode(issued.get("grant").and_then(Json::as_str).unwrap_or_default());
    let is_it = bytes.as_ref().is_some_and(|bytes| view::says(bytes, &body));
    let (Some(bytes), true) = (bytes, is_it) else {
        let id = issued.get("id").and_then(Json::as_str).unwrap_or_default();
        return Err(Failure::Failed(format!(
            "the service issued something else than was asked for; take it back with `thingward grant revoke {id}`"
        )));
    };
    if let Some(out) = out {
        write_grant(&out, &bytes)?;
        view::add(&mut issued, "grant", Json::Null);
        view::add(&mut issued, "file", json!(out));
    }
    show(global.output, &issued);
    Ok(())
}

impl Limits {
    /// When it ends, in whole seconds.
    fn expires(&self, start: Timestamp) -> Option<Timestamp> {
        let seconds = i64::try_from(self.lifetime?.as_secs()).unwrap_or(i64::MAX);
        Some(Timestamp::from_seconds(start.as_seconds().saturating_add(seconds)))
    }
}

fn narrow(bytes: &[u8], key: &SoftwareKey, limits: &Limits, to: &str) -> Result<Vec<u8>, Failure> {
    let grant = Signed::decode(bytes).map_err(Failure::of)?;
    let mut room = [0; SCOPE_BYTES_MAX];
    let scope = if limits.allow.is_empty() {
        None
    } else {
        Some(owned::write(&limits.allow, &mut room).map_err(|e| Failure::Usage(format!("--allow is {e}")))?)
    };
    let terms = Terms { expires: limits.expires(now()), uses: limits.uses, scope, ..Terms::default() };
    let mut out = vec![0; GRANT_BYTES_MAX];
    let len = public::narrow(key, &grant, &terms, holder(to)?, &mut out).map_err(|e| match e {
        FormatError::Crypto => Failure::NotPermitted(
            "the key is not that of the grant's holder; `thingward grant show` says whose it is".to_owned(),
        ),
        FormatError::TooLarge => Failure::Failed(
            "the grant was handed on as often as can be; ask whoever issued it for another".to_owned(),
        ),
        other => Failure::Failed(format!("a time or limit cannot be in a grant: it is {other}")),
    })?;
    out.truncate(len);
    Ok(out)
}

/// Takes it back, and says which others ended with it.
async fn revoke(output: Output, api: &Api, tenant: &str, id: &str) -> Result<(), Failure> {
    let path = Path::new(&["tenants", tenant, "grants", id]);
    api.call(Method::DELETE, path.as_str(), None).await?;
    let others = match ended_with(api, tenant, &path).await {
        Ok(others) => others,
        // Whoever may revoke need not be one who may look.
        Err(Failure::NotPermitted(_)) => Vec::new(),
        Err(other) => return Err(other),
    };
    let said = json!({"revoked": id, "ended_with_it": others});
    output::value(output, &said, |said| {
        if others.is_empty() {
            return fields(&json!({"revoked": id}));
        }
        let note = "its devices can remember no more revocations, so these ended too; issue them again";
        format!("{}{note}\n", fields(said))
    });
    Ok(())
}

async fn ended_with(api: &Api, tenant: &str, path: &Path) -> Result<Vec<Json>, Failure> {
    let seen = api.get(path.as_str()).await?;
    let device = seen.get("device").and_then(Json::as_str);
    let all =
        Path::new(&["tenants", tenant, "grants"]).query("device", device).query("state", Some("revoked"));
    let is_one = |other: &Json| {
        other.get("ended_by").and_then(Json::as_str) == Some("epoch")
            && other.get("audience") == seen.get("audience")
            && other.get("revoked") == seen.get("revoked")
    };
    let others = api.list(&all).await?.into_iter().filter(is_one);
    Ok(others.filter_map(|other| other.get("id").cloned()).collect())
}
