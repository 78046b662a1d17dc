//! `tenant`, `maker`, `token` and `finding`: what an operator keeps of tenants.

use std::path::PathBuf;

use clap::Subcommand;
use hyper::Method;
use serde_json::json;
use thingward_policy::Action;

use super::Global;
use super::connection::Tenant as Whose;
use crate::api::Path;
use crate::failure::Failure;
use crate::order::new_key;
use crate::output::{self, fields, table};
use crate::when;

#[derive(Debug, Subcommand)]
pub(super) enum Tenant {
    /// Make a tenant. Its first key is made at once, under the customer's key.
    Create {
        /// 1 to 63 letters, digits, `-`, `_` or `.`.
        name: String,
        /// Where the customer's key is, as the service sees it: `file:/path` or a `pkcs11:` URI.
        #[arg(long, value_name = "REFERENCE")]
        customer_key: String,
    },
    /// List tenants.
    List,
}

impl Tenant {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        match self {
            Self::Create { name, customer_key } => {
                let body = json!({"name": name, "customer_key": customer_key});
                output::value(global.output, &api.post("/api/v1/tenants", &body).await?, fields);
            }
            Self::List => {
                let columns = [
                    ("NAME", "name"),
                    ("KEY", "customer_key"),
                    ("WITHDRAWN", "withdrawn"),
                    ("CREATED", "created"),
                ];
                let items = api.list(&Path::new(&["tenants"])).await?;
                output::value(global.output, &json!(items), |_| table(&items, &columns));
            }
        }
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Maker {
    /// Trust a maker: its things enrol with the certificate that they were made with.
    Trust {
        #[command(flatten)]
        tenant: Whose,
        /// What to call it.
        name: String,
        /// Its CA certificates, PEM.
        #[arg(long, value_name = "FILE")]
        certificates: PathBuf,
        /// Only things with one of these serial numbers, as SERIAL or SERIAL=NAME. Without any: all.
        #[arg(long = "serial", value_name = "SERIAL[=NAME]")]
        serials: Vec<String>,
    },
    /// List trusted makers.
    List {
        #[command(flatten)]
        tenant: Whose,
    },
    /// Stop trusting a maker. Things that are enrolled stay.
    Remove {
        #[command(flatten)]
        tenant: Whose,
        /// What it is called.
        name: String,
    },
}

impl Maker {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        match self {
            Self::Trust { tenant, name, certificates, serials } => {
                let tenant = tenant.name(&api).await?;
                let pem = std::fs::read_to_string(&certificates).map_err(Failure::file(&certificates))?;
                let admit = if serials.is_empty() { "any-serial" } else { "listed" };
                let body = json!({"admit": admit, "certificates": pem});
                let path = Path::new(&["tenants", &tenant, "makers", &name]);
                let maker = api.call(Method::PUT, path.as_str(), Some(&body)).await?;
                for text in &serials {
                    let (serial, device) = match text.split_once('=') {
                        Some((serial, device)) => (serial, Some(device)),
                        None => (text.as_str(), None),
                    };
                    let path = Path::new(&["tenants", &tenant, "makers", &name, "serials", serial]);
                    api.call(Method::PUT, path.as_str(), Some(&json!({"name": device}))).await?;
                }
                output::value(global.output, &maker, fields);
            }
            Self::List { tenant } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "makers"]);
                let answer = api.get(path.as_str()).await?;
                let columns = [("NAME", "name"), ("ADMIT", "admit"), ("FINGERPRINTS", "fingerprints")];
                show_items(global, &answer, &columns);
            }
            Self::Remove { tenant, name } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "makers", &name]);
                api.call(Method::DELETE, path.as_str(), None).await?;
                output::value(global.output, &json!({"removed": name}), fields);
            }
        }
        Ok(())
    }
}

