//! What the tests of the binary share: a folder with a configuration, processes, peers' programs, waiting.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod by_hand;
pub(crate) mod crowd;
pub(crate) mod house;
pub(crate) mod nodes;
pub(crate) mod paho;
pub(crate) mod program;

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// Longest wait for something that a process does.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest run of a peer's program, in seconds.
const PEER_SECONDS: &str = "40";

/// A folder with a configuration, and everything that comes of it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) config: PathBuf,
    pub(crate) url: String,
    pub(crate) https: u16,
    pub(crate) mqtt: u16,
    pub(crate) gateway: u16,
    pub(crate) relay: u16,
    /// Where the gateway speaks CoAP.
    pub(crate) coap: u16,
    /// Where the service does.
    pub(crate) direct: u16,
    /// What every process is started with.
    pub(crate) environment: Vec<(String, String)>,
}

/// Killed when the test ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody has: below those that the system gives to clients, so that none of them takes it.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % u32::from(COUNT)).unwrap();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (u32::from(process) * 41 + u32::from(step)) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Place {
    /// With the least configuration.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// With more sections of the configuration.
    pub(crate) fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("t.toml");
        let [https, mqtt, gateway, relay, coap, direct] = [(); 6].map(|()| free_port());
        let text = format!(
            "[service]\ndata_dir = \"{0}/data\"\nmqtt = \"127.0.0.1:{mqtt}\"\nhttps = \"127.0.0.1:{https}\"\ncoap = \"127.0.0.1:{direct}\"\n\
             [gateway]\nhome = \"{0}/gateway\"\nlisten = \"127.0.0.1:{gateway}\"\nrelay = \"127.0.0.1:{relay}\"\ncoap = \"127.0.0.1:{coap}\"\n\
             [device]\nhome = \"{0}/device\"\ncheckpoint_every = \"200ms\"\n{more}\n",
            folder.path().display(),
        );
        std::fs::write(&config, text).unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        let url = format!("https://localhost:{https}");
        Self { folder, config, url, https, mqtt, gateway, relay, coap, direct, environment: Vec::new() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thingward"));
        command.arg("--config").arg(&self.config).args(["--output", "json"]).args(arguments);
        command.env_remove("THINGWARD_TENANT").current_dir(self.folder.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a role. Its log goes to `logs/NAME.log`.
    pub(crate) fn start_as(&self, name: &str, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        Running(command.stdout(Stdio::null()).stderr(self.log(name)).spawn().unwrap())
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_as(arguments[0], arguments)
    }

    fn log(&self, name: &str) -> File {
        let path = self.path("logs").join(format!("{name}.log"));
        File::options().create(true).append(true).open(path).unwrap()
    }

    /// All logs so far.
    pub(crate) fn logs(&self) -> String {
        let files = std::fs::read_dir(self.path("logs")).unwrap();
        files
            .map(|f| String::from_utf8_lossy(&std::fs::read(f.unwrap().path()).unwrap()).into_owned())
            .collect()
    }

    /// What a command answers, with its exit code. Its standard error goes to the logs too.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, Json) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        self.log("commands").write_all(&stderr).unwrap();
        let text = if status.success() { stdout } else { stderr };
        let last = String::from_utf8_lossy(&text).lines().last().unwrap_or_default().to_owned();
        (status.code().unwrap(), serde_json::from_str(&last).unwrap_or(Json::String(last)))
    }

    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> Json {
        let (code, answer) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {answer}\n{}", self.logs());
        answer
    }

    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], want: i32) {
        let (code, answer) = self.run(arguments);
        assert_eq!(code, want, "{arguments:?}: {answer}");
    }

    /// Starts the service and makes tenants, each with its key in `NAME.key`.
    pub(crate) fn service(&self, tenants: &[&str]) -> Running {
        let service = self.start(&["service", "run"]);
        self.wait_for_service();
        for tenant in tenants {
            let key = self.path(&format!("{tenant}.key"));
            let made = self.done(&["key", "create", shown(&key)]);
            let reference = made["reference"].as_str().unwrap();
            self.done(&["tenant", "create", tenant, "--customer-key", reference]);
        }
        service
    }

    /// Waits until it answers.
    pub(crate) fn wait_for_service(&self) {
        wait_for("the service", || self.run(&["tenant", "list"]).0 == 0);
    }

    /// Makes a PKCS#11 token `town` that all commands from now on find; gives the reference of `object` on it.
    pub(crate) fn make_token(&mut self, pin: &str, pin_source: &str, object: &str) -> String {
        let (tokens, conf) = (self.path("tokens"), self.path("softhsm2.conf"));
        std::fs::create_dir(&tokens).unwrap();
        std::fs::write(&conf, format!("directories.tokendir = {}\n", shown(&tokens))).unwrap();
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "town", "--so-pin", pin, "--pin", pin])
            .env("SOFTHSM2_CONF", &conf)
            .output();
        assert!(made.unwrap().status.success());
        self.environment.push(("SOFTHSM2_CONF".to_owned(), shown(&conf).to_owned()));
        let module = "/usr/lib/softhsm/libsofthsm2.so";
        format!("pkcs11:token=town;object={object}?module-path={module}&pin-source={pin_source}")
    }

    /// The claim for a new member: `CODE.FINGERPRINT`.
    pub(crate) fn claim(&self, tenant: &str, role: &str, name: &str) -> String {
        let made = self.done(&["device", "claim", name, "--tenant", tenant, "--role", role]);
        made["claim"].as_str().unwrap().to_owned()
    }

    /// Enrols a member of our own kind in the home `NAME`.
    pub(crate) fn enrol(&self, tenant: &str, role: &str, name: &str) {
        let claim = self.claim(tenant, role, name);
        self.done(&["device", "enrol", &self.url, "--home", shown(&self.path(name)), "--claim", &claim]);
    }

    /// Starts the enrolled device `name`, perhaps at a gateway, and waits until it is there.
    pub(crate) fn device(&self, name: &str, uplink: Option<u16>) -> Running {
        let home = self.path(name);
        let mut command = vec!["device", "run", "--home", shown(&home)];
        let uplink = uplink.map(|port| format!("127.0.0.1:{port}"));
        if let Some(uplink) = &uplink {
            command.extend(["--uplink", uplink]);
        }
        let running = self.start_as(name, &command);
        wait_for("the device", || self.run(&["device", "status", "--home", shown(&home)]).0 == 0);
        running
    }

    /// Starts the gateway, enrolled as `gateway` of the tenant before.
    pub(crate) fn gateway(&self) -> Running {
        let running = self.start(&["gateway", "run"]);
        wait_for("the gateway", || std::net::TcpStream::connect(("127.0.0.1", self.gateway)).is_ok());
        running
    }

    /// The readings of a tenant, oldest first.
    #[track_caller]
    pub(crate) fn readings(&self, tenant: &str) -> Vec<Json> {
        let answer = self.done(&["reading", "query", "--tenant", tenant, "--limit", "100000"]);
        answer.as_array().unwrap().clone()
    }
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < PATIENCE, "{what} took too long");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks as systemd does.
#[track_caller]
pub(crate) fn stops_cleanly(mut running: Running) {
    let id = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let mut ended = None;
    wait_for("the end", || {
        ended = running.0.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(0));
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) {
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Makes a folder that only its owner may enter.
pub(crate) fn create_private(path: &Path) {
    std::fs::DirBuilder::new().mode(0o700).create(path).unwrap();
}

pub(crate) fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Whether these programs are installed; says aloud when not.
pub(crate) fn have(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let found = Command::new(program).arg("--version").output().is_ok();
        if !found {
            println!("SKIPPED: {program} is not installed");
        }
        found
    })
}

/// What a variable says that `make test` sets; says aloud when it is not set.
pub(crate) fn given(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        println!("SKIPPED: {variable} is not set");
    }
    value
}

/// A peer's program, which ends after a while at the latest, and writes each line at once.
pub(crate) fn peer(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=1", PEER_SECONDS, "stdbuf", "-oL", program]);
    command
}

/// Runs a peer's program: whether it succeeded, and everything that it said.
pub(crate) fn ask(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = peer(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

#[track_caller]
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> String {
    let (ok, said) = ask(program, arguments);
    assert!(ok, "{program} {arguments:?}: {said}");
    said
}
