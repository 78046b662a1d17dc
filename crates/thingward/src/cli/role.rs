//! `service run`, and what roles have in common.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use clap::{Args, Subcommand};
use thingward_crypto::sealed::SealingKey;
use thingward_service::node::{Node, ScaleSettings};
use thingward_service::service::Service as RunningService;
use thingward_service::settings::ServiceSettings;
use tracing::{info, warn};

use super::Global;
use crate::config;
use crate::demo::stop_with_parent;
use crate::failure::Failure;
use crate::serve::{LogFormat, start_log, stop_requested};

/// How a role runs.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Run {
    /// The form of the log on standard error. THINGWARD_LOG says how much, as info or thingward_service=debug.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(super) log: LogFormat,
    /// Stop when the process that started this one is gone.
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Run {
    /// Starts the log, and ties this process to its parent when that was asked for.
    pub(super) fn begin(&self) {
        start_log(self.log);
        if self.with_parent {
            stop_with_parent();
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Service {
    /// Run the service until SIGTERM or Ctrl-C.
    Run(Run),
    /// Make the key that all nodes of one service have: see [scale] in the configuration.
    Key {
        /// Where it goes. A file that is there already stays as it is.
        file: PathBuf,
    },
}

impl Service {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let run = match self {
            Self::Run(run) => run,
            Self::Key { file } => return make_key(&file),
        };
        let config = config::load(global)?;
        run.begin();
        if let Some(scale) = config.scale {
            return run_node(config.service, scale).await;
        }
        let service = RunningService::start(config.service).await.map_err(Failure::of)?;
        let coap = service.coap().map(tracing::field::display);
        info!(mqtt = %service.mqtt(), https = %service.https(), coap, "the service runs");
        let failed = tokio::select! {
            stopped = stop_requested() => { stopped?; false }
            () = service.failed() => true,
        };
        info!("the service stops");
        service.stop().await;
        if failed {
            Err(Failure::Failed("the disk takes no more; the log says why".to_owned()))
        } else {
            Ok(())
        }
    }
}

/// How long a node that has ended waits before it begins anew.
const ANEW: Duration = Duration::from_secs(1);

/// Runs one node of several until SIGTERM or Ctrl-C. One that led and leads no more begins anew, as another process.
async fn run_node(service: ServiceSettings, scale: ScaleSettings) -> Result<(), Failure> {
    if service.coap.is_some() {
        let problem = "service.coap: nodes of one service do not speak CoAP; gateways do, in front of them";
        return Err(Failure::Configuration(vec![problem.to_owned()]));
    }
    // What is run anew is what is there then, also when a package has taken the place of this program.
    let program = std::env::current_exe().map_err(Failure::of)?;
    let name = scale.node.clone();
    let mut stopped = pin!(stop_requested());
    let mut node = tokio::select! {
        node = Node::start(service, scale) => node.map_err(Failure::of)?,
        stopped = &mut stopped => return stopped,
    };
    info!(node = name, mqtt = %node.mqtt(), https = %node.https(), "the node runs");
    let ended = tokio::select! {
        stopped = &mut stopped => { stopped?; None }
        ended = node.ended() => Some(ended),
    };
    let Some(ended) = ended else {
        info!("the node stops");
        node.stop().await;
        return Ok(());
    };
    warn!(reason = %ended, "the node begins anew");
    tokio::select! {
        () = tokio::time::sleep(ANEW) => {}
        stopped = stopped => return stopped,
    }
    Err(Failure::of(Command::new(program).args(std::env::args_os().skip(1)).exec()))
}

/// Makes a key file that only its owner may read.
fn make_key(file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Err(Failure::Failed(format!("{} is there already", file.display())));
    }
    SealingKey::load_or_create(file).map_err(Failure::of)?;
    println!("{} is the key of the service: copy it to each node, and nowhere else", file.display());
    Ok(())
}
