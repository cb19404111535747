//! Close codes and their reasons.

use super::limits::MAX_CLOSE_REASON;

/// Handshake timeout, first frame that is not JSON: no reason given.
pub const NORMAL: u16 = 1000;
/// Versions do not meet.
pub const PROTOCOL_MISMATCH: u16 = 1002;
/// Refused: authentication, origin, device, pairing, bad first frame, a slow reader.
pub const POLICY: u16 = 1008;
/// A frame over the limit.
pub const TOO_BIG: u16 = 1009;
/// Our own fault.
pub const INTERNAL: u16 = 1011;
/// The gateway stops or restarts.
pub const SERVICE_RESTART: u16 = 1012;
/// Not ready: come back soon.
pub const TRY_AGAIN_LATER: u16 = 1013;
/// A client saw no frame for two tick intervals (client side).
pub const TICK_TIMEOUT: u16 = 4000;
/// A credential or policy changed under a live socket.
pub const AUTH_CHANGED: u16 = 4001;

/// A close frame: code and reason, the reason already cut to what fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// WebSocket close code.
    pub code: u16,
    /// UTF-8, at most 120 bytes.
    pub reason: String,
}

impl Close {
    /// A close with a reason, which is cut at a character boundary.
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: cut(reason).to_owned() }
    }

    /// A close without a word: handshake timeout or a first frame that is not JSON.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(NORMAL, "")
    }

    /// Refused by policy.
    #[must_use]
    pub fn policy(reason: &str) -> Self {
        Self::new(POLICY, reason)
    }

    /// The reader's buffer is over its limit.
    #[must_use]
    pub fn slow_consumer() -> Self {
        Self::policy("slow consumer")
    }

    /// More than ten role errors in a row.
    #[must_use]
    pub fn repeated_unauthorized_calls() -> Self {
        Self::policy("repeated unauthorized calls")
    }

    /// Too many frames while `connect` is being decided.
    #[must_use]
    pub fn too_many_pending_frames() -> Self {
        Self::policy("too many pending handshake frames")
    }

    /// A frame before authentication over the limit.
    #[must_use]
    pub fn preauth_payload_too_large() -> Self {
        Self::new(TOO_BIG, "preauth payload too large")
    }

    /// Nobody is there to handle the connection.
    #[must_use]
    pub fn handler_unavailable() -> Self {
        Self::new(INTERNAL, "gateway message handler unavailable")
    }

    /// Shutdown or restart.
    #[must_use]
    pub fn service_restart() -> Self {
        Self::new(SERVICE_RESTART, "service restart")
    }

    /// Connect during startup.
    #[must_use]
    pub fn starting() -> Self {
        Self::new(TRY_AGAIN_LATER, "gateway starting")
    }

    /// Connect while a restart is on its way.
    #[must_use]
    pub fn restart_in_progress() -> Self {
        Self::new(TRY_AGAIN_LATER, "gateway restart in progress")
    }

    /// The gateway's credentials changed.
    #[must_use]
    pub fn auth_changed() -> Self {
        Self::new(AUTH_CHANGED, "gateway auth changed")
    }

    /// This client may not go on, for instance because its device token was revoked.
    #[must_use]
    pub fn invalidated(reason: &str) -> Self {
        Self::new(AUTH_CHANGED, &format!("client invalidated: {reason}"))
    }
}

fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_CLOSE_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_to_120_bytes_at_a_character() {
        let text = "pairing required: device is asking for more scopes than currently approved (requestId: 666825fe-72cb-4786-a6b5-a6ffd9034847)";
        assert_eq!(Close::policy(text).reason, text[..120]);
        let wide = "é".repeat(100);
        assert_eq!(Close::policy(&wide).reason.len(), 120);
        let odd = format!("a{wide}");
        assert_eq!(Close::policy(&odd).reason.len(), 119);
    }
}
