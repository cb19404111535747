//! Wall clock as a value, so that expiry and timestamps can be tested.
//!
//! Deadlines and timers use tokio's monotonic clock instead; this one is only for what is shown or stored.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Milliseconds since the Unix epoch.
pub type EpochMs = i64;

/// Tells the wall-clock time. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `now` until [`Clock::set`] moves it.
    #[must_use]
    pub fn fixed(now: EpochMs) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(now))))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> EpochMs {
        match &self.0 {
            Source::System => chrono::Utc::now().timestamp_millis(),
            Source::Fixed(at) => at.load(Ordering::SeqCst),
        }
    }

    /// Moves a fixed clock; the system clock ignores it.
    pub fn set(&self, now: EpochMs) {
        if let Source::Fixed(at) = &self.0 {
            at.store(now, Ordering::SeqCst);
        }
    }

    /// The time as RFC 3339 with milliseconds in UTC, the form transcripts carry.
    #[must_use]
    pub fn now_rfc3339(&self) -> String {
        rfc3339(self.now_ms())
    }
}

/// `ms` since the epoch as RFC 3339 with milliseconds in UTC.
#[must_use]
pub fn rfc3339(ms: EpochMs) -> String {
    chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock(system)",
            Source::Fixed(_) => "Clock(fixed)",
        })
    }
}
