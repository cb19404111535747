//! The power goes at any moment: nothing that was answered is missing afterwards.
//!
//! `kill -9` can't show this, because the system keeps what a process wrote. Here every call of a daemon that changes a
//! file is recorded while it works; then, for each answer it gave, the disk is laid out as strictly as it may forget
//! (`replay`), and the real store opens it.

use std::collections::BTreeSet;
use std::path::Path;

use actors::store::engine::{Engine as _, for_each};
use actors::store::records::{AcceptRecord, RunRecord, RunState};
use actors::store::sled_engine::SledEngine;
use actors::store::{keys, offline, value};

use crate::program::{Daemon, Home, needs_strace};

mod replay;
mod trace;

/// Turns of the script; a soak asks for more.
fn turns() -> usize {
    std::env::var("POWER_CUT_TURNS").ok().map_or(8, |turns| turns.parse().expect("POWER_CUT_TURNS is a number"))
}

/// Calls between two looks at the disk besides those at answers.
const LOOK_EVERY: usize = 150;

async fn recorded(home: &Home, log: &Path) -> String {
    needs_strace();
    let log_arg = log.display().to_string();
    let traced = format!("trace={}", trace::TRACED);
    let strace =
        ["-f", "-qq", "-xx", "-s", "100000000", "-o", &log_arg, "-e", &traced, env!("CARGO_BIN_EXE_openclawd")];
    let daemon = Daemon::from(home, "strace", &strace).await;
    for turn in 0..turns() {
        // Every third one is too large for the database, every fourth begins a new conversation.
        let text = format!("message {turn:04} {}", "x".repeat(if turn % 3 == 2 { 9_000 } else { 10 }));
        let session = format!("s{}", turn % 3);
        let run = format!("cut-{turn:04}");
        home.occtl(&["agent", "--message", &text, "--session", &session, "--run-id", &run]).await.exited(0);
        if turn % 4 == 3 {
            home.occtl(&["sessions", "reset", &format!("agent:main:{session}")]).await.exited(0);
        }
    }
    daemon.stop_traced().await.exited(0);
    std::fs::read_to_string(log).unwrap()
}

/// Runs whose acceptance, and whose end, this call told a client.
fn told(call: &trace::Call) -> Option<(String, bool)> {
    if !matches!(call.name.as_str(), "sendto" | "write" | "writev" | "sendmsg") {
        return None;
    }
    let text = String::from_utf8_lossy(&call.written()).into_owned();
    let accepted = text.contains(r#""status":"accepted""#);
    let ended = text.contains(r#""status":"ok""#) && text.contains(r#""type":"res""#);
    let at = text.find("cut-").filter(|_| accepted || ended)?;
    Some((text[at..at + 8].to_owned(), ended))
}

/// All text of transcripts, also of conversations that were put aside.
fn transcripts(state: &Path) -> String {
    let Ok(entries) = std::fs::read_dir(state.join("agents/main/sessions")) else { return String::new() };
    entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

/// Opens what the power left, with the real store, and looks for what was answered.
fn nothing_is_missing(state: &Path, accepted: &BTreeSet<String>, ended: &BTreeSet<String>, when: usize) {
    let report = offline::check(state).unwrap_or_else(|error| panic!("at call {when}: {}", error.words()));
    assert_eq!(report.findings, [], "at call {when}");
    let engine = SledEngine::open(&state.join("openclawd/store")).unwrap();
    let (mut kept, mut over, mut large) = (BTreeSet::new(), BTreeSet::new(), 0);
    for_each(&engine, keys::ACCEPT.as_bytes(), |key, stored| {
        match is_pointer(stored) {
            true => large += 1,
            false => {
                kept.insert(value::decode::<AcceptRecord>(key, stored)?.run_id);
            }
        }
        Ok(())
    })
    .unwrap();
    for_each(&engine, keys::RUN.as_bytes(), |key, stored| {
        let name = String::from_utf8_lossy(key).rsplit('\0').next().unwrap().to_owned();
        // Only an answer makes it that large.
        if is_pointer(stored) || value::decode::<RunRecord>(key, stored)?.state != RunState::Open {
            over.insert(name.clone());
        }
        kept.insert(name);
        Ok(())
    })
    .unwrap();
    let text = transcripts(state);
    for run in accepted {
        let key = keys::named(keys::DEDUPE, &format!("rpc/{run}"));
        assert!(engine.get(&key).unwrap().is_some(), "at call {when}: {run} was accepted and is forgotten");
        assert!(kept.contains(run) || large > 0, "at call {when}: {run} was accepted and is lost");
    }
    for run in ended {
        assert!(over.contains(run), "at call {when}: the end of {run} was told and is forgotten");
        let said = format!("message {}", &run[4..]);
        assert!(text.matches(&said).count() >= 2, "at call {when}: question or answer of {run} is missing");
    }
}

/// The value is in a file of its own, which the check has read.
fn is_pointer(stored: &[u8]) -> bool {
    stored.first() == Some(&255)
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "how much was looked at belongs to the result")]
async fn nothing_answered_is_missing_after_a_power_cut() {
    let (home, place) = (Home::new(), tempfile::tempdir().unwrap());
    let calls = trace::read(&recorded(&home, &place.path().join("trace")).await);
    let mut disk = replay::Disk::new(&home.path(""));
    let (mut accepted, mut ended, mut looks) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (number, call) in calls.iter().enumerate() {
        disk.apply(call);
        let answer = told(call);
        let is_answer = answer.is_some();
        if let Some((run, is_end)) = answer {
            if is_end {
                ended.insert(run)
            } else {
                accepted.insert(run)
            };
        }
        if is_answer || number % LOOK_EVERY == 0 {
            let left = place.path().join("left");
            disk.find_after_power_cut(&left);
            if left.join("openclawd/store/made").exists() || !accepted.is_empty() {
                nothing_is_missing(&left, &accepted, &ended, number);
                looks += 1;
            }
            std::fs::remove_dir_all(&left).unwrap();
        }
    }
    assert_eq!((accepted.len(), ended.len()), (turns(), turns()), "each turn was answered twice");
    println!("{} calls, {looks} power cuts, {} answers: nothing missing", calls.len(), accepted.len() + ended.len());
}
