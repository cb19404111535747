//! When the next piece may go. Pure: time comes in, waits come out.
//!
//! A grant reserves its moment, so that pieces asked for together leave one after the other.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::channels::contract::Pace;

/// Chats whose last moment is remembered; older ones are forgotten first when they are over anyway.
const MAX_CHATS: usize = 4096;

/// Hands out moments for one account. Time is counted from any fixed point.
#[derive(Debug, Clone)]
pub struct Pacer {
    pace: Pace,
    chats: BTreeMap<String, Duration>,
    /// The moments granted last, at most a second's worth.
    recent: VecDeque<Duration>,
}

impl Pacer {
    /// A pacer that has granted nothing yet.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, chats: BTreeMap::new(), recent: VecDeque::new() }
    }

    /// The moment, not before `now`, at which a piece may go to `chat`. It is reserved.
    pub fn grant(&mut self, chat: &str, now: Duration) -> Duration {
        let gap = if chat.starts_with('-') { self.pace.per_group } else { self.pace.per_chat };
        let mut at = now;
        if let Some(last) = self.chats.get(chat) {
            at = at.max(*last + gap);
        }
        at = at.max(self.free_second(at));
        self.remember(chat, at, now);
        at
    }

    /// The earliest moment from `at` on with fewer than the allowed number in the second before it.
    fn free_second(&self, at: Duration) -> Duration {
        let allowed = usize::try_from(self.pace.per_second.max(1)).unwrap_or(usize::MAX);
        if self.recent.len() < allowed {
            return at;
        }
        // Moments are kept sorted: the `allowed`th from the end frees its place a second later.
        self.recent.get(self.recent.len() - allowed).map_or(at, |oldest| at.max(*oldest + Duration::from_secs(1)))
    }

    fn remember(&mut self, chat: &str, at: Duration, now: Duration) {
        let place = self.recent.partition_point(|moment| *moment <= at);
        self.recent.insert(place, at);
        // What is more than a second before now and not among the last `allowed` can't matter any more.
        let allowed = usize::try_from(self.pace.per_second.max(1)).unwrap_or(usize::MAX);
        while self.recent.len() > allowed
            && self.recent.front().is_some_and(|moment| *moment + Duration::from_secs(1) < now)
        {
            self.recent.pop_front();
        }
        if self.chats.len() >= MAX_CHATS {
            let longest = self.pace.per_group.max(self.pace.per_chat);
            self.chats.retain(|_, last| *last + longest > now);
        }
        self.chats.insert(chat.to_owned(), at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace() -> Pace {
        Pace { per_chat: Duration::from_secs(1), per_group: Duration::from_secs(3), per_second: 30 }
    }

    #[test]
    fn one_chat_gets_one_message_a_second() {
        let mut pacer = Pacer::new(pace());
        let moments: Vec<u64> = (0..4).map(|_| pacer.grant("7", Duration::ZERO).as_secs()).collect();
        assert_eq!(moments, [0, 1, 2, 3]);
        assert_eq!(pacer.grant("8", Duration::ZERO), Duration::ZERO);
        assert_eq!(pacer.grant("7", Duration::from_secs(60)), Duration::from_secs(60));
    }

    #[test]
    fn groups_are_slower() {
        let mut pacer = Pacer::new(pace());
        let moments: Vec<u64> = (0..3).map(|_| pacer.grant("-100", Duration::ZERO).as_secs()).collect();
        assert_eq!(moments, [0, 3, 6]);
    }

    #[test]
    fn all_chats_together_stay_below_the_limit() {
        let mut pacer = Pacer::new(pace());
        let late = (0..90).filter(|chat| pacer.grant(&chat.to_string(), Duration::ZERO) > Duration::ZERO).count();
        assert_eq!(late, 60);
    }

    proptest! {
        #[test]
        fn no_second_holds_more_than_allowed(asks in proptest::collection::vec((0u32..60, 0u64..400), 1..300)) {
            let mut pacer = Pacer::new(Pace { per_second: 5, ..pace() });
            let mut now = Duration::ZERO;
            let mut granted: Vec<Duration> = Vec::new();
            for (chat, step) in asks {
                now += Duration::from_millis(step);
                let at = pacer.grant(&chat.to_string(), now);
                prop_assert!(at >= now);
                granted.push(at);
            }
            granted.sort();
            for window in granted.windows(6) {
                prop_assert!(window[5] - window[0] >= Duration::from_secs(1), "{window:?}");
            }
        }

        #[test]
        fn a_chat_keeps_its_distance(steps in proptest::collection::vec(0u64..3000, 1..100)) {
            let mut pacer = Pacer::new(pace());
            let mut now = Duration::ZERO;
            let mut last: Option<Duration> = None;
            for step in steps {
                now += Duration::from_millis(step);
                let at = pacer.grant("7", now);
                prop_assert!(last.is_none_or(|last| at - last >= Duration::from_secs(1)));
                last = Some(at);
            }
        }
    }
}
