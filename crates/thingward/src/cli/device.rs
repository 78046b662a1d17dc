//! `device`: the device on this machine, and those of a tenant.

mod enrol;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use rand_core::Rng;
use serde_json::{Map, Value as Json, json};
use thingward_agent::agent::{Agent, AgentHandle};
use thingward_agent::coap::member;
use thingward_agent::enrol::renew;
use thingward_agent::home::{self, Home, HomeError};
use thingward_agent::input::{self, InputClient};
use thingward_agent::local::{self, LocalAddresses, LocalServer};
use thingward_agent::replay::{Replay, ReplayMap, Speed};
use thingward_agent::uplink::Route;
use thingward_crypto::system_rng;
use thingward_model::StreamName;
use thingward_model::description::ThingDescription;
use tokio::time::Instant;
use tracing::info;

use self::enrol::Enrol;
use super::Global;
use super::connection::Tenant as Whose;
use super::member::Member;
use super::role::Run;
use crate::config::{self, DeviceConfig};
use crate::failure::Failure;
use crate::output::{self, Progress, fields, table};
use crate::serve::stop_requested;
use crate::things::{By, Dice, Kind};
use crate::when;

/// The port of MQTT when an uplink names none.
const MQTT_PORT: u16 = 8883;

/// Where the device on this machine is.
#[derive(Debug, Args)]
pub(super) struct At {
    /// Identity and buffers [default: that of thingward.toml].
    #[arg(long, value_name = "FOLDER")]
    home: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Device {
    /// Give this device, or a gateway's home, its identity.
    Enrol(Enrol),
    /// Run the device until SIGTERM or Ctrl-C; other programs hand it readings on its socket.
    Run {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        run: Run,
        /// Connect to this gateway or address of the service; over CoAP with coap:// in front [default: that of
        /// thingward.toml].
        #[arg(long, value_name = "HOST:PORT")]
        uplink: Option<String>,
        /// The Thing Description of what it measures and does; programs on its socket do it [default: that of
        /// thingward.toml].
        #[arg(long, value_name = "FILE", conflicts_with = "simulate")]
        description: Option<PathBuf>,
        /// Take grants here over TLS with the device's raw key [default: that of thingward.toml].
        #[arg(long, value_name = "ADDRESS:PORT")]
        local_link: Option<SocketAddr>,
        /// Take grants here without TLS, for browsers [default: that of thingward.toml].
        #[arg(long, value_name = "ADDRESS:PORT")]
        local_link_http: Option<SocketAddr>,
        /// Be a thing of this kind, with made-up physics.
        #[arg(long, value_enum, value_name = "KIND")]
        simulate: Option<Kind>,
    },
    /// Hand a running device readings, and wait until they are durable.
    Send {
        #[command(flatten)]
        at: At,
        /// The stream that they belong to.
        stream: String,
        /// A field and its value, as temperature=21.5, temperature=21.5:Cel or door=open.
        #[arg(required = true, value_name = "FIELD=VALUE[:UNIT]")]
        values: Vec<String>,
        /// When they were measured, RFC 3339; now when left out.
        #[arg(long)]
        time: Option<String>,
    },
    /// Show how a running device is.
    Status {
        #[command(flatten)]
        at: At,
    },
    /// Destroy identity and readings on this device. Nobody can bring them back.
    Reset {
        #[command(flatten)]
        at: At,
        /// Does it without a further question.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Get a new certificate now. A running device does it by itself.
    Renew {
        #[command(flatten)]
        at: At,
    },
    /// Send a CSV file through the device, with the times in it.
    Replay(ReplayFile),
    /// List devices, gateways and applications of a tenant.
    List {
        #[command(flatten)]
        tenant: Whose,
        /// Only device, gateway or application.
        #[arg(long)]
        role: Option<String>,
    },
    /// Show one of them with its keys.
    Show {
        #[command(flatten)]
        tenant: Whose,
        /// Its name.
        name: String,
    },
    /// Make a one-time code with which a thing enrols under a name.
    Claim {
        #[command(flatten)]
        tenant: Whose,
        /// Its name to be.
        name: String,
        /// What it will be: device, gateway or application.
        #[arg(long, default_value = "device")]
        role: String,
        /// How long the code works, at most 30d.
        #[arg(long, default_value = "1d", value_parser = when::duration)]
        lifetime: Duration,
    },
    /// Release one of them for another owner. What it measured stays.
    Release {
        #[command(flatten)]
        tenant: Whose,
        /// Its name.
        name: String,
    },
    /// Revoke its certificates at once.
    Revoke {
        #[command(flatten)]
        tenant: Whose,
        /// Its name.
        name: String,
        /// unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation or
        /// privilege-withdrawn.
        #[arg(long, default_value = "unspecified")]
        reason: String,
    },
    /// Ask one of them, which is connected, to prove anew where its key is and how its machine was started.
    AskEvidence {
        #[command(flatten)]
        tenant: Whose,
        /// Its name.
        name: String,
    },
    /// Make what it proved last what later evidence is held against, as after an update of firmware.
    AcceptEvidence {
        #[command(flatten)]
        tenant: Whose,
        /// Its name.
        name: String,
    },
}

/// Send a CSV file through the device.
#[derive(Debug, Args)]
pub(super) struct ReplayFile {
    #[command(flatten)]
    at: At,
    /// A .csv or .csv.gz file with a header line.
    file: PathBuf,
    /// What columns are: time=COLUMN, time=DATE+TIME, time=row with start=TIME and step=SECONDS, fields=A,B,
    /// delimiter=;.
    #[arg(long, value_name = "SETTING=VALUE")]
    map: Vec<String>,
    /// The stream; the file's name when left out.
    #[arg(long)]
    stream: Option<StreamName>,
    /// So many times as fast as the times in the file say; as fast as possible when left out.
    #[arg(long)]
    speed: Option<f64>,
    /// From the start, although rows of this file were sent before.
    #[arg(long)]
    again: bool,
}

impl Device {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Enrol(e) => e.run(global).await,
            Self::Run { at, run, uplink, description, local_link, local_link_http, simulate } => {
                let mut config = at.config(global)?;
                if let Some(text) = uplink {
                    let to = Route::parse(&text, MQTT_PORT);
                    config.settings.uplink = Some(to.map_err(|e| Failure::Usage(format!("--uplink: {e}")))?);
                }
                config.description = description.or(config.description);
                let local = &mut config.local_link;
                (local.tls, local.http) = (local_link.or(local.tls), local_link_http.or(local.http));
                run_device(config, &run, simulate).await
            }
            Self::Send { at, stream, values, time } => send(global, &at, &stream, &values, time).await,
            Self::Status { at } => status(global, &at).await,
            Self::Reset { at, yes: _ } => {
                let home = at.home(global)?;
                if !home.exists() {
                    return Err(Failure::NotFound(format!("{} is not there", home.display())));
                }
                home::reset(&home).map_err(home_failure)?;
                output::value(global.output, &json!({"reset": home.display().to_string()}), fields);
                Ok(())
            }
            Self::Renew { at } => {
                let home = at.open(global)?;
                let identity = match at.config(global)?.settings.uplink {
                    Some(Route::Coap(gateway)) => member::renew_at(&home, &gateway).await,
                    _ => renew(&home).await,
                };
                let identity = identity.map_err(Failure::of)?;
                show_identity(global, &home, &identity.membership.principal().to_string());
                Ok(())
            }
            Self::Replay(r) => r.run(global).await,
            Self::List { tenant, role } => Member::List { tenant, role }.run(global).await,
            Self::Show { tenant, name } => Member::Show { tenant, name }.run(global).await,
            Self::Claim { tenant, name, role, lifetime } => {
                Member::Claim { tenant, name, role, lifetime }.run(global).await
            }
            Self::Release { tenant, name } => Member::Release { tenant, name }.run(global).await,
            Self::Revoke { tenant, name, reason } => {
                Member::Revoke { tenant, name, reason }.run(global).await
            }
            Self::AskEvidence { tenant, name } => Member::AskEvidence { tenant, name }.run(global).await,
            Self::AcceptEvidence { tenant, name } => {
                Member::AcceptEvidence { tenant, name }.run(global).await
            }
        }
    }
}

