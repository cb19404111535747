//! The actor held to its header: who may commit, what is kept, what is refused while the disk fails.

use supervision::tree::{Action, NodeView};
use supervision::{Supervisor, SupervisorHandle, SupervisorSpec, TreeStore};

use super::super::op::{Append, Expect};
use super::super::records::DedupeRecord;
use super::super::{StoreHandle, value};
use super::*;

/// Far above what anything here takes.
const LONG: Duration = Duration::from_secs(30);
const NOW: i64 = 1_700_000_000_000;

struct Bench {
    home: tempfile::TempDir,
    store: StoreHandle,
    clock: Clock,
    tree: TreeStore,
    root: SupervisorHandle,
}

async fn bench() -> Bench {
    let (home, clock) = (tempfile::tempdir().unwrap(), Clock::fixed(NOW));
    let (spec, store) = child_spec(StoreArgs { state_dir: home.path().to_owned(), clock: clock.clone() });
    let tree = TreeStore::new();
    let root = SupervisorSpec { children: vec![spec], ..SupervisorSpec::default() };
    let root = Supervisor::start_root(root, tree.clone()).await.unwrap();
    Bench { home, store, clock, tree, root }
}

fn put(key: &str) -> Commit {
    Commit::new().put(key.into(), value::encode(&key).unwrap())
}

impl Bench {
    fn node(&self) -> NodeView {
        self.tree.node(&"root/store".into()).unwrap()
    }

    async fn restart(&self) {
        self.tree.act(&"root/store".into(), Action::Restart).await.unwrap();
        // Answered by the new incarnation.
        self.store.settle().await.unwrap();
    }

    async fn get(&self, key: &str) -> Option<String> {
        self.store.get(key.into()).await.unwrap()
    }

    /// Waits until the actor runs again and shows no trouble.
    async fn healed(&self, before: u64) {
        let mut changes = self.tree.subscribe();
        tokio::time::timeout(LONG, async {
            while self.store.epoch() == before || self.store.check_writable().is_err() {
                changes.next().await.unwrap();
            }
        })
        .await
        .unwrap();
        self.store.settle().await.unwrap();
    }

    async fn stop(self) {
        self.root.shutdown(LONG).await;
    }
}

#[tokio::test]
async fn a_commit_of_an_older_epoch_is_refused_and_leaves_no_trace() {
    let bench = bench().await;
    let old = bench.store.bound();
    assert_eq!(old.epoch(), 1);
    old.commit(put("a")).await.unwrap();
    bench.restart().await;
    let error = old.commit(put("b")).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { writer: 1, current: 2 }), "{error}");
    assert_eq!((bench.get("a").await.as_deref(), bench.get("b").await), (Some("a"), None));
    bench.store.bound().commit(put("b")).await.unwrap();
    bench.store.commit(put("c")).await.unwrap();
    bench.stop().await;
}

#[tokio::test]
async fn what_was_answered_survives_a_restart() {
    let bench = bench().await;
    let path = bench.home.path().join("agents/main/sessions/s.jsonl");
    let lines = vec![String::from("{\"id\":\"1\"}")];
    bench.store.commit(put("a").append(Append { path: path.clone(), lines, header: "{}".into() })).await.unwrap();
    bench.restart().await;
    assert_eq!(bench.get("a").await.as_deref(), Some("a"));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "{}\n{\"id\":\"1\"}\n");
    bench.stop().await;
}

#[tokio::test]
async fn while_its_folder_is_gone_it_reads_and_refuses_and_then_goes_on() {
    let bench = bench().await;
    bench.store.commit(put("before")).await.unwrap();
    let (folder, away) = (bench.home.path().join(STORE), bench.home.path().join("away"));
    std::fs::rename(&folder, &away).unwrap();
    let error = bench.store.commit(put("lost")).await.unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
    for refused in [bench.store.commit(put("lost")).await, bench.store.accept(put("lost")).await] {
        assert!(matches!(refused, Err(StoreError::Gone { .. })));
    }
    assert!(bench.store.check_room().is_err());
    assert!(bench.node().detail["disk"].contains("removed or replaced"));
    assert_eq!(bench.get("before").await.as_deref(), Some("before"));
    assert_eq!(bench.store.commit(Commit::new()).await.unwrap(), Outcome::Committed, "nothing is before it");

    std::fs::rename(&away, &folder).unwrap();
    bench.healed(1).await;
    assert_eq!((bench.get("before").await.as_deref(), bench.get("lost").await), (Some("before"), None));
    bench.store.commit(put("after")).await.unwrap();
    bench.store.check_room().unwrap();
    bench.stop().await;
}

#[tokio::test]
async fn input_past_its_term_is_forgotten_and_the_rest_is_kept() {
    let bench = bench().await;
    let input =
        |expires_at| DedupeRecord { session: "s".into(), run_id: "r".into(), fingerprint: "f".into(), expires_at };
    let old = value::encode(&input(NOW)).unwrap();
    let new = value::encode(&input(NOW + 1)).unwrap();
    bench.store.commit(Commit::new().put(b"dedupe/old".to_vec(), old).put(b"dedupe/new".to_vec(), new)).await.unwrap();
    bench.clock.set(NOW);
    tokio::time::pause();
    // Behind the first look; the pages of a look and their commits follow by themselves.
    tokio::time::sleep(Duration::from_secs(40)).await;
    tokio::time::resume();
    let forgotten = async {
        let absent = Commit { expects: vec![Expect::Absent(b"dedupe/old".to_vec())], ..Commit::new() };
        bench.store.commit(absent).await.unwrap()
    };
    assert_eq!(forgotten.await, Outcome::Committed);
    assert!(bench.store.get::<DedupeRecord>(b"dedupe/new".to_vec()).await.unwrap().is_some());
    bench.stop().await;
}

#[tokio::test]
async fn a_look_at_everything_sees_what_was_answered_before_it() {
    let bench = bench().await;
    bench.store.commit(put("cursor/a")).await.unwrap();
    assert_eq!(bench.store.stats().await.unwrap().kinds["cursor"].records, 1);
    assert_eq!(bench.store.check().await.unwrap().problems, 0);
    let (file, folder) = (bench.home.path().join("all.export"), bench.home.path().join("backup"));
    bench.store.export(file).await.unwrap();
    let (kept, written) =
        tokio::join!(bench.store.backup(folder, String::from("now")), bench.store.commit(put("cursor/b")));
    assert!(kept.unwrap().records >= 2);
    written.unwrap();
    bench.stop().await;
}
