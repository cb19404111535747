//! The way down: no new work, what runs may finish, what is to go out goes out, sockets are closed with a reason, the
//! store is flushed, the tree is stopped. One budget for all of it; a second signal ends it at once.

use std::time::Duration;

use actors::gateway::lifecycle::Phase;
use supervision::tree::Query;
use tokio::time::Instant;

use super::boot::{Running, TREE_BUDGET};
use crate::control;

/// How often it is looked whether runs have ended.
const LOOK: Duration = Duration::from_millis(25);
/// How often it is said what is waited for.
const SAY: Duration = Duration::from_secs(30);
/// What is ready to be sent may take this long.
const OUTBOX: Duration = Duration::from_secs(15);
/// Deliveries under way may take this long to get an answer of their platform.
const DELIVERIES: Duration = Duration::from_secs(15);
/// Clients may take this long to close their sockets.
const SOCKETS: Duration = Duration::from_secs(2);

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Who was still at work when the budget was spent or a second signal came, by path.
    pub stragglers: Vec<String>,
}

impl Report {
    /// 0 when everybody was done in time.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.stragglers.is_empty())
    }
}

/// Stops the daemon. `hurry` resolves when somebody is out of patience.
pub async fn shutdown(running: &Running, reason: &str, budget: Duration, hurry: impl Future<Output = ()>) -> Report {
    let deadline = Instant::now() + budget;
    tracing::info!(reason, budget_s = budget.as_secs(), "stopping");
    running.services.readiness.enter(control::Phase::Draining);
    running.domain.lifecycle.enter(Phase::Draining).await;
    // No more messages come in; what was not accepted stays with the platform.
    if let Err(error) = running.domain.channels.stop_all().await {
        tracing::warn!(error = %error, "channels did not stop");
    }
    running.domain.sessions.close();
    let stragglers = tokio::select! {
        stragglers = finish_runs(running, deadline) => stragglers,
        () = hurry => busy_runs(running),
    };
    for path in &stragglers {
        tracing::warn!(path, "still at work, stopped all the same; it is resumed at the next start");
    }
    if stragglers.is_empty() {
        for lane in running.domain.delivery.drain(OUTBOX).await {
            tracing::warn!(lane = %lane, "not everything could be sent; the rest is sent after the next start");
        }
        for lane in running.domain.delivery.quiesce(DELIVERIES).await {
            tracing::warn!(lane = %lane, "deliveries are still on their way; they are taken up at the next start");
        }
    }
    let left = control::drain(&running.services, reason, None, SOCKETS).await;
    if left > 0 {
        tracing::warn!(connections = left, "clients did not close their sockets");
    }
    // A store that does not answer any more has nothing that could be flushed.
    drop(running.domain.store.settle().await);
    let report = running.root.shutdown(TREE_BUDGET).await;
    let mut all = stragglers;
    all.extend(report.stragglers.iter().map(ToString::to_string));
    for path in &report.stragglers {
        tracing::error!(path = %path, "did not stop in time");
    }
    tracing::info!(stragglers = all.len(), "stopped");
    Report { stragglers: all }
}

/// Waits until no run is at work; who still is when the time is up.
async fn finish_runs(running: &Running, deadline: Instant) -> Vec<String> {
    let mut said = Instant::now();
    loop {
        let busy = busy_runs(running);
        if busy.is_empty() || Instant::now() >= deadline {
            return busy;
        }
        if said.elapsed() >= SAY {
            said = Instant::now();
            tracing::info!(runs = busy.len(), first = %busy[0], "waiting for runs to finish");
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn busy_runs(running: &Running) -> Vec<String> {
    let nodes = running.tree.snapshot(&Query::default()).nodes;
    nodes
        .into_iter()
        .filter(|node| node.kind == "session" && node.busy.is_some())
        .map(|node| node.path.to_string())
        .collect()
}
