//! What the store of a dead daemon holds, read from a copy: the daemon's next start finds what it left.

use std::fs;
use std::path::Path;

use actors::channels::telegram::CAPABILITIES;
use actors::delivery::chunk::{self, Limits};
use actors::store::engine::Engine as _;
use actors::store::payload::Payloads;
use actors::store::records::{IntentRecord, OutboxRecord, OutboxState, RunRecord, RunState};
use actors::store::sled_engine::SledEngine;
use actors::store::{keys, value};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::record::{Chat, Open, Sending};

/// The pieces in which a text goes to the platform.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    chunk::split(text, Limits::from(&CAPABILITIES))
}

/// What is open in the store of this home.
pub(crate) fn of(home: &Path) -> Open {
    let own = home.join("openclawd");
    if !own.join("store/db").exists() {
        return Open::default();
    }
    let copy = TempDir::new().unwrap();
    copy_folder(&own.join("store"), &copy.path().join("store"));
    let engine = SledEngine::open(&copy.path().join("store")).unwrap();
    let payloads = Payloads::new(own.join("payloads"));
    let mut open = Open::default();
    for (_, record) in all::<OutboxRecord>(&engine, &payloads, keys::OUTBOX) {
        let chat = Chat { lane: record.route.account.clone(), to: record.route.to.clone() };
        match record.state {
            OutboxState::Queued => open.outgoing += 1,
            OutboxState::Sending(chunk) => {
                open.outgoing += 1;
                let text = pieces(&record.text).into_iter().nth(chunk as usize).unwrap_or_default();
                open.sending.push(Sending { chat, text });
            }
            OutboxState::Dead | OutboxState::Held => {}
        }
    }
    for (key, record) in all::<RunRecord>(&engine, &payloads, keys::RUN) {
        if record.state == RunState::Open {
            open.runs.push(key.rsplit('\0').next().unwrap_or_default().to_owned());
        }
    }
    open.intents =
        all::<IntentRecord>(&engine, &payloads, keys::INTENT).into_iter().map(|(_, it)| it.call_id).collect();
    open.waiting = engine.scan_prefix(keys::ACCEPT.as_bytes(), None, usize::MAX).unwrap().len();
    open
}

fn all<T: DeserializeOwned>(engine: &SledEngine, payloads: &Payloads, prefix: &str) -> Vec<(String, T)> {
    let pairs = engine.scan_prefix(prefix.as_bytes(), None, usize::MAX).unwrap();
    pairs
        .into_iter()
        .map(|(key, stored)| {
            let bytes = payloads.resolve(stored).unwrap();
            (String::from_utf8_lossy(&key).into_owned(), value::decode(&key, &bytes).unwrap())
        })
        .collect()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
