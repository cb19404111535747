//! Slowing down those who guess, and those who write too much. In memory only, bounded.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use actors::clock::EpochMs;

use crate::protocol::limits::{CONTROL_PLANE_WINDOW, CONTROL_PLANE_WRITES};

use super::locality::UpgradeFacts;

/// Limits on failed attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Failures within the window that lock out.
    pub max_attempts: usize,
    /// The window.
    pub window: Duration,
    /// How long the lockout lasts.
    pub lockout: Duration,
    /// Whether this machine is slowed down instead of locked out.
    pub exempt_loopback: bool,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            window: Duration::from_secs(60),
            lockout: Duration::from_secs(300),
            exempt_loopback: true,
        }
    }
}

/// First delay of a failed attempt from this machine; each further one doubles it.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Longest such delay.
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// Sources remembered; the one silent for longest is forgotten first.
const MAX_SOURCES: usize = 4_096;

/// What kind of secret is guessed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The gateway's token or password.
    SharedSecret,
    /// A device token.
    DeviceToken,
    /// A setup code.
    Bootstrap,
}

/// Who guesses at what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LimitKey {
    credential: Credential,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    /// A page on this machine: pages share the address with everything else here, so they are told apart by origin.
    Page(String),
    Address(IpAddr),
}

impl LimitKey {
    /// The key of an upgrade.
    #[must_use]
    pub fn of(facts: &UpgradeFacts, credential: Credential) -> Self {
        let source = match &facts.origin {
            Some(origin) if facts.remote.is_loopback() => Source::Page(origin.to_ascii_lowercase()),
            Some(_) | None => Source::Address(facts.remote),
        };
        Self { credential, source }
    }

    fn is_exempt(&self, limits: &RateLimits) -> bool {
        limits.exempt_loopback
            && match &self.source {
                Source::Page(_) => false,
                Source::Address(ip) => ip.is_loopback(),
            }
    }
}

#[derive(Debug, Default)]
struct Failures {
    times: VecDeque<EpochMs>,
    locked_until: Option<EpochMs>,
    last: EpochMs,
}

/// Remembers failed attempts.
#[derive(Debug, Default)]
pub struct RateLimiter {
    sources: HashMap<LimitKey, Failures>,
}

impl RateLimiter {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long `key` is still locked out; `None` when it may try.
    #[must_use]
    pub fn locked_for(&self, key: &LimitKey, now: EpochMs) -> Option<Duration> {
        let until = self.sources.get(key)?.locked_until?;
        (until > now).then(|| Duration::from_millis(until.abs_diff(now)))
    }

    /// How long the answer to a failure of `key` is held back. Ask before recording the failure.
    #[must_use]
    pub fn delay(&self, key: &LimitKey, limits: &RateLimits, now: EpochMs) -> Duration {
        if !key.is_exempt(limits) {
            return Duration::ZERO;
        }
        let oldest = now - millis(limits.window);
        let before = self.sources.get(key).map_or(0, |found| found.times.iter().filter(|at| **at > oldest).count());
        FIRST_DELAY.saturating_mul(1 << before.min(8)).min(LONGEST_DELAY)
    }

    /// Records a failure.
    pub fn failed(&mut self, key: LimitKey, limits: &RateLimits, now: EpochMs) {
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&key) {
            self.forget_one(now);
        }
        let is_exempt = key.is_exempt(limits);
        let found = self.sources.entry(key).or_default();
        found.last = now;
        found.times.push_back(now);
        let oldest = now - millis(limits.window);
        // Few enough to count; more than the limit need not be remembered.
        while found.times.front().is_some_and(|at| *at <= oldest) || found.times.len() > limits.max_attempts.max(16) {
            found.times.pop_front();
        }
        if !is_exempt && found.times.len() >= limits.max_attempts {
            found.locked_until = Some(now + millis(limits.lockout));
            found.times.clear();
        }
    }

    /// Forgets the failures of `key`.
    pub fn succeeded(&mut self, key: &LimitKey) {
        self.sources.remove(key);
    }

    fn forget_one(&mut self, now: EpochMs) {
        let is_locked = |found: &Failures| found.locked_until.is_some_and(|until| until > now);
        let idle = self.sources.iter().min_by_key(|(_, found)| (is_locked(found), found.last));
        if let Some(key) = idle.map(|(key, _)| key.clone()) {
            self.sources.remove(&key);
        }
    }
}

fn millis(duration: Duration) -> EpochMs {
    EpochMs::try_from(duration.as_millis()).unwrap_or(EpochMs::MAX / 4)
}

/// The budget of control-plane writes: 30 in 60 s per method, device and address.
#[derive(Debug, Default)]
pub struct WriteBudget {
    used: HashMap<(String, String), VecDeque<EpochMs>>,
}

