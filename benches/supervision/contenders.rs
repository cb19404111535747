//! Those who are compared, behind one trait: an actor that adds, answers, crashes and stops, under a parent that starts
//! it again.

mod channel;
mod erlang;
mod kameo_actor;
mod ours;
mod ractor_actor;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

pub(crate) use channel::Channel;
pub(crate) use erlang::Erlang;
pub(crate) use kameo_actor::Kameo;
pub(crate) use ours::{Message, Ours, Worker, root};
pub(crate) use ractor_actor::Ractor;

/// Room of each mailbox that has a bound.
pub(crate) const MAILBOX: usize = 1024;
/// The deadline of each call that has one.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// The name of the contender the others are measured against.
pub(crate) const BASE: &str = Ractor::NAME;

/// One way to run actors.
pub(crate) trait Contender: 'static {
    const NAME: &'static str;
    type Parent: Send + Sync + 'static;
    type Child: Clone + Send + Sync + 'static;

    /// A parent of many.
    fn parent(life: &Life) -> impl Future<Output = Self::Parent> + Send;
    /// The `n`th child, up when this returns.
    fn spawn(parent: &Self::Parent, n: usize) -> impl Future<Output = Self::Child> + Send;
    /// Asks for `n`, with a deadline.
    fn call(child: &Self::Child, n: u64) -> impl Future<Output = u64> + Send;
    /// Sends `n`; there is room.
    fn cast(child: &Self::Child, n: u64);
    /// Makes it fail.
    fn crash(child: &Self::Child);
    /// Stops one child and waits until it is gone.
    fn leave(parent: &Self::Parent, child: Self::Child) -> impl Future<Output = ()> + Send;
    /// Stops all, last started first, each after the one before has ended, and then the parent.
    fn stop_all(parent: Self::Parent, children: Vec<Self::Child>) -> impl Future<Output = ()> + Send;
}

/// Counts starts.
#[derive(Clone, Default)]
pub(crate) struct Life(Arc<Counts>);

#[derive(Default)]
struct Counts {
    started: AtomicUsize,
    wanted: AtomicUsize,
    reached: Notify,
}

impl Life {
    /// Called by an actor that has just started.
    pub(crate) fn start(&self) {
        let started = self.0.started.fetch_add(1, Ordering::SeqCst) + 1;
        if started == self.0.wanted.load(Ordering::SeqCst) {
            self.0.reached.notify_one();
        }
    }

    /// Waits until there have been `n` starts more than when `trigger` was called.
    pub(crate) async fn after(&self, n: usize, trigger: impl FnOnce()) {
        let wanted = self.0.started.load(Ordering::SeqCst) + n;
        self.0.wanted.store(wanted, Ordering::SeqCst);
        trigger();
        while self.0.started.load(Ordering::SeqCst) < wanted {
            self.0.reached.notified().await;
        }
    }
}

/// Keeps failures on purpose off the terminal.
pub(crate) fn quiet() {
    kameo::error::set_actor_error_hook(|_| {});
}

/// Calls `$round::<C>($arguments)` for each contender of this process and notes what it spent.
#[macro_export]
macro_rules! in_turns {
    ($options:expr, $table:expr, $runtime:expr, $times:expr, $round:ident($($argument:expr),*)) => {{
        use $crate::contenders::{Channel, Kameo, Ours, Ractor};
        $crate::in_turns!(@ $options, $table, $runtime, $times, Channel, $round($($argument),*));
        $crate::in_turns!(@ $options, $table, $runtime, $times, Ractor, $round($($argument),*));
        $crate::in_turns!(@ $options, $table, $runtime, $times, Kameo, $round($($argument),*));
        $crate::in_turns!(@ $options, $table, $runtime, $times, Ours, $round($($argument),*));
    }};
    (@ $options:expr, $table:expr, $runtime:expr, $times:expr, $who:ident, $round:ident($($argument:expr),*)) => {
        if $options.admits(<$who as $crate::contenders::Contender>::NAME) {
            let spent = $crate::on_worker($runtime, $round::<$who>($($argument),*));
            $table.add(<$who as $crate::contenders::Contender>::NAME, spent, $times);
        }
    };
}
