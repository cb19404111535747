//! Requests with a reply and a deadline that cannot be left out.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::Poll;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::deadlines::{Alarm, Deadlines};
use crate::panics::Frame;

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

/// The answer, if it comes in time.
pub(crate) async fn within<R>(
    table: &Arc<Deadlines>,
    deadline: Instant,
    mut answer: oneshot::Receiver<R>,
) -> Result<R, CallError> {
    let mut alarm = Alarm::new(table, deadline);
    poll_fn(|cx| match Pin::new(&mut answer).poll(cx) {
        Poll::Ready(Ok(answer)) => Poll::Ready(Ok(answer)),
        Poll::Ready(Err(_)) if Instant::now() >= deadline => Poll::Ready(Err(CallError::Expired)),
        Poll::Ready(Err(_)) => Poll::Ready(Err(CallError::Crashed)),
        Poll::Pending => alarm.poll(cx).map(|()| Err(CallError::Timeout)),
    })
    .await
}

/// Who waits for whom, since when. Only callbacks register: a scoped task may wait without blocking its actor.
static WAITING: LazyLock<Mutex<Graph>> = LazyLock::new(Mutex::default);
/// The last refused cycles, each with its number.
static REFUSED: Mutex<Refused> = Mutex::new(Refused { total: 0, cycles: VecDeque::new() });
/// Refused cycles kept.
const CYCLES: usize = 64;

type Graph = HashMap<u64, Vec<(u64, Instant)>>;

struct Refused {
    total: u64,
    cycles: VecDeque<Arc<[u64]>>,
}

/// An edge in the wait-for graph, gone when dropped.
#[derive(Debug)]
pub(crate) struct WaitEdge {
    edge: Option<(u64, u64)>,
}

impl WaitEdge {
    /// Registers that the running actor waits for `callee`.
    pub(crate) fn enter(callee: u64) -> Result<Self, CallError> {
        let Some(caller) = Frame::actor() else { return Ok(Self { edge: None }) };
        let mut graph = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut cycle) = way(&graph, callee, caller) {
            drop(graph);
            cycle.insert(0, caller);
            let mut refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
            refused.total += 1;
            if refused.cycles.len() >= CYCLES {
                refused.cycles.pop_front();
            }
            refused.cycles.push_back(cycle.into());
            return Err(CallError::WouldDeadlock);
        }
        graph.entry(caller).or_default().push((callee, Instant::now()));
        Ok(Self { edge: Some((caller, callee)) })
    }
}

impl Drop for WaitEdge {
    fn drop(&mut self) {
        let Some((caller, callee)) = self.edge else { return };
        let mut graph = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(callees) = graph.get_mut(&caller) {
            if let Some(at) = callees.iter().position(|(id, _)| *id == callee) {
                callees.swap_remove(at);
            }
            if callees.is_empty() {
                graph.remove(&caller);
            }
        }
    }
}

/// All edges: who waits, for whom, since when.
pub(crate) fn waits() -> Vec<(u64, u64, Instant)> {
    let graph = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    graph.iter().flat_map(|(from, all)| all.iter().map(|(to, since)| (*from, *to, *since))).collect()
}

/// Cycles refused after the first `seen` ones, as far as they are kept, and how many there have been. Each runs from the
/// caller back to the caller.
pub(crate) fn refused_cycles(seen: u64) -> (u64, Vec<Arc<[u64]>>) {
    let refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    let new = usize::try_from(refused.total.saturating_sub(seen)).unwrap_or(usize::MAX);
    let skip = refused.cycles.len().saturating_sub(new);
    (refused.total, refused.cycles.iter().skip(skip).cloned().collect())
}

/// The way from one actor to another over those who wait, both included.
fn way(graph: &Graph, from: u64, to: u64) -> Option<Vec<u64>> {
    // Whom it was reached from.
    let mut before: HashMap<u64, u64> = HashMap::from([(from, from)]);
    let mut pending = vec![from];
    while let Some(id) = pending.pop() {
        if id == to {
            let mut way = vec![to];
            while way.last() != Some(&from) {
                let last = way.last().and_then(|last| before.get(last)).copied().unwrap_or(from);
                way.push(last);
            }
            way.reverse();
            return Some(way);
        }
        for (next, _) in graph.get(&id).into_iter().flatten() {
            if !before.contains_key(next) {
                before.insert(*next, id);
                pending.push(*next);
            }
        }
    }
    None
}
