//! Arguments of `openclawd`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::store_command::StoreCommand;

/// An always-on, local-first assistant gateway.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "openclawd", version, about, after_help = AFTER_HELP)]
pub struct Args {
    /// Port of the control plane and the dashboard [default: from the configuration, else 18789]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Configuration file [default: $OPENCLAW_CONFIG_PATH, else openclaw.json in the state directory]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// State directory [default: $OPENCLAW_STATE_DIR, else ~/.openclaw]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Seconds that running turns may take to finish when the daemon is told to stop
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub drain_seconds: u64,
    /// Let administrators make parts of the gateway fail on purpose (`occtl chaos`); on a loopback address only
    #[arg(long)]
    pub chaos: bool,
    /// Instead of running the gateway
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else the program does.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Look at the store of a state directory without a gateway, copy it, put a copy back; prints JSON
    Store {
        /// What to do
        #[command(subcommand)]
        command: StoreCommand,
    },
}

const AFTER_HELP: &str = "\
Environment: OPENCLAW_STATE_DIR, OPENCLAW_CONFIG_PATH, OPENCLAW_GATEWAY_PORT, OPENCLAW_GATEWAY_TOKEN.
Exit codes: 0 stopped as asked; 1 failed, or another gateway holds the state directory or the port;
70 the tree gave up; 78 the configuration was refused.
A first SIGTERM or SIGINT drains and stops, a second one stops at once.";
