//! The commands: noun, then verb. Each noun is a module with its arguments and what they do.

mod audit;
mod command;
mod connection;
mod device;
mod docs;
mod file;
mod gateway;
mod grant;
mod key;
mod member;
mod people;
mod policy;
mod radio_driver;
mod radio_testbed;
mod reading;
mod role;
mod sale;
mod sealed;
mod segment;
mod setup;
mod tenancy;
mod witness;
mod zigbee;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use thingward_payment::testbed::TestbedSettings;

use crate::demo::Demo;
use crate::failure::{EXIT_CODES, Failure};
use crate::output::Output;
use crate::{mqtt_testbed, payment_testbed};

pub(crate) use connection::Connection;

/// Secures a fleet of things end to end: device, gateway, service.
#[derive(Debug, Parser)]
#[command(name = "thingward", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// For people or for programs.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// The configuration [default: thingward.toml here, else /etc/thingward/thingward.toml].
    #[arg(long, global = true, value_name = "FILE", env = "THINGWARD_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The service: takes readings, keeps them sealed, answers questions.
    #[command(subcommand)]
    Service(role::Service),
    /// The gateway: carries messages of things that do not reach the service.
    #[command(subcommand)]
    Gateway(gateway::Gateway),
    /// The witness: co-signs audit logs of others, on a machine that is not theirs.
    #[command(subcommand)]
    Witness(witness::Witness),
    /// Devices: this one, and those of a tenant.
    #[command(subcommand)]
    Device(device::Device),
    /// Commands: what devices can do, and telling them to.
    #[command(subcommand, name = "command")]
    Order(command::Command),
    /// Grants: who may use a device for a while.
    #[command(subcommand)]
    Grant(grant::Grant),
    /// Offers: what a device costs whoever stands before it.
    #[command(subcommand)]
    Offer(sale::Offer),
    /// Purchases: what strangers bought, and giving money back.
    #[command(subcommand)]
    Purchase(sale::Purchase),
    /// Tenants: whose things and readings these are.
    #[command(subcommand)]
    Tenant(tenancy::Tenant),
    /// Keys: those of customers, and what a tenant's is doing.
    #[command(subcommand)]
    Key(key::Key),
    /// Makers whose certificates a tenant trusts.
    #[command(subcommand)]
    Maker(tenancy::Maker),
    /// Users: people of a tenant, and what they are to it.
    #[command(subcommand)]
    User(people::User),
    /// Sessions of users.
    #[command(subcommand)]
    Session(people::Session),
    /// Groups of users, devices and other groups, for policies to name.
    #[command(subcommand)]
    Group(people::Group),
    /// Policies: who may do what, why, and what other policies would change.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Tokens with which programs call the API.
    #[command(subcommand)]
    Token(tenancy::Token),
    /// Readings: ask, export, follow.
    #[command(subcommand)]
    Reading(reading::Reading),
    /// Findings: what a chain or a device did that it should not have.
    #[command(subcommand)]
    Finding(tenancy::Finding),
    /// The audit log: who did what, and the proof of it.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// History as encrypted Parquet files.
    #[command(subcommand)]
    Segment(segment::Segment),
    /// Zigbee: what goes over the air.
    #[command(subcommand)]
    Zigbee(zigbee::Zigbee),
    Fsck(setup::Fsck),
    Move(setup::Move),
    /// Write a commented thingward.toml.
    Init(setup::Init),
    /// The configuration.
    #[command(subcommand)]
    Config(setup::Config),
    /// Start a town of things on this machine: service, gateway and five kinds of things, as processes of their own.
    Demo(Demo),
    /// A bare MQTT broker for conformance tests: no encryption, no authentication, loopback only.
    MqttTestbed {
        /// The port on 127.0.0.1; 0 takes a free one.
        #[arg(long)]
        port: u16,
    },
    /// A card processor for demos and tests: test cards, signed webhooks, loopback only.
    PaymentTestbed(PaymentTestbed),
    #[command(hide = true)]
    RadioDriver(radio_driver::RadioDriver),
    #[command(hide = true)]
    RadioTestbed(radio_testbed::RadioTestbed),
    /// Completion for a shell, on standard output.
    Completion {
        /// Which shell.
        shell: CompletionShell,
    },
    /// Write docs/cli.md.
    #[command(hide = true)]
    Docs {
        /// Where.
        #[arg(default_value = "docs/cli.md")]
        file: PathBuf,
    },
}

/// How a test provider of payments runs.
#[derive(Debug, Args)]
struct PaymentTestbed {
    /// Its payments, its key for the service and its secret; made when it is not there.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long)]
    port: u16,
    /// Where its messages go: the service's loopback listener.
    #[arg(long, value_name = "URL")]
    webhook: String,
    #[command(flatten)]
    run: role::Run,
}

/// The shells that completion is made for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum CompletionShell {
    Bash,
    Zsh,
    Fish,
}

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    // These need no reactor, and a broken system should not keep them from working.
    match &command {
        Command::Completion { shell } => {
            completion(*shell);
            return Ok(());
        }
        Command::Docs { file } => return docs::write(file),
        Command::Init(init) => return init.run(&global),
        Command::Config(config) => return config.run(&global),
        Command::Zigbee(zigbee) => return zigbee.run(&global),
        Command::RadioDriver(driver) => driver.run(),
        _ => {}
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(workers()).enable_all().build();
    runtime.map_err(Failure::of)?.block_on(async {
        match command {
            Command::Service(c) => c.run(&global).await,
            Command::Gateway(c) => c.run(&global).await,
            Command::Witness(c) => c.run(&global).await,
            Command::Device(c) => c.run(&global).await,
            Command::Order(c) => c.run(&global).await,
            Command::Grant(c) => c.run(&global).await,
            Command::Offer(c) => c.run(&global).await,
            Command::Purchase(c) => c.run(&global).await,
            Command::Tenant(c) => c.run(&global).await,
            Command::Key(c) => c.run(&global).await,
            Command::Maker(c) => c.run(&global).await,
            Command::User(c) => c.run(&global).await,
            Command::Session(c) => c.run(&global).await,
            Command::Group(c) => c.run(&global).await,
            Command::Policy(c) => c.run(&global).await,
            Command::Token(c) => c.run(&global).await,
            Command::Reading(c) => c.run(&global).await,
            Command::Finding(c) => c.run(&global).await,
            Command::Audit(c) => c.run(&global).await,
            Command::Segment(c) => c.run(&global).await,
            Command::Fsck(c) => c.run(&global).await,
            Command::Move(c) => c.run(&global).await,
            Command::Demo(c) => c.run().await,
            Command::MqttTestbed { port } => mqtt_testbed::run(port).await,
            Command::PaymentTestbed(PaymentTestbed { home, port, webhook, run }) => {
                run.begin();
                payment_testbed::run(&TestbedSettings { home, port, webhook }).await
            }
            Command::RadioTestbed(c) => c.run().await,
            Command::Completion { .. }
            | Command::Docs { .. }
            | Command::Init(_)
            | Command::Config(_)
            | Command::Zigbee(_)
            | Command::RadioDriver(_) => Ok(()),
        }
    })
}

/// A role's core and the thread that writes for it take one processor; the others carry connections.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().saturating_sub(1).max(1))
}

fn completion(shell: CompletionShell) {
    let shell = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    clap_complete::generate(shell, &mut Cli::command(), "thingward", &mut std::io::stdout());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The global arguments when none are given.
    pub(super) fn global() -> Global {
        Cli::parse_from(["thingward", "tenant", "list"]).global
    }

    #[test]
    fn the_command_tree_holds_together() {
        Cli::command().debug_assert();
    }
}
