//! Binds a stable queue to an actor's incarnation.

use std::fmt;
use std::sync::Arc;

use crate::context::Ctx;
use crate::exit::ExitReason;
use crate::mailbox::books::{InHand, Recovered};
use crate::mailbox::stable_queue::StableQueue;

/// Takes items for one incarnation of an actor, one for each wake; of no use to a later one.
///
/// ```
/// # use supervision::prelude::*;
/// struct Worker { jobs: StableQueue<String> }
///
/// impl Actor for Worker {
///     type Message = (); // "there is something to do"
///     type Args = ();
///     type State = Feeder<String>;
///
///     async fn pre_start(&self, (): (), ctx: &Ctx<()>) -> Result<Feeder<String>, BoxError> {
///         let (feeder, _recovered) = self.jobs.feed(ctx, || ());
///         Ok(feeder)
///     }
///
///     async fn handle(&self, feeder: &mut Feeder<String>, (): (), _: &Ctx<()>) -> ActorResult {
///         if let Some(job) = feeder.next() {
///             // … work on job.item; if this fails, the next incarnation finds it in the queue …
///             self.jobs.done(job);
///         }
///         Ok(())
///     }
/// }
/// ```
pub struct Feeder<T> {
    queue: StableQueue<T>,
    epoch: u64,
}

impl<T> Feeder<T> {
    /// To be called once for each wake: the next item, if there is one to be taken. If there is more that could be
    /// taken, another wake is sent, now or when what is in hand is done. One item per message, so that a stop or the
    /// actor's other messages never wait for the whole queue.
    #[must_use]
    pub fn next(&self) -> Option<InHand<T>> {
        self.queue.take_for(self.epoch)
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &StableQueue<T> {
        &self.queue
    }
}

impl<T> fmt::Debug for Feeder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder").field("queue", &self.queue).field("epoch", &self.epoch).finish()
    }
}

impl<T> StableQueue<T> {
    /// Called by a new incarnation that takes by itself: what was in hand when the last one ended goes back to its
    /// place or is set aside. Unless `last_exit` is known to be clean, that was a crash: an actor that is started anew
    /// instead of being restarted knows of no last exit, yet somebody left items in hand.
    #[must_use]
    pub fn recover(&self, last_exit: Option<&ExitReason>) -> Recovered<T> {
        self.put_all_back(!last_exit.is_some_and(ExitReason::is_clean))
    }
}

impl<T: Send + Sync + 'static> StableQueue<T> {
    /// Called by a new incarnation, best in its `pre_start`: [recovers](StableQueue::recover), then keeps exactly one
    /// `wake` on its way to this incarnation while there is something to take. Each wake is answered by
    /// [`Feeder::next`]. Whoever was bound before is so no more.
    pub fn feed<M: Send + 'static>(
        &self,
        ctx: &Ctx<M>,
        wake: impl Fn() -> M + Send + Sync + 'static,
    ) -> (Feeder<T>, Recovered<T>) {
        let crashed = !ctx.last_exit().is_some_and(ExitReason::is_clean);
        let reporter = ctx.reporter();
        let (recovered, epoch) = self.attach(crashed, Arc::new(move || reporter.send(wake())));
        (Feeder { queue: self.clone(), epoch }, recovered)
    }
}
