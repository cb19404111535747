//! A stable queue between threads that push, one that takes, and the end of the one that takes.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::check;
use crate::mailbox::stable_queue::StableQueue;

/// A consumer's mailbox, as far as wakes are concerned. Closed, it takes none.
#[derive(Clone)]
struct Wakes(Arc<(Mutex<(usize, bool)>, Condvar)>);

impl Wakes {
    fn new() -> Self {
        Self(Arc::new((Mutex::new((0, true)), Condvar::new())))
    }

    fn send(&self) -> bool {
        let mut state = self.0.0.lock().unwrap();
        if state.1 {
            state.0 += 1;
            assert_eq!(state.0, 1, "a second wake on its way");
            self.0.1.notify_one();
        }
        state.1
    }

    /// Waits for a wake; the checker reports if none ever comes.
    fn receive(&self) {
        let mut state = self.0.0.lock().unwrap();
        while state.0 == 0 {
            state = self.0.1.wait(state).unwrap();
        }
        state.0 -= 1;
    }

    fn close(&self) {
        self.0.0.lock().unwrap().1 = false;
    }

    fn attach(&self, queue: &StableQueue<u32>, crashed: bool) -> u64 {
        let wakes = self.clone();
        queue.attach(crashed, Arc::new(move || wakes.send())).1
    }
}

/// Takes one item per wake until `count` are done.
fn consume(queue: &StableQueue<u32>, wakes: &Wakes, epoch: u64, count: usize) -> Vec<u32> {
    let mut done = Vec::new();
    while done.len() < count {
        wakes.receive();
        if let Some(taken) = queue.take_for(epoch) {
            done.push(*taken.item);
            assert!(queue.done(taken));
        }
    }
    done
}

#[test]
fn no_wake_is_lost_and_there_is_never_more_than_one() {
    check(|| {
        let queue = StableQueue::<u32>::default();
        let wakes = Wakes::new();
        let pusher = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.push(0, 1).unwrap();
                queue.push(0, 2).unwrap();
            })
        };
        let epoch = wakes.attach(&queue, false);
        assert_eq!(consume(&queue, &wakes, epoch, 2), [1, 2]);
        pusher.join().unwrap();
        assert!(queue.is_empty() && queue.depth().in_hand == 0);
    });
}

#[test]
fn two_who_push_at_once_are_both_heard() {
    check(|| {
        let queue = StableQueue::<u32>::default();
        let wakes = Wakes::new();
        let epoch = wakes.attach(&queue, false);
        let pushers = [1, 2].map(|n| {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, n).unwrap().id)
        });
        let mut done = consume(&queue, &wakes, epoch, 2);
        done.sort_unstable();
        assert_eq!(done, [1, 2]);
        assert!(pushers.into_iter().all(|pusher| pusher.join().is_ok()));
    });
}

#[test]
fn the_end_of_a_consumer_loses_nothing_and_the_next_is_woken() {
    check(|| {
        let queue = StableQueue::<u32>::default();
        queue.push(0, 1).unwrap();
        let first = Wakes::new();
        let old = first.attach(&queue, false);
        let pusher = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 2).unwrap().id)
        };
        first.receive();
        let in_hand = queue.take_for(old).unwrap();
        // It dies with one item in hand, perhaps with a wake on its way, while the other is being pushed.
        first.close();
        let second = Wakes::new();
        let new = second.attach(&queue, true);
        assert!(queue.take_for(old).is_none(), "the old one takes nothing from the new one");
        assert!(!queue.done(in_hand), "nor has it a say in what it had");
        assert_eq!(consume(&queue, &second, new, 2), [1, 2]);
        pusher.join().unwrap();
    });
}

#[test]
fn a_wake_that_finds_the_consumer_gone_does_not_unbind_the_next() {
    check(|| {
        let queue = StableQueue::<u32>::default();
        let first = Wakes::new();
        first.attach(&queue, false);
        first.close();
        let pusher = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 1).unwrap().id)
        };
        let second = Wakes::new();
        let new = second.attach(&queue, true);
        assert_eq!(consume(&queue, &second, new, 1), [1]);
        pusher.join().unwrap();
        // It is still bound.
        queue.push(0, 2).unwrap();
        assert_eq!(consume(&queue, &second, new, 1), [2]);
    });
}

#[test]
fn an_item_is_removed_or_done_but_never_both() {
    check(|| {
        let queue = StableQueue::<u32>::default();
        let id = queue.push(0, 1).unwrap().id;
        let remover = {
            let queue = queue.clone();
            thread::spawn(move || queue.remove(id).is_some())
        };
        let done = queue.take().is_some_and(|taken| queue.done(taken));
        assert!(done != remover.join().unwrap());
        assert!(queue.is_empty() && queue.depth().in_hand == 0);
    });
}
