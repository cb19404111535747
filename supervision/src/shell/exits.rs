//! Reads the runtime's end-of-actor events.

use crate::exit::{BoxError, ExitReason};

/// The runtime's own words; a stop asked for in these words would look like something else.
const KILLED: &str = "killed";
const ABORTED: &str = "actor_task_cancelled";
const DRAINED: &str = "Drained";

/// What the supervisor says when it stops a child.
pub(crate) const SHUTDOWN: &str = "shutdown";

/// A stop reason that cannot be mistaken for the runtime's own.
pub(crate) fn stop_reason(reason: &str) -> String {
    if matches!(reason, KILLED | ABORTED | DRAINED) { format!("stop: {reason}") } else { reason.to_owned() }
}

/// Why an actor ended that gave `reason` while its supervisor was `stopping` it or not.
pub(crate) fn terminated(reason: Option<String>, stopping: bool) -> ExitReason {
    match reason.as_deref() {
        Some(KILLED) => ExitReason::Killed,
        Some(ABORTED) => ExitReason::Cancelled,
        None | Some(DRAINED) if stopping => ExitReason::shutdown(SHUTDOWN),
        None | Some(DRAINED) => ExitReason::Normal,
        Some(text) => ExitReason::shutdown(text),
    }
}

/// Why an actor ended that failed with `error`.
pub(crate) fn failed(error: BoxError) -> ExitReason {
    ExitReason::from_box(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitClass;

    #[test]
    fn the_runtimes_words_are_told_from_an_actors_own() {
        let class = |reason: Option<&str>, stopping| terminated(reason.map(str::to_owned), stopping).class();
        assert_eq!(class(None, false), ExitClass::Normal);
        assert_eq!(class(Some(DRAINED), false), ExitClass::Normal);
        assert_eq!(class(None, true), ExitClass::Shutdown);
        assert_eq!(class(Some("idle"), false), ExitClass::Shutdown);
        assert_eq!(class(Some(KILLED), true), ExitClass::Killed);
        assert_eq!(class(Some(ABORTED), false), ExitClass::Cancelled);
        for word in [KILLED, ABORTED, DRAINED] {
            assert_eq!(class(Some(&stop_reason(word)), false), ExitClass::Shutdown);
        }
    }
}
