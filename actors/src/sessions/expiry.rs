//! When a conversation is too old to go on. Pure; asked when its next message arrives.

use chrono::{DateTime, Days, TimeZone};

use crate::clock::EpochMs;
use crate::config::ResetPolicy;
use crate::ids::SessionKey;

/// The kind of chat of a session, as `session.resetByType` names it.
pub(super) fn chat_type(session: &SessionKey) -> &'static str {
    let mut segments = session.rest().split(':');
    let is_thread = session.rest().contains(":thread:") || session.rest().contains(":topic:");
    match segments.any(|segment| matches!(segment, "group" | "channel" | "room")) {
        _ if is_thread => "thread",
        true => "group",
        false => "direct",
    }
}

/// Why a conversation that began at `started` and was last spoken in at `spoken` does not go on at `now`: `daily` or
/// `idle`, whichever came first.
pub(super) fn reason<Tz: TimeZone>(
    policy: ResetPolicy,
    started: Option<EpochMs>,
    spoken: Option<EpochMs>,
    now: EpochMs,
    zone: &Tz,
) -> Option<&'static str> {
    let daily = policy
        .daily_at
        .and_then(|hour| last_boundary(hour, now, zone))
        .filter(|boundary| started.is_some_and(|started| started < *boundary));
    let idle = policy.idle.zip(spoken).and_then(|(idle, spoken)| {
        let end = spoken.saturating_add(i64::try_from(idle.as_millis()).unwrap_or(i64::MAX));
        (end <= now).then_some(end)
    });
    match (daily, idle) {
        (Some(daily), Some(idle)) => Some(if daily <= idle { "daily" } else { "idle" }),
        (Some(_), None) => Some("daily"),
        (None, Some(_)) => Some("idle"),
        (None, None) => None,
    }
}

/// The last time it was `hour` o'clock in `zone`. In a night without that hour it is the first moment after the gap.
fn last_boundary<Tz: TimeZone>(hour: u32, now: EpochMs, zone: &Tz) -> Option<EpochMs> {
    let now = DateTime::from_timestamp_millis(now)?.with_timezone(zone);
    let today = now.date_naive();
    [Some(today), today.checked_sub_days(Days::new(1))].into_iter().flatten().find_map(|day| {
        let boundary =
            (hour..24).find_map(|hour| zone.from_local_datetime(&day.and_hms_opt(hour, 0, 0)?).earliest())?;
        (boundary <= now).then(|| boundary.timestamp_millis())
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{FixedOffset, Utc};

    use super::*;
    use crate::ids::AgentId;

    fn at(text: &str) -> EpochMs {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    const DAILY: ResetPolicy = ResetPolicy { daily_at: Some(4), idle: None };

    #[test]
    fn a_day_ends_at_its_hour() {
        let started = Some(at("2026-03-01T23:00:00Z"));
        let ask = |now: &str| reason(DAILY, started, started, at(now), &Utc);
        assert_eq!(ask("2026-03-02T03:59:59Z"), None);
        assert_eq!(ask("2026-03-02T04:00:00Z"), Some("daily"));
        assert_eq!(ask("2026-03-09T00:00:00Z"), Some("daily"), "also when it slept over several");
    }

    #[test]
    fn the_hour_is_local() {
        let zone = FixedOffset::east_opt(2 * 3600).unwrap();
        let started = Some(at("2026-03-02T01:59:00Z"));
        assert_eq!(reason(DAILY, started, started, at("2026-03-02T02:01:00Z"), &zone), Some("daily"));
        assert_eq!(reason(DAILY, started, started, at("2026-03-02T02:01:00Z"), &Utc), None);
    }

    #[test]
    fn silence_ends_a_conversation_and_the_first_to_come_is_named() {
        let policy = ResetPolicy { idle: Some(Duration::from_secs(3600)), ..DAILY };
        let (started, spoken) = (Some(at("2026-03-02T05:00:00Z")), Some(at("2026-03-02T06:00:00Z")));
        assert_eq!(reason(policy, started, spoken, at("2026-03-02T06:59:59Z"), &Utc), None);
        assert_eq!(reason(policy, started, spoken, at("2026-03-02T07:00:00Z"), &Utc), Some("idle"));
        let late = Some(at("2026-03-02T23:30:00Z"));
        assert_eq!(reason(policy, started, late, at("2026-03-03T05:00:00Z"), &Utc), Some("idle"));
        let later = Some(at("2026-03-03T03:30:00Z"));
        assert_eq!(reason(policy, started, later, at("2026-03-03T05:00:00Z"), &Utc), Some("daily"));
    }

    #[test]
    fn without_a_policy_nothing_ends() {
        assert_eq!(reason(ResetPolicy::default(), Some(0), Some(0), i64::MAX / 2, &Utc), None);
    }

    #[test]
    fn keys_tell_the_kind_of_chat() {
        let agent = AgentId::normalised("main");
        for (rest, kind) in [
            ("main", "direct"),
            ("telegram:direct:7", "direct"),
            ("telegram:group:-7", "group"),
            ("discord:channel:7", "group"),
            ("telegram:group:-7:topic:3", "thread"),
            ("slack:channel:c7:thread:1", "thread"),
        ] {
            assert_eq!(chat_type(&SessionKey::under(&agent, rest).unwrap()), kind, "{rest}");
        }
    }
}
