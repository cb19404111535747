//! A spec as plain data.

use std::time::Duration;

use crate::backoff::BackoffPolicy;
use crate::child_spec::{Restart, Shutdown, StopMode};
use crate::mailbox::Mailbox;
use crate::path::ChildId;

/// What a spec says.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecView {
    /// The child's id.
    pub id: ChildId,
    /// What sort of thing it is.
    pub kind: &'static str,
    /// Whether it is started again when it ends.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// Whether its queue is emptied first.
    pub stop_mode: StopMode,
    /// Whether its end may end the supervisor.
    pub significant: bool,
    /// Whether it supervises others.
    pub is_supervisor: bool,
    /// How long a start may take.
    pub init_timeout: Duration,
    /// Delays and limits of its restarts.
    pub backoff: Option<BackoffPolicy>,
    /// Whether its restarts count against the supervisor's intensity.
    pub counts: bool,
    /// The bound of its mailbox.
    pub mailbox: Mailbox,
    /// How long one message may be worked on.
    pub handler_limit: Option<Duration>,
}
