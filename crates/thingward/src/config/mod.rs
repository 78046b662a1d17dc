//! `thingward.toml`: everything is checked before any port opens, and every problem is named with its line.

mod oidc;
mod reader;
mod roles;
mod scale;

use std::path::{Path, PathBuf};

use crate::cli::Global;
use crate::failure::Failure;

pub(crate) use roles::{DeviceConfig, GatewayConfig, WITNESS_HOME, WitnessConfig};

use reader::Reader;
use thingward_oidc::Provider;
use thingward_service::node::ScaleSettings;
use thingward_service::settings::ServiceSettings;

/// The commented file that `thingward init` writes. What is commented out is what holds when nothing is said.
pub(crate) const TEMPLATE: &str = include_str!("template.toml");

/// The file that is used when it is in the current folder.
const LOCAL: &str = "thingward.toml";
/// The file that is used else.
const SYSTEM: &str = "/etc/thingward/thingward.toml";

/// A configuration that was checked.
#[derive(Clone)]
pub(crate) struct Config {
    /// Where it is from; none when there is no file.
    pub(crate) file: Option<PathBuf>,
    /// The service.
    pub(crate) service: ServiceSettings,
    /// What it shares with the other nodes; nothing when it is one machine.
    pub(crate) scale: Option<ScaleSettings>,
    /// The gateway.
    pub(crate) gateway: GatewayConfig,
    /// The device.
    pub(crate) device: DeviceConfig,
    /// The witness.
    pub(crate) witness: WitnessConfig,
}

/// The commented file that `thingward witness init` writes: what [`TEMPLATE`] says of the witness, with this home.
pub(crate) fn witness_template(home: &Path) -> String {
    let section = TEMPLATE.split_once("\n[witness]\n").map_or("", |(_, rest)| rest);
    let (head, home) =
        ("# Thingward. What is commented out is what holds when nothing is said.", home.display());
    let home = format!("home = {}", toml::Value::String(home.to_string()));
    let lines = section.lines().map(|line| if line.starts_with("# home =") { home.as_str() } else { line });
    format!("{head}\n\n[witness]\n{}\n", lines.collect::<Vec<_>>().join("\n"))
}

impl Config {
    /// Everything that the service keeps.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.service.data_dir.clone()
    }

    /// What is wrong with files that a start of the service would read. Other commands may not be allowed to read them.
    pub(crate) fn problems_of_files(&self) -> Vec<String> {
        let file = self.file.as_deref().map_or_else(|| "built in".to_owned(), |f| f.display().to_string());
        let problem = |settings: &thingward_oidc::Settings| {
            let error = Provider::new(settings.clone()).err()?;
            Some(format!("{file}: service.oidc.{}.{error}", settings.id))
        };
        self.service.oidc.iter().filter_map(problem).collect()
    }
}

/// The configuration that a command uses.
///
/// # Errors
///
/// [`Failure::Configuration`], or that a file that was named is not there.
pub(crate) fn load(global: &Global) -> Result<Config, Failure> {
    if let Some(file) = &global.config {
        return read(file);
    }
    match [LOCAL, SYSTEM].map(Path::new).into_iter().find(|file| file.exists()) {
        Some(file) => read(file),
        None => parse("built in", "", None).map_err(Failure::Configuration),
    }
}

/// Reads and checks a file.
///
/// # Errors
///
/// As [`load`].
pub(crate) fn read(file: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Failure::Configuration(vec![format!("{}: {e}", file.display())]))?;
    parse(&file.display().to_string(), &text, Some(file.to_owned())).map_err(Failure::Configuration)
}

fn parse(name: &str, text: &str, file: Option<PathBuf>) -> Result<Config, Vec<String>> {
    let mut reader = Reader::new(name, text)?;
    let service = roles::service(&mut reader);
    let scale = scale::scale(&mut reader);
    let gateway = roles::gateway(&mut reader);
    let device = roles::device(&mut reader);
    let witness = roles::witness(&mut reader);
    reader.finish()?;
    Ok(Config { file, service, scale, gateway, device, witness })
}

#[cfg(test)]
mod tests;