/// The items of a list that comes whole.
pub(super) fn show_items(global: &Global, answer: &serde_json::Value, columns: &[output::Column]) {
    let empty = json!([]);
    let items = answer.get("items").unwrap_or(&empty);
    output::value(global.output, items, |items| table(items.as_array().map_or(&[], Vec::as_slice), columns));
}

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token. It is shown once. Where it may change something, it comes with a key, which only its owner has: what it
    /// changes is signed with that.
    Create {
        #[command(flatten)]
        tenant: Whose,
        /// Reaches all tenants; on the administration socket only.
        #[arg(long, conflicts_with = "tenant")]
        all_tenants: bool,
        /// What it allows: actions, as readings:read, devices:read, commands:send, log:read or policy:manage.
        #[arg(long = "scope", required = true, value_delimiter = ',')]
        scopes: Vec<String>,
        /// How long it works, at most 400d.
        #[arg(long, default_value = "90d", value_parser = when::duration)]
        lifetime: std::time::Duration,
    },
    /// List tokens, without their secrets.
    List {
        #[command(flatten)]
        tenant: Whose,
        /// Those that reach all tenants; on the administration socket only.
        #[arg(long, conflicts_with = "tenant")]
        all_tenants: bool,
    },
    /// Take a token back. It ends at once.
    Revoke {
        #[command(flatten)]
        tenant: Whose,
        /// One that reaches all tenants; on the administration socket only.
        #[arg(long, conflicts_with = "tenant")]
        all_tenants: bool,
        /// Its id, as `token list` shows it.
        id: String,
    },
}

impl Token {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        let place = async |tenant: Whose, all: bool| -> Result<Vec<String>, Failure> {
            Ok(if all {
                vec!["tokens".to_owned()]
            } else {
                vec!["tenants".to_owned(), tenant.name(&api).await?, "tokens".to_owned()]
            })
        };
        let path = |parts: &[String]| Path::new(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        match self {
            Self::Create { tenant, all_tenants, scopes, lifetime } => {
                let parts = place(tenant, all_tenants).await?;
                let mut body = json!({"scopes": scopes, "lifetime_seconds": lifetime.as_secs()});
                let only_reads = |scope: &String| scope.parse().is_ok_and(Action::only_reads);
                let may_change = !all_tenants && !scopes.iter().all(only_reads);
                let (key, secret) = may_change.then(new_key).transpose().map_err(Failure::of)?.unzip();
                if let (Some(key), Some(body)) = (key, body.as_object_mut()) {
                    body.insert("key".to_owned(), key.into());
                }
                let mut made = api.post(path(&parts).as_str(), &body).await?;
                if let (Some(secret), Some(token)) = (secret, made.get_mut("token")) {
                    *token = format!("{}.{}", token.as_str().unwrap_or_default(), secret.as_str()).into();
                }
                output::value(global.output, &made, fields);
            }
            Self::List { tenant, all_tenants } => {
                let parts = place(tenant, all_tenants).await?;
                let answer = api.get(path(&parts).as_str()).await?;
                let columns = [
                    ("ID", "id"),
                    ("SCOPES", "scopes"),
                    ("CREATED", "created"),
                    ("EXPIRES", "expires"),
                    ("REVOKED", "revoked"),
                ];
                show_items(global, &answer, &columns);
            }
            Self::Revoke { tenant, all_tenants, id } => {
                let mut parts = place(tenant, all_tenants).await?;
                parts.push(id.clone());
                api.call(Method::DELETE, path(&parts).as_str(), None).await?;
                output::value(global.output, &json!({"revoked": id}), fields);
            }
        }
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Finding {
    /// List findings.
    List {
        #[command(flatten)]
        tenant: Whose,
    },
}

impl Finding {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let (Self::List { tenant }, api) = (self, global.api()?);
        let path = Path::new(&["tenants", &tenant.name(&api).await?, "findings"]);
        let answer = api.get(path.as_str()).await?;
        let columns = [
            ("DEVICE", "device"),
            ("STREAM", "stream"),
            ("KIND", "kind"),
            ("DETAIL", "detail"),
            ("COUNT", "count"),
            ("FIRST SEEN", "first_seen"),
            ("LAST SEEN", "last_seen"),
        ];
        show_items(global, &answer, &columns);
        Ok(())
    }
}
