//! Home Assistant: the things of the gateway's radios at the broker that it listens to, as far as policies let it see them and have
//! them do something.
//!
//! It is an application of the tenant with the name that the configuration gives it. [`entity`] says what there is, [`shelf`]
//! what the broker keeps of it, [`session`] is the connection.

mod broker;
mod entity;
mod session;
mod shelf;

use std::path::PathBuf;

use thingward_model::{DeviceName, TenantName};
use tokio::task::JoinSet;

pub use self::broker::{Broker, NoBroker};
use self::entity::Place;
use self::session::Session;
use crate::local::Local;

/// Where Home Assistant is, and as whom it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistantSettings {
    /// The application that it is in policies.
    pub application: DeviceName,
    /// The MQTT broker.
    pub broker: Broker,
    /// What topics of its discovery begin with.
    pub prefix: String,
    /// The file with `USER:PASSWORD` for the broker. Only its owner may read it.
    pub credentials_file: Option<PathBuf>,
    /// The certificates, in PEM, that the broker's may be issued by.
    pub ca_file: Option<PathBuf>,
}

/// Keeps things there up to date until the tasks are dropped.
pub(crate) fn start(
    settings: HomeAssistantSettings,
    (tenant, gateway): (TenantName, DeviceName),
    local: Local,
    tasks: &mut JoinSet<()>,
) {
    let place = Place { tenant, gateway, prefix: settings.prefix.clone() };
    tasks.spawn(Session::new(settings, place, local).run());
}
