//! A tree and a conversation that look like a day's work: most things run, some do not.

use serde_json::{Value, json};

use crate::fake::{Canned, now_ms};

/// Ids the tests refer to.
pub(crate) const STORE: u64 = 5;
pub(crate) const TELEGRAM: u64 = 60;
pub(crate) const SESSIONS: u64 = 40;

struct Nodes {
    list: Vec<Value>,
    now: i64,
}

impl Nodes {
    fn add(&mut self, id: u64, parent: Option<u64>, name: &str, kind: &str, extra: Value) {
        let above = parent.map(|up| self.path_of(up)).unwrap_or_default();
        let path = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
        let mut node = json!({
            "id": id, "parent": parent, "path": path, "name": name, "kind": kind, "type": "worker", "state": "running",
            "incarnation": 1, "restarts": 0, "attempt": 0, "startedAt": self.now - 93_780_000, "restart": "permanent",
            "mailbox": { "depth": 0, "bound": 64 }, "handled": 120 * id, "failed": 0, "detail": {},
        });
        for (key, value) in extra.as_object().unwrap() {
            node[key] = value.clone();
        }
        self.list.push(node);
    }

    fn supervisor(&mut self, id: u64, parent: Option<u64>, name: &str, strategy: &str) {
        let intensity = json!({ "used": 0, "max": 3, "periodMs": 60_000 });
        let extra = json!({ "type": "supervisor", "strategy": strategy, "intensity": intensity, "mailbox": null });
        self.add(id, parent, name, if parent.is_none() { "root" } else { name }, extra);
    }

    fn path_of(&self, id: u64) -> String {
        self.list.iter().find(|node| node["id"] == id).unwrap()["path"].as_str().unwrap().to_owned()
    }
}

/// The answer of `tree.snapshot`: the whole gateway, all of it running.
pub(crate) fn calm_tree() -> Value {
    let mut nodes = Nodes { list: Vec::new(), now: now_ms() };
    nodes.supervisor(1, None, "root", "one_for_one");
    nodes.add(2, Some(1), "telemetry", "telemetry", json!({}));
    nodes.add(3, Some(1), "lifecycle", "lifecycle", json!({ "detail": { "readiness": "ready" } }));
    nodes.supervisor(4, Some(1), "core", "rest_for_one");
    let detail = json!({ "queued": "0", "flushed": "18204", "size": "4.2 MiB" });
    nodes.add(STORE, Some(4), "store", "store", json!({ "detail": detail, "mailbox": { "depth": 3, "bound": 256 } }));
    nodes.add(6, Some(4), "config", "config", json!({ "detail": { "revision": "4" } }));
    nodes.supervisor(7, Some(4), "providers", "one_for_one");
    nodes.add(20, Some(7), "openai", "provider", json!({ "detail": { "breaker": "closed", "latency": "840 ms" } }));
    nodes.add(21, Some(7), "anthropic", "provider", json!({ "detail": { "breaker": "closed" } }));
    nodes.supervisor(SESSIONS, Some(4), "sessions", "partitioned");
    nodes.supervisor(41, Some(SESSIONS), "0", "dynamic");
    nodes.supervisor(42, Some(SESSIONS), "1", "dynamic");
    let transient =
        json!({ "restart": "transient", "startedAt": nodes.now - 340_000, "mailbox": { "depth": 2, "bound": 64 } });
    nodes.add(45, Some(41), "agent:main:main", "session", transient);
    let busy = json!({ "what": "model gpt-6-astra, first tokens", "sinceMs": nodes.now - 6_200 });
    nodes.add(
        46,
        Some(45),
        "run:7f3a",
        "run",
        json!({ "busy": busy, "restart": "temporary", "startedAt": nodes.now - 6_400 }),
    );
    nodes.supervisor(8, Some(4), "channels", "dynamic");
    let extra = json!({ "startedAt": nodes.now - 93_700_000, "detail": { "offset": "884213907", "bot": "@ada_bot" } });
    nodes.add(TELEGRAM, Some(8), "telegram:default", "channel", extra);
    nodes.add(61, Some(8), "telegram:family", "channel", json!({ "mailbox": { "depth": 5, "bound": 64 } }));
    nodes.supervisor(9, Some(4), "control", "one_for_one");
    nodes.add(70, Some(9), "listener", "listener", json!({ "detail": { "address": "127.0.0.1:18789" } }));
    nodes.add(71, Some(9), "connections", "dynamic", json!({ "type": "supervisor", "mailbox": null }));
    nodes.add(72, Some(71), "openclaw-control-ui", "connection", json!({ "restart": "temporary" }));
    json!({ "epoch": 7, "seq": 100, "nodes": nodes.list })
}

