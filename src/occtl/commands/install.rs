//! `occtl gateway install`: a systemd user service for the daemon.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::Context;
use crate::occtl::failure::Failure;
use crate::occtl::locate::{Places, process_env};
use crate::occtl::unit::{self, Unit};

/// The arguments of the command.
pub(super) struct Install {
    pub(super) print: bool,
    pub(super) binary: Option<PathBuf>,
    pub(super) no_start: bool,
    pub(super) force: bool,
}

pub(super) fn run(context: &Context, install: &Install) -> Result<(), Failure> {
    let output = context.output;
    let home = process_env("HOME").map(PathBuf::from).ok_or_else(|| Failure::Config("HOME is not set".into()))?;
    let places = Places::from_env(&process_env)?;
    let binary = match &install.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => beside_this_program()?,
    };
    let text = Unit { binary: &binary, places: &places, home: &home }.text();
    if install.print {
        return if output.is_json() {
            output.document(&json!({ "name": unit::NAME, "text": text }))
        } else {
            output.raw(&text)
        };
    }
    let folder = unit::folder(&home, process_env("XDG_CONFIG_HOME"));
    let path = folder.join(unit::NAME);
    match fs::read_to_string(&path) {
        Ok(present) if present != text && !install.force => {
            return Err(Failure::Failed(format!("{} differs; --force replaces it", path.display())));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::Config(format!("{}: {error}", path.display()))),
    }
    fs::create_dir_all(&folder)?;
    fs::write(&path, &text)?;
    if !install.no_start {
        systemctl(&["daemon-reload"])?;
        systemctl(&["enable", "--now", unit::NAME])?;
    }
    if output.is_json() {
        return output.document(&json!({ "path": path, "started": !install.no_start }));
    }
    output.line(&format!("wrote {}", path.display()))?;
    let next = if install.no_start { "start it with: systemctl --user enable --now openclawd" } else { "started" };
    output.line(next)?;
    output.note("to keep it running while you are signed out: loginctl enable-linger");
    Ok(())
}

/// The daemon's program.
pub(super) fn beside_this_program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let binary = own.with_file_name("openclawd");
    if binary.is_file() {
        return Ok(binary);
    }
    Err(Failure::Usage(format!("there is no {}; name the daemon with --binary", binary.display())))
}

fn systemctl(args: &[&str]) -> Result<(), Failure> {
    let status = Command::new("systemctl").arg("--user").args(args).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Failed(format!("systemctl --user {}: {status}", args.join(" ")))),
        Err(error) => Err(Failure::Failed(format!("systemctl: {error}"))),
    }
}
