//! More of what the cases share: children whose tasks can be aborted, and a look at what is logged.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use supervision::Incarnation;
use supervision::prelude::*;
use supervision::testing::Recorder;
use tokio::runtime::Runtime;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{Order, Probe};

/// Long enough for anything that is still going to happen, short beside the hour of [`crate::support::rules`].
pub(crate) const QUIET: Duration = Duration::from_secs(300);

/// Lets time pass, so that whatever is still to come comes. For paused time only.
pub(crate) async fn settled() {
    tokio::time::sleep(QUIET).await;
}

/// A probe whose incarnations run on runtimes of their own, and can be aborted with them.
#[derive(Clone)]
pub(crate) struct Elsewhere {
    probe: Probe,
    record: Recorder,
    runtime: Arc<Mutex<Option<Runtime>>>,
}

impl Elsewhere {
    pub(crate) fn new(probe: &Probe, record: &Recorder) -> Self {
        Self { probe: probe.clone(), record: record.clone(), runtime: Arc::default() }
    }

    pub(crate) fn spec(&self) -> ChildSpec {
        let own = self.clone();
        ChildSpec::custom(self.probe.name.as_str(), "probe", self.probe.slot(), move |start| {
            let own = own.clone();
            async move {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
                let (slot, probe) = (own.probe.slot().clone(), own.probe.clone());
                let started = runtime.spawn(async move { start.spawn(&slot, probe, ()).await }).await?;
                own.keep(runtime);
                started
            }
        })
    }

    fn keep(&self, runtime: Runtime) {
        if let Some(old) = self.runtime.lock().unwrap().replace(runtime) {
            old.shutdown_background();
        }
    }

    /// Aborts the task of the live incarnation and waits until it is gone.
    pub(crate) async fn abort(&self) {
        let over = format!("drop {}#{}", self.probe.name, self.probe.incarnation().await);
        let runtime = self.runtime.lock().unwrap().take().unwrap();
        runtime.shutdown_background();
        self.record.until(&over).await;
    }
}

impl Drop for Elsewhere {
    /// A runtime must not be dropped among tasks.
    fn drop(&mut self) {
        if Arc::strong_count(&self.runtime) == 1
            && let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            runtime.shutdown_background();
        }
    }
}

/// Lets `owner` begin to start a probe and get hold of its actor, so that somebody else can pass it off as their own. The
/// actor lives as long as `owner`, which waits for its start to end.
pub(crate) async fn lend(owner: &SupervisorHandle, probe: &Probe) -> Arc<Mutex<Option<Incarnation>>> {
    let (give, mut take) = tokio::sync::mpsc::channel(1);
    let of = probe.clone();
    let lender = ChildSpec::custom(probe.name.as_str(), "probe", probe.slot(), move |start| {
        let (give, probe) = (give.clone(), of.clone());
        async move {
            let slot = probe.slot().clone();
            give.send(start.spawn(&slot, probe, ()).await?).await?;
            std::future::pending().await
        }
    });
    let owner = owner.clone();
    let lender = lender.init_timeout(Duration::MAX);
    tokio::spawn(async move { owner.start_child(lender).await });
    Arc::new(Mutex::new(take.recv().await))
}

/// One line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

impl Line {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// How many bytes it says in all.
    pub(crate) fn len(&self) -> usize {
        self.fields.values().map(String::len).sum()
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

/// Keeps what supervisors log on this thread while the guard lives.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(Ear(self.clone()))
    }

    /// What was said of one path.
    pub(crate) fn of(&self, path: &str) -> Vec<Line> {
        self.lines().into_iter().filter(|line| line.field("path") == path).collect()
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap().clone()
    }
}

/// Hears the events of target `supervision`.
struct Ear(Log);

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "supervision" && metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line { level: *event.metadata().level(), fields: BTreeMap::new() };
        event.record(&mut line);
        self.0.0.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
