//! What the Bot API answers to each method.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::world::Shared;
use super::{BOT_ID, Fault, Sent};

/// Telegram's limit for a message's visible text, in UTF-16 units.
const MAX_TEXT: usize = 4096;

pub(super) enum Answer {
    Json(u16, Vec<u8>),
    Html(u16),
    Truncated(Vec<u8>),
    Cut,
}

/// A result, or code and description of a refusal.
type Outcome = Result<Value, (u16, String)>;

pub(super) async fn answer(path: &str, body: &Value, shared: &Arc<Shared>) -> Answer {
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let token = parts.next().and_then(|part| part.strip_prefix("bot")).unwrap_or("");
    let method = parts.next().unwrap_or("").split('?').next().unwrap_or("").to_ascii_lowercase();
    let fault = shared.record(&method, body);
    if token != shared.world().token {
        return refusal(401, "Unauthorized", None);
    }
    match fault {
        None => carry_out(&method, body, shared).await,
        Some(Fault::Unauthorized) => refusal(401, "Unauthorized", None),
        Some(Fault::Conflict) => conflict(),
        Some(Fault::TooManyRequests(wait)) => {
            refusal(429, &format!("Too Many Requests: retry after {wait}"), Some(wait))
        }
        Some(Fault::BadGateway) => Answer::Html(502),
        Some(Fault::Refuse(code, description)) => refusal(code, &description, None),
        Some(Fault::CutBefore) => Answer::Cut,
        Some(Fault::CutAfter) => {
            carry_out(&method, body, shared).await;
            Answer::Cut
        }
        Some(Fault::Truncate) => match carry_out(&method, body, shared).await {
            Answer::Json(_, bytes) => Answer::Truncated(bytes),
            other @ (Answer::Html(_) | Answer::Truncated(_) | Answer::Cut) => other,
        },
        Some(Fault::Late(wait)) => {
            let answer = carry_out(&method, body, shared).await;
            sleep(wait).await;
            answer
        }
    }
}

async fn carry_out(method: &str, body: &Value, shared: &Arc<Shared>) -> Answer {
    let outcome = match method {
        "getme" => Ok(json!({
            "id": BOT_ID, "is_bot": true, "first_name": "Testbot", "username": "test_bot",
            "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false,
        })),
        "deletewebhook" | "setmycommands" | "sendchataction" | "answercallbackquery" => Ok(json!(true)),
        "sendmessage" => send_message(body, shared),
        "getupdates" => return get_updates(body, shared).await,
        _ => Err((404, "Not Found: method not found".to_owned())),
    };
    match outcome {
        Ok(result) => Answer::Json(200, bytes(&json!({ "ok": true, "result": result }))),
        Err((code, description)) => refusal(code, &description, None),
    }
}

async fn get_updates(body: &Value, shared: &Arc<Shared>) -> Answer {
    let number = |name: &str, default: i64| body.get(name).and_then(Value::as_i64).unwrap_or(default);
    let offset = number("offset", 0);
    let limit = usize::try_from(number("limit", 100)).unwrap_or(100).clamp(1, 100);
    let until = Instant::now() + Duration::from_secs(u64::try_from(number("timeout", 0)).unwrap_or(0));
    let mut changes = shared.subscribe();
    let poll = {
        let mut world = shared.world();
        world.queue = world.queue.split_off(&offset);
        world.offset = offset;
        world.poll += 1;
        world.poll
    };
    shared.changed();
    loop {
        {
            let world = shared.world();
            if world.poll != poll {
                return conflict();
            }
            if world.settling || world.cut >= poll {
                return Answer::Cut;
            }
            let updates: Vec<&Value> = world.queue.values().take(limit).collect();
            if !updates.is_empty() || Instant::now() >= until {
                return Answer::Json(200, bytes(&json!({ "ok": true, "result": updates })));
            }
        }
        // Timed out or changed: both are looked at above.
        drop(timeout_at(until, changes.changed()).await);
    }
}

fn send_message(body: &Value, shared: &Arc<Shared>) -> Outcome {
    let chat_id = body.get("chat_id").and_then(Value::as_i64).ok_or_else(|| bad("Bad Request: chat_id is empty"))?;
    let text = body.get("text").and_then(Value::as_str).unwrap_or("").to_owned();
    let parse_mode = body.get("parse_mode").and_then(Value::as_str).map(str::to_owned);
    let visible = if parse_mode.as_deref() == Some("HTML") { read_html(&text)? } else { text.clone() };
    if visible.trim().is_empty() {
        return Err(bad("Bad Request: message text is empty"));
    }
    if visible.encode_utf16().count() > MAX_TEXT {
        return Err(bad("Bad Request: message is too long"));
    }
    if shared.world().blocked.contains(&chat_id) {
        return Err((403, "Forbidden: bot was blocked by the user".to_owned()));
    }
    let message_id = shared.next_message_id();
    let reply_to = body.pointer("/reply_parameters/message_id").and_then(Value::as_i64);
    let sent = Sent { chat_id, text, visible: visible.clone(), parse_mode, message_id, reply_to };
    shared.world().sent.push(sent);
    shared.changed();
    Ok(json!({
        "message_id": message_id, "date": 1_700_000_000, "text": visible,
        "from": {"id": BOT_ID, "is_bot": true, "first_name": "Testbot"},
        "chat": {"id": chat_id, "type": if chat_id < 0 { "supergroup" } else { "private" }},
    }))
}

/// The visible text of Telegram's HTML, or why Telegram would not parse it.
fn read_html(html: &str) -> Result<String, (u16, String)> {
    const TAGS: [&str; 16] = [
        "b",
        "strong",
        "i",
        "em",
        "u",
        "ins",
        "s",
        "strike",
        "del",
        "a",
        "code",
        "pre",
        "blockquote",
        "tg-spoiler",
        "span",
        "tg-emoji",
    ];
    let broken = |why: &str| bad(&format!("Bad Request: can't parse entities: {why}"));
    let (mut visible, mut open, mut rest) = (String::new(), Vec::new(), html);
    while let Some(start) = rest.find('<') {
        visible.push_str(&rest[..start]);
        let end = rest[start..].find('>').ok_or_else(|| broken("Unclosed start tag"))?;
        let tag = &rest[start + 1..start + end];
        rest = &rest[start + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(broken("Unmatched end tag"));
            }
        } else {
            let name = tag.split_whitespace().next().unwrap_or("");
            if !TAGS.contains(&name) {
                return Err(broken(&format!("Unsupported start tag \"{name}\"")));
            }
            open.push(name);
        }
    }
    if !open.is_empty() {
        return Err(broken("Can't find end tag"));
    }
    visible.push_str(rest);
    Ok(visible.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"))
}

fn bad(description: &str) -> (u16, String) {
    (400, description.to_owned())
}

fn conflict() -> Answer {
    let words = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
    refusal(409, words, None)
}

fn refusal(code: u16, description: &str, retry_after: Option<u64>) -> Answer {
    let mut answer = json!({ "ok": false, "error_code": code, "description": description });
    if let Some(wait) = retry_after {
        answer["parameters"] = json!({ "retry_after": wait });
    }
    Answer::Json(code, bytes(&answer))
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
