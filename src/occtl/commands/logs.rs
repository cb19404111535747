//! `occtl logs`: the end of the gateway's log, and what is added to it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Context;
use crate::occtl::failure::Failure;
use crate::occtl::gateway::Gateway;
use crate::occtl::output::{Output, Tone, one_line};

/// Between looks at the log.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context, follow: bool, lines: u32) -> Result<(), Failure> {
    let mut gateway = context.gateway().await?;
    let page = gateway.call("logs.tail", json!({ "limit": lines })).await?;
    if context.output.is_json() && !follow {
        return context.output.document(&page);
    }
    print(context, &page)?;
    if !follow {
        return Ok(());
    }
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        ended = go_on(context, &mut gateway, page["cursor"].as_u64()) => ended,
    }
}

async fn go_on(context: &Context, gateway: &mut Gateway, mut cursor: Option<u64>) -> Result<(), Failure> {
    loop {
        tokio::time::sleep(PAUSE).await;
        let mut params = Map::new();
        params.extend(cursor.map(|cursor| ("cursor".to_owned(), Value::from(cursor))));
        match gateway.call("logs.tail", Value::Object(params)).await {
            Ok(page) => {
                print(context, &page)?;
                cursor = page["cursor"].as_u64().or(cursor);
            }
            Err(Failure::Unreachable { .. }) => {
                context.output.note("connection lost, looking for the gateway again …");
                gateway.reopen(Duration::MAX).await?;
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn print(context: &Context, page: &Value) -> Result<(), Failure> {
    for line in page["lines"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if context.output.is_json() {
            context.output.record(&json!({ "line": line }))?;
        } else {
            context.output.line(&readable(context.output, line))?;
        }
    }
    Ok(())
}

/// A line of the log for a person: time, level, text, fields. What is not in the log's format is shown as it is.
fn readable(output: Output, line: &str) -> String {
    let Ok(Value::Object(mut record)) = serde_json::from_str(line) else { return one_line(line).into_owned() };
    let mut take = |key: &str| match record.shift_remove(key) {
        Some(Value::String(text)) => text,
        Some(_) | None => String::new(),
    };
    let (time, level, from, text) = (take("time"), take("level"), take("subsystem"), take("msg"));
    let tone = match level.as_str() {
        "error" => Tone::Bad,
        "warn" => Tone::Warning,
        _ => Tone::Plain,
    };
    let level = output.paint(tone, &format!("{:<5}", one_line(&level)));
    let mut shown = format!("{} {level} {}", one_line(&time), one_line(&text));
    for (key, value) in record {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        shown.push_str(&output.paint(Tone::Faint, &format!(" {}={}", one_line(&key), one_line(&value))));
    }
    if !from.is_empty() {
        shown.push_str(&output.paint(Tone::Faint, &format!(" ({})", one_line(&from))));
    }
    shown
}
