//! A part fails while others are at work: it comes back, says what happened, and nobody loses anything.

use std::sync::{Mutex, MutexGuard, PoisonError};

use actors::testing::fake_models::FakeModelServer;
use actors::testing::telegram::FakeTelegram;
use openclawd::client::Client;
use serde_json::{Value, json};
use supervision::ActorPath;
use supervision::chaos::{Fault, inject};
use supervision::tree::NodeState;

use crate::support::gateway::{
    Gateway, PATIENCE, SCOPES, Talk, line, lines, provider, said, send, text_of, transcript_file,
};
use crate::support::witness::Witness;

/// What the fake's slow model says, a word every 50 ms.
const SLOW: &str = "Grüße von 🦞, one two three four five six";
/// Streams under way while something fails.
const STREAMS: usize = 6;

/// Faults are looked up by path in one table per process: where tests share a process, one at a time.
static TABLE: Mutex<()> = Mutex::new(());

/// A gateway with streams under way.
struct Field {
    gateway: Gateway,
    client: Client,
    witness: Witness,
    runs: Vec<String>,
    _server: FakeModelServer,
    _alone: MutexGuard<'static, ()>,
}

impl Field {
    async fn start() -> Self {
        Self::start_with(json!({})).await
    }

    #[expect(clippy::await_holding_lock, reason = "the fault table is one per process: tests that use it take turns")]
    async fn start_with(channels: Value) -> Self {
        let alone = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
        let server = FakeModelServer::start().await.unwrap();
        let gateway = Gateway::start(json!({
            "models": {"providers": {"box": provider(&server, &["fault-slow"])}},
            "agents": {"defaults": {"model": {"primary": "box/fault-slow"}}},
            "channels": channels,
        }))
        .await;
        let (client, witness) = gateway.talk().await;
        let mut field = Self { gateway, client, witness, runs: Vec::new(), _server: server, _alone: alone };
        field.stream().await;
        field
    }

