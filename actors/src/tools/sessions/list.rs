//! `sessions_list`: the sessions this one may see, the latest first.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde_json::{Value, json};

use super::visibility::sees;
use super::{kind_of, shown};
use crate::ids::{AgentId, SessionKey};
use crate::tools::contract::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput};
use crate::tools::sessions_port::SessionFacts;

/// Rows shown unless told otherwise.
const USUAL: u64 = 100;
/// Most rows.
const MOST: u64 = 200;
/// Largest answer.
const MAX_BYTES: usize = 64 * 1024;
/// Rows asked for at a time.
const PAGE: usize = 500;
/// Rows looked at; the rest of a larger gateway is not listed.
const MAX_SEEN: usize = 20_000;
/// Rows whose messages are read.
const MAX_READ: usize = 20;
const MINUTE_MS: i64 = 60_000;

/// The tool.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionsListTool;

impl Tool for SessionsListTool {
    fn name(&self) -> &'static str {
        "sessions_list"
    }

    fn description(&self) -> &'static str {
        "Lists the sessions this one may see, the latest first, with what is known of each."
    }

    fn parameters(&self) -> Value {
        json!({
            "type": "object",
            "properties": {
                "kinds": {
                    "type": "array",
                    "items": {"type": "string", "enum": ["main", "group", "cron", "hook", "node", "other"]},
                },
                "limit": {"type": "integer", "minimum": 1, "maximum": MOST},
                "offset": {"type": "integer", "minimum": 0},
                "activeMinutes": {"type": "number", "minimum": 0, "description": "Only those that changed since."},
                "messageLimit": {"type": "integer", "minimum": 0, "maximum": 20, "description": "Last messages of each."},
                "label": {"type": "string"},
                "agentId": {"type": "string", "minLength": 1, "description": "Sessions of another agent."},
                "search": {"type": "string", "description": "Part of a key or label."},
                "includeLastMessage": {"type": "boolean"},
            },
            "additionalProperties": false,
        })
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OPEN
    }

    fn effect(&self, _arguments: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async move {
            let (mut rows, is_cut) = visible(&context, &arguments).await?;
            rows.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then_with(|| a.key.cmp(&b.key)));
            let total = rows.len();
            let number = |name: &str, usual: u64| {
                usize::try_from(arguments[name].as_u64().unwrap_or(usual)).unwrap_or(usize::MAX)
            };
            let (offset, limit) = (number("offset", 0), number("limit", USUAL));
            let last = arguments["includeLastMessage"].as_bool().unwrap_or(false);
            let messages = number("messageLimit", 0).max(usize::from(last));
            let (mut listed, mut bytes) = (Vec::new(), 0);
            for (at, row) in rows.into_iter().skip(offset).take(limit).enumerate() {
                let messages = if at < MAX_READ { messages } else { 0 };
                let shown = row_json(&context, row, messages).await?;
                bytes += shown.to_string().len();
                if bytes > MAX_BYTES && !listed.is_empty() {
                    break;
                }
                listed.push(shown);
            }
            let next = offset + listed.len();
            let mut answer = json!({"count": listed.len(), "total": total, "sessions": listed});
            if next < total {
                answer["nextOffset"] = json!(next);
            }
            if is_cut {
                answer["note"] = json!(format!("only the first {MAX_SEEN} sessions were looked at"));
            }
            Ok(ToolOutput::json(answer))
        }
        .boxed()
    }
}

/// All sessions of an agent that may be seen and are asked for.
async fn visible(context: &ToolContext, arguments: &Value) -> Result<(Vec<SessionFacts>, bool), ToolError> {
    let agent = arguments["agentId"].as_str().map_or_else(|| context.agent.clone(), AgentId::normalised);
    let since =
        arguments["activeMinutes"].as_f64().map(|minutes| context.clock.now_ms() - (minutes * MINUTE_MS as f64) as i64);
    let (mut rows, mut seen, mut after) = (Vec::new(), 0, None);
    loop {
        let page = context.sessions.list(agent.clone(), after.take(), PAGE).await?;
        let is_last = page.len() < PAGE;
        seen += page.len();
        after = page.last().and_then(|row| SessionKey::parse(&row.key, &agent).ok());
        let wanted = |row: &SessionFacts| {
            sees(context, row) && since.is_none_or(|since| row.updated_at >= since) && is_asked_for(row, arguments)
        };
        rows.extend(page.into_iter().filter(wanted));
        if is_last || after.is_none() {
            return Ok((rows, false));
        }
        if seen >= MAX_SEEN {
            return Ok((rows, true));
        }
    }
}

fn is_asked_for(row: &SessionFacts, arguments: &Value) -> bool {
    let kind = kind_of(rest(&row.key));
    let kinds = arguments["kinds"].as_array();
    let kind_fits = kinds.is_none_or(|kinds| kinds.is_empty() || kinds.iter().any(|asked| asked == kind));
    let label_fits = arguments["label"].as_str().is_none_or(|label| row.label.as_deref() == Some(label));
    let search_fits = arguments["search"].as_str().is_none_or(|part| {
        let part = part.to_lowercase();
        row.key.contains(&part) || row.label.as_ref().is_some_and(|label| label.to_lowercase().contains(&part))
    });
    kind_fits && label_fits && search_fits
}

fn rest(key: &str) -> &str {
    key.splitn(3, ':').nth(2).unwrap_or_default()
}

async fn row_json(context: &ToolContext, row: SessionFacts, messages: usize) -> Result<Value, ToolError> {
    let mut shown_row = json!({
        "key": row.key,
        "kind": kind_of(rest(&row.key)),
        "sessionId": row.session_id,
        "updatedAt": row.updated_at,
        "contextTokens": row.context_tokens,
    });
    let words = [
        ("label", row.label),
        ("channel", row.channel),
        ("modelProvider", row.provider),
        ("model", row.model),
        ("spawnedBy", row.spawned_by),
    ];
    for (name, word) in words {
        if let Some(word) = word {
            shown_row[name] = json!(word);
        }
    }
    if row.aborted_last_run {
        shown_row["abortedLastRun"] = json!(true);
    }
    if messages > 0
        && let Ok(key) = SessionKey::parse(&row.key, &context.agent)
    {
        let history = context.sessions.history(key, messages).await?;
        let spoken = history.messages.iter().filter_map(|(_, message)| super::history::spoken(message));
        shown_row["messages"] = spoken.map(|(role, text)| json!({"role": role, "text": shown(&text)})).collect();
    }
    Ok(shown_row)
}
