//! `occtl health`: one line that says whether all is well. Exit code 1 when it is not.

use serde_json::{Value, json};

use super::Context;
use crate::occtl::failure::Failure;
use crate::occtl::output::Tone;

pub(super) async fn run(context: &Context, probe: bool) -> Result<(), Failure> {
    let output = context.output;
    let gateway = context.gateway().await?;
    let health = gateway.call("health", json!({ "probe": probe })).await?;
    let well = health["ok"].as_bool().unwrap_or(false);
    if output.is_json() {
        output.document(&health)?;
    } else {
        let word = if well { output.paint(Tone::Good, "ok") } else { output.paint(Tone::Bad, "not well") };
        output.line(&format!("{word}  {}", gateway.url()))?;
        if let Some(note) = chaos_note(&health) {
            output.line(&format!("  {note}"))?;
        }
        for complaint in complaints(&health) {
            output.line(&format!("  {complaint}"))?;
        }
    }
    if well { Ok(()) } else { Err(Failure::Failed("the gateway is not well".into())) }
}

/// Said of a gateway in which faults can be injected.
pub(super) fn chaos_note(health: &Value) -> Option<&'static str> {
    (health["chaos"] == true).then_some("started with --chaos: parts can be made to fail on purpose")
}

/// What a health report complains about, in a line each.
pub(super) fn complaints(health: &Value) -> Vec<String> {
    let failing = health["failing"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut found: Vec<String> =
        failing.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
    for (channel, state) in health["channels"].as_object().into_iter().flatten() {
        if let Some(error) = state["lastError"].as_str() {
            found.push(format!("channel {channel}: {error}"));
        }
    }
    found
}
