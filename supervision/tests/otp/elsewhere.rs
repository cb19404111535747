//! Children that run on runtimes of their own, and children that belong to somebody else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use supervision::Incarnation;
use supervision::prelude::*;
use supervision::testing::Recorder;
use tokio::runtime::Runtime;

use crate::support::Probe;

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
