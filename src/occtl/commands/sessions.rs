//! `occtl sessions`: list, show, reset.

use serde_json::{Map, Value, json};

use super::Context;
use crate::occtl::args::SessionsCommand;
use crate::occtl::failure::Failure;
use crate::occtl::output::{Tone, clean, one_line, shorten};
use crate::occtl::tree_view::span;
use crate::occtl::turn::message_text;

pub(super) async fn run(context: &Context, command: SessionsCommand) -> Result<(), Failure> {
    match command {
        SessionsCommand::List { agent, limit } => list(context, agent, limit).await,
        SessionsCommand::Show { key, limit } => show(context, &key, limit).await,
        SessionsCommand::Reset { key } => reset(context, &key).await,
    }
}

async fn list(context: &Context, agent: Option<String>, limit: u32) -> Result<(), Failure> {
    let output = context.output;
    let mut params = Map::new();
    params.insert("limit".into(), limit.into());
    params.extend(agent.map(|agent| ("agentId".to_owned(), Value::from(agent))));
    let answer = context.gateway().await?.call("sessions.list", Value::Object(params)).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let now = answer["ts"].as_i64().unwrap_or(0);
    let rows: Vec<Vec<String>> =
        answer["sessions"].as_array().into_iter().flatten().map(|session| row(session, now)).collect();
    if rows.is_empty() {
        return output.line("no sessions yet");
    }
    output.table(&["key", "updated", "model", "tokens", "about"], &rows)?;
    let total = answer["totalCount"].as_u64().unwrap_or(0);
    if total > rows.len() as u64 {
        output.note(&format!("{} of {total}; --limit shows more", rows.len()));
    }
    Ok(())
}

fn row(session: &Value, now: i64) -> Vec<String> {
    let word = |key: &str| session[key].as_str().unwrap_or_default();
    let updated = session["updatedAt"].as_i64().map(|at| format!("{} ago", span(now - at))).unwrap_or_default();
    let model = match (word("modelProvider"), word("model")) {
        ("", model) => model.to_owned(),
        (provider, model) => format!("{provider}/{model}"),
    };
    let tokens = session["totalTokens"].as_u64().map(|tokens| tokens.to_string()).unwrap_or_default();
    let about = [word("label"), word("displayName"), word("derivedTitle")].into_iter().find(|text| !text.is_empty());
    vec![word("key").to_owned(), updated, model, tokens, shorten(about.unwrap_or_default(), 60)]
}

async fn show(context: &Context, key: &str, limit: u32) -> Result<(), Failure> {
    let output = context.output;
    let params = json!({ "sessionKey": key, "limit": limit });
    let answer = context.gateway().await?.call("chat.history", params).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let messages = answer["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    if messages.is_empty() {
        output.note(&format!("nothing was said in {key}"));
    }
    for message in messages {
        let role = message["role"].as_str().unwrap_or("?");
        let text = message_text(message).unwrap_or_default();
        if !text.is_empty() {
            output.line(&output.paint(Tone::Strong, &one_line(role)))?;
            output.line(&clean(&text))?;
        }
    }
    Ok(())
}

async fn reset(context: &Context, key: &str) -> Result<(), Failure> {
    let output = context.output;
    let answer = context.gateway().await?.call("sessions.reset", json!({ "key": key })).await?;
    if output.is_json() {
        return output.document(&answer);
    }
    let (key, id) = (answer["key"].as_str().unwrap_or(key), answer["entry"]["sessionId"].as_str().unwrap_or_default());
    output.line(&format!("{} starts afresh as {}", one_line(key), one_line(id)))
}
