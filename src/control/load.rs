//! How busy the runtime is, measured when somebody asks and not by a timer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeMetrics};

use crate::protocol::methods::health::EventLoopHealth;

/// A task that waits longer than this for its turn says that the runtime is behind.
const DEGRADED_DELAY: Duration = Duration::from_millis(500);
/// A runtime busier than this has no room left.
const DEGRADED_UTILIZATION: f64 = 0.95;

/// Remembers the last measurement, so that the next is about the time since.
#[derive(Debug, Default)]
pub struct RuntimeLoad {
    last: Mutex<Option<Sample>>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    busy: Duration,
    degraded_since: Option<Instant>,
}

impl RuntimeLoad {
    /// Measures how long a task waits for its turn now, and how busy the workers were since the last time.
    pub async fn measure(&self) -> EventLoopHealth {
        let asked = Instant::now();
        tokio::task::yield_now().await;
        let delay = asked.elapsed();
        let metrics = Handle::current().metrics();
        self.record(delay, busy(&metrics), metrics.num_workers())
    }

    fn record(&self, delay: Duration, busy: Duration, workers: usize) -> EventLoopHealth {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = last.map_or(Duration::ZERO, |last| now.duration_since(last.at));
        let worked = last.map_or(Duration::ZERO, |last| busy.saturating_sub(last.busy));
        let cores = if interval.is_zero() { 0.0 } else { worked.as_secs_f64() / interval.as_secs_f64() };
        let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        let utilization = (cores / f64::from(workers)).min(1.0);
        let mut reasons = Vec::new();
        if delay > DEGRADED_DELAY {
            reasons.push("event_loop_delay".to_owned());
        }
        if utilization > DEGRADED_UTILIZATION {
            reasons.push("event_loop_utilization".to_owned());
        }
        let since = last.and_then(|last| last.degraded_since).or(Some(now)).filter(|_| !reasons.is_empty());
        *last = Some(Sample { at: now, busy, degraded_since: since });
        EventLoopHealth {
            degraded: !reasons.is_empty(),
            degraded_since_ms: since
                .map(|since| i64::try_from(now.duration_since(since).as_millis()).unwrap_or(i64::MAX)),
            reasons,
            interval_ms: millis(interval),
            delay_p99_ms: millis(delay),
            delay_max_ms: millis(delay),
            utilization: round(utilization),
            cpu_core_ratio: round(cores),
        }
    }
}

fn busy(metrics: &RuntimeMetrics) -> Duration {
    (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum()
}

fn millis(duration: Duration) -> f64 {
    round(duration.as_secs_f64() * 1000.0)
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_runtime_with_nothing_to_do_is_not_degraded() {
        let load = RuntimeLoad::default();
        let value = load.measure().await;
        assert_eq!((value.degraded_since_ms, value.interval_ms), (None, 0.0));
    }

    #[test]
    fn a_late_task_is_a_reason() {
        let load = RuntimeLoad::default();
        let value = load.record(Duration::from_secs(1), Duration::ZERO, 2);
        assert_eq!((value.degraded, value.reasons), (true, vec!["event_loop_delay".to_owned()]));
        let value = load.record(Duration::ZERO, Duration::ZERO, 2);
        assert!(!value.degraded);
    }
}
