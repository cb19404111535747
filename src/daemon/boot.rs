//! From arguments to a running tree.
//!
//! Everything that can be refused is refused before anything runs: state directory, lock, configuration, port.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actors::clock::Clock;
use actors::config::{self, Bind, ConfigError, ConfigSnapshot, LoadSources, StateDirs, token};
use actors::gateway::{self, Domain, Plan};
use actors::secret::Secret;
use actors::store::{self, StoreError};
use actors::tools::ToolRegistry;
use supervision::{ChildSpec, Supervisor, SupervisorHandle, TreeStore};

use super::VERSION;
use super::args::Args;
use super::lock::{LockError, StateLock, chain};
use super::log_file::LogFile;
use super::logging;
use super::ports::{ClientEvents, StoredDevices, needs_token, sign_in};
use crate::control::auth::SystemFresh;
use crate::control::services::Writes;
use crate::control::{
    self, BoundPort, BroadcastHandle, ControlSettings, DevicesHandle, MethodTable, Phase, Readiness, RuntimeLoad,
    Services, devices,
};

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is refused.
    #[error("refused to start")]
    Config(#[source] ConfigError),
    /// The state directory can't be one.
    #[error("the state directory can't be {path}: {file} is a file", path = path.display(), file = file.display())]
    StateDir {
        /// What was to be the state directory.
        path: PathBuf,
        /// What is in its way.
        file: PathBuf,
    },
    /// The state directory is in use or can't be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The token can't be made or read.
    #[error("the gateway token can't be used")]
    Token(#[from] token::TokenError),
    /// The port is taken.
    #[error("can't serve {address}")]
    Port {
        /// What was to be served.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Faults on purpose are for this machine alone.
    #[error("--chaos is refused while the gateway serves {address}, which other machines can reach")]
    Chaos {
        /// What was to be served.
        address: SocketAddr,
    },
    /// The store can't be used.
    #[error("the store can't be used")]
    Store(#[source] StoreError),
    /// The tree did not come up.
    #[error("the gateway did not come up: {0}")]
    Tree(String),
}

impl StartError {
    /// The process's exit code: 78 for a configuration that is refused, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            // Another start of this version changes nothing about it.
            Self::Config(_) | Self::Chaos { .. } | Self::Store(StoreError::Newer { .. }) => 78,
            Self::StateDir { .. }
            | Self::Lock(_)
            | Self::Token(_)
            | Self::Port { .. }
            | Self::Store(_)
            | Self::Tree(_) => 1,
        }
    }

    /// What to do about it, when there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::StateDir { .. } => Some(String::from("name a directory with --state-dir or OPENCLAW_STATE_DIR")),
            Self::Lock(LockError::Held { holder, .. }) => {
                Some(format!("stop it first (`kill {}`), or use another state directory", holder.pid))
            }
            Self::Lock(LockError::Io { .. }) => Some(String::from(
                "the user who runs the gateway must be able to write there; --state-dir names another place",
            )),
            Self::Port { address, source } => Some(port_hint(*address, source.kind())),
            Self::Chaos { .. } => Some(String::from("start without --chaos, or set gateway.bind to \"loopback\"")),
            Self::Config(ConfigError::Invalid(_)) => Some(String::from("correct the file and start again")),
            Self::Store(StoreError::Newer { .. }) => {
                Some(String::from("start the version that wrote it, or name another state directory with --state-dir"))
            }
            Self::Config(_)
            | Self::Lock(LockError::Starting { .. })
            | Self::Token(_)
            | Self::Store(_)
            | Self::Tree(_) => None,
        }
    }
}

fn port_hint(address: SocketAddr, kind: std::io::ErrorKind) -> String {
    let other = "choose another one with --port or gateway.port";
    if kind == std::io::ErrorKind::AddrInUse {
        return format!("another program has the port (`ss -ltnp sport = :{}` names it); {other}", address.port());
    }
    if kind == std::io::ErrorKind::AddrNotAvailable {
        return String::from("no network interface of this machine has the address; correct gateway.customBindHost");
    }
    if kind == std::io::ErrorKind::PermissionDenied {
        return format!("this user may not serve a port below 1024; {other}");
    }
    String::from(other)
}

