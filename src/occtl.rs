//! `occtl`, the command line client of the gateway.
//!
//! Speaks the gateway's protocol like any other client and knows nothing else of the daemon: port and token come from
//! the configuration file, read leniently (`locate`). Text for a person, one JSON document (or one per line, when it
//! streams) with `--json`. Exit codes are a contract: see `failure`.

mod args;
mod commands;
mod config_edit;
mod failure;
mod gateway;
mod locate;
mod output;
mod tree_view;
mod turn;
mod unit;

use std::process::ExitCode;

use clap::Parser;

use args::Args;
use failure::Failure;
use output::Output;

/// Reads the arguments, does what they say, and tells how it went.
#[must_use]
pub fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    let output = Output::new(args.global.json, args.global.no_color);
    let result = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("no runtime: {error}")))
        .and_then(|runtime| runtime.block_on(commands::run(args, &output)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.fail(&failure),
    }
}

/// Help and version go to stdout with success, mistakes to stderr with 2.
fn refuse(error: &clap::Error) -> ExitCode {
    if error.print().is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE))
}
