//! A whole gateway inside the test process: a real port on loopback, a real store in a temporary home.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actors::testing::fake_models::FakeModelServer;
use actors::tools::ToolRegistry;
use openclawd::client::{Client, ClientOptions, DriverTask, Events, PendingAnswer, connect};
use openclawd::daemon::args::Args;
use openclawd::daemon::boot::{self, Options, Running};
use openclawd::daemon::shutdown::{self, Report};
use serde_json::{Value, json};
use supervision::ActorPath;
use supervision::tree::{NodeView, Query};
use tempfile::TempDir;

/// Longest wait for anything a test waits for; only a failing test spends it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What tests ask for unless they say otherwise.
pub(crate) const SCOPES: &[&str] = &["operator.read", "operator.write", "operator.admin"];

/// A running gateway and its home.
pub(crate) struct Gateway {
    pub(crate) running: Running,
    pub(crate) home: TempDir,
}

/// A client's connection.
pub(crate) struct Talk {
    pub(crate) client: Client,
    pub(crate) events: Events,
    pub(crate) driver: DriverTask,
}

impl Gateway {
    /// Starts one with this configuration in a fresh home.
    pub(crate) async fn start(config: Value) -> Self {
        Self::start_in(TempDir::new().unwrap(), config).await
    }

    /// Starts one in a home that may hold something already.
    pub(crate) async fn start_in(home: TempDir, config: Value) -> Self {
        std::fs::write(home.path().join("openclaw.json"), config.to_string()).unwrap();
        let running = boot::boot(boot::prepare(options(home.path())).unwrap()).await.unwrap();
        Self { running, home }
    }

    /// Starts one in which faults can be injected.
    pub(crate) async fn start_armed(config: Value, tools: ToolRegistry) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::write(home.path().join("openclaw.json"), config.to_string()).unwrap();
        let mut options = options(home.path());
        options.args.chaos = true;
        options.tools = tools;
        let running = boot::boot(boot::prepare(options).unwrap()).await.unwrap();
        Self { running, home }
    }

    /// The way to inject faults into an armed one.
    pub(crate) fn chaos(&self) -> supervision::chaos::ChaosPort {
        self.running.tree.chaos().unwrap()
    }

    /// Where clients connect to.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.running.address)
    }

    /// The shared token.
    pub(crate) fn token(&self) -> String {
        self.running.token.as_ref().unwrap().expose().to_owned()
    }

    /// A client with these scopes.
    pub(crate) async fn client(&self, scopes: &[&'static str]) -> Talk {
        Talk::connect(&self.url(), &self.token(), scopes).await
    }

    /// Stops it as a signal would; gives the home back.
    pub(crate) async fn stop(self, budget: Duration) -> (Report, TempDir) {
        let report = shutdown::shutdown(&self.running, "test over", budget, std::future::pending()).await;
        (report, self.home)
    }

    /// The node of the tree at this path.
    pub(crate) fn node(&self, path: &str) -> Option<NodeView> {
        self.running.tree.node(&ActorPath::parse(path))
    }

    /// All nodes of a kind.
    pub(crate) fn nodes(&self, kind: &str) -> Vec<NodeView> {
        let nodes = self.running.tree.snapshot(&Query::default()).nodes;
        nodes.into_iter().filter(|node| node.kind == kind).collect()
    }

    /// Waits for a change of the tree after which `find` finds something.
    #[track_caller]
    pub(crate) fn tree_until<'a, T: 'a>(
        &'a self,
        what: &'a str,
        mut find: impl FnMut(&Self) -> Option<T> + 'a,
    ) -> impl Future<Output = T> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let mut changes = self.running.tree.subscribe();
            let wait = async {
                loop {
                    if let Some(found) = find(self) {
                        return found;
                    }
                    changes.next().await;
                }
            };
            match tokio::time::timeout(PATIENCE, wait).await {
                Ok(found) => found,
                Err(_) => panic!("{place}: {what} did not come; tree:\n{}", self.tree_text()),
            }
        }
    }

    /// The tree for a failing test.
    pub(crate) fn tree_text(&self) -> String {
        let nodes = self.running.tree.snapshot(&Query::default()).nodes;
        let line = |node: &NodeView| {
            let exit = node.last_exit.as_ref().map_or("", |exit| exit.text.as_str());
            format!("{} {:?} #{} {:?} {exit}\n", node.path, node.state, node.incarnation, node.busy)
        };
        nodes.iter().map(line).collect()
    }
}