/// The same gateway on a worse day: an account backs off, another has failed, a session waits at a full mailbox.
pub(crate) fn busy_tree() -> Value {
    let mut tree = calm_tree();
    let now = now_ms();
    let nodes = tree["nodes"].as_array_mut().unwrap();
    for node in nodes.iter_mut() {
        let change = match node["id"].as_u64().unwrap() {
            TELEGRAM => backing_off(now, 14_000),
            61 => json!({ "state": "failed", "restarts": 1, "incarnation": 2, "startedAt": null, "lastExit": {
                "class": "fatal", "text": "the bot token was revoked (401 Unauthorized)", "location": "actors/src/channels/telegram/account.rs:88:17", "at": now - 640_000 } }),
            21 => json!({ "restarts": 2, "incarnation": 3, "startedAt": now - 74_000, "lastExit": {
                "class": "panic", "text": "called `Option::unwrap()` on a `None` value", "location": "actors/src/providers/anthropic/stream.rs:142:9", "at": now - 75_000 } }),
            45 => json!({ "mailbox": { "depth": 61, "bound": 64, "oldestMs": 8_400 } }),
            _ => continue,
        };
        for (key, value) in change.as_object().unwrap() {
            node[key] = value.clone();
        }
    }
    let template = nodes.iter().find(|node| node["id"] == 45).unwrap().clone();
    for at in 0..46_u64 {
        let mut session = template.clone();
        let name = format!("agent:main:telegram:{}", 100_200_300 + at * 7919);
        session["id"] = json!(1000 + at);
        session["parent"] = json!(42);
        session["path"] = json!(format!("root/core/sessions/1/{name}"));
        session["name"] = json!(name);
        session["mailbox"] = json!({ "depth": u64::from(at % 9 == 0), "bound": 64 });
        if at == 17 {
            session["state"] = json!("restarting");
        }
        nodes.push(session);
    }
    tree
}

/// The fields of a node that waits for its third attempt of ten.
pub(crate) fn backing_off(now: i64, wait: i64) -> Value {
    json!({ "state": "backing_off", "attempt": 3, "maxAttempts": 10, "nextAt": now + wait, "restarts": 3, "incarnation": 4,
        "lastExit": { "class": "panic", "text": "index out of bounds: the len is 3 but the index is 7",
            "location": "actors/src/channels/telegram/poll.rs:214:31", "at": now - 6_000 } })
}

/// What the fake gateway answers in most tests.
pub(crate) fn canned(tree: Value) -> Canned {
    Canned {
        history: Vec::new(),
        tree,
        sessions: vec![json!({ "key": "agent:main:main" }), json!({ "key": "agent:main:telegram:42", "label": "Ada" })],
        model: ("openai", "gpt-6-astra"),
        mute: Vec::new(),
        accepting: true,
    }
}

/// A conversation with a tool call and code.
pub(crate) fn history() -> Vec<Value> {
    let now = now_ms();
    let text = "The disk is fine: **61 %** used on `/`. If you want to be told before it fills up, this is enough:\n\n\
        ```sh\n#!/bin/sh\nused=$(df --output=pcent / | tail -1 | tr -dc 0-9)\n[ \"$used\" -gt 85 ] && echo \"disk at $used %\"\n```\n\n\
        Shall I put it into a cron job?";
    vec![
        json!({ "role": "user", "content": "Is there enough room left on the disk?", "timestamp": now - 240_000, "idempotencyKey": "r1:user" }),
        json!({ "role": "assistant", "timestamp": now - 236_000, "stopReason": "toolUse", "content": [
            { "type": "thinking", "thinking": "df tells." },
            { "type": "text", "text": "Let me look." },
            { "type": "toolCall", "id": "t1", "name": "exec", "arguments": { "command": "df -h /" } }] }),
        json!({ "role": "toolResult", "toolCallId": "t1", "toolName": "exec", "isError": false, "timestamp": now - 235_000,
            "content": [{ "type": "text", "text": "Filesystem  Size  Used Avail Use% Mounted on\n/dev/sda1   234G  143G   91G  61% /" }] }),
        json!({ "role": "assistant", "timestamp": now - 232_000, "stopReason": "stop", "model": "gpt-6-astra", "provider": "openai",
            "usage": { "output": 118 }, "content": [{ "type": "text", "text": text }] }),
        json!({ "role": "user", "content": "Yes please, every morning at seven.", "timestamp": now - 20_000, "idempotencyKey": "r2:user" }),
    ]
}
