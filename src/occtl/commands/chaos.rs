//! `occtl chaos`: faults on purpose, in a gateway that was started for them.

mod storm;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Context;
use crate::occtl::args::{ChaosCommand, Inject};
use crate::occtl::failure::Failure;
use crate::occtl::gateway::Gateway;

/// How often a node is looked at while it is waited for. What is told comes from the gateway's own clock.
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn run(context: &Context, command: ChaosCommand) -> Result<(), Failure> {
    let gateway = armed(context).await?;
    match command {
        ChaosCommand::Inject(args) => inject(context, gateway, &args).await,
        ChaosCommand::Storm(args) => storm::run(context, gateway, &args).await,
        ChaosCommand::List => list(context, &gateway).await,
        ChaosCommand::Clear => clear(context, &gateway).await,
    }
}

/// A gateway that takes faults, or what to do to get one.
async fn armed(context: &Context) -> Result<Gateway, Failure> {
    let gateway = context.gateway().await?;
    if gateway.hello().features.methods.iter().any(|method| method == "chaos.inject") {
        return Ok(gateway);
    }
    Err(Failure::Failed(format!(
        "the gateway at {} takes no faults on purpose: it was not started for that. Stop it and start it with \
         `openclawd --chaos`; only do so where nobody depends on it",
        gateway.url()
    )))
}

async fn list(context: &Context, gateway: &Gateway) -> Result<(), Failure> {
    let output = context.output;
    let answer = gateway.call("chaos.list", json!({})).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    output.line(&format!("{} actors can be struck, {} faults have struck", answer["actors"], answer["struck"]))?;
    let pending = answer["pending"].as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |fault: &Value, key: &str| fault[key].as_str().unwrap_or_default().to_owned();
    let time = |fault: &Value| fault["ms"].as_u64().map(|ms| format!("{ms} ms")).unwrap_or_default();
    let rows: Vec<Vec<String>> =
        pending.iter().map(|fault| vec![word(fault, "path"), word(fault, "fault"), time(fault)]).collect();
    if rows.is_empty() {
        return output.line("none waits");
    }
    output.table(&["waits at", "fault", ""], &rows)
}

async fn clear(context: &Context, gateway: &Gateway) -> Result<(), Failure> {
    let answer = gateway.call("chaos.clear", json!({})).await?;
    if context.output.is_json() {
        return context.output.document(&answer);
    }
    context.output.line(&format!("{} forgotten", answer["cleared"]))
}

async fn inject(context: &Context, mut gateway: Gateway, args: &Inject) -> Result<(), Failure> {
    let output = context.output;
    let before = gateway.call("tree.get", json!({ "path": args.path })).await?;
    let mut params = json!({ "path": args.path, "fault": args.fault.wire() });
    if let Some(ms) = args.ms {
        params["ms"] = json!(ms);
    }
    if args.at_message {
        params["when"] = json!("message");
    }
    let injected = match gateway.call("chaos.inject", params).await {
        Ok(injected) => injected,
        // It took the control plane with it before the answer was out.
        Err(Failure::Unreachable { .. }) => json!({
            "path": args.path, "fault": args.fault.wire(), "ts": null,
            "id": before["node"]["id"], "incarnation": before["node"]["incarnation"],
        }),
        Err(error) => return Err(error),
    };
    if !args.wait {
        return if output.is_json() {
            output.document(&injected)
        } else {
            let when = if args.at_message { "waits for its next message" } else { "injected" };
            output.line(&format!("{} at {}: {when}", args.fault.wire(), args.path))
        };
    }
    let patience = Duration::from_secs(context.global.timeout);
    let outcome = wait(&mut gateway, &args.path, &injected, patience).await?;
    if output.is_json() {
        return output.document(&outcome.to_json(&injected));
    }
    output.line(&outcome.told(args.fault.wire(), &args.path))
}

/// What became of a node after a fault.
enum Outcome {
    /// It runs again.
    Back { node: Value, took_ms: Option<i64> },
    /// It was temporary, and is gone.
    Gone,
}

impl Outcome {
    fn told(&self, fault: &str, path: &str) -> String {
        match self {
            Self::Back { node, took_ms } => {
                let took = took_ms.map(|ms| format!(" after {ms} ms")).unwrap_or_default();
                let exit = node["lastExit"]["text"].as_str().unwrap_or("nothing it remembers");
                format!("{fault} at {path}: back as incarnation {}{took} ({exit})", node["incarnation"])
            }
            Self::Gone => format!("{fault} at {path}: ended; it is temporary and comes back when it is needed"),
        }
    }

    fn to_json(&self, injected: &Value) -> Value {
        match self {
            Self::Back { node, took_ms } => {
                json!({ "injected": injected, "back": true, "tookMs": took_ms, "node": node })
            }
            Self::Gone => json!({ "injected": injected, "back": false }),
        }
    }
}

/// Waits until the node runs as another incarnation than the one that was struck.
async fn wait(gateway: &mut Gateway, path: &str, injected: &Value, patience: Duration) -> Result<Outcome, Failure> {
    let begin = Instant::now();
    loop {
        let left = patience.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Err(Failure::Failed(format!(
                "{path} is not back after {} s; `occtl tree history {path}` tells more, and --timeout waits longer",
                patience.as_secs()
            )));
        }
        match gateway.call("tree.get", json!({ "path": path })).await {
            Ok(answer) => {
                let node = &answer["node"];
                let is_other = node["id"] != injected["id"] || node["incarnation"] != injected["incarnation"];
                if is_other && node["state"] == "running" {
                    let took_ms = node["startedAt"].as_i64().zip(injected["ts"].as_i64()).map(|(up, down)| up - down);
                    return Ok(Outcome::Back { node: node.clone(), took_ms });
                }
            }
            Err(Failure::Refused { .. }) => {
                // Above it something may be on its way up as well: then the whole branch is missing for a moment.
                if is_gone_for_good(gateway, path).await? {
                    return Ok(Outcome::Gone);
                }
            }
            Err(Failure::Unreachable { .. }) => gateway.reopen(left).await?,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// True when the supervisor above runs without the node.
async fn is_gone_for_good(gateway: &Gateway, path: &str) -> Result<bool, Failure> {
    let Some((parent, _)) = path.rsplit_once('/') else { return Ok(false) };
    match gateway.call("tree.get", json!({ "path": parent })).await {
        Ok(answer) => Ok(answer["node"]["state"] == "running" && answer["children"].is_array()),
        Err(Failure::Refused { .. } | Failure::Unreachable { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
