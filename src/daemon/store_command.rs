//! `openclawd store …`: the store of a state directory that no gateway uses. `occtl store` calls it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use actors::clock::Clock;
use actors::config::StateDirs;
use actors::store::{StoreError, backup, offline};
use clap::Subcommand;
use serde_json::{Value, json};

use super::boot::StartError;
use super::lock::StateLock;
use crate::control::rpc::store as told;

/// What is done with the store.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum StoreCommand {
    /// How much it holds
    Stats,
    /// Look for what can't be right
    Check,
    /// Write all records to a file
    Export {
        /// A file that is not there yet
        file: PathBuf,
    },
    /// Keep everything a start needs
    Backup {
        /// A new or empty folder
        dir: PathBuf,
    },
    /// Put a backup back; what is there is kept aside
    Restore {
        /// The folder of the backup
        dir: PathBuf,
    },
}

/// Does it, with the lock of the state directory held. The result is one JSON document.
///
/// # Errors
/// When a gateway runs, or the store can't be used.
pub fn run(command: &StoreCommand, env: &BTreeMap<String, String>) -> Result<Value, StartError> {
    let dirs = StateDirs::from_env(env).map_err(StartError::Config)?;
    let clock = Clock::system();
    let state_dir = &dirs.state_dir;
    if !state_dir.is_dir() && !matches!(command, StoreCommand::Restore { .. }) {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(StartError::Store(StoreError::io("there is no state directory", state_dir, missing)));
    }
    let _lock = StateLock::take(state_dir, &clock.now_rfc3339())?;
    carry_out(command, state_dir, &clock).map_err(StartError::Store)
}

fn carry_out(command: &StoreCommand, state_dir: &Path, clock: &Clock) -> Result<Value, StoreError> {
    let whole = |path: &Path| std::path::absolute(path).map_err(|error| StoreError::io("can't use", path, error));
    Ok(match command {
        StoreCommand::Stats => json!(told::stats_result(offline::stats(state_dir)?)),
        StoreCommand::Check => json!(told::check_result(offline::check(state_dir)?)),
        StoreCommand::Export { file } => json!(told::export_result(offline::export(state_dir, &whole(file)?)?)),
        StoreCommand::Backup { dir } => {
            json!(told::backup_result(offline::backup(state_dir, &whole(dir)?, clock.now_rfc3339())?))
        }
        StoreCommand::Restore { dir } => json!(told::restore_result(backup::restore(state_dir, &whole(dir)?)?)),
    })
}
