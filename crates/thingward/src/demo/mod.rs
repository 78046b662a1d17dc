//! A whole town on this machine: service, gateway and five kinds of things, each a process of its own, over the
//! real protocols on loopback.

mod processes;
mod status;
mod town;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::failure::Failure;
use crate::output;
use crate::serve::stop_requested;
pub(crate) use processes::stop_with_parent;

use processes::Processes;
use town::Town;

/// How often the status lines are drawn.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Starts a town of things that goes on where it left off.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The folder that holds everything of the town; remove it to start anew.
    #[arg(long, default_value = "thingward-demo")]
    dir: PathBuf,
    /// Stop by itself after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let started = Instant::now();
        let town = Town::prepare(&self.dir)?;
        let mut processes = Processes::new(town.logs());
        let result = self.live(&town, &mut processes, started).await;
        output::line("stopping");
        processes.stop().await;
        result
    }

    async fn live(&self, town: &Town, processes: &mut Processes, started: Instant) -> Result<(), Failure> {
        tokio::select! {
            up = town.start(processes) => up?,
            stopped = stop_requested() => return stopped,
        }
        town.introduce(started.elapsed()).await;
        let end = async {
            match self.seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        let mut screen = status::Screen::new();
        loop {
            tokio::select! {
                stopped = stop_requested() => return stopped,
                () = &mut end => return Ok(()),
                () = tokio::time::sleep(STATUS_EVERY) => {}
            }
            if let Some(name) = processes.ended()? {
                let log = town.logs().join(format!("{name}.log"));
                return Err(Failure::Failed(format!("{name} has ended; its log is {}", log.display())));
            }
            screen.draw(&town.status().await);
        }
    }
}
