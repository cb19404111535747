use supervision::tree::Action;
use supervision::{ActorPath, Supervisor, SupervisorHandle, SupervisorSpec, TreeStore};

use super::*;
use crate::testing::memory_profiles::MemoryProfiles;

const T0: EpochMs = 1_700_000_000_000;
const LONG: Duration = Duration::from_secs(20);

struct Bench {
    profiles: AuthProfilesHandle,
    store: MemoryProfiles,
    clock: Clock,
    tree: TreeStore,
    root: SupervisorHandle,
    home: tempfile::TempDir,
    agent: AgentId,
}

async fn bench() -> Bench {
    let home = tempfile::tempdir().unwrap();
    let store = MemoryProfiles::default();
    let clock = Clock::fixed(T0);
    let profiles = AuthProfilesHandle::new(AuthProfilesArgs {
        state_dir: home.path().to_owned(),
        env: Arc::new(|name| (name == "BOX_API_KEY").then(|| "sk-env".to_owned())),
        source: Arc::new(|provider| match provider {
            "box" => Some(ProfileSource {
                configured_key: Some(Secret::new("sk-conf")),
                env_names: vec!["BOX_API_KEY".into()],
                keyless: false,
                address: String::new(),
            }),
            "solo" => Some(ProfileSource { configured_key: Some(Secret::new("sk-solo")), ..Default::default() }),
            "demo" => Some(ProfileSource { keyless: true, ..Default::default() }),
            "bare" => Some(ProfileSource::default()),
            _ => None,
        }),
        store: Arc::new(store.clone()),
        clock: clock.clone(),
    });
    let tree = TreeStore::new();
    let spec = SupervisorSpec { children: vec![profiles.child_spec()], ..SupervisorSpec::default() };
    let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
    Bench { profiles, store, clock, tree, root, home, agent: AgentId::normalised("main") }
}

impl Bench {
    async fn lease(&self, provider: &str) -> Result<Lease, LeaseError> {
        tokio::time::timeout(LONG, self.profiles.lease(&self.agent, provider, None)).await.unwrap()
    }

    async fn fail(&self, lease: Lease, class: ErrorClass) {
        self.profiles.report(lease, Outcome::failed(class)).await;
    }

    fn key(&self, id: &str) -> ProfileKey {
        ProfileKey { agent: self.agent.clone(), profile: ProfileId::parse(id).unwrap() }
    }

    fn path(&self, id: &str) -> ActorPath {
        ActorPath::parse("root/auth_profiles").join(&self.key(id).to_string().into())
    }

    fn detail(&self, id: &str, key: &str) -> Option<String> {
        self.tree.node(&self.path(id)).unwrap().detail.get(key).cloned()
    }

    async fn stop(self) {
        self.root.shutdown(LONG).await;
    }
}

