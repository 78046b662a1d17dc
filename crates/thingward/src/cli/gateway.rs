//! `gateway`: the role, and what its tenant lets it do.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value as Json, json};
use thingward_agent::home::Home;
use thingward_agent::membership::Membership;
use thingward_crypto::RecipientPublicKey;
use thingward_gateway::Gateway as RunningGateway;
use thingward_gateway::backup::{self, BackupError};
use tracing::info;
use zeroize::Zeroizing;

use super::Global;
use super::connection::Tenant as Whose;
use super::file::create_private;
use super::key::recipient_key;
use super::role::Run;
use crate::api::Path;
use crate::config::{self, GatewayConfig};
use crate::failure::Failure;
use crate::output::{self, Column, fields, table};
use crate::serve::stop_requested;
use crate::when;

const RADIOS: [Column; 7] = [
    ("RADIO", "name"),
    ("KIND", "kind"),
    ("STATE", "state"),
    ("BYTES", "received"),
    ("REFUSED", "refused"),
    ("DROPPED", "dropped"),
    ("RESTARTS", "restarts"),
];
const CHILDREN: [Column; 6] = [
    ("BEHIND IT", "name"),
    ("RADIO", "radio"),
    ("ADDRESS", "address"),
    ("LINK", "link"),
    ("HEARD", "last_seen"),
    ("WAITING", "waiting"),
];
const REFUSED: [Column; 5] =
    [("REFUSED", "time"), ("RADIO", "radio"), ("THING", "thing"), ("KIND", "kind"), ("REASON", "reason")];

#[derive(Debug, Subcommand)]
pub(super) enum Gateway {
    /// Run the gateway until SIGTERM or Ctrl-C. Enrol its home first: `device enrol --home`.
    Run(Run),
    /// Show a gateway of a tenant: what it may enrol, the things whose keys it keeps, and how it says that its radios are.
    Show {
        #[command(flatten)]
        tenant: Whose,
        /// Its name.
        name: String,
    },
    /// Copy what the radios of this machine's gateway have to remember, keys of networks among it, sealed for a key. The gateway has to be
    /// stopped meanwhile.
    Backup {
        /// The new file.
        file: PathBuf,
        /// The public half from `key create --recipient`, base64; else the customer's key of the tenant.
        #[arg(long = "for", value_name = "PUBLIC_KEY")]
        recipient: Option<String>,
    },
    /// Bring back what a backup has, into the home of the same gateway, which is enrolled anew and stopped.
    Restore {
        /// The file.
        file: PathBuf,
        /// The file of the secret key, from `key create --recipient`.
        #[arg(long, value_name = "FILE")]
        key_file: PathBuf,
    },
    /// Let a gateway enrol things that join its radios, for a while.
    Admit(Admit),
    /// Have a gateway give the networks of its radios another key: each thing gets it under its own link key, and what has none has to
    /// join anew. Zigbee has such keys.
    Roll {
        #[command(flatten)]
        tenant: Whose,
        /// Its name.
        name: String,
        /// Only that of this one of its radios, as the gateway's configuration names it.
        #[arg(long)]
        radio: Option<String>,
    },
    /// Let a gateway enrol nothing any more.
    Close {
        #[command(flatten)]
        tenant: Whose,
        /// Its name.
        name: String,
    },
}

/// What a gateway may enrol.
#[derive(Debug, Args)]
pub(super) struct Admit {
    #[command(flatten)]
    tenant: Whose,
    /// Its name.
    name: String,
    /// For how long, at most 1h.
    #[arg(long = "for", default_value = "10m", value_parser = when::duration, value_name = "TIME")]
    length: Duration,
    /// Only for this one of its radios, as the gateway's configuration names it.
    #[arg(long)]
    radio: Option<String>,
    /// A file with the code that is printed on the thing; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    printed_file: Option<PathBuf>,
}

impl Gateway {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Run(run) => serve(global, &run).await,
            Self::Show { tenant, name } => show(global, &tenant, &name).await,
            Self::Backup { file, recipient } => take_backup(global, &file, recipient.as_deref()),
            Self::Restore { file, key_file } => restore(global, &file, &key_file),
            Self::Admit(admit) => admit.run(global).await,
            Self::Close { tenant, name } => {
                let api = global.api()?;
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "gateways", &name, "admission"]);
                api.call(Method::DELETE, path.as_str(), None).await?;
                output::value(global.output, &json!({"closed": name}), fields);
                Ok(())
            }
            Self::Roll { tenant, name, radio } => {
                let api = global.api()?;
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "gateways", &name, "roll"]);
                api.call(Method::POST, path.as_str(), Some(&json!({"radio": radio}))).await?;
                output::value(global.output, &json!({"told": name}), fields);
                Ok(())
            }
        }
    }
}

