//! What the roles share when they run: the log, and the wish to stop.

use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// The form of the log on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object per line.
    Json,
}

/// Starts the log. `THINGWARD_LOG` says how much, as `info` or `thingward_service=debug`.
pub(crate) fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("THINGWARD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // A full disk under the log is no reason to end: its own complaint would be a panic.
    let log = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter);
    let log = log.with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Returns at SIGTERM or SIGINT.
pub(crate) async fn stop_requested() -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::of)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::of)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
