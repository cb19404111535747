//! One message on its way: piece by piece, each announced to the outbox before it is sent and recorded after.
//!
//! Runs as a scoped task of the lane. It ends when the message is done, dead, held or has to wait; it never sleeps for
//! a retry itself. A store that is away is waited for, because forgetting what was sent would send it twice.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::channels::contract::{OutboundChunk, OutboundPort, Receipt, SendError};
use crate::clock::{Clock, EpochMs};
use crate::delivery::chunk::{self, Limits};
use crate::delivery::contract::{ChatKey, EntryState, OutboxEntry, OutboxError, OutboxPort, Retry};
use crate::delivery::retry::{Consequence, OnUnknown, RetryPolicy};
use crate::failpoint::failpoint;

/// First and longest wait for a store that is away.
const STORE_WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How a message left the hands of the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All pieces were taken.
    Done,
    /// Its chat waits until then.
    ChatWaits {
        /// The moment.
        until_ms: EpochMs,
        /// Why.
        error: String,
    },
    /// The whole lane waits.
    LaneWaits {
        /// How long.
        after: Duration,
        /// Why.
        error: String,
    },
    /// It will never be sent.
    Dead {
        /// Why.
        error: String,
    },
    /// It is kept for an operator.
    Held {
        /// Why.
        error: String,
    },
}

/// What a lane counts of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The message.
    pub id: u64,
    /// Its chat.
    pub chat: ChatKey,
    /// How it ended.
    pub ending: Ending,
    /// Pieces taken this time.
    pub sent: u32,
    /// Pieces taken without an id of the platform.
    pub without_id: u32,
    /// Sends of which nobody knows whether they arrived.
    pub unknown: u32,
}

/// What a job works with.
#[derive(Clone)]
pub struct JobPorts {
    /// Where it came from.
    pub outbox: Arc<dyn OutboxPort>,
    /// Where it goes.
    pub outbound: Arc<dyn OutboundPort>,
    /// What follows from failures.
    pub policy: RetryPolicy,
    /// The wall clock.
    pub clock: Clock,
}

impl std::fmt::Debug for JobPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobPorts").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// Sends what is left of `entry`. `turn` resolves when the next piece to the chat may go.
pub async fn deliver<F: Future<Output = ()>>(entry: OutboxEntry, ports: &JobPorts, turn: impl Fn() -> F) -> Report {
    let mut report =
        Report { id: entry.id, chat: entry.chat.clone(), ending: Ending::Done, sent: 0, without_id: 0, unknown: 0 };
    report.ending = attempt(&entry, ports, turn, &mut report).await;
    report
}

async fn attempt<F: Future<Output = ()>>(
    entry: &OutboxEntry,
    ports: &JobPorts,
    turn: impl Fn() -> F,
    report: &mut Report,
) -> Ending {
    if let EntryState::Sending { chunk } = entry.state {
        report.unknown += 1;
        let error = format!("stopped while piece {chunk} was being sent");
        if ports.policy.on_unknown == OnUnknown::Hold {
            return hold(entry.id, chunk, error, ports).await;
        }
        tracing::warn!(entry = entry.id, chunk, "outcome of a piece unknown, sending it again");
    }
    let pieces = chunk::split(&entry.text, Limits::from(ports.outbound.capabilities()));
    for (index, text) in pieces.into_iter().enumerate() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        if index < entry.chunks_sent {
            continue;
        }
        turn().await;
        failpoint!("delivery.mark_sending.before");
        durably(|| ports.outbox.mark_sending(entry.id, index)).await;
        failpoint!("delivery.send.before");
        let sent = ports
            .outbound
            .send(OutboundChunk {
                to: entry.chat.to.clone(),
                thread_id: entry.chat.thread_id.clone(),
                text,
                // The first piece answers; the others follow it.
                reply_to: entry.reply_to.clone().filter(|_| index == 0),
            })
            .await;
        failpoint!("delivery.send.after");
        match sent {
            Ok(receipt) => {
                report.sent += 1;
                report.without_id += u32::from(receipt.message_id.is_none());
                record(entry.id, index, receipt, ports).await;
                failpoint!("delivery.mark_sent.after");
            }
            Err(error) => return fail(entry, index, &error, ports, report).await,
        }
    }
    failpoint!("delivery.done.before");
    durably(|| ports.outbox.done(entry.id)).await;
    failpoint!("delivery.done.after");
    Ending::Done
}

async fn record(id: u64, chunk: u32, receipt: Receipt, ports: &JobPorts) {
    durably(|| ports.outbox.mark_sent(id, chunk, receipt.clone())).await;
}

async fn fail(entry: &OutboxEntry, chunk: u32, error: &SendError, ports: &JobPorts, report: &mut Report) -> Ending {
    report.unknown += u32::from(matches!(error, SendError::Unknown(_)));
    let now = ports.clock.now_ms();
    let age = Duration::from_millis(u64::try_from(now.saturating_sub(entry.created_ms)).unwrap_or(0));
    // What was sent before shows that the message itself is fine: its failures count from here.
    let failed_before = if report.sent > 0 { 0 } else { entry.attempt };
    let text = error.to_string();
    match ports.policy.after_failure(error, failed_before, age) {
        Consequence::Retry { attempt, after } => {
            let until_ms = now.saturating_add(millis(after));
            let retry = Retry { attempt, not_before_ms: until_ms, error: text.clone() };
            durably(|| ports.outbox.retry(entry.id, retry.clone())).await;
            Ending::ChatWaits { until_ms, error: text }
        }
        Consequence::LaneWaits { after } => {
            let retry = Retry { attempt: failed_before, not_before_ms: now, error: text.clone() };
            durably(|| ports.outbox.retry(entry.id, retry.clone())).await;
            Ending::LaneWaits { after, error: text }
        }
        Consequence::Dead => {
            durably(|| ports.outbox.dead(entry.id, text.clone())).await;
            Ending::Dead { error: text }
        }
        Consequence::Hold => hold(entry.id, chunk, text, ports).await,
    }
}

async fn hold(id: u64, chunk: u32, error: String, ports: &JobPorts) -> Ending {
    durably(|| ports.outbox.hold(id, chunk, error.clone())).await;
    Ending::Held { error }
}

fn millis(duration: Duration) -> EpochMs {
    EpochMs::try_from(duration.as_millis()).unwrap_or(EpochMs::MAX)
}

/// Does it until the store has it.
async fn durably<F: Future<Output = Result<(), OutboxError>>>(change: impl Fn() -> F) {
    let (mut wait, longest) = STORE_WAIT;
    while let Err(error) = change().await {
        tracing::warn!(%error, "outbox not written, waiting");
        sleep(wait).await;
        wait = (wait * 2).min(longest);
    }
}

#[cfg(test)]
mod tests;
