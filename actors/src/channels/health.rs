//! Brings back accounts that the ladder gave up, and those whose connection only seems to live.
//!
//! It never restarts anything itself: it asks the supervisor, within a budget of its own, so that the ladder's count and
//! this one never mix. An account that was stopped by hand, that the platform refused, or that waits for a retry is left
//! alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use supervision::tree::NodeState;
use supervision::{AdminError, ChildSpec, TaskCtx};
use tokio::time::sleep;

use crate::channels::handle::{ChannelsHandle, Standing};
use crate::clock::{Clock, EpochMs};

/// Between two looks (OpenClaw: 5 min).
const INTERVAL: Duration = Duration::from_secs(300);
/// Before the first look (OpenClaw: 1 min).
const GRACE: Duration = Duration::from_secs(60);
/// Between two restarts of one account (OpenClaw: two intervals).
const COOLDOWN_MS: EpochMs = 600_000;
/// Restarts of one account per hour (OpenClaw: 10).
const PER_HOUR: usize = 10;
const HOUR_MS: EpochMs = 3_600_000;
/// A connection without any exchange for so long is dead (OpenClaw: 30 min).
const STALE_MS: EpochMs = 1_800_000;

/// Why an account is to be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its ladder is used up.
    GaveUp,
    /// Nothing was exchanged for too long.
    StaleSocket,
}

impl Reason {
    /// OpenClaw's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GaveUp => "gave-up",
            Self::StaleSocket => "stale-socket",
        }
    }
}

/// The monitor's memory: when it restarted what.
#[derive(Debug, Default)]
pub struct Monitor {
    restarts: BTreeMap<String, VecDeque<EpochMs>>,
}

impl Monitor {
    /// Looks at all accounts and has those restarted that need it. Returns how many.
    ///
    /// # Errors
    /// When the supervisor can't be asked.
    pub async fn check(&mut self, channels: &ChannelsHandle, clock: &Clock) -> Result<usize, AdminError> {
        let mut restarted = 0;
        for standing in channels.standing().await? {
            let now = clock.now_ms();
            let Some(reason) = ailment(&standing, now) else { continue };
            if !self.may_restart(standing.id.as_str(), now) {
                tracing::warn!(account = %standing.id, reason = reason.as_str(), "not restarted, budget used up");
                continue;
            }
            tracing::warn!(account = %standing.id, reason = reason.as_str(), "account restarted");
            channels.cycle(&standing.id).await?;
            restarted += 1;
        }
        Ok(restarted)
    }

    /// Takes one restart out of the account's budget, if there is one.
    fn may_restart(&mut self, id: &str, now: EpochMs) -> bool {
        let times = self.restarts.entry(id.to_owned()).or_default();
        while times.front().is_some_and(|at| now - at >= HOUR_MS) {
            times.pop_front();
        }
        let cooling = times.back().is_some_and(|at| now - at < COOLDOWN_MS);
        if cooling || times.len() >= PER_HOUR {
            return false;
        }
        times.push_back(now);
        true
    }
}

/// What is wrong with an account that a restart may heal.
fn ailment(standing: &Standing, now: EpochMs) -> Option<Reason> {
    let snapshot = &standing.snapshot;
    if !snapshot.enabled || !snapshot.configured || snapshot.terminal_disconnect {
        return None;
    }
    match standing.state {
        NodeState::Failed => Some(Reason::GaveUp),
        NodeState::Running => {
            let last = snapshot.last_transport_activity_at.max(snapshot.last_start_at)?;
            (snapshot.connected && now - last >= STALE_MS).then_some(Reason::StaleSocket)
        }
        NodeState::Starting
        | NodeState::Stopping
        | NodeState::Restarting
        | NodeState::BackingOff { .. }
        | NodeState::CoolingDown { .. }
        | NodeState::Ignored
        | NodeState::Exited
        | NodeState::Suspended
        | NodeState::Zombie => None,
    }
}

/// The monitor as a child; it belongs behind what starts the accounts.
#[must_use]
pub fn child_spec(channels: ChannelsHandle, clock: Clock) -> ChildSpec {
    ChildSpec::task("channel_health", "health monitor", move |ctx: TaskCtx| {
        let (channels, clock) = (channels.clone(), clock.clone());
        async move {
            let mut monitor = Monitor::default();
            let mut total = 0;
            sleep(GRACE).await;
            loop {
                total += monitor.check(&channels, &clock).await?;
                ctx.set_detail("restarts", total.to_string());
                sleep(INTERVAL).await;
            }
        }
    })
    .handler_limit(crate::HANDLER_LIMIT)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use supervision::ChildId;

    use super::*;
    use crate::channels::status::AccountSnapshot;

    const MINUTE: EpochMs = 60_000;

    fn standing(state: NodeState, change: impl FnOnce(&mut AccountSnapshot)) -> Standing {
        let mut snapshot = AccountSnapshot::new("default", None, "polling");
        snapshot.started(0, 0);
        change(&mut snapshot);
        Standing { id: ChildId::from("x:default"), state, snapshot: Arc::new(snapshot) }
    }

    #[test]
    fn only_what_a_restart_may_heal_is_restarted() {
        let failed = NodeState::Failed;
        assert_eq!(ailment(&standing(failed, |_| {}), 0), Some(Reason::GaveUp));
        assert_eq!(ailment(&standing(failed, |snapshot| snapshot.terminal_disconnect = true), 0), None);
        assert_eq!(ailment(&standing(failed, |snapshot| snapshot.enabled = false), 0), None);
        assert_eq!(ailment(&standing(NodeState::Exited, |_| {}), 0), None);
        let waiting = NodeState::BackingOff { at: 0, attempt: 1, max_attempts: Some(10) };
        assert_eq!(ailment(&standing(waiting, |_| {}), 0), None);
    }

    #[test]
    fn a_connection_that_only_seems_to_live_is_stale_after_half_an_hour() {
        let quiet = standing(NodeState::Running, |snapshot| {
            snapshot.connected = true;
            snapshot.last_transport_activity_at = Some(MINUTE);
        });
        assert_eq!(ailment(&quiet, 30 * MINUTE), None);
        assert_eq!(ailment(&quiet, 31 * MINUTE), Some(Reason::StaleSocket));
    }

    #[test]
    fn an_account_is_restarted_every_ten_minutes_at_most() {
        let mut monitor = Monitor::default();
        let restarts = (0..60).filter(|minute| monitor.may_restart("x", minute * MINUTE)).count();
        assert_eq!(restarts, 6);
        assert!(monitor.may_restart("y", 0), "each account has its own budget");
    }

    #[test]
    fn ten_restarts_an_hour_are_enough() {
        let mut monitor = Monitor::default();
        monitor.restarts.insert("x".into(), (0..10).collect());
        assert!(!monitor.may_restart("x", COOLDOWN_MS + 20));
        assert!(monitor.may_restart("x", HOUR_MS + 20));
    }
}
