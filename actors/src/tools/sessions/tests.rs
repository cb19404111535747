use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::kind_of;
use crate::config::{AgentToAgent, Config, QueueMode, SessionVisibility, ToolsConfig};
use crate::ids::{AgentId, RunId, SessionKey};
use crate::message::Message;
use crate::tools::contract::ToolContext;
use crate::tools::sessions_port::{
    PortError, SessionFacts, SessionMessageOut, SessionMessages, SessionStatus, SessionsPort, Taken,
};
use crate::tools::support::{call, context};

/// Sessions in memory: each with one message per line, and what was sent to them.
#[derive(Default)]
struct Sessions {
    rows: BTreeMap<String, (SessionFacts, Vec<String>)>,
    sent: Mutex<Vec<SessionMessageOut>>,
    answer: Option<String>,
}

impl Sessions {
    fn with(mut self, key: &str, spawned_by: Option<&str>, lines: &[&str]) -> Self {
        let at = self.rows.len() as i64 * 1000;
        let facts = SessionFacts {
            key: key.into(),
            session_id: format!("id-{at}"),
            updated_at: at,
            label: Some(format!("label of {key}")),
            spawned_by: spawned_by.map(str::to_owned),
            ..SessionFacts::default()
        };
        self.rows.insert(key.into(), (facts, lines.iter().map(|line| (*line).to_owned()).collect()));
        self
    }
}

impl SessionsPort for Sessions {
    fn list(
        &self,
        agent: AgentId,
        after: Option<SessionKey>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<SessionFacts>, PortError>> {
        let prefix = format!("agent:{agent}:");
        let of_agent = self.rows.iter().filter(|(key, _)| key.starts_with(&prefix));
        let behind = of_agent.filter(|(key, _)| after.as_ref().is_none_or(|after| key.as_str() > after.as_str()));
        let rows = behind.take(limit).map(|(_, (facts, _))| facts.clone()).collect();
        async move { Ok(rows) }.boxed()
    }

    fn status(&self, session: SessionKey) -> BoxFuture<'static, Result<Option<SessionStatus>, PortError>> {
        let status = self.rows.get(session.as_str()).map(|(facts, _)| SessionStatus {
            facts: facts.clone(),
            active_run: None,
            model: "box/echo".into(),
            window: 1000,
        });
        async move { Ok(status) }.boxed()
    }

    fn history(&self, session: SessionKey, limit: usize) -> BoxFuture<'static, Result<SessionMessages, PortError>> {
        let lines = self.rows.get(session.as_str()).map(|(_, lines)| lines.clone()).unwrap_or_default();
        let total = lines.len();
        let from = total.saturating_sub(limit);
        let messages = lines[from..].iter().enumerate();
        let messages = messages.map(|(at, line)| (format!("m{}", from + at), Message::user(line.clone(), 0))).collect();
        async move { Ok(SessionMessages { messages, total }) }.boxed()
    }

    fn send(&self, message: SessionMessageOut) -> BoxFuture<'static, Result<Taken, PortError>> {
        let run = RunId::parse(&format!("session:{}", message.key)).unwrap();
        self.sent.lock().unwrap().push(message);
        async move { Ok(Taken::Accepted(run)) }.boxed()
    }

    fn wait(&self, _: SessionKey, _: RunId, _: Duration) -> BoxFuture<'static, Option<Result<String, String>>> {
        let answer = self.answer.clone().map(Ok);
        async move { answer }.boxed()
    }
}

const MAIN: &str = "agent:main:main";
const GUEST: &str = "agent:main:telegram:direct:7";
const CHILD: &str = "agent:main:subagent:1";
const OTHER: &str = "agent:work:main";

fn world() -> Sessions {
    Sessions::default()
        .with(MAIN, None, &["hello"])
        .with(GUEST, None, &["hi", "my key is sk-abcdefghijklmnop1234"])
        .with(CHILD, Some(GUEST), &["task"])
        .with("agent:main:telegram:group:9", None, &["all"])
        .with(OTHER, None, &["work"])
}

fn at(home: &TempDir, sessions: &Arc<Sessions>, key: &str, tools: ToolsConfig) -> ToolContext {
    let mut context = context(home.path());
    context.session = SessionKey::parse(key, &context.agent).unwrap();
    context.sessions = Arc::clone(sessions) as Arc<dyn SessionsPort>;
    context.config = Arc::new(Config { tools, ..Config::default() });
    context
}

