//! Numbers both sides of the wire rely on.

use std::time::Duration;

/// Largest frame before authentication.
pub const MAX_PREAUTH_PAYLOAD: usize = 65_536;
/// Largest frame after authentication (`policy.maxPayload`).
pub const MAX_PAYLOAD: usize = 26_214_400;
/// Most bytes kept for one slow reader (`policy.maxBufferedBytes`).
pub const MAX_BUFFERED_BYTES: usize = 52_428_800;
/// From the open socket to hello-ok.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// Frames a client may send while its `connect` is being decided; one more closes the socket.
pub const MAX_PENDING_HANDSHAKE_FRAMES: usize = 15;
/// Unauthenticated sockets of one address.
pub const MAX_PREAUTH_CONNECTIONS_PER_IP: usize = 32;
/// Between two `tick` events (`policy.tickIntervalMs`).
pub const TICK_INTERVAL: Duration = Duration::from_secs(30);
/// Between two refreshes of the health snapshot.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(60);
/// Between two WebSocket pings, and how long the pong may take.
pub const PING_INTERVAL: Duration = Duration::from_secs(25);
/// From a close frame to the end of the socket.
pub const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// How long an idempotency key is remembered.
pub const DEDUPE_TTL: Duration = Duration::from_secs(300);
/// How many idempotency keys are remembered.
pub const DEDUPE_MAX: usize = 1_000;
/// Requests of one connection waiting for their start.
pub const MAX_WAITING_REQUESTS: usize = 256;
/// Live text goes out at most this often per run.
pub const DELTA_PACE: Duration = Duration::from_millis(75);
/// Budget for the messages of one `chat.history` answer.
pub const MAX_HISTORY_BYTES: usize = 6_291_456;
/// Largest attachment (`policy.attachments.maxBytes`).
pub const MAX_ATTACHMENT_BYTES: u64 = 19_464_192;
/// Largest image (`policy.attachments.maxImageBytes`).
pub const MAX_IMAGE_BYTES: u64 = 6_291_456;
/// Longest close reason in bytes.
pub const MAX_CLOSE_REASON: usize = 120;
/// Longest `traceparent` of a request.
pub const MAX_TRACEPARENT: usize = 128;
/// Longest session key.
pub const MAX_SESSION_KEY: usize = 512;
/// Control-plane writes of one method, device and address per [`CONTROL_PLANE_WINDOW`].
pub const CONTROL_PLANE_WRITES: usize = 30;
/// The window of [`CONTROL_PLANE_WRITES`].
pub const CONTROL_PLANE_WINDOW: Duration = Duration::from_secs(60);
/// Role errors in a row after which a connection is closed.
pub const MAX_ROLE_ERRORS: u32 = 10;
/// What a client waits for an answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
