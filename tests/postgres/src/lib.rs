//! A PostgreSQL of one's own for the tests of a process: a cluster in a temporary folder, which ends and goes with the process.
//!
//! Nothing in it outlives a power cut, which makes it quick. Its superuser is [`USER`] with [`PASSWORD`]; over the Unix socket
//! anybody is let in without one.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Who may do everything.
pub const USER: &str = "thingward";
/// Their password, for connections over TCP.
pub const PASSWORD: &str = "a password for tests";

/// Waits for its standard input to end, which is when the process that started it is gone, and ends the server then.
const KEEPER: &str = r#"folder=$1; shift; "$@" & cat >/dev/null; kill -QUIT $!; wait; rm -rf "$folder""#;

const SETTINGS: &str = "fsync = off\nfull_page_writes = off\nwal_level = minimal\nmax_wal_senders = 0\nautovacuum = off\n\
    max_connections = 200\nunix_socket_permissions = 0777\nlisten_addresses = '127.0.0.1'\nssl = on\n";

const REQUEST: &str = "[req]\ndistinguished_name = name\nx509_extensions = of_server\n[name]\n[of_server]\n\
    basicConstraints = critical,CA:FALSE\nsubjectAltName = DNS:localhost,IP:127.0.0.1\n";

/// A server that runs.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    databases: AtomicU32,
    /// Ends the server when it goes.
    _keeper: Child,
}

impl Postgres {
    /// The server of this process, started at the first call; `None`, with loud words, where PostgreSQL is not installed.
    pub fn of_this_process() -> Option<&'static Self> {
        static ONE: OnceLock<Option<Postgres>> = OnceLock::new();
        ONE.get_or_init(Self::start).as_ref()
    }

    fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            // Not by the macro, whose words the harness keeps to itself where tests pass.
            let words =
                "SKIPPED: PostgreSQL is not installed (scripts/install test): nothing is tested on it\n";
            std::io::stderr().write_all(words.as_bytes()).unwrap();
            return None;
        };
        let folder = tempfile::Builder::new().prefix("postgres-").tempdir().unwrap().keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let owner = Owner::find();
        owner.give(&folder);
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        owner.give(&folder.join("password"));
        let data = folder.join("data");
        let mut initdb = owner.command(&programs.join("initdb"));
        initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth-local=trust"]);
        initdb.args(["--auth-host=scram-sha-256", "--username", USER, "--pgdata"]).arg(&data);
        initdb.arg(format!("--pwfile={}", folder.join("password").display()));
        run(&mut initdb);
        certify(&data, &owner);
        std::fs::copy(data.join("server.crt"), folder.join("ca.pem")).unwrap();
        let mut settings =
            std::fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        settings.write_all(SETTINGS.as_bytes()).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut server = Command::new("sh");
        server.args(["-c", KEEPER, "keeper"]).arg(&folder);
        server.args(owner.words()).arg(programs.join("postgres")).arg("-D").arg(&data);
        server.args(["-p", &port.to_string(), "-k"]).arg(&folder).stdin(Stdio::piped());
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let keeper = server.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let started = Self { programs, folder, port, databases: AtomicU32::new(0), _keeper: keeper };
        started.wait();
        Some(started)
    }

    fn wait(&self) {
        for _ in 0..500 {
            let mut ready = Command::new(self.programs.join("pg_isready"));
            if ready.arg("-q").args(self.connection()).status().unwrap().success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("PostgreSQL does not start: {}", std::fs::read_to_string(self.folder.join("log")).unwrap());
    }

    fn connection(&self) -> [String; 6] {
        let (host, port) = (self.folder.display().to_string(), self.port.to_string());
        ["-h".to_owned(), host, "-p".to_owned(), port, "-U".to_owned(), USER.to_owned()]
    }

    /// A new empty database in UTF-8 and the order of bytes, by name.
    pub fn database(&self) -> String {
        self.database_with(&["--encoding=UTF8", "--locale=C"])
    }

    /// A new empty database, made with these arguments of `createdb`.
    pub fn database_with(&self, arguments: &[&str]) -> String {
        self.create("template0", arguments)
    }

    /// A new database with all that is in another one, which nobody may use at the moment.
    pub fn copy_of(&self, database: &str) -> String {
        self.create(database, &[])
    }

    fn create(&self, template: &str, arguments: &[&str]) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut createdb = Command::new(self.programs.join("createdb"));
        createdb.args(self.connection()).arg(format!("--template={template}"));
        run(createdb.args(arguments).arg(&name));
        name
    }

    /// The URL of a database over the Unix socket, for this user.
    pub fn url(&self, user: &str, database: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{folder}:{}/{database}", self.port)
    }

    /// Where it listens with TCP: TLS with a certificate for `localhost` and `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file with the certificate that its own is checked against, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// What statements of the superuser give, a line for each row.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(self.connection()).args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
        run(psql.args(["-c", statements]))
    }
}

/// Whom the server runs as: PostgreSQL refuses to be root.
struct Owner(Option<u32>);

impl Owner {
    fn find() -> Self {
        let id = |arguments: &[&str]| {
            let output = Command::new("id").args(arguments).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().ok()
        };
        let is_root = id(&["-u"]) == Some(0);
        let other = || id(&["-u", "postgres"]).or_else(|| id(&["-u", "nobody"])).expect("a user beside root");
        Self(is_root.then(other))
    }

    fn words(&self) -> Vec<String> {
        let Some(id) = self.0 else { return Vec::new() };
        ["setpriv", "--clear-groups", &format!("--reuid={id}"), &format!("--regid={id}")]
            .map(str::to_owned)
            .into()
    }

    fn command(&self, program: &Path) -> Command {
        let words = self.words();
        let Some((first, rest)) = words.split_first() else { return Command::new(program) };
        let mut command = Command::new(first);
        command.args(rest).arg(program);
        command
    }

    fn give(&self, path: &Path) {
        if let Some(id) = self.0 {
            chown(path, Some(id), Some(id)).unwrap();
        }
    }
}

/// The folder with the newest programs that are installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |folder: &PathBuf| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let debian =
        versions.map(|entry| entry.path()).filter(|f| f.join("bin/initdb").exists()).max_by_key(version);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_path = || std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    debian.map(|folder| folder.join("bin")).or_else(of_path)
}

/// Makes a certificate for this machine, which is its own CA.
fn certify(data: &Path, owner: &Owner) {
    let (request, key, certificate) =
        (data.join("request"), data.join("server.key"), data.join("server.crt"));
    std::fs::write(&request, REQUEST).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl.args(["-subj", "/CN=PostgreSQL", "-config"]).arg(request).arg("-keyout").arg(&key);
    run(openssl.arg("-out").arg(&certificate));
    for file in [key, certificate] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        owner.give(&file);
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