/// What a start is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Arguments.
    pub args: Args,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Whether lines are logged to the terminal.
    pub console: bool,
    /// Tools besides the built-in ones.
    pub tools: ToolRegistry,
    /// Numbers of the control plane; from the environment when absent.
    pub settings: Option<ControlSettings>,
}

impl Options {
    /// Arguments and environment, the rest as usual.
    #[must_use]
    pub fn new(args: Args, env: BTreeMap<String, String>) -> Self {
        Self { args, env, console: false, tools: ToolRegistry::built_in(), settings: None }
    }
}

/// Everything that was checked before anything runs.
#[derive(Debug)]
pub struct Prepared {
    options: Options,
    snapshot: ConfigSnapshot,
    sources: LoadSources,
    dirs: StateDirs,
    generated: Option<Secret>,
    fresh_token: bool,
    lock: StateLock,
    port: BoundPort,
    log: LogFile,
    clock: Clock,
    since: String,
}

/// A running daemon.
#[derive(Debug)]
pub struct Running {
    /// What is served.
    pub address: SocketAddr,
    /// The generated token, when there is one.
    pub token: Option<Secret>,
    /// True when it was made by this start.
    pub fresh_token: bool,
    /// Handles into the tree.
    pub domain: Domain,
    /// The live tree.
    pub tree: TreeStore,
    /// The control plane's services.
    pub services: Arc<Services>,
    /// The root supervisor.
    pub root: SupervisorHandle,
    _lock: StateLock,
}

impl Running {
    /// An address of the gateway that a browser on this machine can open.
    #[must_use]
    pub fn reachable(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }

    /// Where the generated token lies.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        token::token_path(&self.domain.state_dir)
    }
}

