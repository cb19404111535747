//! A gateway with streams under way, and what must hold of it whatever fails.

use actors::testing::fake_models::FakeModelServer;
use actors::tools::ToolRegistry;
use openclawd::client::Client;
use serde_json::{Value, json};
use supervision::ActorPath;
use supervision::chaos::Fault;
use supervision::tree::{Action, NodeState};

use crate::support::gateway::{Gateway, PATIENCE, SCOPES, Talk, line, lines, provider, said, send, transcript_file};
use crate::support::witness::Witness;

/// What the fake's slow model says, a word every 50 ms.
pub(super) const SLOW: &str = "Grüße von 🦞, one two three four five six";
/// Streams under way while something fails.
pub(super) const STREAMS: usize = 6;

/// How an actor can be made to end.
pub(super) const FAULTS: [Fault; 4] = [Fault::Panic, Fault::Error, Fault::Hang, Fault::Kill];
/// Messages sent while something fails that was accepted before.
const BURST: usize = 8;

/// A gateway with streams under way.
pub(super) struct Field {
    pub(super) gateway: Gateway,
    pub(super) client: Client,
    pub(super) witness: Witness,
    pub(super) runs: Vec<String>,
    /// Runs of session `more` that were accepted.
    pub(super) extras: Vec<String>,
    pub(super) server: FakeModelServer,
}

impl Field {
    pub(super) async fn start() -> Self {
        Self::start_with(json!({})).await
    }

    pub(super) async fn start_with(channels: Value) -> Self {
        Self::start_whole(channels, ToolRegistry::built_in()).await
    }

    pub(super) async fn start_whole(channels: Value, tools: ToolRegistry) -> Self {
        let server = FakeModelServer::start().await.unwrap();
        let config = json!({
            "models": {"providers": {"box": provider(&server, &["fault-slow"])}},
            "agents": {"defaults": {"model": {"primary": "box/fault-slow"}}},
            "channels": channels,
            "messages": {"queue": {"cap": 200}},
        });
        let gateway = Gateway::start_armed(config, tools).await;
        let (client, witness) = gateway.talk().await;
        let mut field = Self { gateway, client, witness, runs: Vec::new(), extras: Vec::new(), server };
        field.stream().await;
        field
    }

    /// Starts a stream in each session, and waits until all are under way.
    pub(super) async fn stream(&mut self) {
        let from = self.runs.len() / STREAMS;
        for n in 0..STREAMS {
            let run = format!("run-{n}-{from}");
            send(&self.client, &key(n), &run, &run).await;
            self.runs.push(run);
        }
        for run in &self.runs[from * STREAMS..] {
            self.witness.text_from(run).await;
        }
    }

    /// Waits until the actor at this path is up again after a fault, and says what happened.
    pub(super) async fn back(&self, path: &str, before: u64) {
        let text = format!("{path} back");
        let node = self
            .gateway
            .tree_until(&text, |gateway| {
                let node = gateway.node(path)?;
                (node.incarnation > before && node.state == NodeState::Running).then_some(node)
            })
            .await;
        let exit = node.last_exit.clone().unwrap();
        assert!(node.restarts >= 1, "{node:?}");
        assert!(exit.text.contains("injected panic"), "{exit:?}");
        assert!(exit.location.as_ref().unwrap().contains("chaos.rs:"), "{exit:?}");
        assert_eq!(exit.incarnation, before);
    }

    /// Lets the actor at this path panic at its next message; its incarnation.
    pub(super) fn strike(&self, path: &str) -> u64 {
        let before = self.gateway.node(path).unwrap_or_else(|| panic!("no {path}:\n{}", self.gateway.tree_text()));
        self.gateway.chaos().inject(ActorPath::parse(path), Fault::Panic).unwrap();
        before.incarnation
    }

    /// The actor of a session.
    pub(super) fn session(&self, name: &str) -> String {
        let name = format!("agent:main:{name}");
        let found = self.gateway.nodes("session").into_iter().find(|node| *node.name == *name);
        found.unwrap_or_else(|| panic!("no {name}:\n{}", self.gateway.tree_text())).path.to_string()
    }

    /// Lets the actor at this path fail now.
    pub(super) fn strike_now(&self, path: &str, fault: Fault) {
        let struck = self.gateway.chaos().strike(ActorPath::parse(path), fault);
        struck.unwrap_or_else(|error| panic!("{error}:\n{}", self.gateway.tree_text()));
    }

    /// Lets the actor at this path fail now and waits until it runs again, without anybody's help.
    pub(super) async fn heals(&self, path: &str, fault: Fault) {
        let before = self.gateway.node(path).unwrap_or_else(|| panic!("no {path}:\n{}", self.gateway.tree_text()));
        self.strike_now(path, fault);
        self.again(path, (before.id, before.incarnation), fault).await;
    }

