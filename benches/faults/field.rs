//! A gateway under load.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actors::testing::telegram::FakeTelegram;
use actors::tools::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput, ToolRegistry};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use openclawd::client::{Client, ClientOptions, DriverTask, connect};
use openclawd::daemon::args::Args;
use openclawd::daemon::boot::{self, Options, Running};
use openclawd::daemon::shutdown;
use serde_json::{Value, json};
use supervision::ActorPath;
use supervision::chaos::Fault;
use supervision::tree::{NodeState, NodeView, Query};
use tokio::sync::watch;

/// What each session was told of the ends of its runs, and when.
type Ends = Arc<Mutex<HashMap<String, Vec<(Instant, String)>>>>;

/// Sessions whose turns are timed.
pub(crate) const SESSIONS: usize = 32;
/// Agents they belong to, each with a provider of its own: one provider lets 16 calls in at a time, and here all stream
/// at once.
const AGENTS: usize = 4;
/// Connections they are spread over.
const CONNECTIONS: usize = 4;
/// What each is asked: five numbers, one every 100 ms.
const QUESTION: &str = "slow 5";
/// When the fault strikes, after the last of the turns was accepted.
const STRIKE_AFTER: Duration = Duration::from_millis(150);
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);
const SCOPES: [&str; 3] = ["operator.read", "operator.write", "operator.admin"];

/// Who fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Victim {
    /// No one: both rounds are the same.
    Nobody,
    /// The actor at a path.
    Path(&'static str, &'static str),
    /// The one actor of a kind.
    Kind(&'static str, &'static str),
    /// A connection without work.
    Connection,
    /// A session that streams, beside those that are timed.
    Session,
    /// A run that streams, beside those that are timed.
    Run,
    /// A tool call of a run, beside those that are timed.
    Tool,
}

impl Victim {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Path(name, _) | Self::Kind(name, _) => name,
            Self::Connection => "connection",
            Self::Session => "session",
            Self::Run => "run",
            Self::Tool => "tool call",
        }
    }
}

/// What a round gave.
pub(crate) struct Round {
    /// How long each session's turn took.
    pub(crate) took: Vec<Duration>,
    /// From the blow until the actor ran again, for those that come back by themselves.
    pub(crate) away: Option<Duration>,
    /// Turns that ended otherwise than once, with an answer.
    pub(crate) wrong: usize,
}

/// A client, and when its runs ended.
pub(crate) struct Seat {
    pub(crate) client: Client,
    ends: Ends,
    changed: watch::Receiver<()>,
    _driver: DriverTask,
}

/// The gateway, its clients, its home.
pub(crate) struct Field {
    pub(crate) running: Running,
    pub(crate) seats: Vec<Seat>,
    telegram: FakeTelegram,
    round: usize,
    _home: tempfile::TempDir,
}

/// A tool that waits, under the name the demo model calls.
struct Waiting;

impl Tool for Waiting {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn description(&self) -> &'static str {
        "waits"
    }

    fn parameters(&self) -> Value {
        json!({"type": "object", "properties": {}})
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OPEN
    }

    fn effect(&self, _: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, _: Value, _: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Ok(ToolOutput { text: String::from("late"), details: None })
        }
        .boxed()
    }
}

