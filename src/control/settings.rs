//! Numbers of the control plane that an operator or a test may set. Defaults are those clients rely on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::protocol::hello::Policy;
use crate::protocol::limits;

/// How the control plane behaves at its edges.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    /// From the open socket to hello-ok.
    pub handshake_timeout: Duration,
    /// Between two `tick` events.
    pub tick_interval: Duration,
    /// Between two refreshes of the health snapshot.
    pub health_interval: Duration,
    /// Between two WebSocket pings; a peer silent for one whole interval is cut off.
    pub ping_interval: Duration,
    /// From a close frame to the end of the socket.
    pub close_grace: Duration,
    /// How long a client may take to send the head of an HTTP request.
    pub header_timeout: Duration,
    /// Largest frame before authentication.
    pub max_preauth_payload: usize,
    /// Largest frame after authentication.
    pub max_payload: usize,
    /// Most bytes kept for one slow reader.
    pub max_buffered_bytes: usize,
    /// Frames a client may send while its `connect` is being decided.
    pub max_pending_handshake_frames: usize,
    /// Unauthenticated sockets of one address.
    pub max_preauth_per_ip: usize,
    /// HTTP connections that are not (yet) WebSockets.
    pub max_http_connections: usize,
    /// WebSocket connections.
    pub max_connections: usize,
    /// Requests of one connection that run at the same time, and that wait in its ordered lane.
    pub max_waiting_requests: usize,
    /// Bytes of requests of one connection that are not answered yet.
    pub max_waiting_bytes: usize,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self {
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            tick_interval: limits::TICK_INTERVAL,
            health_interval: limits::HEALTH_INTERVAL,
            ping_interval: limits::PING_INTERVAL,
            close_grace: limits::CLOSE_GRACE,
            header_timeout: Duration::from_secs(15),
            max_preauth_payload: limits::MAX_PREAUTH_PAYLOAD,
            max_payload: limits::MAX_PAYLOAD,
            max_buffered_bytes: limits::MAX_BUFFERED_BYTES,
            max_pending_handshake_frames: limits::MAX_PENDING_HANDSHAKE_FRAMES,
            max_preauth_per_ip: limits::MAX_PREAUTH_CONNECTIONS_PER_IP,
            max_http_connections: 512,
            max_connections: 4096,
            max_waiting_requests: limits::MAX_WAITING_REQUESTS,
            max_waiting_bytes: limits::MAX_BUFFERED_BYTES,
        }
    }
}

/// Environment variable for [`ControlSettings::handshake_timeout`], in milliseconds.
const HANDSHAKE_TIMEOUT_VAR: &str = "OPENCLAW_HANDSHAKE_TIMEOUT_MS";
/// Environment variable for [`ControlSettings::max_preauth_per_ip`].
const PREAUTH_PER_IP_VAR: &str = "OPENCLAW_MAX_PREAUTH_CONNECTIONS_PER_IP";

impl ControlSettings {
    /// Defaults with what the environment overrides. Values that are no positive number are ignored.
    #[must_use]
    pub fn from_env(env: &BTreeMap<String, String>) -> Self {
        let number = |name: &str| env.get(name).and_then(|text| text.trim().parse::<u64>().ok()).filter(|n| *n > 0);
        let mut settings = Self::default();
        if let Some(ms) = number(HANDSHAKE_TIMEOUT_VAR) {
            settings.handshake_timeout = Duration::from_millis(ms);
        }
        if let Some(count) = number(PREAUTH_PER_IP_VAR) {
            settings.max_preauth_per_ip = usize::try_from(count).unwrap_or(usize::MAX);
        }
        settings
    }

    /// What hello-ok tells a client of these.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        Policy {
            max_payload: number(self.max_payload),
            max_buffered_bytes: number(self.max_buffered_bytes),
            tick_interval_ms: u64::try_from(self.tick_interval.as_millis()).unwrap_or(u64::MAX),
            ..Policy::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_overrides_two_numbers_and_nonsense_is_ignored() {
        let env = |timeout: &str, per_ip: &str| {
            BTreeMap::from([
                (HANDSHAKE_TIMEOUT_VAR.to_owned(), timeout.to_owned()),
                (PREAUTH_PER_IP_VAR.to_owned(), per_ip.to_owned()),
            ])
        };
        let set = ControlSettings::from_env(&env("250", "3"));
        assert_eq!((set.handshake_timeout, set.max_preauth_per_ip), (Duration::from_millis(250), 3));
        let kept = ControlSettings::from_env(&env("soon", "0"));
        assert_eq!((kept.handshake_timeout, kept.max_preauth_per_ip), (Duration::from_secs(15), 32));
    }
}