    async fn again(&self, path: &str, before: (u64, u64), fault: Fault) {
        let text = format!("{path} after {fault:?}");
        let node = self
            .gateway
            .tree_until(&text, |gateway| {
                let node = gateway.node(path)?;
                ((node.id, node.incarnation) != before && node.state == NodeState::Running).then_some(node)
            })
            .await;
        let exits = self.gateway.running.tree.history(&ActorPath::parse(path));
        let expected = match fault {
            Fault::Panic => "injected panic",
            Fault::Error => "injected error",
            Fault::Hang => "a message was worked on for more than 250ms",
            Fault::Kill => "killed",
            Fault::Block(_)
            | Fault::PanicAtStart
            | Fault::FailStart(_)
            | Fault::HangAtStart
            | Fault::PanicAtStop
            | Fault::HangAtStop => panic!("{fault:?} is not among the faults of these tests"),
        };
        assert!(exits.iter().any(|exit| exit.text.contains(expected)), "{expected}: {exits:?}, {node:?}");
    }

    /// As [`Field::heals`] after [`Field::strike_now`], helped by a person who does not wait for its backoff.
    pub(super) async fn heals_by_hand(&self, path: &str, before: u64) {
        self.gateway
            .tree_until("its end", |gateway| {
                let node = gateway.node(path)?;
                (node.incarnation > before || matches!(node.state, NodeState::BackingOff { .. })).then_some(())
            })
            .await;
        // It may be up again by itself: then there is nothing to reset.
        self.gateway.running.tree.act(&ActorPath::parse(path), Action::ResetBackoff).await.ok();
        self.gateway
            .tree_until("it again", |gateway| {
                let node = gateway.node(path)?;
                (node.incarnation > before && node.state == NodeState::Running).then_some(())
            })
            .await;
    }

    /// Lets the actor at this path fail while messages come in: those that were accepted are remembered.
    pub(super) async fn heals_in_a_burst(&mut self, path: &str, fault: Fault) {
        let from = self.extras.len();
        let sent = async {
            let mut accepted = Vec::new();
            for n in 0..BURST {
                let id = format!("extra-{}", from * BURST + n);
                let params = json!({"sessionKey": "more", "message": id, "idempotencyKey": id});
                if self.client.request("chat.send", params).await.is_ok() {
                    accepted.push(id);
                }
            }
            accepted
        };
        let ((), accepted) = tokio::join!(self.heals(path, fault), sent);
        self.extras.extend(accepted);
    }

    /// Each stream ends once, with all of its text; so does one more in each session.
    pub(super) async fn all_complete(mut self) {
        self.ended_well().await;
        self.stream().await;
        self.ended_well().await;
        self.nothing_lost().await;
    }

    pub(super) async fn ended_well(&self) {
        for (run, end) in self.witness.ends_of(&self.runs).await {
            assert_eq!(end, (String::from("final"), SLOW.to_owned()), "{run}");
        }
    }

    /// On disk each message stands directly before its answer, once.
    pub(super) async fn nothing_lost(self) {
        let Self { gateway, runs, extras, .. } = self;
        let (report, home) = gateway.stop(PATIENCE).await;
        assert!(report.stragglers.is_empty(), "{report:?}");
        for n in 0..STREAMS {
            let of_key = runs.iter().filter(|run| run.starts_with(&format!("run-{n}-")));
            let expected: Vec<_> = of_key.flat_map(|run| [line("user", run), line("assistant", SLOW)]).collect();
            assert_eq!(said(&lines(&transcript_file(home.path(), &key(n)))), expected);
        }
        if !extras.is_empty() {
            let told = said(&lines(&transcript_file(home.path(), "more")));
            for extra in extras {
                assert_eq!(told.iter().filter(|one| **one == line("user", &extra)).count(), 1, "{extra}: {told:?}");
            }
        }
    }

    pub(super) fn only(&self, kind: &str) -> String {
        let nodes = self.gateway.nodes(kind);
        assert_eq!(nodes.len(), 1, "{}", self.gateway.tree_text());
        nodes[0].path.to_string()
    }

    /// After a fault that took the control plane down with it: a new client, and all runs over.
    pub(super) async fn reconnected(&mut self) {
        self.client.closed().await;
        (self.client, self.witness) = reconnect(&self.gateway).await;
        for run in self.runs.iter().chain(&self.extras) {
            let wait = json!({"runId": run, "timeoutMs": 60_000});
            let answer = self.client.request("agent.wait", wait).await.unwrap();
            assert_eq!((&answer["status"], &answer["terminalReply"]["text"]), (&json!("ok"), &json!(SLOW)), "{run}");
        }
    }

    /// As [`Field::all_complete`], for one whose client had to come back.
    pub(super) async fn all_complete_after_return(mut self) {
        self.reconnected().await;
        let before = self.runs.len();
        self.stream().await;
        self.witness.ends_of(&self.runs[before..]).await;
        self.nothing_lost().await;
    }
}

pub(super) fn key(n: usize) -> String {
    format!("k{n}")
}

/// A client that tries until it is let in.
pub(super) async fn reconnect(gateway: &Gateway) -> (Client, Witness) {
    let again = async {
        loop {
            if let Some(talk) = Talk::try_connect(&gateway.url(), &gateway.token(), SCOPES).await {
                return talk.witnessed();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap()
}