impl Field {
    pub(crate) async fn start() -> Self {
        let telegram = FakeTelegram::start().await;
        let home = tempfile::tempdir().expect("a home");
        let provider = json!({"baseUrl": "http://127.0.0.1:9", "apiKey": "none", "api": "demo",
            "models": [{"id": "echo", "name": "echo"}]});
        let providers: serde_json::Map<String, Value> =
            (0..AGENTS).map(|at| (format!("p{at}"), provider.clone())).collect();
        let agents: Vec<Value> =
            (0..AGENTS).map(|at| json!({"id": format!("a{at}"), "model": format!("p{at}/echo")})).collect();
        let config = json!({
            "channels": {"telegram": {
                "botToken": telegram.token(), "apiRoot": telegram.api_root(), "allowFrom": ["7"],
            }},
            "models": {"providers": providers},
            "agents": {"defaults": {"maxConcurrent": 64}, "list": agents},
            "messages": {"queue": {"mode": "followup", "cap": 200}},
        });
        std::fs::write(home.path().join("openclaw.json"), config.to_string()).expect("a configuration");
        let env = BTreeMap::from([
            (String::from("OPENCLAW_STATE_DIR"), home.path().display().to_string()),
            (String::from("OPENCLAW_GATEWAY_PORT"), String::from("0")),
        ]);
        let mut options = Options::new(Args { drain_seconds: 5, chaos: true, ..Args::default() }, env);
        options.tools = ToolRegistry::default().with(Arc::new(Waiting));
        let running = boot::boot(boot::prepare(options).expect("prepared")).await.expect("running");
        let mut field = Self { running, seats: Vec::new(), telegram, round: 0, _home: home };
        for _ in 0..CONNECTIONS {
            let seat = field.seat().await.expect("let in");
            field.seats.push(seat);
        }
        field.telegram.wait_calls("getUpdates", 1).await;
        field
    }

    pub(crate) async fn stop(self) {
        drop(shutdown::shutdown(&self.running, "measured", PATIENCE, std::future::pending()).await);
    }

