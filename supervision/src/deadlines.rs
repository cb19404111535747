//! The deadlines of all calls under way in a tree, kept by one task.
//!
//! A timer of the runtime's own for each call costs a quarter of the call, and nearly none ever fires. Here a waiting
//! call leaves its waker in a table; one task sleeps until the earliest deadline it has heard of, wakes whoever is late,
//! and ends when nobody waits.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::scope::spawn;

/// Over how many locks the waiting calls are spread.
const SHARDS: usize = 8;

/// The table.
#[derive(Default)]
pub(crate) struct Deadlines {
    shards: [Mutex<Shard>; SHARDS],
    turn: AtomicUsize,
    /// What the keeper sleeps until, [`AWAKE`] when it does not sleep. Whoever is sooner has to tell it.
    asleep_until: AtomicU64,
    kept: AtomicBool,
    sooner: Notify,
}

/// The keeper looks through the table, or there is none.
const AWAKE: u64 = 0;

#[derive(Default)]
struct Shard {
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
}

struct Seat {
    at: Instant,
    waker: Waker,
}

/// One call's deadline. Leaves the table when dropped.
pub(crate) struct Alarm<'a> {
    table: &'a Arc<Deadlines>,
    at: Instant,
    seat: Option<(usize, usize)>,
}

impl<'a> Alarm<'a> {
    pub(crate) fn new(table: &'a Arc<Deadlines>, at: Instant) -> Self {
        Self { table, at, seat: None }
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        match self.seat {
            None => {
                let seat = self.table.sit(self.at, cx.waker());
                self.seat = Some(seat);
            }
            // Woken without an answer: by its deadline, or for nothing.
            Some((shard, seat)) => {
                if self.at <= Instant::now() {
                    return Poll::Ready(());
                }
                if let Some(Some(seat)) = self.table.shard(shard).seats.get_mut(seat) {
                    seat.waker.clone_from(cx.waker());
                }
                self.table.keep(self.at);
            }
        }
        Poll::Pending
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some((shard, seat)) = self.seat {
            let mut shard = self.table.shard(shard);
            let left = shard.seats.get_mut(seat).and_then(Option::take);
            shard.free.push(seat);
            drop(shard);
            drop(left);
        }
    }
}

impl Deadlines {
    fn shard(&self, at: usize) -> MutexGuard<'_, Shard> {
        self.shards[at % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sit(self: &Arc<Self>, at: Instant, waker: &Waker) -> (usize, usize) {
        let number = self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let seat = Seat { at, waker: waker.clone() };
        let taken = {
            let mut shard = self.shard(number);
            match shard.free.pop() {
                Some(free) => {
                    shard.seats[free] = Some(seat);
                    free
                }
                None => {
                    shard.seats.push(Some(seat));
                    shard.seats.len() - 1
                }
            }
        };
        self.keep(at);
        (number, taken)
    }

    /// Makes sure that somebody wakes at `at`.
    fn keep(self: &Arc<Self>, at: Instant) {
        let asleep = self.asleep_until.load(Ordering::SeqCst);
        if asleep != AWAKE && asleep <= mark(at) {
            return;
        }
        if self.kept.swap(true, Ordering::SeqCst) {
            self.sooner.notify_one();
            return;
        }
        // Written before the keeper runs, so that the calls of the next moments leave it alone.
        self.asleep_until.store(mark(at), Ordering::SeqCst);
        let keeper = Keeper(Arc::clone(self));
        spawn(async move { keeper.run(at).await });
    }

    /// Wakes those whose time has come and says when the next one's comes.
    fn wake(&self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for number in 0..SHARDS {
            let mut late = Vec::new();
            for seat in self.shard(number).seats.iter().flatten() {
                if seat.at <= now {
                    late.push(seat.waker.clone());
                } else {
                    next = Some(next.map_or(seat.at, |next| next.min(seat.at)));
                }
            }
            late.into_iter().for_each(Waker::wake);
        }
        next
    }
}

/// The task's hold on the table. When its runtime goes, those who wait elsewhere find themselves another keeper.
struct Keeper(Arc<Deadlines>);

impl Keeper {
    async fn run(self, first: Instant) {
        let mut until = first;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => {}
                () = self.0.sooner.notified() => {}
            }
            // From here to the next sleep every newcomer tells.
            self.0.asleep_until.store(AWAKE, Ordering::SeqCst);
            let now = Instant::now();
            match self.0.wake(now) {
                Some(next) => until = next,
                // Told by a call that is over already: others like it will come.
                None if now < until => {}
                None => return,
            }
            self.0.asleep_until.store(mark(until), Ordering::SeqCst);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.asleep_until.store(AWAKE, Ordering::SeqCst);
        self.0.kept.store(false, Ordering::SeqCst);
        for number in 0..SHARDS {
            let waiting: Vec<Waker> =
                self.0.shard(number).seats.iter().flatten().map(|seat| seat.waker.clone()).collect();
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

/// Nanoseconds since the first use, plus one: never [`AWAKE`].
fn mark(at: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = at.saturating_duration_since(*START.get_or_init(Instant::now));
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX - 1).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    async fn wait(table: &Arc<Deadlines>, at: Instant) {
        let mut alarm = Alarm::new(table, at);
        poll_fn(|cx| alarm.poll(cx)).await;
    }

    fn waiting(table: &Deadlines) -> usize {
        (0..SHARDS).map(|number| table.shard(number).seats.iter().flatten().count()).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn each_wakes_at_its_own_deadline_whatever_the_order() {
        let table = Arc::new(Deadlines::default());
        let began = Instant::now();
        let waits = [30, 10, 20, 10].map(|seconds| {
            let table = Arc::clone(&table);
            async move {
                wait(&table, began + Duration::from_secs(seconds)).await;
                assert_eq!(began.elapsed().as_secs(), seconds);
            }
        });
        futures_util::future::join_all(waits).await;
        assert_eq!(waiting(&table), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_early_is_forgotten_and_the_keeper_ends() {
        let table = Arc::new(Deadlines::default());
        let late = Instant::now() + Duration::from_secs(5);
        for _ in 0..100 {
            let gone = tokio::time::timeout(Duration::from_millis(1), wait(&table, late)).await;
            assert!(gone.is_err(), "left");
        }
        assert_eq!(waiting(&table), 0);
        assert!(table.kept.load(Ordering::SeqCst), "more may come");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!table.kept.load(Ordering::SeqCst), "nobody came");
        let began = Instant::now();
        wait(&table, began + Duration::from_secs(1)).await;
        assert_eq!(began.elapsed().as_secs(), 1);
    }

    #[test]
    fn a_deadline_holds_when_the_runtime_that_kept_it_goes() {
        let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let table = Arc::new(Deadlines::default());
        let first = runtime();
        // The first call finds the keeper, on its own runtime.
        first.block_on(async { wait(&table, Instant::now() + Duration::from_millis(1)).await });
        first.block_on(async { table.keep(Instant::now() + Duration::from_secs(3600)) });
        let at = Instant::now() + Duration::from_millis(20);
        let second = runtime();
        second.block_on(async {
            let mut alarm = Alarm::new(&table, at);
            let mut first = Some(first);
            poll_fn(|cx| {
                let poll = alarm.poll(cx);
                if let Some(first) = first.take() {
                    first.shutdown_background();
                }
                poll
            })
            .await;
        });
        assert!(at <= Instant::now());
    }
}