impl Admit {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let Self { tenant, name, length, radio, printed_file } = self;
        let printed = printed_file.as_deref().map(printed).transpose()?;
        let api = global.api()?;
        let path = Path::new(&["tenants", &tenant.name(&api).await?, "gateways", &name, "admission"]);
        let mut body = json!({"seconds": length.as_secs(), "radio": radio});
        if let (Some(code), Some(body)) = (&printed, body.as_object_mut()) {
            body.insert("printed".to_owned(), code.trim().into());
        }
        output::value(global.output, &api.post(path.as_str(), &body).await?, fields);
        Ok(())
    }
}

fn printed(file: &std::path::Path) -> Result<Zeroizing<String>, Failure> {
    let text = match file.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(file),
    };
    text.map(Zeroizing::new).map_err(Failure::file(file))
}

/// The home of this machine's gateway, with who it is.
fn own_home(config: &GatewayConfig) -> Result<(Home, Membership), Failure> {
    let home = Home::open(&config.home).map_err(Failure::of)?;
    let membership = home.identity().map_err(Failure::of)?.membership;
    Ok((home, membership))
}

fn take_backup(global: &Global, file: &std::path::Path, recipient: Option<&str>) -> Result<(), Failure> {
    let config = config::load(global)?.gateway;
    let (home, membership) = own_home(&config)?;
    let wrong = || Failure::Failed("the public key is none of `key create --recipient`".to_owned());
    let given = recipient.map(|text| {
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(RecipientPublicKey::from_bytes).ok_or_else(wrong)
    });
    let missing = || {
        let what = "for whom? The tenant has no customer's key: `key create --recipient FILE` makes one, and \
                    `--for` takes its public half";
        Failure::Failed(what.to_owned())
    };
    let recipient = given.transpose()?.or(membership.customer_recipient).ok_or_else(missing)?;
    let radios: Vec<_> = config.settings.radios.iter().map(|radio| (radio.name, radio.kind)).collect();
    let taken = backup::take(&home, &membership.principal(), &radios, &recipient);
    let (bytes, contents) = taken.map_err(Failure::of)?;
    create_private(file, &bytes)?;
    output::value(global.output, &json!(contents), fields);
    Ok(())
}

fn restore(global: &Global, file: &std::path::Path, key_file: &std::path::Path) -> Result<(), Failure> {
    let (home, membership) = own_home(&config::load(global)?.gateway)?;
    let key = recipient_key(key_file)?;
    let size = std::fs::metadata(file).map_err(Failure::file(file))?.len();
    if size > backup::BACKUP_BYTES_MAX {
        return Err(Failure::of(BackupError::NotOurs));
    }
    let bytes = std::fs::read(file).map_err(Failure::file(file))?;
    let contents = backup::restore(&home, &membership.principal(), &key, &bytes).map_err(Failure::of)?;
    output::value(global.output, &json!(contents), fields);
    Ok(())
}

async fn show(global: &Global, tenant: &Whose, name: &str) -> Result<(), Failure> {
    let api = global.api()?;
    let path = Path::new(&["tenants", &tenant.name(&api).await?, "gateways", name]);
    let mut gateway = api.get(path.as_str()).await?;
    output::value(global.output, &gateway.clone(), |_| {
        let things = gateway.get_mut("things").map(Json::take).unwrap_or_default();
        let mut status = gateway.get_mut("status").map(Json::take).unwrap_or_default();
        let mut policies = status.get_mut("policies").map(Json::take).unwrap_or_default();
        if let Some(gateway) = gateway.as_object_mut() {
            for (shown, part) in [("policy_version", "version"), ("policy_issued", "issued")] {
                gateway.insert(shown.to_owned(), policies.get_mut(part).map(Json::take).unwrap_or_default());
            }
            let until = gateway.get("admission").and_then(|open| open.get("until")).cloned();
            gateway.insert("admission".to_owned(), until.unwrap_or_default());
        }
        let mut part = |name: &str| status.get_mut(name).map(Json::take).unwrap_or_default();
        let parts = [
            shown(&things, &[("THING", "name"), ("MEMBER", "member"), ("ENROLLED", "created")]),
            shown(&part("radios"), &RADIOS),
            shown(&part("children"), &CHILDREN),
            shown(&part("refused"), &REFUSED),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        format!("{}\n{}", fields(&gateway), parts.join("\n"))
    });
    Ok(())
}

/// A table of a list that has items.
fn shown(items: &Json, columns: &[Column]) -> Option<String> {
    items.as_array().filter(|items| !items.is_empty()).map(|items| table(items, columns))
}

async fn serve(global: &Global, run: &Run) -> Result<(), Failure> {
    let config = config::load(global)?.gateway;
    run.begin();
    let home = Home::open(&config.home).map_err(Failure::of)?;
    let gateway = RunningGateway::start(home, config.settings).await.map_err(Failure::of)?;
    info!("the gateway runs");
    let failed = tokio::select! {
        stopped = stop_requested() => { stopped?; false }
        () = gateway.failed() => true,
    };
    info!("the gateway stops");
    gateway.stop().await;
    if failed { Err(Failure::Failed("the disk takes no more; the log says why".to_owned())) } else { Ok(()) }
}