    /// One more client, if it is let in.
    pub(crate) async fn seat(&self) -> Option<Seat> {
        let token = self.running.token.as_ref().map(|token| token.expose().to_owned());
        let mut options = ClientOptions::cli(format!("ws://{}/", self.running.address), token, SCOPES);
        options.request_timeout = PATIENCE;
        let (client, mut events, driver) = connect(&options).await.ok()?;
        let ends: Ends = Arc::default();
        let (told, changed) = watch::channel(());
        let noted = Arc::clone(&ends);
        // The bench's own task, not an actor's.
        #[expect(clippy::disallowed_methods, reason = "a client outside of any supervised actor")]
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let Some(payload) = event.payload.filter(|_| event.event == "chat") else { continue };
                let state = payload["state"].as_str().unwrap_or_default();
                if let (Some(run), "final" | "error" | "aborted") = (payload["runId"].as_str(), state) {
                    let mut ends = noted.lock().expect("not poisoned");
                    ends.entry(run.to_owned()).or_default().push((Instant::now(), state.to_owned()));
                    told.send_replace(());
                }
            }
        });
        Some(Seat { client, ends, changed, _driver: driver.detached() })
    }

    pub(crate) fn node(&self, path: &str) -> Option<NodeView> {
        self.running.tree.node(&ActorPath::parse(path))
    }

    fn find(&self, kind: &str, with: &str) -> Option<NodeView> {
        let nodes = self.running.tree.snapshot(&Query::default()).nodes;
        nodes
            .into_iter()
            .find(|node| node.kind == kind && node.path.as_str().contains(with) && node.state == NodeState::Running)
    }

    /// All sessions are asked; when they stream, the fault strikes, if there is one.
    pub(crate) async fn round(&mut self, name: &str, victim: Victim, fault: Option<Fault>) -> Round {
        self.round += 1;
        let prefix = format!("{name}-{}", self.round);
        let beside = self.beside(&prefix, victim).await;
        let asked = join_all((0..SESSIONS).map(|at| {
            let (run, client) = (format!("{prefix}-{at}"), &self.seats[at % CONNECTIONS].client);
            async move {
                let begin = Instant::now();
                send(client, &format!("agent:a{}:s{at}", at % AGENTS), &run, QUESTION).await.expect("accepted");
                (run, begin)
            }
        }))
        .await;
        tokio::time::sleep(STRIKE_AFTER).await;
        let away = match fault {
            Some(fault) => self.strike(victim, &beside, fault).await,
            None => None,
        };
        let ends = join_all(asked.iter().enumerate().map(|(at, (run, _))| self.seats[at % CONNECTIONS].end(run))).await;
        let took = asked.iter().zip(&ends).map(|((_, begin), (at, _))| at.duration_since(*begin)).collect();
        // A second end would have followed the first one closely.
        let wrong = asked.iter().enumerate().filter(|(at, (run, _))| {
            let ends = self.seats[at % CONNECTIONS].ends.lock().expect("not poisoned");
            ends.get(run).is_none_or(|ends| ends.len() != 1 || ends[0].1 != "final")
        });
        let wrong = wrong.count();
        if matches!(victim, Victim::Session | Victim::Run | Victim::Tool) {
            self.seats[0].end(&beside.run).await;
        }
        Round { took, away, wrong }
    }

    /// What the victim is made of, when it is none of the lasting actors.
    async fn beside(&self, prefix: &str, victim: Victim) -> Beside {
        let run = format!("{prefix}-victim");
        let question = match victim {
            Victim::Session | Victim::Run => QUESTION,
            Victim::Tool => "time",
            Victim::Connection => {
                return Beside { run, seat: self.seat().await };
            }
            Victim::Nobody | Victim::Path(..) | Victim::Kind(..) => return Beside { run, seat: None },
        };
        send(&self.seats[0].client, "agent:a0:victim", &run, question).await.expect("accepted");
        Beside { run, seat: None }
    }

    async fn strike(&self, victim: Victim, beside: &Beside, fault: Fault) -> Option<Duration> {
        let path = match victim {
            Victim::Nobody => return None,
            Victim::Path(_, path) => path.to_owned(),
            Victim::Kind(_, kind) => self.find(kind, "").expect("one of that kind").path.to_string(),
            Victim::Connection => {
                let id = &beside.seat.as_ref().expect("let in").client.hello().server.conn_id;
                format!("root/core/control/connections/conn:{id}")
            }
            Victim::Session => self.find("session", "victim").expect("the session").path.to_string(),
            Victim::Run => self.find("run", &beside.run).expect("the run").path.to_string(),
            Victim::Tool => self.until_found("tool", &beside.run).await,
        };
        let before = self.node(&path).expect("it is there");
        let begin = Instant::now();
        self.running.tree.chaos().expect("armed").strike(path.as_str(), fault).expect("struck");
        match victim {
            Victim::Nobody | Victim::Connection | Victim::Run | Victim::Tool => None,
            // Its own pause is five seconds: longer than a round.
            Victim::Kind("channel account", _) => None,
            Victim::Path(..) | Victim::Kind(..) | Victim::Session => Some(self.again(&path, &before, begin).await),
        }
    }

    async fn until_found(&self, kind: &str, with: &str) -> String {
        loop {
            if let Some(node) = self.find(kind, with) {
                return node.path.to_string();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until another incarnation runs at a path; how long that took.
    pub(crate) async fn again(&self, path: &str, before: &NodeView, begin: Instant) -> Duration {
        let back = async {
            loop {
                let node = self.node(path);
                if node.is_some_and(|node| {
                    (node.id, node.incarnation) != (before.id, before.incarnation) && node.state == NodeState::Running
                }) {
                    return begin.elapsed();
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, back).await.expect("it comes back")
    }
}

/// The victim's work, or its connection.
struct Beside {
    run: String,
    seat: Option<Seat>,
}

impl Seat {
    /// When and how a run ended.
    async fn end(&self, run: &str) -> (Instant, String) {
        let mut changed = self.changed.clone();
        let wait = async {
            loop {
                let first = self.ends.lock().expect("not poisoned").get(run).and_then(|ends| ends.first().cloned());
                if let Some(end) = first {
                    return end;
                }
                changed.changed().await.expect("the connection lasts");
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{run} has no end"))
    }
}

/// `chat.send`; true when it was accepted.
pub(crate) async fn send(client: &Client, session: &str, id: &str, text: &str) -> Option<()> {
    let params = json!({"sessionKey": session, "message": text, "idempotencyKey": id});
    client.request("chat.send", params).await.ok().map(drop)
}
