//! Three nodes that are one service, with everything that they stand on.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use thingward_test_postgres::Postgres;
use thingward_town_cluster::{
    BALANCER, CREDENTIALS, LoadBalancer, NatsServers, S3Server, Service, is_installed,
};

use super::{Place, Running, ask, free_port, shown, wait_for};

const COUNT: usize = 3;

/// Three nodes behind a load balancer, which is where the place's ports are.
pub(crate) struct Nodes {
    pub(crate) place: Place,
    pub(crate) nats: NatsServers,
    objects: S3Server,
    nodes: Vec<Option<Running>>,
    /// Where each listens by itself: MQTT and HTTPS.
    pub(crate) ports: Vec<[u16; 2]>,
    balancer: Option<LoadBalancer>,
}

impl Nodes {
    /// `None`, with loud words, where something that they stand on is not installed.
    pub(crate) fn start() -> Option<Self> {
        let mut nodes = Self::prepare()?;
        nodes.place.done(&["service", "key", shown(&nodes.place.path("scale.key"))]);
        nodes.start_all();
        Some(nodes)
    }

    /// Starts all of them, and waits until they are reached through the load balancer, which looks for them in its own time.
    pub(crate) fn start_all(&mut self) {
        (1..=COUNT).for_each(|number| self.restart(number));
        self.ask(1);
        self.balance();
    }

    /// Puts the load balancer before them, and waits until it has found one.
    pub(crate) fn balance(&mut self) {
        let service =
            |name, port, of: usize| Service { name, port, nodes: self.ports.iter().map(|p| p[of]).collect() };
        let services = [service("mqtt", self.place.mqtt, 0), service("https", self.place.https, 1)];
        self.balancer = Some(LoadBalancer::start(&services));
        let url = format!("{}/health", self.place.url);
        wait_for("the load balancer to find a node", || {
            ask("curl", &["--silent", "--fail", "--insecure", &url, "-o", "/dev/null"]).0
        });
    }

    /// All that they stand on, and their configurations; the key, the nodes and the load balancer are not there yet.
    pub(crate) fn prepare() -> Option<Self> {
        let postgres = Postgres::of_this_process()?;
        if !is_installed("nats-server") || !is_installed("haproxy") {
            return None;
        }
        let (place, nats) = (Place::new(), NatsServers::start(COUNT));
        let ports: Vec<[u16; 2]> = (0..COUNT).map(|_| [free_port(), free_port()]).collect();
        let secret = |name: &str, text: &str| {
            let path = place.path(name);
            super::write_private(&path, text);
            path
        };
        let database = postgres.url(thingward_test_postgres::USER, &postgres.database());
        let postgres_file = secret("postgres.url", &database);
        let (objects, credentials_file) = (S3Server::start(), secret("objects.credentials", CREDENTIALS));
        let key_file = place.path("scale.key");
        let urls: Vec<String> = nats.urls().iter().map(|url| format!("{url:?}")).collect();
        for (number, [mqtt, https]) in (1..).zip(&ports) {
            let text = format!(
                "[service]\ndata_dir = {:?}\nmqtt = \"127.0.0.1:{mqtt}\"\nhttps = \"127.0.0.1:{https}\"\n\
                 [service.history]\nevery = \"1s\"\nrows = 1000\nage = \"10s\"\n\
                 [scale]\nnode = \"node-{number}\"\nkey_file = {key_file:?}\nnats = [{}]\npostgres_file = {postgres_file:?}\n\
                 objects = {:?}\nobjects_credentials_file = {credentials_file:?}\nmqtt_port = {}\nbalancers = [{BALANCER:?}]\njournal = \"256KiB\"\n",
                place.path(&data(number)),
                urls.join(", "),
                objects.url(),
                place.mqtt,
            );
            std::fs::write(place.path(&format!("node-{number}.toml")), text).unwrap();
            super::create_private(&place.path(&data(number)));
        }
        let nodes = (0..COUNT).map(|_| None).collect();
        Some(Self { place, nats, objects, nodes, ports, balancer: None })
    }

    /// PostgreSQL is to be found at a socket of this place only, for nodes that begin from here on. That, and where it is.
    pub(crate) fn postgres_elsewhere(&self) -> [PathBuf; 2] {
        let path = self.place.path("postgres.url");
        let url = std::fs::read_to_string(&path).unwrap();
        let (folder, port) =
            url.split_once('@').unwrap().1.split_once('/').unwrap().0.split_once(':').unwrap();
        let here = self.place.folder().display().to_string();
        std::fs::write(&path, url.replace(folder, &here.replace('/', "%2F"))).unwrap();
        let socket = format!(".s.PGSQL.{port}");
        [self.place.path(&socket), PathBuf::from(folder.replace("%2F", "/")).join(&socket)]
    }

