//! Makes what runs what the configuration wants, at start and after each change; one path for both.
//!
//! Runs as a task of `upkeep`, below what it converges: when one of those is rebuilt, this starts anew and fills it
//! again. It also brings back sessions that have something open, and lets idle ones leave.

use std::time::Duration;

use supervision::{BoxError, ChildSpec, TaskCtx};

use super::domain::Domain;
use crate::channels::registry;
use crate::providers::Catalog;
use crate::sessions::recovery;

/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// A session that fails is brought back by its supervisor; this long after, it is looked whether it was.
const OWN_RETURN: Duration = Duration::from_millis(250);

/// The spec of the task.
#[must_use]
pub(super) fn child_spec(domain: Domain) -> ChildSpec {
    ChildSpec::task("reconciler", "reconciler", move |ctx: TaskCtx| run(domain.clone(), ctx))
        .handler_limit(crate::HANDLER_LIMIT)
}

async fn run(domain: Domain, ctx: TaskCtx) -> Result<(), BoxError> {
    let mut changes = domain.config.changes();
    let unfinished = recovery::unfinished(&domain.store).await?;
    ctx.set_detail("recovered", unfinished.len().to_string());
    for session in &unfinished {
        domain.sessions.ensure(session).await;
    }
    loop {
        converge(&domain, &ctx).await?;
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    changed?;
                    break;
                }
                () = tokio::time::sleep(SWEEP) => {
                    domain.sessions.sessions().sweep();
                    revive(&domain).await;
                }
                () = domain.sessions.sessions().orphaned() => {
                    tokio::time::sleep(OWN_RETURN).await;
                    revive(&domain).await;
                }
            }
        }
    }
}

/// Brings back sessions that have something open and no actor: those whose supervisor ended with them.
async fn revive(domain: &Domain) {
    match recovery::unfinished(&domain.store).await {
        Ok(unfinished) => {
            for session in &unfinished {
                domain.sessions.sessions().revive(session).await;
            }
        }
        Err(error) => tracing::debug!(%error, "sessions with something open are looked for later"),
    }
}

async fn converge(domain: &Domain, ctx: &TaskCtx) -> Result<(), BoxError> {
    let snapshot = domain.config.current();
    ctx.set_detail("revision", snapshot.revision.to_string());
    if let Err(error) = domain.providers.apply(Catalog::of(&snapshot.config)).await {
        tracing::warn!(error = %error, "providers did not follow the configuration");
    }
    let wanted = registry::accounts(&snapshot.config);
    domain.delivery.converge(&wanted).await?;
    let done = domain.channels.converge(wanted).await?;
    if !(done.started.is_empty() && done.restarted.is_empty() && done.stopped.is_empty()) {
        tracing::info!(started = ?done.started, restarted = ?done.restarted, stopped = ?done.stopped, "channel accounts");
    }
    Ok(())
}
