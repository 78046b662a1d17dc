//! The processes of the town: started by us, stopped by us, in reverse order, and gone when we are.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;

/// How long a process gets to stop by itself.
const STOP_TIME: Duration = Duration::from_secs(10);

pub(super) struct Processes {
    logs: PathBuf,
    running: Vec<(String, Child)>,
}

impl Processes {
    pub(super) fn new(logs: PathBuf) -> Self {
        Self { logs, running: Vec::new() }
    }

    /// Starts this binary with `arguments`. Its log goes to a file of its own.
    pub(super) fn start(&mut self, name: &str, arguments: &[&str]) -> Result<(), Failure> {
        use std::os::unix::process::CommandExt;
        let path = self.logs.join(format!("{name}.log"));
        let log = File::create(&path).map_err(Failure::file(&path))?;
        let also = log.try_clone().map_err(Failure::of)?;
        let binary = std::env::current_exe().map_err(Failure::of)?;
        let child = Command::new(binary)
            .args(arguments)
            .arg("--with-parent")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            // Ctrl-C is for us; we then stop them in order.
            .process_group(0)
            .spawn()
            .map_err(|e| Failure::Failed(format!("cannot start {name}: {e}")))?;
        self.running.push((name.to_owned(), child));
        Ok(())
    }

    /// The name of a process that has ended, if one has.
    pub(super) fn ended(&mut self) -> Result<Option<String>, Failure> {
        for (name, child) in &mut self.running {
            if child.try_wait().map_err(Failure::of)?.is_some() {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    /// Stops all: first the things, together, then the gateway, its radios, the service and the test provider. What does not listen
    /// is ended.
    pub(super) async fn stop(mut self) {
        let is_thing =
            |name: &str| !matches!(name, "service" | "gateway" | "payments") && !name.ends_with("-radio");
        for (_, child) in self.running.iter().filter(|(name, _)| is_thing(name)) {
            terminate(child);
        }
        while let Some((_, mut child)) = self.running.pop() {
            terminate(&child);
            wait(&mut child).await;
        }
    }
}

fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

async fn wait(child: &mut Child) {
    let until = tokio::time::Instant::now() + STOP_TIME;
    while tokio::time::Instant::now() < until {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Makes this process stop when the one that started it is gone, however that went.
pub(crate) fn stop_with_parent() {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
}
