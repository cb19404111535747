//! A child that looks after all others: handlers that take too long, mailboxes that fill up, calls that wait for ever.
//!
//! It looks from a thread of its own. An actor that blocks its thread blocks a worker of the runtime, and enough of them
//! block all workers; a task would then not run, just when it is needed.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::child_spec::ChildSpec;
use crate::exit::BoxError;
use crate::path::ChildId;
use crate::scope::blocking;
use crate::task_child::TaskCtx;
use crate::tree::{MailboxLevel, Watch};

/// What the watchdog takes for too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WatchdogOptions {
    /// Between two looks.
    pub tick: Duration,
    /// A handler, or a call from within one, that takes longer than this is slow.
    pub slow_after: Duration,
    /// A mailbox filled to this part of its bound is high.
    pub mailbox_warn: f32,
    /// A mailbox filled to this part of its bound is critical.
    pub mailbox_crit: f32,
}

impl Default for WatchdogOptions {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(1),
            slow_after: Duration::from_secs(10),
            mailbox_warn: 0.75,
            mailbox_crit: 0.95,
        }
    }
}

impl WatchdogOptions {
    pub(crate) fn level(&self, depth: u64, bound: u64) -> MailboxLevel {
        #[expect(clippy::cast_precision_loss, reason = "compared with a part of the bound")]
        let full = depth as f64 / bound.max(1) as f64;
        if depth == 0 || full < f64::from(self.mailbox_warn) {
            MailboxLevel::Normal
        } else if full < f64::from(self.mailbox_crit) {
            MailboxLevel::High
        } else {
            MailboxLevel::Critical
        }
    }
}

impl ChildSpec {
    /// Looks after all actors of the tree, see [`Alerts`](crate::tree::Alerts) and
    /// [`TelemetryEvent`](crate::TelemetryEvent). One in a tree is enough.
    pub fn watchdog(id: impl Into<ChildId>, options: WatchdogOptions) -> Self {
        Self::task(id, "watchdog", move |ctx| watch(ctx, options))
    }
}

async fn watch(ctx: TaskCtx, options: WatchdogOptions) -> Result<(), BoxError> {
    let cancel = ctx.cancel();
    let ticker = Ticker::start(Watch::new(ctx.tree(), options), options.tick)?;
    let broken = ticker.ended.clone();
    let outcome = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        () = broken.cancelled() => Err("the watchdog's thread has ended".into()),
    };
    // It looks at the flag between chunks, so this takes a moment; the runtime's threads have better to do even so.
    if blocking(move || drop(ticker)).await.is_none() {
        tracing::debug!(target: "supervision", "the watchdog's thread could not be waited for");
    }
    outcome
}

/// The thread. Ended and waited for when dropped.
struct Ticker {
    stop: Arc<Stop>,
    /// Cancelled when the thread ends, should it panic.
    ended: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    wanted: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn wanted(&self) -> bool {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps a while; true if it is time to stop.
    fn sleep(&self, tick: Duration) -> bool {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(wanted, tick, |wanted| !*wanted);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Ticker {
    fn start(mut watch: Watch, tick: Duration) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let (runtime, flag) = (tokio::runtime::Handle::current(), Arc::clone(&stop));
        let ended = CancellationToken::new();
        let alive = ended.clone().drop_guard();
        let work = move || {
            let _alive = alive;
            // For its clock, and for the timer that sends changes on.
            let _runtime = runtime.enter();
            while !flag.sleep(tick) {
                watch.look(|| flag.wanted());
            }
        };
        #[expect(clippy::disallowed_methods, reason = "must run while all workers are blocked; owned and joined here")]
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(work)?;
        Ok(Self { stop, ended, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.stop.wanted.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