impl Talk {
    /// Connects.
    pub(crate) async fn connect(url: &str, token: &str, scopes: &[&'static str]) -> Self {
        Self::try_connect(url, token, scopes).await.unwrap()
    }

    /// Connects, if somebody is there and lets it in.
    pub(crate) async fn try_connect(url: &str, token: &str, scopes: &[&'static str]) -> Option<Self> {
        let mut options = ClientOptions::cli(url, Some(token.to_owned()), scopes.iter().copied());
        options.caps = vec![String::from("tool-events")];
        options.request_timeout = PATIENCE;
        let (client, events, driver) = connect(&options).await.ok()?;
        Some(Self { client, events, driver: driver.detached() })
    }

    /// The events that have come already.
    pub(crate) fn come(&mut self) -> Vec<Value> {
        use futures_util::FutureExt as _;
        let mut come = Vec::new();
        while let Some(Some(event)) = self.events.next().now_or_never() {
            come.push(json!({"event": event.event, "payload": event.payload}));
        }
        come
    }
}

/// `chat.send`, not waiting for the answer.
pub(crate) async fn throw(client: &Client, session: &str, id: &str, text: &str) -> PendingAnswer {
    let params = json!({"sessionKey": session, "message": text, "idempotencyKey": id});
    client.start("chat.send", params).await.unwrap()
}

/// `chat.send`; its answer.
#[track_caller]
pub(crate) fn send<'a>(
    client: &'a Client,
    session: &'a str,
    id: &'a str,
    text: &'a str,
) -> impl Future<Output = Value> + 'a {
    let place = std::panic::Location::caller();
    async move {
        let answer = throw(client, session, id, text).await.next(PATIENCE).await;
        answer.unwrap_or_else(|error| panic!("{place}: chat.send {id}: {error}"))
    }
}

/// Options of a gateway in `home` on a free port, untouched by the environment of the test.
pub(crate) fn options(home: &Path) -> Options {
    let env = BTreeMap::from([
        (String::from("OPENCLAW_STATE_DIR"), home.display().to_string()),
        (String::from("OPENCLAW_GATEWAY_PORT"), String::from("0")),
    ]);
    Options::new(Args { drain_seconds: 30, ..Args::default() }, env)
}

/// A provider of the fake server's.
pub(crate) fn provider(server: &FakeModelServer, models: &[&str]) -> Value {
    let models: Vec<Value> = models.iter().map(|id| json!({"id": id, "name": id})).collect();
    json!({"baseUrl": server.base_url(), "apiKey": "key", "api": "openai-completions", "models": models})
}

/// A configuration whose only model is the echo of the fake server. Tests throw many messages at once: none gives way.
pub(crate) fn echo(server: &FakeModelServer) -> Value {
    json!({
        "messages": {"queue": {"cap": 200}},
        "models": {"providers": {"box": provider(server, &["echo"])}},
        "agents": {"defaults": {"model": {"primary": "box/echo"}}},
    })
}

/// The file of a session's present conversation, by `sessions.json` of a gateway that has stopped.
pub(crate) fn transcript_file(home: &Path, session: &str) -> PathBuf {
    let folder = home.join("agents/main/sessions");
    let rows: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("sessions.json")).unwrap()).unwrap();
    let id = rows[format!("agent:main:{session}")]["sessionId"].as_str();
    folder.join(format!("{}.jsonl", id.unwrap_or_else(|| panic!("no row of {session}: {rows}"))))
}

/// The lines of a transcript behind its header.
pub(crate) fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is said in a transcript: role and text of each message, an answer that failed with its error.
pub(crate) fn said(lines: &[Value]) -> Vec<(String, String)> {
    let messages = lines.iter().map(|line| &line["message"]).filter(|message| !message.is_null());
    messages.map(|message| (message["role"].as_str().unwrap().to_owned(), text_of(message))).collect()
}

/// The text of a message of a transcript, a history or an event.
pub(crate) fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// A pair as [`said`] gives them.
pub(crate) fn line(role: &str, text: impl Into<String>) -> (String, String) {
    (role.to_owned(), text.into())
}
