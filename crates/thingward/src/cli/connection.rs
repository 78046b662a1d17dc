//! How API commands reach the service.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value as Json;
use thingward_crypto::sealed::read_private;

use super::Global;
use crate::api::{self, Api, Path, Target};
use crate::config;
use crate::failure::Failure;
use crate::order::{NotAToken, Token};

/// Where the service is. Without any of these: the administration socket in the data directory of thingward.toml.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection to the service")]
pub(crate) struct Connection {
    /// The administration socket.
    #[arg(long, global = true, value_name = "PATH", conflicts_with_all = ["url", "ca", "token_file"])]
    socket: Option<PathBuf>,
    /// The service elsewhere, as https://host:8443; needs --ca and --token-file.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// The installation's root certificate, PEM.
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A file with an API token that only its owner can read.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Whose things and readings.
#[derive(Debug, Clone, Args)]
pub(crate) struct Tenant {
    /// The tenant. May be left out where there is only one.
    #[arg(long, env = "THINGWARD_TENANT", hide_env_values = true)]
    tenant: Option<String>,
}

impl Global {
    /// The API of the service that the command line names.
    pub(crate) fn api(&self) -> Result<Api, Failure> {
        let c = &self.connection;
        let Some(url) = &c.url else {
            if c.ca.is_some() || c.token_file.is_some() {
                return Err(Failure::Usage("--ca and --token-file go with --url".to_owned()));
            }
            let socket = match &c.socket {
                Some(socket) => socket.clone(),
                None => config::load(self)?.data_dir().join("admin.sock"),
            };
            return Ok(Api::new(Target::Socket(socket)));
        };
        let (Some(ca), Some(token)) = (&c.ca, &c.token_file) else {
            return Err(Failure::Usage("--url needs --ca and --token-file".to_owned()));
        };
        let pem = std::fs::read_to_string(ca).map_err(Failure::file(ca))?;
        let mut roots = thingward_pki::ca::certificates_from_pem(&pem)
            .map_err(|e| Failure::Failed(format!("{}: {e}", ca.display())))?;
        let bytes = read_private(token).map_err(Failure::file(token))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| NotAToken);
        let read = text.and_then(|text| Token::parse(text.trim()));
        let token = read.map_err(|e| Failure::Failed(format!("{}: {e}", token.display())))?;
        let root = roots.swap_remove(0);
        Ok(Api::new(Target::Url { endpoint: api::endpoint(url)?, root, token }))
    }
}

impl Tenant {
    /// The tenant that the command line names, or the only one there is.
    pub(crate) async fn name(&self, api: &Api) -> Result<String, Failure> {
        if let Some(name) = &self.tenant {
            return Ok(name.clone());
        }
        let usage = |why: &str| Failure::Usage(format!("name the tenant with --tenant: {why}"));
        let tenants = api.list(&Path::new(&["tenants"])).await.map_err(|e| match e {
            Failure::NotPermitted(_) => usage("the token may not list them"),
            other => other,
        })?;
        match tenants.as_slice() {
            [] => Err(usage("there is none yet; make one with `thingward tenant create`")),
            [only] => Ok(only.get("name").and_then(Json::as_str).unwrap_or_default().to_owned()),
            [_, ..] => Err(usage("there are several")),
        }
    }
}
