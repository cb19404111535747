use std::sync::Arc;
use std::time::Duration;

use supervision::tree::NodeView;
use supervision::{ChildId, Supervisor, SupervisorHandle, SupervisorSpec, TreeStore};
use tokio::sync::watch;

use super::*;
use crate::clock::Clock;

/// Far above what anything here takes, below what a test run bears.
const PATIENCE: Duration = Duration::from_secs(30);

struct Running {
    place: Place,
    handle: ConfigHandle,
    changes: watch::Receiver<Arc<ConfigSnapshot>>,
    tree: TreeStore,
    root: SupervisorHandle,
}

impl Running {
    async fn start(place: Place) -> Self {
        let handle = ConfigHandle::new(place.load());
        Self::start_with(place, handle).await
    }

    async fn start_with(place: Place, handle: ConfigHandle) -> Self {
        let args = ConfigArgs { sources: place.sources(), clock: Clock::fixed(7), settle: Duration::from_millis(20) };
        let spec = SupervisorSpec { children: vec![child_spec(&handle, move || args.clone())], ..Default::default() };
        let tree = TreeStore::new();
        let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
        Self { place, changes: handle.changes(), handle, tree, root }
    }

    /// The next published snapshot.
    async fn next(&mut self) -> Arc<ConfigSnapshot> {
        tokio::time::timeout(PATIENCE, self.changes.changed()).await.unwrap().unwrap();
        self.changes.borrow_and_update().clone()
    }

    fn node(&self) -> NodeView {
        self.tree.children(&"root".into()).into_iter().find(|node| node.name == "config").unwrap()
    }

    fn detail(&self, key: &str) -> Option<String> {
        self.node().detail.get(key).cloned()
    }

    async fn stop(self) {
        self.root.shutdown(PATIENCE).await;
    }
}

fn port(n: u16) -> String {
    format!("{{ gateway: {{ port: {n} }} }}")
}

#[tokio::test]
async fn an_edited_file_becomes_the_next_revision() {
    let mut running = Running::start(Place::with(&port(1))).await;
    assert_eq!(running.handle.current().revision, 1);
    running.place.write("openclaw.json", &port(2));
    let snapshot = running.next().await;
    assert_eq!((snapshot.revision, snapshot.config.gateway.port), (2, 2));
    assert_eq!(running.detail("needs_restart").as_deref(), Some("gateway.port"));
    running.stop().await;
}

#[tokio::test]
async fn a_file_renamed_into_place_is_noticed() {
    let mut running = Running::start(Place::with(&port(1))).await;
    running.place.write("openclaw.json.swp", &port(3));
    fs::rename(running.place.path("openclaw.json.swp"), running.place.path("openclaw.json")).unwrap();
    assert_eq!(running.next().await.config.gateway.port, 3);
    running.stop().await;
}

#[tokio::test]
async fn included_files_and_dotenv_are_followed() {
    let place =
        Place::with("{ logging: { $include: 'parts/l.json5' }, models: { providers: { p: { apiKey: '${KEY}' } } } }");
    place.write("parts/l.json5", "{ level: 'warn' }");
    let mut running = Running::start(place).await;
    running.place.write("parts/l.json5", "{ level: 'debug' }");
    assert_eq!(running.next().await.config.logging.level, LogLevel::Debug);
    running.place.write(".env", "KEY=new\n");
    assert!(running.next().await.config.models.providers["p"].api_key.as_ref().unwrap().matches("new"));
    running.stop().await;
}

#[tokio::test]
async fn a_refused_file_leaves_the_last_good_snapshot_in_force() {
    let mut running = Running::start(Place::with(&port(1))).await;
    running.place.write("openclaw.json", "{ gateway: { prot: 2 } }");
    let error = running.handle.reload().await.unwrap_err();
    assert!(error.to_string().contains("gateway.prot"), "{error}");
    assert_eq!(running.handle.current().config.gateway.port, 1);
    assert!(running.detail("refused").unwrap().contains("gateway.prot"));
    assert_eq!(fs::read_to_string(running.place.path("openclaw.json")).unwrap(), "{ gateway: { prot: 2 } }");
    running.place.write("openclaw.json", &port(2));
    assert_eq!(running.next().await.revision, 2);
    assert_eq!(running.detail("refused"), None);
    running.stop().await;
}

