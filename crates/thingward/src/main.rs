//! `thingward`: the roles service, gateway and device, and the commands that administer them.
//!
//! ```text
//! cli      the commands, one module per noun      config   thingward.toml
//! demo     a whole town on this machine        things   what lives in it
//! api      the service's API as a client          output   what people and programs see
//! ```

mod api;
mod cli;
mod config;
mod demo;
mod failure;
mod mqtt_testbed;
mod order;
mod output;
mod payment_testbed;
mod radio_testbed;
mod serve;
mod things;
mod when;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let output = cli.global.output;
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::print_failure(output, &failure);
            ExitCode::from(failure.code())
        }
    }
}
