//! What the town is made of, how it is set up the first time, and in which order it starts.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand_core::Rng;
use serde_json::{Value as Json, json};
use thingward_agent::claim::Claim;
use thingward_agent::enrol::{Credential, enrol};
use thingward_agent::home::{Home, socket_path};
use thingward_agent::http::Endpoint;
use thingward_agent::input::InputClient;
use thingward_crypto::sealed::write_private;
use thingward_crypto::{SignatureAlgorithm, system_rng};
use tokio::net::TcpStream;

use super::processes::Processes;
use crate::api::{Api, Path as ApiPath, Target};
use crate::failure::Failure;
use crate::order::Token;
use crate::output;
use crate::things::Kind;

const TENANT: &str = "town";
const GATEWAY: &str = "hall-gateway";
/// The thing that strangers may use.
const METER: &str = "meter-1";
/// How long a process may take to open its ports.
const START_TIME: Duration = Duration::from_secs(20);

/// How a thing reaches the service.
#[derive(Clone, Copy)]
enum Way {
    /// By itself.
    Direct(Kind),
    /// At the gateway, over CoAP with OSCORE.
    Coap(Kind),
    /// Behind a radio of the gateway, emulated at its line; everything above is real.
    Radio(&'static str),
}

/// The things, and their ways.
const THINGS: [(&str, Way); 5] = [
    ("thermometer-1", Way::Radio("zigbee")),
    ("bulb-1", Way::Radio("zwave")),
    ("pump-1", Way::Direct(Kind::InfusionPump)),
    ("mill-1", Way::Coap(Kind::MillingMachine)),
    (METER, Way::Direct(Kind::ParkingMeter)),
];
/// For how long the radios let their things join, the first time.
const ADMISSION_SECONDS: u32 = 600;

pub(super) struct Town {
    dir: PathBuf,
    ports: Ports,
}

/// Written down at the first start, so that things find their way back.
#[derive(Clone, Copy)]
struct Ports {
    mqtt: u16,
    https: u16,
    gateway: u16,
    /// Where the gateway takes CoAP.
    coap: u16,
    console: u16,
    /// Where test cards pay.
    payments: u16,
    /// Where the meter takes grants: over TLS, and for browsers.
    link: u16,
    link_http: u16,
}

/// A thing at one moment.
pub(super) struct ThingStatus {
    pub(super) name: &'static str,
    pub(super) way: &'static str,
    pub(super) online: bool,
    pub(super) waiting: u64,
    pub(super) assurance: String,
    pub(super) values: String,
}

impl Town {
    /// The town in `dir`, made when there is none.
    pub(super) fn prepare(dir: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(dir).map_err(Failure::file(dir))?;
        let dir = dir.canonicalize().map_err(Failure::file(dir))?;
        let logs = dir.join("log");
        fs::create_dir_all(&logs).map_err(Failure::file(&logs))?;
        let ports = ports(&dir)?;
        let town = Self { dir, ports };
        let config = town.config();
        if !config.exists() {
            fs::write(&config, town.config_text()).map_err(Failure::file(&config))?;
        }
        Ok(town)
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn config(&self) -> PathBuf {
        self.dir.join("thingward.toml")
    }

    fn config_text(&self) -> String {
        let Ports { mqtt, https, gateway, coap, console, payments, .. } = self.ports;
        format!(
            "# The demo town. `thingward --config` this file gives every command the town's service.\n\
             [service]\ndata_dir = \"{dir}/service\"\nmqtt = \"127.0.0.1:{mqtt}\"\nhttps = \"127.0.0.1:{https}\"\n\
             names = [\"localhost\"]\naddresses = [\"127.0.0.1\"]\n\n\
             [service.console]\norigins = [\"http://localhost:{console}\"]\nloopback = \"127.0.0.1:{console}\"\n\n\
             [service.payments]\ntestbed = \"http://127.0.0.1:{payments}\"\n\
             api_key_file = \"{dir}/payments/api.key\"\nwebhook_secret_file = \"{dir}/payments/webhook.secret\"\n\n\
             [gateway]\nhome = \"{dir}/gateway\"\nlisten = \"127.0.0.1:{gateway}\"\ncoap = \"127.0.0.1:{coap}\"\n",
            dir = self.dir.display()
        )
    }

    fn thing_home(&self, name: &str) -> PathBuf {
        self.dir.join("things").join(name)
    }

    fn api(&self) -> Api {
        Api::new(Target::Socket(self.dir.join("service").join("admin.sock")))
    }

    /// Starts everything, from the service outwards; enrols whoever has no identity yet.
    pub(super) async fn start(&self, processes: &mut Processes) -> Result<(), Failure> {
        let config = self.config();
        let config = config.to_str().ok_or_else(|| Failure::Usage("--dir is not UTF-8".to_owned()))?;
        self.start_payments(processes).await?;
        processes.start("service", &["--config", config, "service", "run"])?;
        self.wait_for_service(processes).await?;
        let is_new = self.make_tenant().await?;
        let members = THINGS.iter().filter_map(|(name, way)| match way {
            Way::Direct(_) | Way::Coap(_) => Some((*name, "device", self.thing_home(name))),
            Way::Radio(_) => None,
        });
        let gateway = (GATEWAY, "gateway", self.dir.join("gateway"));
        let enrolled = members.chain([gateway]).map(|(name, role, home)| self.enrol(name, role, home));
        for enrolment in enrolled.collect::<Vec<_>>() {
            enrolment.await?;
        }
        for radio in radios() {
            self.start_radio(radio, processes).await?;
        }
        self.configure_radios()?;
        processes.start("gateway", &["--config", config, "gateway", "run"])?;
        wait_for_port(self.ports.gateway, "gateway", processes).await?;
        for (name, way) in THINGS {
            let (kind, uplink) = match way {
                Way::Direct(kind) => (kind, None),
                Way::Coap(kind) => (kind, Some(format!("coap://localhost:{}", self.ports.coap))),
                Way::Radio(_) => continue,
            };
            let home = self.thing_home(name);
            let home = home.to_str().ok_or_else(|| Failure::Usage("--dir is not UTF-8".to_owned()))?;
            let mut arguments = vec!["device", "run", "--home", home, "--simulate", kind.as_str()];
            arguments.extend(uplink.iter().flat_map(|uplink| ["--uplink", uplink]));
            let [link, link_http] =
                [self.ports.link, self.ports.link_http].map(|port| format!("127.0.0.1:{port}"));
            if name == METER {
                arguments.extend(["--local-link", &link, "--local-link-http", &link_http]);
            }
            processes.start(name, &arguments)?;
        }
        for (name, way) in THINGS {
            if let Way::Radio(radio) = way {
                self.let_join(name, radio).await?;
            }
        }
        if is_new {
            self.try_what_is_refused().await?;
            self.offer_the_bay().await?;
        }
        Ok(())
    }

    fn radio_home(&self, radio: &str) -> PathBuf {
        self.dir.join("radios").join(radio)
    }

    fn radio_line(&self, radio: &str) -> PathBuf {
        self.radio_home(radio).join("line")
    }

    /// What is at the end of a radio's line, and the thing behind it. Waits until it says what it is.
    async fn start_radio(&self, radio: &str, processes: &mut Processes) -> Result<(), Failure> {
        let (home, line) = (self.radio_home(radio), self.radio_line(radio));
        fs::create_dir_all(&home).map_err(Failure::file(&home))?;
        let [home, line] = [home.to_str(), line.to_str()]
            .map(|path| path.ok_or_else(|| Failure::Usage("--dir is not UTF-8".to_owned())));
        processes
            .start(&format!("{radio}-radio"), &["radio-testbed", radio, "--line", line?, "--home", home?])?;
        let until = Instant::now() + START_TIME;
        while !self.radio_line(radio).exists() {
            if processes.ended()?.is_some() || Instant::now() > until {
                return Err(Failure::Failed(format!("the {radio} radio did not start; see its log")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn radio_file(&self, radio: &str, name: &str) -> Result<String, Failure> {
        let path = self.radio_home(radio).join(name);
        let text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
        Ok(text.trim().to_owned())
    }

    /// Tells the gateway of its radios, once it is known what their things are called there.
    fn configure_radios(&self) -> Result<(), Failure> {
        let path = self.config();
        let mut text = fs::read_to_string(&path).map_err(Failure::file(&path))?;
        for (name, way) in THINGS {
            let Way::Radio(radio) = way else { continue };
            let section = format!("[gateway.radio.{radio}-1]");
            if text.contains(&section) {
                continue;
            }
            let (line, address) = (self.radio_line(radio), self.radio_file(radio, "address")?);
            text.push_str(&format!(
                "\n{section}\nkind = \"{radio}\"\nline = \"{}\"\nthings = [\"{address} {name}\"]\n",
                line.display()
            ));
        }
        fs::write(&path, text).map_err(Failure::file(&path))
    }

    /// Lets the thing of a radio join, with what is printed on it, when nobody knows it yet.
    async fn let_join(&self, name: &str, radio: &str) -> Result<(), Failure> {
        let device = ApiPath::new(&["tenants", TENANT, "devices", name]);
        if self.api().get(device.as_str()).await.is_ok() {
            return Ok(());
        }
        let body = json!({
            "seconds": ADMISSION_SECONDS,
            "radio": format!("{radio}-1"),
            "printed": self.radio_file(radio, "printed")?,
        });
        let path = ApiPath::new(&["tenants", TENANT, "gateways", GATEWAY, "admission"]);
        // A code is handed on to a gateway that is connected.
        let until = Instant::now() + START_TIME;
        loop {
            match self.api().post(path.as_str(), &body).await {
                Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(50)).await,
                admitted => return admitted.map(drop),
            }
        }
    }

    /// Before the service, which reads the secrets that it makes.
    async fn start_payments(&self, processes: &mut Processes) -> Result<(), Failure> {
        let Ports { console, payments, .. } = self.ports;
        let home = self.dir.join("payments");
        let home = home.to_str().ok_or_else(|| Failure::Usage("--dir is not UTF-8".to_owned()))?;
        let webhook = format!("http://127.0.0.1:{console}/api/v1/payments/webhook");
        let port = payments.to_string();
        let arguments = ["payment-testbed", "--home", home, "--port", &port, "--webhook", &webhook];
        processes.start("payments", &arguments)?;
        wait_for_port(payments, "test provider of payments", processes).await
    }

    /// Whoever stands before the meter may pay for the bay, once it has said what it opens.
    async fn offer_the_bay(&self) -> Result<(), Failure> {
        let offer = json!({
            "start": "park", "finish": "leave", "amount": 240, "currency": "EUR", "per": 60, "most": 120,
            "notice": "We keep when the bay was taken and for which key, to settle complaints. \
                       We do not know who you are. Your card is seen by the payment provider alone.",
        });
        let path = ApiPath::new(&["tenants", TENANT, "devices", METER, "offer"]);
        let until = Instant::now() + START_TIME;
        loop {
            match self.api().call(hyper::Method::PUT, path.as_str(), Some(&offer)).await {
                Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(50)).await,
                set => return set.map(drop),
            }
        }
    }

    async fn wait_for_service(&self, processes: &mut Processes) -> Result<(), Failure> {
        let until = Instant::now() + START_TIME;
        while self.api().get("/ready").await.is_err_and(|f| matches!(f, Failure::Unreachable(_))) {
            if let Some(name) = processes.ended()? {
                let log = self.logs().join(format!("{name}.log"));
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(Failure::Failed(format!("{name} did not start:\n{}", said.trim())));
            }
            if Instant::now() > until {
                return Err(Failure::Unreachable("the service does not come up".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Whether there was none.
    async fn make_tenant(&self) -> Result<bool, Failure> {
        let key = self.dir.join("customer.key");
        if key.exists() {
            return Ok(false);
        }
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        system_rng().fill_bytes(bytes.as_mut());
        write_private(&key, bytes.as_ref()).map_err(Failure::file(&key))?;
        let body = json!({"name": TENANT, "customer_key": format!("file:{}", key.display())});
        let made = self.api().post(ApiPath::new(&["tenants"]).as_str(), &body).await;
        if made.is_err() {
            // Without a tenant the key is nobody's; the next start makes both.
            let _ = fs::remove_file(&key);
        }
        made.map(|_| true)
    }

    /// A program that may only read tries to set the toll rate: the town's log begins with a refusal to look at.
    async fn try_what_is_refused(&self) -> Result<(), Failure> {
        let (api, tokens) = (self.api(), ApiPath::new(&["tenants", TENANT, "tokens"]));
        let body = json!({"scopes": ["readings:read"], "lifetime_seconds": 60});
        let made = api.post(tokens.as_str(), &body).await?;
        let text = |name: &str| made.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let path = self.dir.join("service").join("root.pem");
        let pem = fs::read_to_string(&path).map_err(Failure::file(&path))?;
        let mut roots = thingward_pki::ca::certificates_from_pem(&pem).map_err(Failure::of)?;
        let root = roots.pop().ok_or_else(|| Failure::Failed(format!("{} is empty", path.display())))?;
        let endpoint = Endpoint { host: "localhost".to_owned(), port: self.ports.https };
        let token = Token::parse(&text("token")).map_err(Failure::of)?;
        let reader = Api::new(Target::Url { endpoint, root, token });
        let commands = ApiPath::new(&["tenants", TENANT, "devices", METER, "commands"]);
        let order = json!({"action": "set-rate", "input": 0});
        match reader.post(commands.as_str(), &order).await {
            Err(Failure::NotPermitted(_)) => {}
            Err(other) => return Err(other),
            Ok(_) => return Err(Failure::Failed("the town lets anybody set the toll rate".to_owned())),
        }
        let token = ApiPath::new(&["tenants", TENANT, "tokens", &text("id")]);
        api.call(hyper::Method::DELETE, token.as_str(), None).await.map(drop)
    }

    async fn enrol(&self, name: &str, role: &str, path: PathBuf) -> Result<(), Failure> {
        let home = Home::open(&path).map_err(Failure::of)?;
        if home.is_enrolled() {
            return Ok(());
        }
        let body = json!({"name": name, "role": role});
        let made = self.api().post(ApiPath::new(&["tenants", TENANT, "claims"]).as_str(), &body).await?;
        let claim = made.get("claim").and_then(Json::as_str).unwrap_or_default();
        let claim: Claim =
            claim.parse().map_err(|_| Failure::Failed("the claim has no meaning".to_owned()))?;
        let at = Endpoint { host: "localhost".to_owned(), port: self.ports.https };
        let enrolled = enrol(&home, &at, &Credential::Claim(claim), SignatureAlgorithm::EcdsaP256).await;
        enrolled.map(|_| ()).map_err(Failure::of)
    }

    /// Says what runs where and what to try.
    pub(super) async fn introduce(&self, took: Duration) {
        let Ports { mqtt, https, gateway, console, link, .. } = self.ports;
        let near = self.near().await;
        let dir = self.dir.display();
        let config = self.config();
        let config = config.display();
        let set_up = self.api().post(ApiPath::new(&["tenants", TENANT, "set-up"]).as_str(), &json!({})).await;
        // There is none once somebody has set it up.
        let open = match set_up.as_ref().ok().and_then(|made| made.get("link")?.as_str()) {
            Some(link) => format!(
                "{link}\n     and become the town's administrator, with a passkey of this browser. The link works\n\
                 \x20    once, within 15 minutes; `thingward user set-up` makes another"
            ),
            None => format!("http://localhost:{console} and sign in with your passkey"),
        };
        output::line(&format!(
            "The town is up after {:.1} s. Everything of it is in {dir}\n\n\
             service   MQTT localhost:{mqtt}   HTTPS https://localhost:{https}   tenant {TENANT}\n\
             gateway   MQTT localhost:{gateway}   thermometer-1 on Zigbee and bulb-1 on Z-Wave, emulated at the\n\
             \x20                            line; mill-1 over CoAP with OSCORE\n\
             things    pump-1, mill-1, meter-1: one process each; all logs in {dir}/log\n\n\
             Open {open}\n\n\
             Stand before {METER}, as the code on it would bring you there, and park: pay with 4242 4242 4242 4242\n\
             \x20 {near}\n\n\
             Or try, in another terminal:\n\
             \x20 export THINGWARD_CONFIG={config}\n\
             \x20 thingward reading latest --tenant {TENANT}\n\
             \x20 thingward reading follow --tenant {TENANT} --device pump-1\n\
             \x20 thingward reading windows --tenant {TENANT} --device mill-1 --every 10s\n\
             \x20 thingward command actions --tenant {TENANT} meter-1   # what it says that it can do\n\
             \x20 thingward command send --tenant {TENANT} meter-1 set-rate 3.50\n\
             \x20 thingward command send --tenant {TENANT} bulb-1 set-level level=40\n\
             \x20 thingward gateway show --tenant {TENANT} {GATEWAY}    # its radios, their drivers and things\n\
             \x20 thingward grant key me.key                     # prints KEY, a stranger's\n\
             \x20 thingward grant issue --tenant {TENANT} --device {METER} --holder KEY --allow 'park =1..120' \\\n\
             \x20   --allow leave --for 2h --out me.grant\n\
             \x20 thingward grant use me.grant --key me.key --at localhost:{link} park 90\n\
             \x20 thingward purchase list --tenant {TENANT}      # who bought what; `purchase refund ID`\n\
             \x20 thingward finding list --tenant {TENANT}\n\
             \x20 thingward audit list --tenant {TENANT}        # who did what; `audit prove 0` proves it\n\
             \x20 thingward key withdraw --tenant {TENANT}      # history is unreadable at once\n\
             \x20 thingward key restore --tenant {TENANT}\n\
             \x20 kill -9 the service or a thing, start the demo again: nothing acknowledged is missing\n\n\
             Ctrl-C stops the town; the next start goes on where it left off.\n",
            took.as_secs_f64()
        ));
    }

    /// The page for whoever stands before the meter, as its code would have it.
    async fn near(&self) -> String {
        let Ports { console, link_http, .. } = self.ports;
        let until = Instant::now() + START_TIME;
        let key = loop {
            let answer = self.ask(METER).await.unwrap_or_default();
            match answer.pointer("/status/key").and_then(Json::as_str) {
                Some(key) => break key.replace('+', "-").replace('/', "_").replace('=', ""),
                None if Instant::now() > until => return format!("{METER} does not come up; see its log"),
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        format!(
            "http://localhost:{console}/near#tenant={TENANT}&device={METER}&link=http%3A%2F%2F127.0.0.1%3A{link_http}&key={key}"
        )
    }

    /// How the things are.
    pub(super) async fn status(&self) -> Vec<ThingStatus> {
        let latest = ApiPath::new(&["tenants", TENANT, "readings", "latest"]);
        let latest = self.api().get(latest.as_str()).await.unwrap_or_default();
        let latest = latest.get("items").and_then(Json::as_array).cloned().unwrap_or_default();
        let mut all = Vec::new();
        let gateway = ApiPath::new(&["tenants", TENANT, "gateways", GATEWAY]);
        let gateway = self.api().get(gateway.as_str()).await.unwrap_or_default();
        for (name, way) in THINGS {
            let own = || latest.iter().filter(|r| r.get("device").and_then(Json::as_str) == Some(name));
            let values = own().map(|r| {
                let value = r.get("value").map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
                format!("{} {}{}", text(r, "field"), value.unwrap_or_default(), text(r, "unit"))
            });
            let (online, waiting) = match way {
                Way::Direct(_) | Way::Coap(_) => self.device_status(name).await,
                Way::Radio(radio) => radio_status(&gateway, name, &format!("{radio}-1")),
            };
            all.push(ThingStatus {
                name,
                way: match way {
                    Way::Direct(_) => "direct",
                    Way::Coap(_) => "coap",
                    Way::Radio(radio) => radio,
                },
                online,
                waiting,
                assurance: own().map(|r| text(r, "assurance")).next().unwrap_or_default(),
                values: values.collect::<Vec<_>>().join("  "),
            });
        }
        all
    }

    /// Whether a thing with a process of its own is online, and how many of its messages wait.
    async fn device_status(&self, name: &str) -> (bool, u64) {
        let answer = self.ask(name).await.unwrap_or_default();
        let agent = answer.get("status").cloned().unwrap_or_default();
        let streams = agent.get("streams").and_then(Json::as_array).cloned().unwrap_or_default();
        let waiting = streams.iter().filter_map(|s| s.get("messages").and_then(Json::as_u64)).sum();
        (agent.pointer("/uplink/online").and_then(Json::as_bool).unwrap_or_default(), waiting)
    }

    async fn ask(&self, name: &str) -> Option<Json> {
        let socket = socket_path(&self.thing_home(name));
        let ask =
            async { InputClient::connect(&socket).await.ok()?.request(&json!({"status": true})).await.ok() };
        tokio::time::timeout(Duration::from_millis(500), ask).await.ok()?
    }
}

fn text(row: &Json, field: &str) -> String {
    row.get(field).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn radios() -> impl Iterator<Item = &'static str> {
    THINGS.iter().filter_map(|(_, way)| if let Way::Radio(radio) = way { Some(*radio) } else { None })
}

/// The same of a thing behind a radio, as its gateway says it.
fn radio_status(gateway: &Json, name: &str, radio: &str) -> (bool, u64) {
    let find = |list: &str, name: &str| {
        let items =
            gateway.pointer(&format!("/status/{list}")).and_then(Json::as_array).into_iter().flatten();
        items.into_iter().find(|item| item.get("name").and_then(Json::as_str) == Some(name)).cloned()
    };
    let is_up = find("radios", radio).is_some_and(|radio| text(&radio, "state") == "up");
    let thing = find("children", name);
    let waiting = thing.as_ref().and_then(|thing| thing.get("waiting")?.as_u64()).unwrap_or_default();
    (is_up && thing.is_some(), waiting)
}

/// The ports of the town: those of the last time, else the usual ones where they are free.
fn ports(dir: &Path) -> Result<Ports, Failure> {
    let path = dir.join("ports.json");
    let known: Json = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(Failure::of)?,
        Err(_) => Json::Null,
    };
    let port = |name: &str, usual| {
        let known = known.get(name).and_then(Json::as_u64).and_then(|port| u16::try_from(port).ok());
        known.map_or_else(|| free_port(usual), Ok)
    };
    let ports = Ports {
        mqtt: port("mqtt", 8883)?,
        https: port("https", 8443)?,
        gateway: port("gateway", 8884)?,
        coap: port("coap", 5683)?,
        console: port("console", 8480)?,
        payments: port("payments", 8487)?,
        link: port("link", 8885)?,
        link_http: port("link-http", 8886)?,
    };
    let text = json!({
        "mqtt": ports.mqtt, "https": ports.https, "gateway": ports.gateway, "coap": ports.coap, "console": ports.console,
        "payments": ports.payments, "link": ports.link, "link-http": ports.link_http,
    });
    let text = text.to_string();
    fs::write(&path, text).map_err(Failure::file(&path))?;
    Ok(ports)
}

fn free_port(usual: u16) -> Result<u16, Failure> {
    let bind = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = bind(usual).or_else(|_| bind(0)).map_err(Failure::of)?;
    listener.local_addr().map(|a| a.port()).map_err(Failure::of)
}

async fn wait_for_port(port: u16, what: &str, processes: &mut Processes) -> Result<(), Failure> {
    let until = Instant::now() + START_TIME;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
        if let Some(name) = processes.ended()? {
            return Err(Failure::Failed(format!("{name} did not start; see its log")));
        }
        if Instant::now() > until {
            return Err(Failure::Unreachable(format!("the {what} does not come up")));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