#[tokio::test]
async fn a_file_that_vanishes_is_no_return_to_defaults() {
    let mut running = Running::start(Place::with(&port(1))).await;
    fs::remove_file(running.place.path("openclaw.json")).unwrap();
    assert!(matches!(running.handle.reload().await, Err(ReloadError::Missing)));
    assert_eq!(running.handle.current().config.gateway.port, 1);
    running.place.write("openclaw.json", &port(4));
    assert_eq!(running.next().await.config.gateway.port, 4);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_comes_later_is_found() {
    let place = Place::new();
    let mut sources = place.sources();
    sources.state_dir = place.path("later");
    sources.config_path = place.path("later/openclaw.json");
    let handle = ConfigHandle::new(load(&sources).unwrap());
    let args = ConfigArgs { sources, clock: Clock::fixed(7), settle: Duration::from_millis(20) };
    let spec = SupervisorSpec { children: vec![child_spec(&handle, move || args.clone())], ..Default::default() };
    let root = Supervisor::start_root(spec, TreeStore::new()).await.unwrap();
    let mut changes = handle.changes();
    place.write("later/openclaw.json", &port(5));
    changes.changed().await.unwrap();
    assert_eq!(handle.current().config.gateway.port, 5);
    root.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn with_reload_off_only_an_explicit_reload_counts() {
    let text = |level: &str| format!("{{ gateway: {{ reload: {{ mode: 'off' }} }}, logging: {{ level: '{level}' }} }}");
    let running = Running::start(Place::with(&text("info"))).await;
    running.place.write("openclaw.json", &text("debug"));
    // A restart looks at the file as a change does.
    running.root.cycle_child(&ChildId::from("config")).await.unwrap();
    let snapshot = running.handle.current();
    assert_eq!((snapshot.revision, snapshot.config.logging.level), (1, LogLevel::Info));
    assert_eq!(running.handle.reload().await.unwrap().config.logging.level, LogLevel::Debug);
    running.stop().await;
}

#[tokio::test]
async fn a_write_is_published_when_it_returns() {
    let mut running = Running::start(Place::with(&port(1))).await;
    let base = running.handle.current().hash.clone();
    let snapshot = running.handle.set(port(6), Some(base.clone())).await.unwrap();
    assert_eq!((snapshot.revision, running.handle.current().config.gateway.port), (2, 6));
    assert_eq!(running.next().await.hash, snapshot.hash);
    assert!(matches!(running.handle.set(port(7), Some(base)).await, Err(WriteError::Stale)));
    assert!(matches!(running.handle.set("{".into(), Some(snapshot.hash.clone())).await, Err(WriteError::Invalid(_))));
    assert_eq!(running.place.load().config.gateway.port, 6);
    running.stop().await;
}

#[tokio::test]
async fn a_restart_keeps_the_revision_and_reads_what_it_missed() {
    let mut running = Running::start(Place::with(&port(1))).await;
    let id = ChildId::from("config");
    running.root.terminate_child(&id).await.unwrap();
    running.place.write("openclaw.json", &port(8));
    assert_eq!(running.handle.current().config.gateway.port, 1);
    running.root.restart_child(&id).await.unwrap();
    let snapshot = running.next().await;
    assert_eq!((snapshot.revision, snapshot.config.gateway.port), (2, 8));
    running.stop().await;
}

#[tokio::test]
async fn a_fixed_configuration_answers_without_an_owner() {
    let handle = ConfigHandle::fixed(ConfigSnapshot::of(Config::default()));
    assert_eq!(handle.current().config.gateway.port, 18789);
    assert!(matches!(handle.reload().await, Err(ReloadError::Unavailable(_))));
    assert!(matches!(handle.set("{}".into(), None).await, Err(WriteError::Unavailable(_))));
}
