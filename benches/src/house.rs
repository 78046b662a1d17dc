//! A real service and a real gateway, as processes, with a configuration of their own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

/// Longest wait for something that a process does.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines of the processes' log that are shown when something went wrong.
const LAST_LINES: usize = 60;

/// Killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct House {
    gateway: Running,
    service: Running,
    place: Place,
    /// Where the service is.
    pub(crate) url: String,
    /// The port of its MQTT.
    pub(crate) mqtt: u16,
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.place.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
            last.for_each(|line| eprintln!("{line}"));
        }
    }
}

/// The program, and its configuration.
struct Place {
    program: PathBuf,
    folder: TempDir,
}

impl House {
    /// With more of the gateway's configuration, and policies of the tenant.
    pub(crate) fn new(program: &Path, folder: TempDir, gateway: &str, policies: &str) -> Self {
        let place = Place { program: program.to_owned(), folder };
        let at = place.folder.path().display();
        let [https, mqtt, listen] = [(); 3].map(|()| free_port());
        let text = format!(
            "[service]\ndata_dir = \"{at}/data\"\nmqtt = \"127.0.0.1:{mqtt}\"\nhttps = \"127.0.0.1:{https}\"\n\
             [gateway]\nhome = \"{at}/gateway\"\nlisten = \"127.0.0.1:{listen}\"\n{gateway}"
        );
        std::fs::write(place.folder.path().join("t.toml"), text).unwrap();
        let service = place.start(&["service", "run"]);
        wait_for("the service", || place.run(&["tenant", "list"]).is_some());
        let key = format!("{at}/acme.key");
        let made = place.done(&["key", "create", &key]);
        place.done(&["tenant", "create", "acme", "--customer-key", made["reference"].as_str().unwrap()]);
        let claim = place.done(&["device", "claim", "gateway", "--tenant", "acme", "--role", "gateway"]);
        let (url, home) = (format!("https://localhost:{https}"), format!("{at}/gateway"));
        let claim = claim["claim"].as_str().unwrap();
        place.done(&["device", "enrol", &url, "--home", &home, "--claim", claim]);
        let own = format!("{at}/own.cedar");
        std::fs::write(&own, policies).unwrap();
        place.done(&["policy", "apply", "--tenant", "acme", &own]);
        let gateway = place.start(&["gateway", "run"]);
        Self { gateway, service, place, url, mqtt }
    }

    pub(crate) fn done(&self, arguments: &[&str]) -> Json {
        self.place.done(arguments)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.folder.path().join(name)
    }

    /// Ends the service and starts it again, with `between` in between. It is not waited for.
    pub(crate) fn restart(&mut self, between: impl FnOnce()) {
        let _ = self.service.0.kill();
        let _ = self.service.0.wait();
        between();
        self.service = self.place.start(&["service", "run"]);
    }

    pub(crate) fn service_process(&self) -> u32 {
        self.service.0.id()
    }

    /// What things say from now on, in a thread: each line, and when it was there.
    pub(crate) fn follow(&self, mut heard: impl FnMut(Json, Instant) + Send + 'static) {
        let mut follower = self.place.command(&["reading", "follow", "--tenant", "acme"]);
        let mut follower = follower.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(follower.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            // It ends with the service.
            let _running = Running(follower);
            for line in lines.map_while(Result::ok) {
                let at = Instant::now();
                heard(serde_json::from_str(&line).unwrap(), at);
            }
        });
    }

    /// Memory of the gateway and of its drivers together, in KiB.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let gateway = self.gateway.0.id().to_string();
        let found = Command::new("pgrep").args(["-P", &gateway]).output().unwrap();
        let drivers = String::from_utf8(found.stdout).unwrap();
        (resident(&gateway), drivers.lines().map(resident).sum())
    }
}

impl Place {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.folder.path().join("t.toml")).args(["--output", "json"]);
        command.args(arguments).env_remove("THINGWARD_TENANT").current_dir(self.folder.path());
        command
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command(arguments);
        Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// `None` where it failed.
    fn run(&self, arguments: &[&str]) -> Option<Json> {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        output.status.success().then(|| serde_json::from_str(last).unwrap_or_default())
    }

    fn done(&self, arguments: &[&str]) -> Json {
        self.run(arguments).unwrap_or_else(|| panic!("{arguments:?} fails"))
    }
}

pub(crate) fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < PATIENCE, "{what} took too long");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A port that nobody has: below those that the system gives to clients, so that none of them takes it.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = std::process::id() * 41 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + u16::try_from(step % COUNT).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// What a process has in memory, in KiB.
pub(crate) fn resident(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