    /// Starts a stream in each session, and waits until all are under way.
    async fn stream(&mut self) {
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
    async fn back(&self, path: &str, before: u64) {
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
    fn strike(&self, path: &str) -> u64 {
        let before = self.gateway.node(path).unwrap_or_else(|| panic!("no {path}:\n{}", self.gateway.tree_text()));
        inject(ActorPath::parse(path), Fault::Panic).unwrap();
        before.incarnation
    }

    /// Each stream ends once, with all of its text; so does one more in each session.
    async fn all_complete(mut self) {
        self.ended_well().await;
        self.stream().await;
        self.ended_well().await;
        self.nothing_lost().await;
    }

    async fn ended_well(&self) {
        for (run, end) in self.witness.ends_of(&self.runs).await {
            assert_eq!(end, (String::from("final"), SLOW.to_owned()), "{run}");
        }
    }

    /// On disk each message stands directly before its answer, once.
    async fn nothing_lost(self) {
        let Self { gateway, runs, .. } = self;
        let (report, home) = gateway.stop(PATIENCE).await;
        assert!(report.stragglers.is_empty(), "{report:?}");
        for n in 0..STREAMS {
            let of_key = runs.iter().filter(|run| run.starts_with(&format!("run-{n}-")));
            let expected: Vec<_> = of_key.flat_map(|run| [line("user", run), line("assistant", SLOW)]).collect();
            assert_eq!(said(&lines(&transcript_file(home.path(), &key(n)))), expected);
        }
    }

    fn only(&self, kind: &str) -> String {
        let nodes = self.gateway.nodes(kind);
        assert_eq!(nodes.len(), 1, "{}", self.gateway.tree_text());
        nodes[0].path.to_string()
    }

    /// After a fault that took the control plane down with it: a new client, and all runs over.
    async fn reconnected(&mut self) {
        self.client.closed().await;
        (self.client, self.witness) = reconnect(&self.gateway).await;
        for run in &self.runs {
            let wait = json!({"runId": run, "timeoutMs": 60_000});
            let answer = self.client.request("agent.wait", wait).await.unwrap();
            assert_eq!((&answer["status"], &answer["terminalReply"]["text"]), (&json!("ok"), &json!(SLOW)), "{run}");
        }
    }

    /// As [`Field::all_complete`], for one whose client had to come back.
    async fn all_complete_after_return(mut self) {
        self.reconnected().await;
        let before = self.runs.len();
        self.stream().await;
        self.witness.ends_of(&self.runs[before..]).await;
        self.nothing_lost().await;
    }
}

fn key(n: usize) -> String {
    format!("k{n}")
}

/// A client that tries until it is let in.
async fn reconnect(gateway: &Gateway) -> (Client, Witness) {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_panics_resumes_its_run() {
    let field = Field::start().await;
    let path =
        field.gateway.nodes("session").iter().find(|node| node.name == "agent:main:k2").unwrap().path.to_string();
    let before = field.strike(&path);
    // Its next message; answered all the same, behind the run.
    let answer = send(&field.client, "k2", "extra", "extra").await;
    assert_eq!(answer["status"], "started");
    field.back(&path, before).await;
    field.ended_well().await;
    assert_eq!(text_of(&field.witness.end_of("extra").await["message"]), SLOW);
    assert_eq!(field.witness.ends("run-2-0"), 1);
    let Field { gateway, .. } = field;
    let (_, home) = gateway.stop(PATIENCE).await;
    let file = lines(&transcript_file(home.path(), "k2"));
    let expected = [line("user", "run-2-0"), line("assistant", SLOW), line("user", "extra"), line("assistant", SLOW)];
    assert_eq!(said(&file), expected);
    assert!(file.iter().any(|line| line["customType"] == "openclawd.run-resumed"), "{file:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_panics_is_tried_again_and_answers_once() {
    let field = Field::start().await;
    let runs = field.gateway.nodes("run");
    assert_eq!(runs.len(), STREAMS);
    let path = runs.iter().find(|node| node.name == "run:run-3-0").unwrap().path.to_string();
    inject(ActorPath::parse(&path), Fault::Panic).unwrap();
    field
        .gateway
        .tree_until("the second attempt", |gateway| {
            let node = gateway.node(&path)?;
            (node.detail.get("attempt").map(String::as_str) == Some("2")).then_some(())
        })
        .await;
    field.ended_well().await;
    assert_eq!(field.witness.ends("run-3-0"), 1);
    let session = field.gateway.nodes("session").into_iter().find(|node| node.name == "agent:main:k3").unwrap();
    assert_eq!(session.restarts, 0, "its session goes on");
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_always_panics_is_given_up_and_frees_its_session() {
    let field = Field::start().await;
    for _ in 0..3 {
        let path = field
            .gateway
            .tree_until("a run", |gateway| gateway.nodes("run").into_iter().find(|node| node.name == "run:run-1-0"))
            .await;
        let attempt = path.detail.get("attempt").cloned();
        inject(path.path.clone(), Fault::Panic).unwrap();
        field
            .gateway
            .tree_until("its end", |gateway| {
                let node = gateway.node(&path.path.to_string());
                node.is_none_or(|node| node.detail.get("attempt").cloned() != attempt).then_some(())
            })
            .await;
    }
    let end = field.witness.end_of("run-1-0").await;
    let text = end["errorMessage"].as_str().unwrap();
    assert!(text.contains("crashed 3 times") && text.contains("injected panic"), "{text}");
    send(&field.client, "k1", "next", "next").await;
    assert_eq!(field.witness.end_of("next").await["state"], "final");
    field.gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_panics_is_lost_alone() {
    let field = Field::start().await;
    let (client, other) = field.gateway.talk().await;
    let path = format!("root/core/control/connections/conn:{}", client.hello().server.conn_id);
    inject(ActorPath::parse(&path), Fault::Panic).unwrap();
    let pending = client.request("health", json!({})).await;
    assert!(pending.is_err());
    assert_eq!(client.closed().await, None, "cut, not closed");
    drop(other);
    let (client, witness) = reconnect(&field.gateway).await;
    assert_eq!(client.request("health", json!({})).await.unwrap()["ok"], true);
    send(&client, "more", "extra", "extra").await;
    assert_eq!(text_of(&witness.end_of("extra").await["message"]), SLOW);
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_panics_comes_back_under_its_streams() {
    let field = Field::start().await;
    let path = "root/core/providers/box";
    let before = field.strike(path);
    send(&field.client, "more", "extra", "extra").await;
    field.back(path, before).await;
    assert_eq!(text_of(&field.witness.end_of("extra").await["message"]), SLOW);
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_panics_comes_back_under_its_streams() {
    let field = Field::start().await;
    let path = field.only("auth_profile");
    let before = field.strike(&path);
    send(&field.client, "more", "extra", "extra").await;
    field.back(&path, before).await;
    assert_eq!(text_of(&field.witness.end_of("extra").await["message"]), SLOW);
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_panics_keeps_the_clients_and_takes_new_ones() {
    let field = Field::start().await;
    let path = "root/core/control/listener";
    let before = field.strike(path);
    let (client, _witness) = reconnect(&field.gateway).await;
    field.back(path, before).await;
    assert_eq!(client.request("health", json!({})).await.unwrap()["ok"], true);
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_that_panics_loses_no_event() {
    let field = Field::start().await;
    let path = "root/core/control/broadcast";
    for n in 0..3 {
        let before = field.strike(path);
        let run = format!("extra-{n}");
        send(&field.client, "more", &run, &run).await;
        field.back(path, before).await;
    }
    let extra: Vec<String> = (0..3).map(|n| format!("extra-{n}")).collect();
    field.witness.ends_of(&extra).await;
    field.ended_well().await;
    let numbers: Vec<u64> = field.witness.all().iter().filter_map(|event| event.seq).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap: {numbers:?}");
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_panics_is_rebuilt_from_disk_with_all_that_stands_on_it() {
    let field = Field::start().await;
    let path = "root/core/store";
    let before = field.strike(path);
    // It is asked something.
    field.gateway.running.domain.store.settle().await.ok();
    field.back(path, before).await;
    field.all_complete_after_return().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_panics_takes_nothing_with_it_for_good() {
    let field = Field::start().await;
    let path = "root/core/config";
    let before = field.strike(path);
    field.gateway.running.domain.config.reload().await.ok();
    field.back(path, before).await;
    field.all_complete_after_return().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciler_that_is_killed_starts_again_and_disturbs_nobody() {
    let field = Field::start().await;
    let path = "root/core/reconciler";
    let before = field.gateway.node(path).unwrap().incarnation;
    inject(ActorPath::parse(path), Fault::Kill).unwrap();
    field
        .gateway
        .tree_until("the reconciler", |gateway| {
            let node = gateway.node(path)?;
            (node.incarnation > before && node.state == NodeState::Running).then_some(())
        })
        .await;
    field.all_complete_after_return().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_account_and_its_lane_that_panic_lose_no_message() {
    let telegram = FakeTelegram::start().await;
    let field = Field::start_with(json!({"telegram": {
        "botToken": telegram.token(), "apiRoot": telegram.api_root(), "allowFrom": ["7"],
    }}))
    .await;
    let account = "root/core/channels/telegram:default";
    let lane = field.only("delivery lane");
    telegram.wait_calls("getUpdates", 1).await;
    let before = field.strike(account);
    telegram.say(7, "first");
    field.back(account, before).await;
    telegram.wait_sent(1).await;
    let before = field.strike(&lane);
    telegram.say(7, "second");
    field.back(&lane, before).await;
    telegram.wait_sent(2).await;
    telegram.say(7, "third");
    let sent = telegram.wait_sent(3).await;
    let texts: Vec<&str> = sent.iter().map(|sent| sent.visible.as_str()).collect();
    assert_eq!(texts, [SLOW; 3]);
    field.all_complete().await;
}