    /// Commands go to this node's administration socket from now on.
    pub(crate) fn ask(&mut self, number: usize) {
        self.place.config = self.place.path(&format!("node-{number}.toml"));
        self.place.wait_for_service();
    }

    /// Kills a node, as a machine does that ends.
    pub(crate) fn kill(&mut self, number: usize) {
        self.nodes[number - 1] = None;
    }

    /// Sends a signal to a node.
    pub(crate) fn signal(&self, number: usize, name: &str) {
        let id = self.nodes[number - 1].as_ref().unwrap().0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Has a node end in good order.
    pub(crate) fn stop(&mut self, number: usize) {
        self.signal(number, "TERM");
        let mut node = self.nodes[number - 1].take().unwrap();
        assert!(node.0.wait().unwrap().success(), "{}", self.place.logs());
    }

    /// Asks at a node for something, and says half of it; the rest a moment later. Then the answer is there.
    pub(crate) fn ask_slowly(&self, number: usize, path: &str, body: &str) -> JoinHandle<String> {
        let mut stream = UnixStream::connect(self.place.path(&data(number)).join("admin.sock")).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
        let all = format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (now, later) = all.split_at(all.len() - body.len() / 2);
        stream.write_all(now.as_bytes()).unwrap();
        let later = later.to_owned();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(1));
            let mut answer = String::new();
            if stream.write_all(later.as_bytes()).is_ok() {
                let _ = stream.read_to_string(&mut answer);
            }
            answer
        })
    }

    /// Starts a node again, on another machine or with what it had.
    pub(crate) fn restart(&mut self, number: usize) {
        let (name, config) = (format!("node-{number}"), self.place.path(&format!("node-{number}.toml")));
        let before = std::mem::replace(&mut self.place.config, config);
        self.nodes[number - 1] = Some(self.place.start_as(&name, &["service", "run"]));
        self.place.config = before;
    }

    /// Everything that a node kept on its disk is gone.
    pub(crate) fn lose_disk(&self, number: usize) {
        let data: PathBuf = self.place.path(&data(number));
        std::fs::remove_dir_all(&data).unwrap();
        super::create_private(&data);
    }

    /// The files below this folder that are in the object store.
    pub(crate) fn objects(&self, folder: &str) -> BTreeSet<String> {
        files(&self.objects.bucket().join("thingward").join(folder))
    }

    /// The files below this folder that are on a node's disk.
    pub(crate) fn on_disk(&self, number: usize, folder: &str) -> BTreeSet<String> {
        files(&self.place.path(&data(number)).join(folder))
    }

    /// Has a node lead that has nothing but its configuration, and ends the others.
    pub(crate) fn leave_a_fresh_one(&mut self) -> usize {
        let leader = self.leader();
        let (fresh, third) = (leader % COUNT + 1, (leader + 1) % COUNT + 1);
        self.kill(fresh);
        self.lose_disk(fresh);
        self.restart(fresh);
        self.ask(fresh);
        self.stop(third);
        self.stop(leader);
        wait_for("the fresh node to lead", || self.leader() == fresh);
        fresh
    }

    /// Which node leads, as the logs say.
    pub(crate) fn leader(&self) -> usize {
        let mut newest = None;
        wait_for("a leader", || {
            let term = |number: usize| {
                let log =
                    std::fs::read_to_string(self.place.path(&format!("logs/node-{number}.log"))).unwrap();
                let line = log.lines().rfind(|line| line.contains("this node leads"))?;
                Some((line.rsplit_once("term=")?.1.trim().parse::<u64>().unwrap(), number))
            };
            newest = (1..=COUNT).filter_map(term).max();
            newest.is_some_and(|(_, number)| self.nodes[number - 1].is_some())
        });
        newest.unwrap().1
    }
}

fn data(number: usize) -> String {
    if number == 1 { "data".to_owned() } else { format!("data-{number}") }
}

/// By their names from that folder on.
fn files(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    let below = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() {
            return vec![name];
        }
        files(&path).iter().map(|file| format!("{name}/{file}")).collect()
    };
    entries.flat_map(|entry| below(entry.unwrap().path())).collect()
}
