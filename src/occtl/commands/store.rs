//! `occtl store`: what the gateway keeps, looked at, copied and put back.
//!
//! A gateway that runs is asked; without one the daemon's own program does it, which takes the lock of the state
//! directory first. A backup is put back only without a gateway.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::Context;
use super::install::beside_this_program;
use crate::occtl::args::StoreCommand;
use crate::occtl::failure::Failure;
use crate::occtl::locate;
use crate::occtl::output::{Output, Tone, one_line};

pub(super) async fn run(context: &Context, command: StoreCommand) -> Result<(), Failure> {
    let found = match &command {
        StoreCommand::Restore { dir } => offline(&["restore"], Some(dir))?,
        StoreCommand::Stats | StoreCommand::Check | StoreCommand::Export { .. } | StoreCommand::Backup { .. } => {
            ask(context, &command).await?
        }
    };
    let output = context.output;
    if output.is_json() {
        output.document(&found)?;
    } else {
        show(output, &command, &found)?;
    }
    match found["problems"].as_u64() {
        Some(problems) if problems > 0 => Err(Failure::Failed(format!("{problems} problems found"))),
        Some(_) | None => Ok(()),
    }
}

async fn ask(context: &Context, command: &StoreCommand) -> Result<Value, Failure> {
    let path = match command {
        StoreCommand::Export { file } => Some(std::path::absolute(file)?),
        StoreCommand::Backup { dir } => Some(std::path::absolute(dir)?),
        StoreCommand::Stats | StoreCommand::Check | StoreCommand::Restore { .. } => None,
    };
    let name = name_of(command);
    if context.global.url.is_none() && !locate::is_live(&locate::process_env)? {
        return offline(&[name], path.as_deref());
    }
    let params = path.map_or_else(|| json!({}), |path| json!({ "path": path }));
    context.gateway().await?.start_slow(&format!("store.{name}"), params).next().await
}

fn name_of(command: &StoreCommand) -> &'static str {
    match command {
        StoreCommand::Stats => "stats",
        StoreCommand::Check => "check",
        StoreCommand::Export { .. } => "export",
        StoreCommand::Backup { .. } => "backup",
        StoreCommand::Restore { .. } => "restore",
    }
}

/// Lets the daemon's program do it, on a state directory without a gateway.
fn offline(args: &[&str], path: Option<&Path>) -> Result<Value, Failure> {
    let binary: PathBuf = beside_this_program()?;
    let done = Command::new(&binary).arg("store").args(args).args(path).output()?;
    if done.status.success() {
        return serde_json::from_slice(&done.stdout)
            .map_err(|error| Failure::Failed(format!("{} said something else: {error}", binary.display())));
    }
    let complaint = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    let complaint = complaint.strip_prefix("openclawd: ").unwrap_or(&complaint).to_owned();
    Err(if done.status.code() == Some(78) { Failure::Config(complaint) } else { Failure::Failed(complaint) })
}

fn show(output: Output, command: &StoreCommand, found: &Value) -> Result<(), Failure> {
    let number = |key: &str| found[key].as_u64().unwrap_or(0);
    let path = one_line(found["path"].as_str().unwrap_or_default()).into_owned();
    match command {
        StoreCommand::Stats => show_stats(output, found),
        StoreCommand::Check => {
            for finding in found["findings"].as_array().into_iter().flatten() {
                let word = |key: &str| one_line(finding[key].as_str().unwrap_or_default()).into_owned();
                output.line(&format!("{}  {}", output.paint(Tone::Bad, &word("place")), word("problem")))?;
            }
            let looked = format!("{} records, {} transcripts", number("records"), number("transcripts"));
            output.line(&format!("{looked}: {}", if number("problems") == 0 { "all well" } else { "not well" }))
        }
        StoreCommand::Export { .. } => {
            output.line(&format!("{path}: {} records, {}", number("records"), bytes(number("bytes"))))
        }
        StoreCommand::Backup { .. } => {
            let kept = format!("{} records, {} files, {}", number("records"), number("files"), bytes(number("bytes")));
            output.line(&format!("{path}: {kept}"))?;
            output.note("it holds credentials: keep it where only you can read it");
            Ok(())
        }
        StoreCommand::Restore { .. } => {
            output.line(&format!("put back {} records, {} files", number("records"), number("files")))?;
            match found["keptAside"].as_str() {
                Some(aside) => output.line(&format!("what was there is in {}", one_line(aside))),
                None => Ok(()),
            }
        }
    }
}

fn show_stats(output: Output, found: &Value) -> Result<(), Failure> {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    output.line(&format!("format       {}", number(&found["format"])))?;
    output.line(&format!("opened       {} times", number(&found["epoch"])))?;
    output.line(&format!("database     {}", bytes(number(&found["bytesOnDisk"]))))?;
    let amount = |amount: &Value| format!("{} files, {}", number(&amount["records"]), bytes(number(&amount["bytes"])));
    output.line(&format!("large values {}", amount(&found["payloads"])))?;
    output.line(&format!("transcripts  {}", amount(&found["transcripts"])))?;
    let kinds = found["kinds"].as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = kinds
        .map(|(name, kind)| vec![name.clone(), number(&kind["records"]).to_string(), bytes(number(&kind["bytes"]))])
        .collect();
    output.table(&["kind", "records", "size"], &rows)
}

/// A size for a person.
fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{} KiB", count >> 10),
        1_048_576.. => format!("{} MiB", count >> 20),
    }
}
