//! When a credential may be used again: plain arithmetic over absolute deadlines.
//!
//! Two windows are kept apart. A *cooldown* follows passing trouble and climbs a ladder by consecutive failure; a
//! *disabled* window follows trouble that money or a person must end. Deadlines are absolute, so a restart neither
//! shortens nor restarts them. Invariant: while a window is open, further failures of calls that were already under
//! way neither extend it nor climb the ladder.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::{ErrorClass, Outcome};
use crate::clock::EpochMs;

/// Waits after the first, second … consecutive failure.
const LADDER: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
];

/// The same for a provider without capacity: a quick return helps nobody then.
const OVERLOADED_LADDER: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
];

/// First and longest window after a billing failure, doubling between them.
const BILLING: (Duration, Duration) = (Duration::from_secs(5 * 3600), Duration::from_secs(24 * 3600));

/// First and longest window after a revoked credential, doubling between them.
const AUTH_PERMANENT: (Duration, Duration) = (Duration::from_secs(10 * 60), Duration::from_secs(3600));

/// Failures older than this no longer count as consecutive.
const FAILURE_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// Longest time a provider may ask us to stay away; more is taken for a mistake.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is remembered of a credential's use, in the shape of `usageStats`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageStats {
    /// When it was last leased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<EpochMs>,
    /// Not to be used before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<EpochMs>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown_reason: Option<ErrorClass>,
    /// Not to be used before this, by a failure that doesn't pass by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_until: Option<EpochMs>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<ErrorClass>,
    /// Consecutive failures that led to a window.
    pub error_count: u32,
    /// Failures by class since the last success.
    pub failure_counts: BTreeMap<ErrorClass, u32>,
    /// When the last failure was reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_at: Option<EpochMs>,
    /// Leases ever given.
    pub usage_count: u64,
    /// Successes ever reported.
    pub success_count: u64,
    /// Failures ever reported.
    pub failure_count: u64,
    /// Which credential this was counted for; another one starts anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// Whether a credential may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileState {
    /// It may.
    Ready,
    /// Not before `until`: passing trouble.
    CoolingDown {
        /// When it may be used again.
        until: EpochMs,
        /// What happened.
        reason: ErrorClass,
    },
    /// Not before `until`: a person has to do something, or it is tried again then.
    Disabled {
        /// When it is tried again.
        until: EpochMs,
        /// What happened.
        reason: ErrorClass,
    },
}

impl ProfileState {
    /// When it may be used again, if it may not now.
    #[must_use]
    pub fn blocked_until(self) -> Option<EpochMs> {
        match self {
            Self::Ready => None,
            Self::CoolingDown { until, .. } | Self::Disabled { until, .. } => Some(until),
        }
    }
}

/// What a failure class does to a credential.
enum Effect {
    Cooldown(&'static [Duration]),
    Disable(Duration, Duration),
    None,
}

fn effect(class: ErrorClass) -> Effect {
    match class {
        ErrorClass::RateLimit | ErrorClass::Auth | ErrorClass::Timeout | ErrorClass::ServerError => {
            Effect::Cooldown(&LADDER)
        }
        ErrorClass::Overloaded => Effect::Cooldown(&OVERLOADED_LADDER),
        ErrorClass::Billing => Effect::Disable(BILLING.0, BILLING.1),
        ErrorClass::AuthPermanent => Effect::Disable(AUTH_PERMANENT.0, AUTH_PERMANENT.1),
        ErrorClass::TlsCertificate
        | ErrorClass::Format
        | ErrorClass::ContextOverflow
        | ErrorClass::ModelNotFound
        | ErrorClass::SessionExpired
        | ErrorClass::EmptyResponse
        | ErrorClass::NoErrorDetails
        | ErrorClass::Unclassified
        | ErrorClass::Unknown => Effect::None,
    }
}

fn millis(duration: Duration) -> EpochMs {
    EpochMs::try_from(duration.as_millis()).unwrap_or(EpochMs::MAX)
}

fn after(now: EpochMs, wait: Duration) -> EpochMs {
    now.saturating_add(millis(wait))
}

impl UsageStats {
    /// Whether the credential may be used at `now`. A disabled window outweighs a cooldown.
    #[must_use]
    pub fn state(&self, now: EpochMs) -> ProfileState {
        if let Some(until) = self.disabled_until.filter(|until| *until > now) {
            return ProfileState::Disabled { until, reason: self.disabled_reason.unwrap_or(ErrorClass::Unknown) };
        }
        match self.cooldown_until.filter(|until| *until > now) {
            Some(until) => {
                ProfileState::CoolingDown { until, reason: self.cooldown_reason.unwrap_or(ErrorClass::Unknown) }
            }
            None => ProfileState::Ready,
        }
    }

    /// Notes that the credential was handed out.
    pub fn leased(&mut self, now: EpochMs) {
        self.last_used = Some(now);
        self.usage_count = self.usage_count.saturating_add(1);
    }

    /// Takes in how a call ended. True when a disabled window was opened, which is to be kept before it is answered.
    pub fn report(&mut self, outcome: Outcome, now: EpochMs) -> bool {
        match outcome {
            Outcome::Ok => {
                self.succeeded(now);
                false
            }
            Outcome::Failed { class, retry_after } => self.failed(class, retry_after, now),
        }
    }

    /// Starts anew for the credential `fingerprint` unless that is the one already counted for.
    pub fn adopt(&mut self, fingerprint: Option<&str>) {
        if self.fingerprint.as_deref() != fingerprint {
            *self = Self { fingerprint: fingerprint.map(str::to_owned), last_used: self.last_used, ..Self::default() };
        }
    }

    fn succeeded(&mut self, now: EpochMs) {
        self.success_count = self.success_count.saturating_add(1);
        self.error_count = 0;
        self.failure_counts.clear();
        if self.cooldown_until.is_some_and(|until| until <= now) {
            self.cooldown_until = None;
            self.cooldown_reason = None;
        }
        if self.disabled_until.is_some_and(|until| until <= now) {
            self.disabled_until = None;
            self.disabled_reason = None;
        }
    }

    fn failed(&mut self, class: ErrorClass, retry_after: Option<Duration>, now: EpochMs) -> bool {
        self.failure_count = self.failure_count.saturating_add(1);
        if self.last_failure_at.is_some_and(|at| now.saturating_sub(at) > millis(FAILURE_WINDOW)) {
            self.error_count = 0;
            self.failure_counts.clear();
        }
        self.last_failure_at = Some(now);
        let same = self.failure_counts.entry(class).or_default();
        *same = same.saturating_add(1);
        match effect(class) {
            Effect::None => false,
            Effect::Cooldown(ladder) => {
                if self.state(now) == ProfileState::Ready {
                    let wait = ladder[(self.error_count as usize).min(ladder.len() - 1)];
                    let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
                    self.cooldown_until = Some(after(now, wait.max(asked)));
                    self.cooldown_reason = Some(class);
                    self.error_count = self.error_count.saturating_add(1);
                }
                false
            }
            Effect::Disable(base, longest) => {
                if self.disabled_until.is_some_and(|until| until > now) {
                    return false;
                }
                let doublings = same.saturating_sub(1).min(16);
                let wait = base.saturating_mul(1 << doublings).min(longest);
                self.disabled_until = Some(after(now, wait));
                self.disabled_reason = Some(class);
                self.error_count = self.error_count.saturating_add(1);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
