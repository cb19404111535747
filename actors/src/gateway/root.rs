//! The whole tree as child specs, in start order, and the handles into it.
//!
//! `root` restarts its children one by one, `core` restarts what stands below a failed one with it: what was built on
//! a failed store is rebuilt from disk, not trusted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use supervision::{
    AutoShutdown, BackoffPolicy, ChildSpec, DynamicOptions, Intensity, StartMode, Strategy, SupervisorSlot,
    SupervisorSpec, WatchdogOptions,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::deliveries::Deliveries;
use super::domain::Domain;
use super::inbound::Intake;
use super::lifecycle;
use super::outbox::StoreOutbox;
use super::profiles::StoredProfiles;
use super::reconcile;
use super::tool_sessions::ToolSessions;
use crate::agents::{EventSink, RunServices};
use crate::auth_profiles::{AuthProfilesArgs, AuthProfilesHandle};
use crate::channels::account::ChannelPorts;
use crate::channels::handle::ChannelsHandle;
use crate::channels::health;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigArgs, ConfigHandle, ConfigSnapshot, LoadSources};
use crate::delivery::handle::DeliveryHandle;
use crate::delivery::lane::DeliveryPorts;
use crate::delivery::retry::RetryPolicy;
use crate::providers::{Catalog, ProvidersHandle};
use crate::sessions::{SessionServices, Sessions, Working};
use crate::store::{self, StoreArgs};
use crate::tools::ToolRegistry;
use crate::tools::sessions_port::SessionsPort;

/// Restarts of the root's children before the daemon gives up.
const ROOT: Intensity = Intensity { max_restarts: 3, period: Duration::from_secs(60) };
/// Restarts in `core`: a store that failed ten times in a minute will not be better the eleventh time.
const CORE: Intensity = Intensity { max_restarts: 10, period: Duration::from_secs(60) };
/// Supervisors the sessions are spread over; a meltdown takes out one part.
const PARTITIONS: usize = 8;
/// Runs that may call models at once, at least (OpenClaw: max(8, 4 x CPU)).
const MIN_RUNS: usize = 8;

/// Makes the specs of the control plane from the handles of everything else.
pub type ControlSpecs = Box<dyn FnOnce(&Domain) -> Vec<ChildSpec> + Send>;

/// What the tree is built from.
pub struct Plan {
    /// The configuration the daemon came up with.
    pub snapshot: ConfigSnapshot,
    /// Where it came from.
    pub sources: LoadSources,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Wall clock.
    pub clock: Clock,
    /// Watchers of runs and sessions.
    pub events: Arc<dyn EventSink>,
    /// Tools of all runs.
    pub tools: ToolRegistry,
    /// The specs of the control plane; they come last and go first.
    pub control: ControlSpecs,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("state_dir", &self.state_dir).finish_non_exhaustive()
    }
}