impl At {
    fn config(&self, global: &Global) -> Result<DeviceConfig, Failure> {
        let mut config = config::load(global)?.device;
        if let Some(home) = &self.home {
            config.home.clone_from(home);
        }
        Ok(config)
    }

    fn home(&self, global: &Global) -> Result<PathBuf, Failure> {
        Ok(self.config(global)?.home)
    }

    fn open(&self, global: &Global) -> Result<Home, Failure> {
        Home::open(&self.home(global)?).map_err(home_failure)
    }
}

fn home_failure(e: HomeError) -> Failure {
    match e {
        HomeError::NotEnrolled { .. } => Failure::NotFound(e.to_string()),
        other => Failure::of(other),
    }
}

fn show_identity(global: &Global, home: &Home, who: &str) {
    let keys = home.key_store().to_string();
    let shown = json!({"identity": who, "home": home.path().display().to_string(), "keys": keys});
    output::value(global.output, &shown, fields);
}

async fn run_device(mut config: DeviceConfig, run: &Run, simulate: Option<Kind>) -> Result<(), Failure> {
    config.settings.description = match (simulate, &config.description) {
        (Some(kind), _) => Some(Arc::new(kind.description().map_err(Failure::of)?)),
        (None, Some(file)) => Some(Arc::new(description(file)?)),
        (None, None) => None,
    };
    run.begin();
    let home = Home::open(&config.home).map_err(home_failure)?;
    let description = config.settings.description.clone();
    let agent = Agent::start(&home, config.settings).map_err(Failure::of)?;
    let local = listen(&home, &agent, description.as_deref(), config.local_link).await?;
    let socket = home.socket_path();
    let server = input::serve(agent.clone(), &socket).map_err(Failure::file(&socket))?;
    info!(socket = %socket.display(), "the device runs");
    let stopped = match simulate {
        None => stop_requested().await,
        Some(kind) => tokio::select! {
            stopped = stop_requested() => stopped,
            failed = live(kind, &agent) => failed,
        },
    };
    info!("the device stops");
    drop((server, local));
    agent.stop().await.map_err(Failure::of)?;
    stopped
}

