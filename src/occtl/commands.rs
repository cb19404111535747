//! The commands, one file each.

mod agent;
mod call;
mod chaos;
mod chat;
mod completions;
mod health;
mod install;
mod logs;
mod models;
mod sessions;
mod status;
mod store;
mod tree;

use std::time::Duration;

use super::args::{Args, Command, GatewayCommand, Global};
use super::failure::Failure;
use super::gateway::Gateway;
use super::locate;
use super::output::Output;

/// What every command has at hand.
#[derive(Clone)]
pub(super) struct Context {
    global: Global,
    output: Output,
}

impl Context {
    /// Finds the gateway and signs in.
    async fn gateway(&self) -> Result<Gateway, Failure> {
        let target = locate::target(&self.global, &locate::process_env)?;
        Gateway::open(target, Duration::from_secs(self.global.timeout)).await
    }
}

/// Does what the arguments say.
pub(super) async fn run(args: Args, output: &Output) -> Result<(), Failure> {
    let context = Context { global: args.global, output: *output };
    match args.command {
        Command::Health { probe } => health::run(&context, probe).await,
        Command::Status => status::run(&context).await,
        Command::Tree(args) => tree::run(&context, args).await,
        Command::Chaos { command } => chaos::run(&context, command).await,
        Command::Chat { session } => chat::run(&context, session).await,
        Command::Agent(args) => agent::run(&context, args).await,
        Command::Sessions { command } => sessions::run(&context, command).await,
        Command::Store { command } => store::run(&context, command).await,
        Command::Logs { follow, lines } => logs::run(&context, follow, lines).await,
        Command::Models { command } => models::run(&context, command).await,
        Command::Gateway { command: GatewayCommand::Call { method, params } } => {
            call::run(&context, &method, &params).await
        }
        Command::Gateway { command: GatewayCommand::Install { print, binary, no_start, force } } => {
            install::run(&context, &install::Install { print, binary, no_start, force })
        }
        Command::Completions { shell } => completions::run(&context, shell),
    }
}
