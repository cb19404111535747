//! Every life-cycle event, once, with its fields. Target `supervision`.
//!
//! `warn`: it healed or degraded by itself. `error`: somebody must act.

use crate::exit::ExitReason;
use crate::machine::Handling;
use crate::path::ActorPath;

/// An incarnation ended and `handling` follows.
pub(crate) fn ended(path: &ActorPath, incarnation: u64, reason: &ExitReason, handling: Handling, attempt: u32) {
    let (class, text, next) = (reason.class().as_str(), reason.text(), handling.as_str());
    let location = reason.location();
    match handling {
        Handling::Restart | Handling::Backoff | Handling::CoolDown => {
            tracing::warn!(target: "supervision", %path, incarnation, class, text, location, next, attempt, "child ended");
        }
        Handling::GaveUp | Handling::Failed | Handling::Escalated => {
            tracing::error!(target: "supervision", %path, incarnation, class, text, location, next, attempt, "child ended");
        }
        Handling::Ended | Handling::Stopped | Handling::Suspended if reason.is_clean() => {
            tracing::debug!(target: "supervision", %path, incarnation, class, text, next, "child ended");
        }
        Handling::Ended | Handling::Stopped | Handling::Suspended => {
            tracing::warn!(target: "supervision", %path, incarnation, class, text, location, next, "child ended");
        }
    }
}

/// A supervisor gives up because its children fail too often.
pub(crate) fn meltdown(path: &ActorPath, child: &str, restarts: u32) {
    tracing::error!(target: "supervision", %path, child, restarts, "meltdown");
}
