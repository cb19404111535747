//! Time limits of one model call, phase by phase.
//!
//! Only progress moves the idle limit: comments and pings keep a connection open, but they are not an answer.

use std::time::Duration;

use tokio::time::Instant;

use super::contract::{ErrorClass, ModelError};

/// Connecting, with TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// From sending the request to the first event of the answer.
const FIRST_EVENT: Duration = Duration::from_secs(120);
/// Between two events, for a provider in the cloud.
const IDLE: Duration = Duration::from_secs(120);
/// The same for a model on this machine or in this network: it may have to be loaded first.
const IDLE_LOCAL: Duration = Duration::from_secs(300);

/// Time limits of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Connecting. Belongs to the client of a provider; a limit given for one call has no effect on it.
    pub connect: Duration,
    /// From sending the request to the first event.
    pub first_byte: Duration,
    /// Between two events.
    pub idle: Duration,
    /// The whole call; none is unlimited.
    pub total: Option<Duration>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { connect: CONNECT, first_byte: FIRST_EVENT, idle: IDLE, total: None }
    }
}

impl Deadlines {
    /// The limits of a provider. `timeout` from the configuration extends each phase, it never shortens one.
    #[must_use]
    pub fn of_provider(local: bool, timeout: Option<Duration>) -> Self {
        let idle = if local { IDLE_LOCAL } else { IDLE };
        let at_least = |limit: Duration| limit.max(timeout.unwrap_or_default());
        Self {
            connect: at_least(CONNECT),
            first_byte: at_least(FIRST_EVENT.max(idle)),
            idle: at_least(idle),
            total: None,
        }
    }
}

/// The limit that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    FirstByte,
    Idle,
    Total,
}

impl Phase {
    pub(super) fn error(self) -> ModelError {
        let message = match self {
            Self::FirstByte => "the provider did not begin to answer in time",
            Self::Idle => "the provider stopped in the middle of its answer",
            Self::Total => "the model call took longer than allowed",
        };
        ModelError::new(ErrorClass::Timeout, message)
    }
}

/// Keeps the time of one call.
#[derive(Debug)]
pub(super) struct Watch {
    limits: Deadlines,
    started: Instant,
    progress: Option<Instant>,
}

impl Watch {
    pub(super) fn start(limits: Deadlines, now: Instant) -> Self {
        Self { limits, started: now, progress: None }
    }

    /// Something of the answer came.
    pub(super) fn progress(&mut self, now: Instant) {
        self.progress = Some(now);
    }

    /// The next moment at which the call is given up, and which limit that is.
    pub(super) fn next(&self) -> (Instant, Phase) {
        let phase = match self.progress {
            None => (self.started + self.limits.first_byte, Phase::FirstByte),
            Some(at) => (at + self.limits.idle, Phase::Idle),
        };
        match self.limits.total.map(|total| self.started + total) {
            Some(total) if total <= phase.0 => (total, Phase::Total),
            Some(_) | None => phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(total: Option<Duration>) -> Deadlines {
        Deadlines { connect: SECOND, first_byte: 5 * SECOND, idle: 2 * SECOND, total }
    }

    #[test]
    fn first_event_then_idle_limit_each_phase() {
        let start = Instant::now();
        let mut watch = Watch::start(limits(None), start);
        assert_eq!(watch.next(), (start + 5 * SECOND, Phase::FirstByte));
        watch.progress(start + 3 * SECOND);
        assert_eq!(watch.next(), (start + 5 * SECOND, Phase::Idle));
        watch.progress(start + 4 * SECOND);
        assert_eq!(watch.next(), (start + 6 * SECOND, Phase::Idle));
    }

    #[test]
    fn total_limits_a_call_that_always_makes_progress() {
        let start = Instant::now();
        let mut watch = Watch::start(limits(Some(4 * SECOND)), start);
        assert_eq!(watch.next(), (start + 4 * SECOND, Phase::Total));
        watch.progress(start + SECOND);
        assert_eq!(watch.next(), (start + 3 * SECOND, Phase::Idle));
        watch.progress(start + 3 * SECOND);
        assert_eq!(watch.next(), (start + 4 * SECOND, Phase::Total));
    }

    #[test]
    fn configured_timeout_extends_and_never_shortens() {
        let usual = Deadlines::of_provider(false, None);
        assert_eq!(usual, Deadlines::default());
        assert_eq!(Deadlines::of_provider(false, Some(SECOND)), usual);
        assert_eq!(Deadlines::of_provider(false, Some(600 * SECOND)).idle, 600 * SECOND);
        assert_eq!(Deadlines::of_provider(true, None).idle, 300 * SECOND);
    }
}
