use std::collections::BTreeMap;

use supervision::tree::Action;
use supervision::{ActorPath, Supervisor, SupervisorHandle, TreeStore};

use super::*;
use crate::config::{ModelConfig, ModelsConfig, ProviderConfig};
use crate::message::{Message, StopReason};
use crate::testing::fake_models::{FakeModelServer, FakeTurn};

/// Generous on a busy machine; never waited for when all is well.
const LONG: Duration = Duration::from_secs(20);

struct Bench {
    server: FakeModelServer,
    providers: ProvidersHandle,
    tree: TreeStore,
    root: SupervisorHandle,
    clock: Clock,
}

fn catalog(names: &[&str], base_url: &str) -> Catalog {
    let model = ModelConfig {
        id: "m".into(),
        name: "M".into(),
        reasoning: false,
        input: vec!["text".into()],
        context_window: 1000,
        max_tokens: 100,
        cost: ModelCost { input: 1.0, output: 2.0, cache_read: 0.5, cache_write: 0.0 },
        api: None,
    };
    let provider = ProviderConfig { base_url: Some(base_url.into()), models: vec![model], ..Default::default() };
    let providers: BTreeMap<_, _> = names.iter().map(|name| ((*name).to_owned(), provider.clone())).collect();
    Catalog::build(&ModelsConfig { providers }, &[])
}

async fn bench(names: &[&str]) -> Bench {
    drop(rustls::crypto::ring::default_provider().install_default());
    let server = FakeModelServer::start().await.unwrap();
    let clock = Clock::fixed(1_700_000_000_000);
    let providers = ProvidersHandle::new(catalog(names, &server.base_url()), clock.clone());
    let tree = TreeStore::new();
    tree.arm_chaos();
    let spec = SupervisorSpec { children: vec![providers.child_spec()], ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
    Bench { server, providers, tree, root, clock }
}

impl Bench {
    async fn call(&self, model: &str) -> Result<ModelStream, ModelError> {
        let request = ModelRequest { messages: vec![Message::user("hi", 0)], ..ModelRequest::default() };
        let model = ModelRef::parse(model).unwrap();
        tokio::time::timeout(LONG, self.providers.stream(&model, None, request, None)).await.unwrap()
    }

    /// Calls and reads to the end.
    async fn ask(&self, model: &str) -> Result<Vec<ModelEvent>, ModelError> {
        let mut stream = self.call(model).await?;
        let mut events = Vec::new();
        while let Some(event) = tokio::time::timeout(LONG, stream.next()).await.unwrap() {
            events.push(event?);
        }
        Ok(events)
    }

    fn path(provider: &str) -> ActorPath {
        ActorPath::parse(&format!("root/providers/{provider}"))
    }

    fn detail(&self, provider: &str, key: &str) -> String {
        let node = self.tree.node(&Self::path(provider)).unwrap();
        node.detail.get(key).cloned().unwrap_or_default()
    }

    /// The actor handles messages in order: once it answers, it has seen all reports before.
    async fn settled(&self, provider: &str) {
        let door = self.providers.door(provider);
        drop(door.call(|reply| ProviderMessage::Admit { reply }, LONG).await.unwrap());
    }

    async fn stop(self) {
        self.root.shutdown(LONG).await;
    }
}

#[tokio::test]
async fn a_call_streams_is_priced_and_shows_in_the_tree() {
    let bench = bench(&["box"]).await;
    bench.server.script([FakeTurn::text("one two")]);
    let events = bench.ask("box/m").await.unwrap();
    assert_eq!(events.last(), Some(&ModelEvent::Done(StopReason::Stop)));
    let usage = events.iter().rev().find(|event| matches!(event, ModelEvent::Usage(_)));
    let Some(ModelEvent::Usage(usage)) = usage else { panic!("{events:?}") };
    assert!((usage.cost.total - (10.0 + 2.0 * 2.0 + 2.0 * 0.5) / 1e6).abs() < 1e-12, "{usage:?}");
    assert_eq!(bench.server.requests()[0].model(), "m");
    bench.settled("box").await;
    assert!(bench.detail("box", "latency").ends_with(" ms"));
    assert_eq!(bench.detail("box", "breaker"), "closed");
    assert_eq!(bench.detail("box", "inFlight"), "0 of 16");
    assert!(bench.detail("box", "address").starts_with("http://127.0.0.1:"));
    bench.stop().await;
}

#[tokio::test]
async fn a_failure_is_told_to_the_caller_and_to_the_tree() {
    let bench = bench(&["box"]).await;
    let error = bench.ask("box/fault-429-3").await.unwrap_err();
    assert_eq!((error.class, error.retry_after), (ErrorClass::RateLimit, Some(Duration::from_secs(3))));
    bench.settled("box").await;
    assert!(bench.detail("box", "lastError").starts_with("rate_limit (HTTP 429) at 2023-"));
    bench.stop().await;
}

#[tokio::test]
async fn a_restart_of_the_actor_does_not_disturb_calls_under_way() {
    let bench = bench(&["box"]).await;
    let words = "word ".repeat(40);
    bench.server.script([FakeTurn::text(words.clone()).pace(Duration::from_millis(10))]);
    let mut stream = bench.call("box/m").await.unwrap();
    let Some(Ok(ModelEvent::TextDelta(mut text))) = stream.next().await else { panic!("text comes first") };
    bench.tree.act(&Bench::path("box"), Action::Restart).await.unwrap();
    assert_eq!(bench.tree.node(&Bench::path("box")).unwrap().incarnation, 2);
    while let Some(event) = tokio::time::timeout(LONG, stream.next()).await.unwrap() {
        if let ModelEvent::TextDelta(delta) = event.unwrap() {
            text.push_str(&delta);
        }
    }
    assert_eq!(text, words);
    assert!(bench.ask("box/m").await.is_ok(), "new calls go on");
    bench.stop().await;
}

#[tokio::test]
async fn calls_over_the_limit_wait_for_a_free_place() {
    let bench = bench(&["box"]).await;
    let mut running = Vec::new();
    for _ in 0..16 {
        let mut stream = bench.call("box/fault-hang-stream").await.unwrap();
        assert!(tokio::time::timeout(LONG, stream.next()).await.unwrap().unwrap().is_ok());
        running.push(stream);
    }
    let model = ModelRef::parse("box/m").unwrap();
    let mut next = Box::pin(bench.providers.stream(&model, None, ModelRequest::default(), None));
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut next).await.is_err(), "no place is free");
    running.pop();
    assert!(tokio::time::timeout(LONG, next).await.unwrap().is_ok());
    bench.stop().await;
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone_then_tried_again() {
    let bench = bench(&["box"]).await;
    for _ in 0..5 {
        assert_eq!(bench.ask("box/fault-500").await.unwrap_err().class, ErrorClass::ServerError);
    }
    let seen = bench.server.counts().requests;
    let error = bench.ask("box/m").await.unwrap_err();
    assert_eq!((error.class, error.retry_after), (ErrorClass::Overloaded, Some(Duration::from_secs(5))));
    assert_eq!(bench.server.counts().requests, seen, "it was not asked");
    assert!(bench.detail("box", "breaker").starts_with("open until"));
    bench.clock.set(bench.clock.now_ms() + 5_000);
    assert!(bench.ask("box/m").await.is_ok());
    assert!(bench.ask("box/m").await.is_ok());
    bench.stop().await;
}