/// The environment with what the arguments say instead.
#[must_use]
pub fn env_of(args: &Args, env: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut env = env.clone();
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let said = [
        ("OPENCLAW_STATE_DIR", path(&args.state_dir)),
        ("OPENCLAW_CONFIG_PATH", path(&args.config)),
        ("OPENCLAW_GATEWAY_PORT", args.port.map(|port| port.to_string())),
    ];
    env.extend(said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    env
}

/// Checks and takes everything a start needs. Nothing runs yet.
///
/// # Errors
/// See [`StartError`]; nothing is left behind then, except the state directory.
pub fn prepare(options: Options) -> Result<Prepared, StartError> {
    let clock = Clock::system();
    let since = clock.now_rfc3339();
    let env = env_of(&options.args, &options.env);
    let dirs = StateDirs::from_env(&env).map_err(StartError::Config)?;
    if let Some(file) = file_in_the_way(&dirs.state_dir) {
        return Err(StartError::StateDir { path: dirs.state_dir, file });
    }
    let sources = LoadSources::new(dirs.clone(), env);
    let snapshot = config::load(&sources).map_err(StartError::Config)?;
    let mut lock = StateLock::take(&dirs.state_dir, &since)?;
    store::check_format(&dirs.state_dir).map_err(StartError::Store)?;
    let gateway = &snapshot.config.gateway;
    let address = SocketAddr::new(bind_address(gateway.bind), gateway.port);
    if options.args.chaos && !address.ip().is_loopback() {
        return Err(StartError::Chaos { address });
    }
    let port = BoundPort::bind(address).map_err(|source| StartError::Port { address, source })?;
    let (generated, fresh_token) = if needs_token(&snapshot.config) {
        let fresh = !token::token_path(&dirs.state_dir).exists();
        (Some(token::load_or_create(&dirs.state_dir)?), fresh)
    } else {
        (None, false)
    };
    // A second start reads this to say who is there; without it, it only says that somebody is.
    lock.announce(port.address().port(), &since).unwrap_or_default();
    let logging = &snapshot.config.logging;
    let log = LogFile::new(dirs.state_dir.join("logs"), logging.file.clone(), logging.max_file_bytes, clock.clone());
    logging::start(logging, log.clone(), options.console);
    Ok(Prepared { options, snapshot, sources, dirs, generated, fresh_token, lock, port, log, clock, since })
}

/// The first part of `folder` that is there and no folder.
fn file_in_the_way(folder: &Path) -> Option<PathBuf> {
    let there = folder.ancestors().find(|part| part.symlink_metadata().is_ok())?;
    there.metadata().is_ok_and(|found| !found.is_dir()).then(|| there.to_owned())
}

fn bind_address(bind: Bind) -> IpAddr {
    match bind {
        Bind::Lan => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Bind::Custom(address) => address,
        Bind::Loopback | Bind::Auto | Bind::Tailnet => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// Starts the tree; returns when all of it is up.
///
/// # Errors
/// When a part of it can't start; the others were stopped again.
pub async fn boot(prepared: Prepared) -> Result<Running, StartError> {
    let Prepared { options, snapshot, sources, dirs, generated, fresh_token, lock, port, log, clock, since } = prepared;
    let tree = TreeStore::new();
    if options.args.chaos {
        tree.arm_chaos();
        tracing::warn!("started with --chaos: administrators can make parts of this gateway fail on purpose");
    }
    let broadcast = BroadcastHandle::new();
    let address = port.address();
    for warning in &snapshot.warnings {
        tracing::warn!(%warning, "configuration");
    }
    let made: Arc<OnceLock<Arc<Services>>> = Arc::default();
    let plan = Plan {
        snapshot,
        sources,
        state_dir: dirs.state_dir.clone(),
        clock: clock.clone(),
        events: Arc::new(ClientEvents(broadcast.clone())),
        tools: options.tools.clone(),
        control: Box::new({
            let (made, tree, generated) = (Arc::clone(&made), tree.clone(), generated.clone());
            let settings = options.settings.clone().unwrap_or_else(|| ControlSettings::from_env(&options.env));
            move |domain: &Domain| {
                let services = Arc::new(services(domain, tree, clock, broadcast, settings, &log, generated.clone()));
                let specs = control_specs(&services, domain, generated, port);
                made.get_or_init(|| services);
                specs
            }
        }),
    };
    let (spec, domain) = gateway::build(plan);
    let services = made.get().cloned().ok_or_else(|| StartError::Tree(String::from("no control plane")))?;
    let root = Supervisor::start_root(spec, tree.clone())
        .await
        .map_err(|error| StartError::Tree(first_cause(&chain(&error))))?;
    domain.lifecycle.enter(gateway::lifecycle::Phase::Ready).await;
    services.readiness.enter(Phase::Ready);
    tracing::info!(port = address.port(), version = VERSION, since, "gateway ready");
    Ok(Running { address, token: generated, fresh_token, domain, tree, services, root, _lock: lock })
}

/// What ended the start: supervisors above the child that failed only repeat it.
fn first_cause(text: &str) -> String {
    text.rsplit_once("init_failed: ").map_or(text, |(_, cause)| cause).to_owned()
}

fn services(
    domain: &Domain,
    tree: TreeStore,
    clock: Clock,
    broadcast: BroadcastHandle,
    settings: ControlSettings,
    log: &LogFile,
    generated: Option<Secret>,
) -> Services {
    Services {
        tree,
        clock,
        boot_id: uuid::Uuid::new_v4().to_string(),
        version: VERSION.to_owned(),
        host: host_name(),
        readiness: Readiness::new(),
        load: RuntimeLoad::default(),
        broadcast,
        devices: DevicesHandle::new(),
        settings: Arc::new(settings),
        log_file: {
            let log = log.clone();
            Box::new(move || Some(log.path()))
        },
        generated,
        writes: Writes::default(),
        domain: domain.clone(),
    }
}

fn control_specs(
    services: &Arc<Services>,
    domain: &Domain,
    generated: Option<Secret>,
    port: BoundPort,
) -> Vec<ChildSpec> {
    let (store, config) = (domain.store.clone(), sign_in(&domain.config, generated));
    let for_devices = Arc::clone(services);
    let devices = devices::child_spec(&services.devices, move || devices::DevicesArgs {
        store: Arc::new(StoredDevices(store.clone())),
        config: Arc::clone(&config),
        broadcast: for_devices.broadcast.clone(),
        clock: for_devices.clock.clone(),
        fresh: Arc::new(SystemFresh),
    });
    let mut methods = MethodTable::own();
    if services.tree.chaos().is_some() {
        methods.add(control::rpc::chaos::METHODS);
    }
    vec![control::specs(Arc::clone(services), devices, methods, port)]
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| String::from("localhost"))
}

/// How long the ordered stop of the tree itself may take, behind everything that was drained before.
pub const TREE_BUDGET: Duration = Duration::from_secs(20);
