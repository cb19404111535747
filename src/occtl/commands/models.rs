//! `occtl models`: what there is, and adding one.
//!
//! Adding edits the configuration file, which the running gateway reloads by itself; then one call through the gateway
//! proves that address, key and model are right.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use serde_json::{Value, json};

use super::Context;
use crate::occtl::args::{AddModel, ModelsCommand};
use crate::occtl::config_edit::{self, NewModel};
use crate::occtl::failure::Failure;
use crate::occtl::gateway::Gateway;
use crate::occtl::locate::{Places, process_env};
use crate::occtl::output::Tone;
use crate::occtl::turn::{Step, Turn};

/// How long the gateway may take to notice the changed file.
const RELOAD_PATIENCE: Duration = Duration::from_secs(15);
const RELOAD_PAUSE: Duration = Duration::from_millis(250);
/// A changed file has been read after this long.
const NOTICED: Duration = Duration::from_secs(3);
/// How long the proving call may take.
const CALL_PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(context: &Context, command: ModelsCommand) -> Result<(), Failure> {
    match command {
        ModelsCommand::List => list(context).await,
        ModelsCommand::Add(args) => add(context, args).await,
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let output = context.output;
    let answer = context.gateway().await?.call("models.list", json!({})).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let rows: Vec<Vec<String>> = answer["models"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|model| {
            let number = |key: &str| model[key].as_u64().map(|number| number.to_string()).unwrap_or_default();
            let usable = if model["available"] == false { "no" } else { "yes" };
            vec![
                reference(model),
                model["name"].as_str().unwrap_or_default().to_owned(),
                number("contextWindow"),
                usable.into(),
            ]
        })
        .collect();
    output.table(&["model", "name", "context", "usable"], &rows)
}

fn reference(model: &Value) -> String {
    format!("{}/{}", model["provider"].as_str().unwrap_or("?"), model["id"].as_str().unwrap_or("?"))
}

async fn add(context: &Context, args: AddModel) -> Result<(), Failure> {
    let output = context.output;
    let new = new_model(&args)?;
    let places = Places::from_env(&process_env)?;
    let old = config_edit::read_text(&places.config)?;
    let edit = config_edit::add_model(&old, &new).map_err(|failure| {
        if let Failure::Config(why) = &failure {
            Failure::Config(format!("{}: {why}", places.config.display()))
        } else {
            failure
        }
    })?;
    if edit.text != old {
        config_edit::replace(&places.config, &old, &edit.text)?;
    }
    let reference = format!("{}/{}", new.provider, new.model);
    if !output.is_json() {
        output.line(&format!("wrote {reference} to {}", places.config.display()))?;
        if edit.is_default {
            output.line("it is the default model now")?;
        }
    }
    let mut report = json!({ "model": reference, "config": places.config, "isDefault": edit.is_default });
    if !args.no_check {
        let mut gateway = context.gateway().await?;
        if let Some(why) = await_reload(&gateway, &reference, &edit.text).await? {
            config_edit::undo(&places.config, &old, &edit.text)?;
            return Err(Failure::Failed(format!("the gateway refuses it, so the file is as it was: {why}")));
        }
        let proved = prove(context, &mut gateway, &new).await;
        let answer = proved.inspect_err(|_failure| {
            output
                .note(&format!("{reference} stays in {}; the same command again corrects it", places.config.display()));
        })?;
        report["answer"] = json!(answer);
        if !output.is_json() {
            output.line(&format!("{} {reference} answers", output.paint(Tone::Good, "ok")))?;
        }
    }
    if output.is_json() { output.document(&report) } else { Ok(()) }
}

fn new_model(args: &AddModel) -> Result<NewModel, Failure> {
    if !(args.base_url.starts_with("http://") || args.base_url.starts_with("https://")) {
        return Err(Failure::Usage(format!("--base-url is not an http address: {}", args.base_url)));
    }
    if args.provider.is_empty() || args.provider.contains('/') || args.provider.contains(char::is_whitespace) {
        return Err(Failure::Usage("--provider is a name without slashes and spaces".into()));
    }
    let api_key = match &args.key_env {
        Some(name) => {
            let shouted = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            if !shouted || !name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_') {
                return Err(Failure::Usage(format!("--key-env is not a variable name in capitals: {name}")));
            }
            Some(format!("${{{name}}}"))
        }
        None if args.key_stdin => Some(read_key()?),
        None => None,
    };
    Ok(NewModel {
        provider: args.provider.clone(),
        base_url: args.base_url.clone(),
        api: args.api.clone(),
        model: args.model.clone(),
        api_key,
        context_window: args.context_window,
        max_tokens: args.max_tokens,
        force_default: args.default,
    })
}