/// Builds the root's spec and the handles. Nothing runs before the spec is started.
#[must_use]
pub fn build(plan: Plan) -> (SupervisorSpec, Domain) {
    let Plan { snapshot, sources, state_dir, clock, events, tools, control } = plan;
    let running = Arc::clone(&snapshot.config);
    let config = ConfigHandle::new(snapshot);
    let env = sources.env.clone();
    let (store_spec, store) = store::child_spec(StoreArgs { state_dir: state_dir.clone(), clock: clock.clone() });
    let (lifecycle_spec, lifecycle) = lifecycle::child_spec();

    let providers = ProvidersHandle::new(Catalog::of(&running), clock.clone());
    let sources_of = providers.clone();
    let auth = AuthProfilesHandle::new(AuthProfilesArgs {
        state_dir: state_dir.clone(),
        env: Arc::new(move |name: &str| env.get(name).cloned()),
        source: Arc::new(move |provider: &str| sources_of.profile_source(provider)),
        store: Arc::new(StoredProfiles(store.clone())),
        clock: clock.clone(),
    });

    let lanes = SupervisorSlot::new();
    let delivery = DeliveryHandle::new(
        lanes.handle(),
        DeliveryPorts {
            outbox: Arc::new(StoreOutbox::new(store.clone())),
            policy: RetryPolicy::default(),
            clock: clock.clone(),
        },
    );
    let deliveries = Deliveries(delivery.clone());
    let sequence = Arc::new(AtomicU64::new(u64::try_from(clock.now_ms()).unwrap_or(0) << 20));
    let tool_sessions = Arc::new(ToolSessions::new(config.clone(), providers.clone()));
    let (sessions_spec, sessions) = Sessions::supervised(
        SessionServices {
            run: RunServices {
                providers: providers.clone(),
                auth: auth.clone(),
                config: config.clone(),
                tools: Arc::new(tools),
                events,
                clock: clock.clone(),
                tool_sessions: Arc::clone(&tool_sessions) as Arc<dyn SessionsPort>,
                lane: Arc::new(Semaphore::new(run_slots(&running))),
                state_dir: state_dir.clone(),
            },
            store: store.clone(),
            state_dir: state_dir.clone(),
            sequence: Arc::clone(&sequence),
            deliveries: Arc::new(deliveries.clone()),
            closing: CancellationToken::new(),
            working: Working::default(),
            orphaned: Arc::default(),
        },
        PARTITIONS,
    );
    tool_sessions.bind(sessions.clone());

    let accounts = SupervisorSlot::new();
    let intake = Arc::new(Intake {
        sessions: sessions.clone(),
        store: store.clone(),
        config: config.clone(),
        deliveries,
        sequence,
        clock: clock.clone(),
    });
    let channels = ChannelsHandle::new(
        accounts.handle(),
        ChannelPorts { sink: intake.clone(), cursor: intake, clock: clock.clone() },
    );

    let domain =
        Domain { state_dir, config: config.clone(), store, sessions, providers, auth, channels, delivery, lifecycle };
    let control = control(&domain);
    let domain_clock = clock.clone();
    let mut core = vec![
        config::child_spec(&config, move || ConfigArgs {
            sources: sources.clone(),
            clock: clock.clone(),
            settle: config::SETTLE,
        }),
        store_spec,
        domain.auth.child_spec(),
        domain.providers.child_spec(),
        ChildSpec::dynamic("delivery", "supervisor", &lanes, DynamicOptions::default()),
        sessions_spec,
        ChildSpec::dynamic("channels", "supervisor", &accounts, DynamicOptions::default()),
        upkeep(vec![reconcile::child_spec(domain.clone()), health::child_spec(domain.channels.clone(), domain_clock)]),
    ];
    core.extend(control);
    (root(lifecycle_spec, core), domain)
}

/// Those that look after what runs. One for one, so that a failure of theirs does not cost the clients below them their
/// connections; rebuilt with what they look after, so that they begin anew then.
fn upkeep(children: Vec<ChildSpec>) -> ChildSpec {
    let children = Arc::new(children);
    ChildSpec::supervisor("upkeep", "supervisor", &SupervisorSlot::new(), move || SupervisorSpec {
        strategy: Strategy::OneForOne,
        intensity: CORE,
        children: children.as_ref().clone(),
        ..SupervisorSpec::default()
    })
}

fn root(lifecycle: ChildSpec, core: Vec<ChildSpec>) -> SupervisorSpec {
    let core_slot = SupervisorSlot::new();
    let core = Arc::new(core);
    let core = ChildSpec::supervisor("core", "supervisor", &core_slot, move || SupervisorSpec {
        strategy: Strategy::RestForOne,
        intensity: CORE,
        auto_shutdown: AutoShutdown::Never,
        starts: StartMode::Ordered,
        children: core.as_ref().clone(),
    });
    SupervisorSpec {
        strategy: Strategy::OneForOne,
        intensity: ROOT,
        auto_shutdown: AutoShutdown::Never,
        starts: StartMode::Ordered,
        children: vec![telemetry(), lifecycle, core],
    }
}

/// Looks after all others. Not in `core`, where its own fault would rebuild everything below it; first, so that it sees
/// them start and stop.
fn telemetry() -> ChildSpec {
    ChildSpec::watchdog("telemetry", WatchdogOptions::default()).counts(false).backoff(BackoffPolicy::default())
}

fn run_slots(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    config.agents.defaults.max_concurrent.unwrap_or_else(|| MIN_RUNS.max(4 * cores)).max(1)
}
