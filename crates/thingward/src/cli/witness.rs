//! `witness`: the role on somebody else's machine that makes two histories of a log impossible to hide.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use thingward_model::clock::now;
use thingward_witness::client::PORT;
use thingward_witness::home::Home;
use thingward_witness::server::Server;
use thingward_witness::witness::Witness as Deciding;
use tracing::info;

use super::Global;
use super::file::create_public;
use super::role::Run;
use crate::config;
use crate::failure::Failure;
use crate::output::{self, fields};
use crate::serve::stop_requested;

#[derive(Debug, Subcommand)]
pub(super) enum Witness {
    /// Make a witness: its keys, its certificate, and a commented thingward.toml.
    Init(Init),
    /// Run the witness until SIGTERM or Ctrl-C.
    Run(Run),
    /// Show the witness's key, and what the service's configuration says of it.
    Show {
        /// The witness's folder [default: that of thingward.toml].
        #[arg(long)]
        home: Option<PathBuf>,
    },
}

/// Make a witness.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// What it is called: a name that is its operator's, as witness.example.com/w1.
    #[arg(long)]
    name: String,
    /// A folder of its own.
    #[arg(long, default_value = config::WITNESS_HOME)]
    home: PathBuf,
    /// The configuration. A file that is there is never overwritten.
    #[arg(default_value = "thingward.toml")]
    file: PathBuf,
}

impl Witness {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Init(init) => init.run(global),
            Self::Run(run) => serve(global, &run).await,
            Self::Show { home } => {
                let home = match home {
                    Some(home) => home,
                    None => config::load(global)?.witness.home,
                };
                output::value(global.output, &shown(&home)?, fields);
                Ok(())
            }
        }
    }
}

impl Init {
    fn run(&self, global: &Global) -> Result<(), Failure> {
        if self.file.exists() {
            let text = format!("{} is there already and stays as it is", self.file.display());
            return Err(Failure::Failed(text));
        }
        let home = std::path::absolute(&self.home).map_err(Failure::file(&self.home))?;
        Home::create(&home, &self.name, now()).map_err(Failure::of)?;
        create_public(&self.file, config::witness_template(&home).as_bytes())?;
        let mut shown = shown(&home)?;
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("file".to_owned(), json!(self.file.display().to_string()));
        }
        output::value(global.output, &shown, |shown| {
            let next = "put the keys of logs into the configuration, as `thingward audit key` shows them; give the\n\
                        line `service` with your host to those whose logs you co-sign; then `thingward witness run`";
            format!("{}\nnext: {next}", fields(shown).trim_end())
        });
        Ok(())
    }
}

fn shown(home: &Path) -> Result<Json, Failure> {
    let (key, fingerprint) = Home::look(home).map_err(Failure::of)?;
    Ok(json!({
        "home": home.display().to_string(),
        "key": key.to_string(),
        "fingerprint": fingerprint.to_string(),
        "service": format!("{key} https://HOST:{PORT} {fingerprint}"),
    }))
}

async fn serve(global: &Global, run: &Run) -> Result<(), Failure> {
    let config = config::load(global)?;
    let file = config.file.as_deref().map_or_else(|| "built in".to_owned(), |f| f.display().to_string());
    let config = config.witness;
    if config.logs.is_empty() {
        let text = format!(
            "{file}: witness.logs: there is no log; write its key, as `thingward audit key` shows it"
        );
        return Err(Failure::Configuration(vec![text]));
    }
    run.begin();
    let home = Home::open(&config.home).map_err(Failure::of)?;
    let witness = Deciding::new(home, config.logs).map_err(Failure::of)?;
    let (key, logs) = (witness.key().to_string(), witness.logs());
    let server = Server::bind(witness, config.listen, config.connections).await.map_err(Failure::of)?;
    let address = server.local_addr().map_err(Failure::of)?;
    info!(%address, key, logs, "the witness runs");
    tokio::select! {
        stopped = stop_requested() => stopped?,
        () = server.run() => {}
    }
    info!("the witness stops");
    Ok(())
}
