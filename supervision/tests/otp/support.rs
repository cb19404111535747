//! What the cases share: children that start, live and end as told, supervisors to put them under, ways to wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::{Recorder, cut_link, kill_self, kill_supervisor};
use supervision::tree::{ExitRecord, NodeState, NodeView};
use supervision::{ExitClass, StartInfo, TemplateHandle, TemplateSlot};

/// More than any test needs.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// Long enough for anything that is still going to happen, short beside the hour of [`rules`].
pub(crate) const QUIET: Duration = Duration::from_secs(300);

/// Lets time pass, so that whatever is still to come comes. For paused time only.
pub(crate) async fn settled() {
    tokio::time::sleep(QUIET).await;
}

/// How a start goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Birth {
    Up,
    /// There is nothing to run.
    Ignore,
    Fail,
    Panic,
    /// It never ends.
    Hang,
}

/// How a child ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Normal,
    Shutdown,
    /// A shutdown that says more.
    ShutdownWith(&'static str),
    Error,
    Panic,
    Killed,
}

impl Death {
    pub(crate) const ALL: [Self; 6] =
        [Self::Normal, Self::Shutdown, Self::ShutdownWith("reason"), Self::Error, Self::Panic, Self::Killed];

    /// What its supervisor makes of it.
    pub(crate) fn class(self) -> ExitClass {
        match self {
            Self::Normal => ExitClass::Normal,
            Self::Shutdown | Self::ShutdownWith(_) => ExitClass::Shutdown,
            Self::Error => ExitClass::Error,
            Self::Panic => ExitClass::Panic,
            Self::Killed => ExitClass::Killed,
        }
    }

    /// Whether a transient child stays down after it.
    pub(crate) fn is_clean(self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown | Self::ShutdownWith(_))
    }

    async fn strike(self, ctx: &Ctx<Order>) -> ActorResult {
        match self {
            Self::Normal => ctx.drain(),
            Self::Shutdown => ctx.stop("shutdown"),
            Self::ShutdownWith(reason) => ctx.stop(reason),
            Self::Error => return Err("broken".into()),
            Self::Panic => panic!("boom"),
            Self::Killed => {
                kill_self(ctx);
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }
}

/// How a child goes when it is asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) enum Leave {
    #[default]
    Promptly,
    /// Not before it is killed.
    Never,
    After(Duration),
    Failing,
    Panicking,
}

/// What a probe is told.
#[derive(Debug)]
pub(crate) enum Order {
    Die(Death),
    /// It notes `dying a#1`, works on this a while and dies of it.
    DieAfter(Duration, Death),
    Incarnation(Reply<u64>),
    /// Kills its supervisor.
    KillSupervisor,
    /// Cuts the link to its supervisor.
    CutLink(Reply<()>),
}

#[derive(Default)]
struct Script {
    next: Mutex<VecDeque<Birth>>,
    always: Mutex<Option<Birth>>,
    leave: Mutex<Leave>,
    info: Mutex<Option<StartInfo>>,
}

/// A child that does as told and notes its life: `start a#1`, `ignore a#1`, `fail a#1`, `stop a#1`, `drop a#1`.
/// `stop` is an orderly end, `drop` comes with every end.
#[derive(Clone)]
pub(crate) struct Probe {
    pub(crate) name: String,
    record: Recorder,
    slot: Slot<Order>,
    script: Arc<Script>,
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Probe").field(&self.name).finish()
    }
}

impl Probe {
    pub(crate) fn new(name: &str, record: &Recorder) -> Self {
        Self { name: name.to_owned(), record: record.clone(), slot: Slot::new(), script: Arc::default() }
    }

    /// The next starts go like this, later ones succeed.
    pub(crate) fn next_starts(&self, births: &[Birth]) {
        self.script.next.lock().unwrap().extend(births);
    }

    /// All starts from now on go like this.
    pub(crate) fn all_starts(&self, birth: Birth) {
        *self.script.always.lock().unwrap() = Some(birth);
    }

    /// It goes like this when asked to stop.
    pub(crate) fn leaves(&self, leave: Leave) {
        *self.script.leave.lock().unwrap() = leave;
    }

    /// What its starts hand to whoever asked for them.
    pub(crate) fn tells(&self, info: &'static str) {
        *self.script.info.lock().unwrap() = Some(Arc::new(info));
    }