fn shown(lease: &Lease) -> (String, String) {
    (lease.profile.profile.to_string(), lease.secret().map(|secret| secret.expose().to_owned()).unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn no_call_without_a_lease_and_the_demo_has_a_keyless_one() {
    let bench = bench().await;
    let lease = bench.lease("demo").await.unwrap();
    assert!(lease.secret().is_none());
    assert_eq!(lease.profile.to_string(), "main/demo:keyless");
    assert_eq!(bench.lease("bare").await.unwrap_err(), LeaseError::Missing);
    assert_eq!(bench.lease("nobody").await.unwrap_err(), LeaseError::Missing);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_credential_rests_and_the_next_one_is_leased() {
    let bench = bench().await;
    let first = bench.lease("box").await.unwrap();
    assert_eq!(shown(&first), ("box:config".into(), "sk-conf".into()));
    assert!(bench.profiles.has_other(&bench.agent, "box", &first.profile.profile).await);
    bench.fail(first, ErrorClass::RateLimit).await;
    let second = bench.lease("box").await.unwrap();
    assert_eq!(shown(&second), ("box:env".into(), "sk-env".into()));
    bench.fail(second, ErrorClass::Overloaded).await;
    let both = bench.lease("box").await.unwrap_err();
    assert_eq!(both, LeaseError::CoolingDown { until: T0 + 1_000 });
    assert_eq!(bench.detail("box:env", "state").as_deref(), Some("cooling down"));
    assert_eq!(bench.detail("box:env", "reason").as_deref(), Some("overloaded"));
    bench.clock.set(T0 + 1_000);
    assert_eq!(shown(&bench.lease("box").await.unwrap()).0, "box:config");
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn cooldowns_climb_and_survive_a_restart_of_the_actor() {
    let bench = bench().await;
    for wait in [1_000, 5_000] {
        let lease = bench.lease("solo").await.unwrap();
        bench.fail(lease, ErrorClass::RateLimit).await;
        let now = bench.clock.now_ms();
        let refused = bench.lease("solo").await.unwrap_err();
        assert_eq!(refused, LeaseError::CoolingDown { until: now + wait });
        bench.clock.set(now + wait);
    }
    let lease = bench.lease("solo").await.unwrap();
    bench.fail(lease, ErrorClass::AuthPermanent).await;
    assert!(bench.store.get(&bench.key("solo:config")).unwrap().disabled_until.is_some(), "kept before the answer");
    bench.tree.act(&bench.path("solo:config"), Action::Restart).await.unwrap();
    assert!(matches!(bench.lease("solo").await, Err(LeaseError::Disabled { reason: ErrorClass::AuthPermanent, .. })));
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_failures_open_one_window() {
    let bench = bench().await;
    let mut leases = Vec::new();
    for _ in 0..5 {
        leases.push(bench.lease("solo").await.unwrap());
    }
    for lease in leases {
        bench.fail(lease, ErrorClass::RateLimit).await;
    }
    let refused = bench.lease("solo").await.unwrap_err();
    assert_eq!(refused, LeaseError::CoolingDown { until: T0 + 1_000 });
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_key_starts_anew_and_is_not_blamed_for_the_old_one() {
    let bench = bench().await;
    let folder = bench.home.path().join("agents/main/agent");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |key: &str| {
        let text = format!(r#"{{"profiles":{{"bare:a":{{"type":"api_key","provider":"bare","key":"{key}"}}}}}}"#);
        std::fs::write(folder.join("auth-profiles.json"), text).unwrap();
    };
    write("old");
    let under_way = bench.lease("bare").await.unwrap();
    let lease = bench.lease("bare").await.unwrap();
    bench.fail(lease, ErrorClass::AuthPermanent).await;
    assert!(matches!(bench.lease("bare").await, Err(LeaseError::Disabled { .. })));
    write("new");
    assert_eq!(shown(&bench.lease("bare").await.unwrap()), ("bare:a".into(), "new".into()));
    bench.fail(under_way, ErrorClass::AuthPermanent).await;
    assert!(bench.lease("bare").await.is_ok());
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_end_a_window_and_prefer_a_credential() {
    let bench = bench().await;
    let preferred = bench.profiles.lease(&bench.agent, "box", Some("env")).await.unwrap();
    assert_eq!(preferred.profile.profile.as_str(), "box:env");
    bench.fail(preferred, ErrorClass::Billing).await;
    let instead = bench.profiles.lease(&bench.agent, "box", Some("box:env")).await.unwrap();
    assert_eq!(instead.profile.profile.as_str(), "box:config", "a blocked preference is passed by");
    bench.profiles.reset(&bench.key("box:env")).await.unwrap();
    let states: Vec<ProfileState> =
        bench.profiles.profiles(&bench.agent, "box").await.unwrap().iter().map(|profile| profile.state).collect();
    assert_eq!(states, [ProfileState::Ready, ProfileState::Ready]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_store_takes_out_its_credential_alone_and_heals() {
    let bench = bench().await;
    bench.store.fail(true);
    assert!(bench.lease("solo").await.is_err());
    bench.store.fail(false);
    let mut deltas = bench.tree.subscribe();
    let healed = async {
        while bench.lease("solo").await.is_err() {
            deltas.next().await;
        }
    };
    tokio::time::timeout(LONG, healed).await.unwrap();
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn agents_do_not_share_credentials_or_cooldowns() {
    let bench = bench().await;
    let lease = bench.lease("solo").await.unwrap();
    bench.fail(lease, ErrorClass::Billing).await;
    let other = bench.profiles.lease(&AgentId::normalised("work"), "solo", None).await.unwrap();
    assert_eq!(other.profile.to_string(), "work/solo:config");
    assert!(!format!("{other:?}").contains("sk-"));
    bench.stop().await;
}