#[tokio::test]
async fn a_reload_starts_new_providers_stops_old_ones_and_keeps_calls() {
    let bench = bench(&["box", "old"]).await;
    bench.server.script([FakeTurn::text("one two three four").pace(Duration::from_millis(20))]);
    let mut stream = bench.call("old/m").await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    let mut deltas = bench.tree.subscribe();
    bench.providers.apply(catalog(&["box", "new"], &bench.server.base_url())).await.unwrap();
    let gone = async {
        while bench.tree.node(&Bench::path("old")).is_some() || bench.tree.node(&Bench::path("new")).is_none() {
            deltas.next().await;
        }
    };
    tokio::time::timeout(LONG, gone).await.unwrap();
    assert!(bench.ask("new/m").await.is_ok());
    assert!(bench.ask("box/m").await.is_ok());
    assert_eq!(bench.ask("old/m").await.unwrap_err().class, ErrorClass::Unknown);
    while let Some(event) = tokio::time::timeout(LONG, stream.next()).await.unwrap() {
        assert!(event.is_ok(), "the call under way goes on");
    }
    bench.stop().await;
}

#[tokio::test]
async fn the_demo_answers_without_configuration() {
    let providers = ProvidersHandle::new(Catalog::build(&ModelsConfig::default(), &[]), Clock::fixed(0));
    let spec = SupervisorSpec { children: vec![providers.child_spec()], ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    let model = providers.catalog().default_model().unwrap();
    let request = ModelRequest { messages: vec![Message::user("hello", 0)], ..ModelRequest::default() };
    let mut stream = providers.stream(&model, None, request, None).await.unwrap();
    let mut text = String::new();
    while let Some(event) = stream.next().await {
        if let ModelEvent::TextDelta(delta) = event.unwrap() {
            text.push_str(&delta);
        }
    }
    assert!(text.ends_with("You said: hello"), "{text}");
    root.shutdown(LONG).await;
}

#[tokio::test]
async fn a_panic_of_the_actor_does_not_disturb_calls_under_way() {
    use supervision::chaos::Fault;

    let bench = bench(&["box"]).await;
    bench.server.script([FakeTurn::text("one two three four five").pace(Duration::from_millis(20))]);
    let mut stream = bench.call("box/m").await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    bench.tree.chaos().unwrap().inject("root/providers/box", Fault::Panic).unwrap();
    assert!(bench.call("box/m").await.is_err(), "the message that panics");
    while let Some(event) = tokio::time::timeout(LONG, stream.next()).await.unwrap() {
        assert!(event.is_ok());
    }
    bench.providers.door("box").wait_live().await;
    assert!(bench.ask("box/m").await.is_ok());
    bench.stop().await;
}