    pub(crate) fn spec(&self) -> ChildSpec {
        let probe = self.clone();
        ChildSpec::actor(self.name.as_str(), "probe", &self.slot, move |_| (probe.clone(), ()))
    }

    /// It is to be found in this slot instead of its own.
    pub(crate) fn in_slot(mut self, slot: &Slot<Order>) -> Self {
        self.slot = slot.clone();
        self
    }

    pub(crate) fn slot(&self) -> &Slot<Order> {
        &self.slot
    }

    pub(crate) fn id(&self) -> ChildId {
        self.name.as_str().into()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.slot.address().is_live()
    }

    /// Which incarnation answers.
    pub(crate) async fn incarnation(&self) -> u64 {
        self.slot.address().call(Order::Incarnation, LONG).await.unwrap()
    }

    #[track_caller]
    pub(crate) fn tell(&self, order: Order) {
        self.slot.address().try_cast(order).unwrap_or_else(|error| panic!("{} cannot be told: {error}", self.name));
    }

    /// Makes it end by itself and waits until that incarnation is over.
    pub(crate) async fn die(&self, death: Death) {
        let over = format!("drop {}#{}", self.name, self.incarnation().await);
        self.tell(Order::Die(death));
        self.record.until(&over).await;
    }

    /// Makes it cut the link to its supervisor.
    pub(crate) async fn unlink(&self) {
        self.slot.address().call(Order::CutLink, LONG).await.unwrap();
    }

    fn birth(&self) -> Birth {
        let always = *self.script.always.lock().unwrap();
        always.or_else(|| self.script.next.lock().unwrap().pop_front()).unwrap_or(Birth::Up)
    }
}

/// Notes the end of an incarnation, in whatever way it came.
pub(crate) struct Witness {
    line: String,
    record: Recorder,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.record.note(std::mem::take(&mut self.line));
    }
}

impl Actor for Probe {
    type Message = Order;
    type Args = ();
    type State = Witness;

    async fn pre_start(&self, (): (), ctx: &Ctx<Order>) -> Result<Witness, BoxError> {
        let life = format!("{}#{}", self.name, ctx.incarnation());
        match self.birth() {
            Birth::Up => self.record.note(format!("start {life}")),
            Birth::Ignore => {
                self.record.note(format!("ignore {life}"));
                return Err(Exit::Ignore.into());
            }
            Birth::Fail => {
                self.record.note(format!("fail {life}"));
                return Err("start refused".into());
            }
            Birth::Panic => {
                self.record.note(format!("fail {life}"));
                panic!("start panicked");
            }
            Birth::Hang => {
                self.record.note(format!("hang {life}"));
                std::future::pending().await
            }
        }
        let info = self.script.info.lock().unwrap().clone();
        if let Some(info) = info {
            ctx.set_start_info(info);
        }
        Ok(Witness { line: format!("drop {life}"), record: self.record.clone() })
    }

    async fn handle(&self, _: &mut Witness, order: Order, ctx: &Ctx<Order>) -> ActorResult {
        match order {
            Order::Incarnation(reply) => reply.send(ctx.incarnation()),
            Order::KillSupervisor => kill_supervisor(ctx),
            Order::CutLink(reply) => {
                cut_link(ctx);
                reply.send(());
            }
            Order::Die(death) => return death.strike(ctx).await,
            Order::DieAfter(time, death) => {
                self.record.note(format!("dying {}#{}", self.name, ctx.incarnation()));
                tokio::time::sleep(time).await;
                return death.strike(ctx).await;
            }
        }
        Ok(())
    }

    async fn post_stop(&self, _: &mut Witness, ctx: &Ctx<Order>) -> ActorResult {
        let leave = self.script.leave.lock().unwrap().clone();
        match leave {
            Leave::Promptly => {}
            Leave::Never => std::future::pending().await,
            Leave::After(time) => tokio::time::sleep(time).await,
            Leave::Failing => return Err("broken at the end".into()),
            Leave::Panicking => panic!("boom at the end"),
        }
        self.record.note(format!("stop {}#{}", self.name, ctx.incarnation()));
        Ok(())
    }
}

/// Rules without children: at most `max_restarts` an hour.
pub(crate) fn rules(strategy: Strategy, max_restarts: u32) -> SupervisorSpec {
    SupervisorSpec { strategy, intensity: Intensity { max_restarts, period: LONG }, ..SupervisorSpec::default() }
}

