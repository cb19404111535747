//! Requests with a reply and a deadline that cannot be left out.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::sync::oneshot;

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody is there to ask.
    #[error("no such actor")]
    NoProc,
    /// The mailbox is full.
    #[error("the actor is busy")]
    Busy,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The actor ended, or dropped the request, without answering.
    #[error("the actor ended without answering")]
    Crashed,
    /// The request waited in the queue until its time was up.
    #[error("the request expired in the queue")]
    Expired,
    /// The actor asked is waiting, directly or through others, for the one asking.
    #[error("the call would wait for itself")]
    WouldDeadlock,
}

/// Where an answer goes. Dropped without an answer, the caller is told at once.
pub struct Reply<R>(oneshot::Sender<R>);

impl<R> Reply<R> {
    pub(crate) fn pair() -> (Self, oneshot::Receiver<R>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers. An answer nobody waits for any more is dropped.
    pub fn send(self, answer: R) {
        drop(self.0.send(answer));
    }

    /// True when nobody waits any more, so long work can be skipped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Completes when nobody waits any more.
    pub async fn closed(&mut self) {
        self.0.closed().await;
    }
}

impl<R> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("closed", &self.is_closed()).finish()
    }
}

tokio::task_local! {
    /// The actor whose callback is running.
    pub(crate) static CURRENT: u64;
}

/// Who waits for whom. Only callbacks register: a scoped task may wait without blocking its actor.
static WAITING: LazyLock<Mutex<HashMap<u64, Vec<u64>>>> = LazyLock::new(Mutex::default);

/// An edge in the wait-for graph, gone when dropped.
#[derive(Debug)]
pub(crate) struct WaitEdge {
    edge: Option<(u64, u64)>,
}

impl WaitEdge {
    /// Registers that the running actor waits for `callee`.
    pub(crate) fn enter(callee: u64) -> Result<Self, CallError> {
        let Ok(caller) = CURRENT.try_with(|id| *id) else { return Ok(Self { edge: None }) };
        let mut graph = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if reaches(&graph, callee, caller) {
            return Err(CallError::WouldDeadlock);
        }
        graph.entry(caller).or_default().push(callee);
        Ok(Self { edge: Some((caller, callee)) })
    }
}

impl Drop for WaitEdge {
    fn drop(&mut self) {
        let Some((caller, callee)) = self.edge else { return };
        let mut graph = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(callees) = graph.get_mut(&caller) {
            if let Some(at) = callees.iter().position(|id| *id == callee) {
                callees.swap_remove(at);
            }
            if callees.is_empty() {
                graph.remove(&caller);
            }
        }
    }
}

fn reaches(graph: &HashMap<u64, Vec<u64>>, from: u64, to: u64) -> bool {
    let mut pending = vec![from];
    let mut seen = Vec::new();
    while let Some(id) = pending.pop() {
        if id == to {
            return true;
        }
        if seen.contains(&id) {
            continue;
        }
        seen.push(id);
        pending.extend(graph.get(&id).into_iter().flatten());
    }
    false
}