impl WriteBudget {
    /// Takes one write of `method` by `who` (device and address).
    ///
    /// # Errors
    /// How long to wait when the budget is spent.
    pub fn take(&mut self, method: &str, who: &str, now: EpochMs) -> Result<(), Duration> {
        let oldest = now - millis(CONTROL_PLANE_WINDOW);
        if self.used.len() >= MAX_SOURCES {
            self.used.retain(|_, times| times.back().is_some_and(|at| *at > oldest));
        }
        let times = self.used.entry((method.to_owned(), who.to_owned())).or_default();
        while times.front().is_some_and(|at| *at <= oldest) {
            times.pop_front();
        }
        if let Some(first) = times.front().filter(|_| times.len() >= CONTROL_PLANE_WRITES) {
            return Err(Duration::from_millis((first + millis(CONTROL_PLANE_WINDOW)).abs_diff(now)));
        }
        times.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(peer: &str, origin: Option<&'static str>) -> LimitKey {
        let facts = UpgradeFacts::from_headers(peer.parse().unwrap(), origin.map(|origin| ("origin", origin)));
        LimitKey::of(&facts, Credential::SharedSecret)
    }

    fn fail(limiter: &mut RateLimiter, key: &LimitKey, times: usize, at: EpochMs) {
        for _ in 0..times {
            limiter.failed(key.clone(), &RateLimits::default(), at);
        }
    }

    #[test]
    fn the_tenth_failure_within_a_minute_locks_out_for_five() {
        let mut limiter = RateLimiter::new();
        let key = key("192.168.1.9", None);
        fail(&mut limiter, &key, 9, 1_000);
        assert_eq!(limiter.locked_for(&key, 1_000), None);
        fail(&mut limiter, &key, 1, 2_000);
        assert_eq!(limiter.locked_for(&key, 2_000), Some(Duration::from_secs(300)));
        assert_eq!(limiter.locked_for(&key, 302_000), None);
    }

    #[test]
    fn failures_leave_the_window_and_success_forgets_them() {
        let mut limiter = RateLimiter::new();
        let key = key("192.168.1.9", None);
        fail(&mut limiter, &key, 9, 0);
        fail(&mut limiter, &key, 1, 60_001);
        assert_eq!(limiter.locked_for(&key, 60_001), None);
        fail(&mut limiter, &key, 8, 60_002);
        limiter.succeeded(&key);
        fail(&mut limiter, &key, 9, 60_003);
        assert_eq!(limiter.locked_for(&key, 60_003), None);
    }

    #[test]
    fn this_machine_is_slowed_down_and_its_pages_are_locked_out() {
        let (mut limiter, limits) = (RateLimiter::new(), RateLimits::default());
        let local = key("127.0.0.1", None);
        let delays: Vec<u128> = (0..7)
            .map(|_| {
                let delay = limiter.delay(&local, &limits, 5);
                fail(&mut limiter, &local, 1, 5);
                delay.as_millis()
            })
            .collect();
        assert_eq!(delays, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        fail(&mut limiter, &local, 50, 5);
        assert_eq!(limiter.locked_for(&local, 5), None);

        let page = key("127.0.0.1", Some("http://evil.example"));
        fail(&mut limiter, &page, 10, 5);
        assert!(limiter.locked_for(&page, 5).is_some());
        assert_eq!(limiter.locked_for(&key("127.0.0.1", Some("http://localhost")), 5), None);
        assert_eq!(limiter.delay(&page, &limits, 5), Duration::ZERO);
    }

    #[test]
    fn memory_is_bounded_and_keeps_those_who_are_locked_out() {
        let mut limiter = RateLimiter::new();
        let locked = key("10.9.9.9", None);
        fail(&mut limiter, &locked, 10, 0);
        for n in 0..MAX_SOURCES + 50 {
            let ip = std::net::Ipv4Addr::from(0x0a00_0000 + u32::try_from(n).unwrap());
            fail(&mut limiter, &key(&ip.to_string(), None), 1, 1);
        }
        assert!(limiter.sources.len() <= MAX_SOURCES);
        assert!(limiter.locked_for(&locked, 1).is_some());
    }

    #[test]
    fn thirty_writes_a_minute_per_method_and_caller() {
        let mut budget = WriteBudget::default();
        for n in 0..30 {
            assert_eq!(budget.take("cron.run", "a", n * 1_000), Ok(()));
        }
        assert_eq!(budget.take("cron.run", "a", 30_000), Err(Duration::from_secs(30)));
        assert_eq!(budget.take("cron.add", "a", 30_000), Ok(()));
        assert_eq!(budget.take("cron.run", "b", 30_000), Ok(()));
        assert_eq!(budget.take("cron.run", "a", 60_000), Ok(()));
    }
}