/// Listens for holders of grants, where the configuration says so.
async fn listen(
    home: &Home,
    agent: &AgentHandle,
    description: Option<&ThingDescription>,
    addresses: LocalAddresses,
) -> Result<Option<LocalServer>, Failure> {
    if addresses == LocalAddresses::default() {
        return Ok(None);
    }
    let description = description.ok_or_else(|| {
        let text = "a local link needs a description, which says what is open to grants: --description";
        Failure::Usage(text.to_owned())
    })?;
    let key = home.identity().map_err(home_failure)?.key;
    let server = local::serve(agent.clone(), key, description, addresses).await.map_err(Failure::of)?;
    let LocalAddresses { tls, http } = server.addresses;
    let shown = |address: Option<SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
    info!(tls = shown(tls), http = shown(http), "the local link takes grants");
    Ok(Some(server))
}

/// The Thing Description of a file.
fn description(file: &Path) -> Result<ThingDescription, Failure> {
    let json = std::fs::read(file).map_err(Failure::file(file))?;
    let read = ThingDescription::parse(&json);
    read.map_err(|e| Failure::Failed(format!("{}: {e}", file.display())))
}

/// Lets a thing of this kind live, hands its readings to the device, and does what the device is told. Returns only
/// when that fails.
async fn live(kind: Kind, agent: &AgentHandle) -> Result<(), Failure> {
    let mut thing = kind.build();
    let mut dice = Dice::new(system_rng().next_u64());
    let stream: StreamName = thing.stream().parse().map_err(Failure::of)?;
    let mut last = Instant::now();
    let mut due = last;
    loop {
        tokio::select! {
            action = agent.next_action() => {
                let order = action.order();
                #[expect(clippy::cast_precision_loss, reason = "seconds, for physics")]
                let seconds = order.expires.micros_since(thingward_model::clock::now()) as f64 / 1e6;
                let by = By { actor: &order.actor, seconds };
                match thing.act(order.action.as_str(), &order.input, &by) {
                    Ok(output) => action.done(output).await,
                    Err(reason) => action.failed(&reason).await,
                }
                // What it did shows at once, and its period may be another now.
                due = Instant::now();
            }
            () = tokio::time::sleep_until(due) => {
                let now = Instant::now();
                let seconds = now.duration_since(last).as_secs_f64();
                last = now;
                due = (due + thing.period()).max(now);
                let time = thingward_model::clock::now();
                let readings = thing.step(seconds, &mut dice).into_iter().filter_map(|m| m.at(time)).collect();
                agent.record(stream, readings).await.map_err(Failure::of)?;
            }
        }
    }
}

async fn ask(global: &Global, at: &At, request: &Json) -> Result<Json, Failure> {
    let socket = home::socket_path(&at.home(global)?);
    let client = InputClient::connect(&socket).await;
    let mut client = client.map_err(|e| {
        Failure::Unreachable(format!(
            "no device runs at {}: {e}; start it with `device run`",
            socket.display()
        ))
    })?;
    client.request(request).await.map_err(Failure::of)
}

