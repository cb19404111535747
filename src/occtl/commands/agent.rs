//! `occtl agent`: one turn, its text streamed as it comes.
//!
//! The run's id is the idempotency key of the request, so after a lost connection the same request is sent again: it joins
//! the run, or gets its result, and never runs it twice.

use std::io::Read;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Context;
use crate::occtl::args::Agent;
use crate::occtl::failure::Failure;
use crate::occtl::gateway::{Gateway, is_accepted_stage};
use crate::occtl::turn::{Ending, Step, Turn};

/// How long a lost gateway is looked for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the gateway is asked to wait for the end of a run; the caller's own deadline is shorter.
const WAIT_MS: u64 = 24 * 60 * 60 * 1000;

pub(super) async fn run(context: &Context, args: Agent) -> Result<(), Failure> {
    let run_id = args.run_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let params = params(&args, &run_id)?;
    let deadline = Duration::from_secs(args.run_timeout.saturating_add(10));
    let mut turn = Turn::new(run_id);
    let finished = tokio::time::timeout(deadline, follow(context, &params, &mut turn)).await;
    let result = finished.unwrap_or_else(|_elapsed| {
        let why = format!("no answer in {} s; run {} may go on", args.run_timeout, turn.run_id());
        Err(Failure::Failed(why))
    });
    finish(context, &mut turn, result)
}

fn params(args: &Agent, run_id: &str) -> Result<Value, Failure> {
    let message = if args.message == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        args.message.clone()
    };
    if message.trim().is_empty() {
        return Err(Failure::Usage("there is nothing to say".into()));
    }
    let mut params = Map::new();
    params.insert("message".into(), message.into());
    params.insert("idempotencyKey".into(), run_id.into());
    params.insert("timeout".into(), args.run_timeout.into());
    let optional = [("sessionKey", &args.session), ("agentId", &args.agent), ("thinking", &args.thinking)];
    params.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into()))));
    Ok(Value::Object(params))
}

/// The final answer, through as many connections as it takes.
async fn follow(context: &Context, params: &Value, turn: &mut Turn) -> Result<Value, Failure> {
    let mut gateway = context.gateway().await?;
    loop {
        match attempt(context, &mut gateway, params, turn).await {
            Err(Failure::Unreachable { .. }) => {}
            ended => return ended,
        }
        context.output.note("connection lost, looking for the gateway again …");
        gateway.reopen(PATIENCE).await?;
    }
}

/// One connection's worth.
async fn attempt(context: &Context, gateway: &mut Gateway, params: &Value, turn: &mut Turn) -> Result<Value, Failure> {
    let mut answer = gateway.start("agent", params.clone());
    let mut connected = true;
    loop {
        tokio::select! {
            // What was said before an answer is shown before it is acted upon.
            biased;
            event = gateway.next_event(), if connected => match event {
                Some(event) => show(context, turn.on_event(&event))?,
                None => connected = false,
            },
            stage = answer.next() => {
                let stage = match stage {
                    Err(Failure::Unreachable { .. }) if connected => {
                        // What came before the end is still to be read; then this answer is asked again.
                        drain(context, gateway, turn).await?;
                        connected = false;
                        continue;
                    }
                    stage => stage?,
                };
                if stage["status"] == "in_flight" {
                    // Both answers go to whoever asked first; we ask for the end.
                    let wait = json!({ "runId": turn.run_id(), "timeoutMs": WAIT_MS });
                    answer = gateway.start_slow("agent.wait", wait);
                } else if !is_accepted_stage(&stage) {
                    return Ok(stage);
                }
            }
        }
    }
}

async fn drain(context: &Context, gateway: &mut Gateway, turn: &mut Turn) -> Result<(), Failure> {
    while let Some(event) = gateway.next_event().await {
        show(context, turn.on_event(&event))?;
    }
    Ok(())
}

fn show(context: &Context, step: Step) -> Result<(), Failure> {
    if context.output.is_json() {
        return Ok(());
    }
    match step {
        Step::Text(text) => context.output.stream(&text),
        Step::Tool(name) => {
            context.output.note(&format!("[{name}]"));
            Ok(())
        }
        Step::Retry(words) => {
            context.output.note(&format!("[{words}]"));
            Ok(())
        }
        // What was not streamed, such as the answer to a command.
        Step::Over(Ending::Answered(rest)) => context.output.stream(&rest),
        // The response says how it ended, with more in it.
        Step::Over(Ending::Aborted | Ending::Failed(_)) | Step::Nothing => Ok(()),
    }
}

fn finish(context: &Context, turn: &mut Turn, result: Result<Value, Failure>) -> Result<(), Failure> {
    let output = context.output;
    let payload = match result {
        Ok(payload) => payload,
        Err(failure) => {
            if !turn.shown().is_empty() && !output.is_json() {
                output.line("")?;
            }
            return Err(failure);
        }
    };
    if output.is_json() {
        output.document(&payload)?;
    } else {
        // What was streamed may hold more than the final answer, for example words between tools; only a rest is added.
        let whole = whole_text(&payload);
        if whole.starts_with(turn.shown()) {
            output.stream(&turn.advance(&whole).unwrap_or_default())?;
        }
        if !turn.shown().is_empty() {
            output.line("")?;
        }
    }
    match payload["status"].as_str() {
        Some("error" | "timeout") => {
            let why = payload["error"].as_str().or(payload["summary"].as_str()).unwrap_or("the run did not finish");
            Err(Failure::Failed(why.to_owned()))
        }
        Some(_) | None => Ok(()),
    }
}

/// The text of a final answer, whichever call gave it.
fn whole_text(payload: &Value) -> String {
    let payloads = payload["result"]["payloads"].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = payloads.iter().filter_map(|payload| payload["text"].as_str()).collect();
    if texts.is_empty() {
        return payload["terminalReply"]["text"].as_str().unwrap_or_default().to_owned();
    }
    texts.join("\n")
}