/// Starts a root under the given rules.
pub(crate) async fn start(spec: SupervisorSpec) -> (SupervisorHandle, TreeStore) {
    let tree = TreeStore::new();
    (Supervisor::start_root(spec, tree.clone()).await.unwrap(), tree)
}

/// Starts a root whose one child is a supervisor that is never restarted.
pub(crate) async fn start_below(supervisor: ChildSpec) -> (SupervisorHandle, TreeStore) {
    start(SupervisorSpec { children: vec![supervisor.restart(Restart::Temporary)], ..rules(Strategy::OneForOne, 0) })
        .await
}

/// A dynamic supervisor at `root/dynamic`.
pub(crate) struct Dynamic {
    pub(crate) root: SupervisorHandle,
    pub(crate) tree: TreeStore,
    pub(crate) sup: SupervisorHandle,
}

pub(crate) fn at_most(max_restarts: u32) -> DynamicOptions {
    DynamicOptions { intensity: Intensity { max_restarts, period: LONG }, ..DynamicOptions::default() }
}

pub(crate) async fn dynamic(options: DynamicOptions) -> Dynamic {
    let slot = SupervisorSlot::new();
    let (root, tree) = start_below(ChildSpec::dynamic("dynamic", "dynamic", &slot, options)).await;
    Dynamic { root, tree, sup: slot.handle() }
}

/// A supervisor of probes made from a template, at `root/simple`; its children are called `1`, `2` and so on.
pub(crate) struct Simple {
    pub(crate) root: SupervisorHandle,
    pub(crate) tree: TreeStore,
    pub(crate) sup: SupervisorHandle,
    pub(crate) children: TemplateHandle<Probe>,
}

pub(crate) async fn simple(
    options: DynamicOptions,
    adjust: impl Fn(ChildSpec) -> ChildSpec + Send + Sync + 'static,
) -> Simple {
    let slot = TemplateSlot::<Probe>::new();
    let make = move |probe: &Probe, _| adjust(probe.spec());
    let (root, tree) = start_below(ChildSpec::template("simple", "simple", &slot, options, make)).await;
    let children = slot.handle();
    Simple { root, tree, sup: children.supervisor(), children }
}

/// Specs, active, supervisors, workers.
pub(crate) async fn counts(sup: &SupervisorHandle) -> [usize; 4] {
    let count = sup.count_children().await.unwrap();
    [count.specs, count.active, count.supervisors, count.workers]
}

/// Ids and states of the children.
pub(crate) async fn states(sup: &SupervisorHandle) -> Vec<(String, NodeState)> {
    let children = sup.which_children().await.unwrap();
    children.into_iter().map(|child| (child.id.to_string(), child.state)).collect()
}

/// Waits until a node of the tree is as wanted.
#[track_caller]
pub(crate) fn until_node<'a>(
    tree: &'a TreeStore,
    path: &'a str,
    wanted: impl Fn(Option<&NodeView>) -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let mut changes = tree.subscribe();
        let wait = async {
            while !wanted(tree.node(&path.into()).as_ref()) {
                changes.next().await;
            }
        };
        if tokio::time::timeout(LONG, wait).await.is_err() {
            panic!("{caller}: {path} stays {:?}", tree.node(&path.into()));
        }
    }
}

/// Waits until a node is in a state.
#[track_caller]
pub(crate) fn until_state<'a>(tree: &'a TreeStore, path: &'a str, state: NodeState) -> impl Future<Output = ()> + 'a {
    until_node(tree, path, move |node| node.is_some_and(|node| node.state == state))
}

/// Waits until an incarnation is up.
#[track_caller]
pub(crate) fn until_up<'a>(tree: &'a TreeStore, path: &'a str, incarnation: u64) -> impl Future<Output = ()> + 'a {
    until_node(tree, path, move |node| {
        node.is_some_and(|node| node.state == NodeState::Running && node.incarnation == incarnation)
    })
}

/// Waits until there is no such node.
#[track_caller]
pub(crate) fn until_gone<'a>(tree: &'a TreeStore, path: &'a str) -> impl Future<Output = ()> + 'a {
    until_node(tree, path, |node| node.is_none())
}

/// How the last incarnation of a child ended.
#[track_caller]
pub(crate) fn last_exit(tree: &TreeStore, path: &str) -> ExitRecord {
    tree.history(&path.into()).pop().unwrap_or_else(|| panic!("{path} never ended"))
}
