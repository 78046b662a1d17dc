//! `service run`, and what roles have in common.

use clap::{Args, Subcommand};
use thingward_service::service::Service as RunningService;
use tracing::info;

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
}

impl Service {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let Self::Run(run) = self;
        let config = config::load(global)?;
        run.begin();
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