/// The key, one line from standard input; never from the arguments, where every user of the machine can read it.
fn read_key() -> Result<String, Failure> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::Usage("--key-stdin reads a pipe or a file, for example: < key.txt".into()));
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text)?;
    let key = text.trim();
    if key.is_empty() || key.contains(char::is_control) {
        return Err(Failure::Usage("standard input holds no key of one line".into()));
    }
    Ok(key.to_owned())
}

/// Waits until the gateway has read the file and lists the model; or until it says why it does not take the file.
async fn await_reload(gateway: &Gateway, wanted: &str, text: &str) -> Result<Option<String>, Failure> {
    let written = tokio::time::Instant::now();
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let hash: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let look = async {
        loop {
            let answer = gateway.call("models.list", json!({})).await?;
            let is_listed = answer["models"].as_array().into_iter().flatten().any(|model| reference(model) == wanted);
            // A gateway that does not say which text it runs with is believed by its models.
            let in_force = gateway.call("config.get", json!({})).await;
            if is_listed && in_force.map_or(true, |config| config["hash"] == hash.as_str()) {
                return Ok(None);
            }
            // Sooner it may speak of the file as it was before.
            if written.elapsed() > NOTICED
                && let Ok(owner) = gateway.call("tree.get", json!({ "path": "root/core/config" })).await
                && let Some(why) = owner["node"]["detail"]["refused"].as_str()
            {
                return Ok(Some(why.to_owned()));
            }
            tokio::time::sleep(RELOAD_PAUSE).await;
        }
    };
    tokio::time::timeout(RELOAD_PATIENCE, look).await.unwrap_or_else(|_elapsed| {
        Err(Failure::Failed(format!(
            "the gateway does not know {wanted} yet; does it read the same file? see `occtl logs`"
        )))
    })
}

/// One turn with the model, in a session of its own.
async fn prove(context: &Context, gateway: &mut Gateway, new: &NewModel) -> Result<Value, Failure> {
    let run_id = uuid::Uuid::new_v4().to_string();
    let params = json!({
        "message": "Answer with the word OK.", "idempotencyKey": run_id, "sessionKey": format!("occtl-check:{run_id}"),
        "provider": new.provider, "model": new.model, "timeout": CALL_PATIENCE.as_secs(),
    });
    let mut answer = gateway.start("agent", params);
    let mut turn = Turn::new(run_id);
    let payload = loop {
        tokio::select! {
            event = gateway.next_event() => {
                let event = event.ok_or_else(|| Failure::Failed("the connection was lost during the call".into()))?;
                if let Step::Retry(words) = turn.on_event(&event) {
                    context.output.note(&format!("[{words}]"));
                }
            }
            payload = answer.last() => break payload?,
        }
    };
    if payload["status"] != "ok" {
        let why = payload["summary"].as_str().unwrap_or("the call did not finish");
        return Err(Failure::Failed(format!("{}/{}: {why}", new.provider, new.model)));
    }
    let used = &payload["result"]["meta"]["agentMeta"];
    let other = |key: &str, wanted: &str| used[key].as_str().is_some_and(|used| used != wanted);
    if other("provider", &new.provider) || other("model", &new.model) {
        let used = format!("{}/{}", used["provider"].as_str().unwrap_or("?"), used["model"].as_str().unwrap_or("?"));
        return Err(Failure::Failed(format!(
            "{}/{} is written but not proved: {used} answered",
            new.provider, new.model
        )));
    }
    Ok(payload["result"]["payloads"][0]["text"].clone())
}
