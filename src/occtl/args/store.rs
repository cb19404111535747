//! `occtl store …`, as clap reads it.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// How much it holds
    Stats,
    /// Look for what can't be right; exit 1 when something is
    Check,
    /// Write all records to a file
    Export {
        /// A file that is not there yet, on the gateway's machine
        file: PathBuf,
    },
    /// Keep everything a start needs, credentials too, as it is at one moment
    Backup {
        /// A new or empty folder, on the gateway's machine
        dir: PathBuf,
    },
    /// Put a backup back while no gateway runs; what is there is kept aside
    Restore {
        /// The folder of the backup
        dir: PathBuf,
    },
}