async fn send(
    global: &Global,
    at: &At,
    stream: &str,
    values: &[String],
    time: Option<String>,
) -> Result<(), Failure> {
    let mut all = Map::new();
    for text in values {
        let Some((field, value)) = text.split_once('=') else {
            return Err(Failure::Usage(format!("`{text}` is not FIELD=VALUE")));
        };
        all.insert(field.to_owned(), reading(value));
    }
    let mut request = json!({"stream": stream, "values": all});
    if let (Some(time), Some(object)) = (time, request.as_object_mut()) {
        object.insert("time".to_owned(), time.into());
    }
    let answer = ask(global, at, &request).await?;
    output::value(global.output, &answer, |_| "durable".to_owned());
    Ok(())
}

/// A value as it is typed: a number with or without a unit, true or false, else text.
fn reading(text: &str) -> Json {
    let number = |t: &str| t.parse::<f64>().ok().filter(|n| n.is_finite()).map(Json::from);
    if let Some((value, unit)) = text.rsplit_once(':')
        && let Some(value) = number(value)
    {
        return json!({"value": value, "unit": unit});
    }
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => number(text).unwrap_or_else(|| text.into()),
    }
}

async fn status(global: &Global, at: &At) -> Result<(), Failure> {
    let mut answer = ask(global, at, &json!({"status": true})).await?;
    let mut status = answer.get_mut("status").map(Json::take).unwrap_or_default();
    output::value(global.output, &status.clone(), |_| {
        let take = |status: &mut Json, name: &str| status.get_mut(name).map(Json::take).unwrap_or_default();
        let (uplink, streams) = (take(&mut status, "uplink"), take(&mut status, "streams"));
        let (certificate, commands) = (take(&mut status, "certificate"), take(&mut status, "commands"));
        let count = |name: &str| commands.get(name).and_then(Json::as_u64).unwrap_or_default();
        let said = match commands.is_object() {
            true => format!(
                "{} waiting, {} started, {} replies to deliver",
                count("waiting"),
                count("started"),
                count("replies")
            ),
            false => "none are taken".to_owned(),
        };
        let commands = json!({"commands": said});
        let columns = [("STREAM", "name"), ("WAITING", "messages"), ("BYTES", "bytes")];
        let streams = table(streams.as_array().map_or(&[], Vec::as_slice), &columns);
        format!(
            "{}{}{}{}\n{streams}",
            fields(&status),
            fields(&uplink),
            fields(&certificate),
            fields(&commands)
        )
    });
    Ok(())
}

impl ReplayFile {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let replay = self.replay()?;
        let config = self.at.config(global)?;
        let home = Home::open(&config.home).map_err(home_failure)?;
        let agent = Agent::start(&home, config.settings).map_err(Failure::of)?;
        let result = play(global, &replay, &agent).await;
        agent.stop().await.map_err(Failure::of)?;
        result
    }

    fn replay(&self) -> Result<Replay, Failure> {
        let usage = |e: &dyn std::fmt::Display| Failure::Usage(e.to_string());
        let map = ReplayMap::parse(&self.map).map_err(|e| usage(&e))?;
        let speed = match self.speed {
            None => Speed::Full,
            Some(times) if times.is_finite() && times > 0.0 => Speed::Times(times),
            Some(_) => return Err(Failure::Usage("--speed is greater than 0".to_owned())),
        };
        let stem = |file: &Path| {
            let name = file.file_name()?.to_str()?;
            name.split('.').next()?.parse().ok()
        };
        let stream = self.stream.or_else(|| stem(&self.file));
        let stream = stream.ok_or_else(|| Failure::Usage("name the stream with --stream".to_owned()))?;
        Ok(Replay { file: self.file.clone(), map, stream, speed, again: self.again })
    }
}

async fn play(global: &Global, replay: &Replay, agent: &AgentHandle) -> Result<(), Failure> {
    let mut progress = Progress::new(global.output, "delivered", Some(0));
    let run = replay.run(agent, |now| progress.set(now.delivered, now.total));
    let done = tokio::select! {
        done = run => done,
        stopped = stop_requested() => {
            stopped?;
            return Err(Failure::Failed("stopped; the same command goes on from here".to_owned()));
        }
    };
    progress.finish();
    let done = done.map_err(Failure::of)?;
    let shown = json!({"rows": done.total, "durable": done.durable, "delivered": done.delivered});
    output::value(global.output, &shown, fields);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_typed_as_they_look() {
        for (text, value) in [
            ("21.5", json!(21.5)),
            ("21.5:Cel", json!({"value": 21.5, "unit": "Cel"})),
            ("true", json!(true)),
            ("open", json!("open")),
            ("12:30:x", json!("12:30:x")),
            ("nan", json!("nan")),
        ] {
            assert_eq!(reading(text), value, "{text}");
        }
    }
}