async fn keys(context: ToolContext, arguments: Value) -> Vec<String> {
    let listed = call(context, "sessions_list", arguments).await.unwrap().details.unwrap();
    listed["sessions"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_session_sees_what_its_rules_let_it_see_and_nothing_else() {
    let (home, sessions) = (TempDir::new().unwrap(), Arc::new(world()));
    let with = |visibility, across: Option<&[&str]>| ToolsConfig {
        sessions_visibility: visibility,
        agent_to_agent: AgentToAgent {
            enabled: across.is_some(),
            allow: across.unwrap_or_default().iter().map(|agent| (*agent).to_owned()).collect(),
        },
        ..ToolsConfig::default()
    };
    let group = "agent:main:telegram:group:9";
    for (from, tools, visible) in [
        (MAIN, ToolsConfig::default(), vec![MAIN, GUEST, CHILD, group]),
        (GUEST, ToolsConfig::default(), vec![GUEST, CHILD]),
        (CHILD, ToolsConfig::default(), vec![CHILD]),
        (MAIN, with(SessionVisibility::Own, None), vec![MAIN]),
        (GUEST, with(SessionVisibility::Agent, None), vec![MAIN, GUEST, CHILD, group]),
        (GUEST, with(SessionVisibility::All, None), vec![MAIN, GUEST, CHILD, group]),
        (GUEST, with(SessionVisibility::All, Some(&["main"])), vec![MAIN, GUEST, CHILD, group]),
        (GUEST, with(SessionVisibility::All, Some(&["main", "work"])), vec![MAIN, GUEST, CHILD, group, OTHER]),
        (GUEST, with(SessionVisibility::All, Some(&["*"])), vec![MAIN, GUEST, CHILD, group, OTHER]),
        (GUEST, with(SessionVisibility::Agent, Some(&["*"])), vec![MAIN, GUEST, CHILD, group]),
    ] {
        let context = || at(&home, &sessions, from, tools.clone());
        let mut listed = keys(context(), json!({})).await;
        listed.extend(keys(context(), json!({"agentId": "work"})).await);
        for key in sessions.rows.keys() {
            let is_visible = visible.contains(&key.as_str());
            assert_eq!(listed.contains(key), is_visible, "{from} lists {key}: {tools:?}");
            for tool in ["sessions_history", "session_status"] {
                let answer = call(context(), tool, json!({"sessionKey": key})).await;
                assert_eq!(answer.is_ok(), is_visible, "{tool} of {key} from {from}: {answer:?}");
            }
            let sent =
                call(context(), "sessions_send", json!({"sessionKey": key, "message": "x", "timeoutSeconds": 0})).await;
            assert_eq!(sent.is_ok(), is_visible && key != from, "{from} sends to {key}: {sent:?}");
        }
    }
    let mut guest = at(&home, &sessions, MAIN, ToolsConfig::default());
    guest.is_owner = false;
    assert_eq!(keys(guest, json!({})).await, [MAIN], "whoever is no owner sees their own session");
}

#[tokio::test]
async fn sessions_are_listed_in_pages_the_latest_first() {
    let (home, sessions) = (TempDir::new().unwrap(), Arc::new(world()));
    let main = || at(&home, &sessions, MAIN, ToolsConfig::default());
    assert_eq!(keys(main(), json!({"limit": 2})).await, ["agent:main:telegram:group:9", CHILD]);
    assert_eq!(keys(main(), json!({"limit": 2, "offset": 2})).await, [GUEST, MAIN]);
    assert_eq!(keys(main(), json!({"kinds": ["main", "group"]})).await, ["agent:main:telegram:group:9", MAIN]);
    assert_eq!(keys(main(), json!({"search": "Direct:7"})).await, [GUEST]);
    assert_eq!(keys(main(), json!({"label": format!("label of {CHILD}")})).await, [CHILD]);
    main().clock.set(0);
    let shown = call(main(), "sessions_list", json!({"limit": 1, "messageLimit": 5})).await.unwrap().details.unwrap();
    assert_eq!((&shown["total"], &shown["nextOffset"]), (&json!(4), &json!(1)));
    assert_eq!(shown["sessions"][0]["messages"], json!([{"role": "user", "text": "all"}]));
    let refused = call(main(), "sessions_list", json!({"limit": 201})).await.unwrap_err();
    assert_eq!(refused.to_string(), "bad arguments: limit must be at most 200");
}

#[tokio::test]
async fn history_is_bounded_and_hides_credentials() {
    let lines: Vec<String> = (0..60).map(|n| format!("line {n} {}", "x".repeat(5000))).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (home, sessions) = (TempDir::new().unwrap(), Arc::new(world().with("agent:main:long", None, &lines)));
    let ask = async |arguments: Value| {
        let main = at(&home, &sessions, MAIN, ToolsConfig::default());
        call(main, "sessions_history", arguments).await.unwrap().details.unwrap()
    };
    let hidden = ask(json!({"sessionKey": GUEST})).await;
    assert_eq!(hidden["messages"][1]["text"], "my key is [redacted]");
    let long = ask(json!({"sessionKey": "agent:main:long", "limit": 60})).await;
    let shown = long["messages"].as_array().unwrap();
    assert!(long.to_string().len() <= 81 * 1024 && shown.len() < 60 && long["note"].is_string());
    assert!(shown.last().unwrap()["text"].as_str().unwrap().starts_with("line 59 "));
    assert!(shown.iter().all(|line| line["text"].as_str().unwrap().chars().count() < 4100));
    let page = ask(json!({"sessionKey": "agent:main:long", "limit": 2, "offset": 10})).await;
    let ids: Vec<&str> = page["messages"].as_array().unwrap().iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["m48", "m49"]);
    let upto = ask(json!({"sessionKey": "agent:main:long", "limit": 2, "messageId": "m5"})).await;
    assert_eq!(upto["messages"][1]["id"], "m5");
}

#[tokio::test]
async fn a_message_is_marked_keyed_and_answered() {
    let (home, mut sessions) = (TempDir::new().unwrap(), world());
    sessions.answer = Some(String::from("fine"));
    let sessions = Arc::new(sessions);
    let main = || at(&home, &sessions, MAIN, ToolsConfig::default());
    let send = async |arguments: Value| call(main(), "sessions_send", arguments).await;
    let answered =
        send(json!({"sessionKey": GUEST, "message": "/stop", "mode": "steer"})).await.unwrap().details.unwrap();
    assert_eq!((&answered["status"], &answered["reply"]), (&json!("ok"), &json!("fine")));
    let accepted =
        send(json!({"label": format!("label of {CHILD}"), "message": "go", "timeoutSeconds": 0})).await.unwrap();
    assert_eq!(accepted.details.unwrap()["status"], "accepted");
    for (arguments, words) in [
        (json!({"message": "x"}), "one of sessionKey, label and agentId is missing"),
        (json!({"message": "x", "sessionKey": GUEST, "agentId": "main"}), "give only one"),
        (json!({"message": "x", "sessionKey": "current"}), "can't send a message to itself"),
        (json!({"message": "x", "sessionKey": "agent:main:slack:channel:1:thread:2"}), "is a thread"),
        (json!({"message": "x", "sessionKey": "agent:nobody:main"}), "there is no session agent:nobody:main"),
        (json!({"message": "x", "agentId": "work"}), "there is no session agent:work:main"),
        (json!({"message": "x", "sessionKey": "a b"}), "sessionKey: session key"),
        (json!({"message": ""}), "message must be at least 1"),
    ] {
        let error = send(arguments.clone()).await.unwrap_err().to_string();
        assert!(error.contains(words), "{arguments}: {error}");
    }
    let sent = sessions.sent.lock().unwrap();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].text, format!("[Inter-session message from {MAIN}, isUser=false]\n/stop"));
    assert_eq!((sent[0].key.as_str(), sent[0].mode), ("run-1/call-1", Some(QueueMode::Steer)));
}

#[test]
fn keys_have_a_kind() {
    for (rest, kind) in [
        ("main", "main"),
        ("telegram:group:5", "group"),
        ("slack:channel:5", "group"),
        ("cron:daily", "cron"),
        ("hook:x", "hook"),
        ("node-1", "node"),
        ("subagent:1", "other"),
        ("telegram:direct:7", "other"),
        ("main:x", "other"),
    ] {
        assert_eq!(kind_of(rest), kind, "{rest}");
    }
}
