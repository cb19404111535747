//! What a dying incarnation left unopened, between its end and the next one.

use std::collections::VecDeque;
use std::sync::Arc;

use loom::sync::Mutex;
use loom::thread;

use crate::check;
use crate::registry::ledger::Ledger;

/// The mailbox of an incarnation; `None` once it is closed.
struct Queue(Mutex<Option<VecDeque<u32>>>);

impl Queue {
    fn of<const N: usize>(messages: [u32; N]) -> Self {
        Self(Mutex::new(Some(messages.into())))
    }

    fn send(&self, message: u32) -> Result<(), u32> {
        match self.0.lock().unwrap().as_mut() {
            Some(queue) => {
                queue.push_back(message);
                Ok(())
            }
            None => Err(message),
        }
    }

    fn close(&self) -> VecDeque<u32> {
        self.0.lock().unwrap().take().unwrap_or_default()
    }
}

/// Dies as an actor does that is killed: what it has in hand goes back first, its mailbox is closed after that, and
/// what was in it goes back last.
fn die(number: u64, in_hand: u32, queue: &Queue, ledger: &Ledger<u32>) {
    ledger.keep(in_hand, number).unwrap();
    for message in queue.close() {
        ledger.keep(message, number).unwrap();
    }
}

#[test]
fn what_a_killed_incarnation_left_reaches_the_next_in_order() {
    check(|| {
        let (ledger, first) = (Arc::new(Ledger::new()), Arc::new(Queue::of([2, 3])));
        let dying = {
            let (ledger, first) = (Arc::clone(&ledger), Arc::clone(&first));
            thread::spawn(move || die(1, 1, &first, &ledger))
        };
        // Somebody sees to the backlog at once, and cannot know yet that the incarnation is ending.
        if ledger.is_recovering() && !ledger.was_left_by(1) {
            ledger.deliver_backlog(1, |message| first.send(message));
        } else if ledger.is_recovering() {
            assert!(!ledger.deliver_backlog(1, |message| first.send(message)), "it is over");
        }
        dying.join().unwrap();
        let second = Queue::of([]);
        assert!(ledger.deliver_backlog(2, |message| second.send(message)));
        assert_eq!(second.close(), [1, 2, 3]);
        assert!(!ledger.is_recovering());
    });
}

#[test]
fn what_the_next_incarnation_gives_back_while_it_is_fed_stays_before_the_rest() {
    check(|| {
        let (ledger, second) = (Arc::new(Ledger::new()), Arc::new(Queue::of([])));
        for message in 1..=3 {
            ledger.keep(message, 1).unwrap();
        }
        let dying = {
            let (ledger, second) = (Arc::clone(&ledger), Arc::clone(&second));
            thread::spawn(move || {
                // It takes one message in hand if there is one, and is killed before it is opened.
                let in_hand = second.0.lock().unwrap().as_mut().and_then(VecDeque::pop_front);
                match in_hand {
                    Some(message) => die(2, message, &second, &ledger),
                    None => second.close().into_iter().for_each(|message| ledger.keep(message, 2).unwrap()),
                }
            })
        };
        let fed = ledger.deliver_backlog(2, |message| second.send(message));
        dying.join().unwrap();
        let third = Queue::of([]);
        assert!(ledger.deliver_backlog(3, |message| third.send(message)));
        assert_eq!(third.close(), [1, 2, 3], "fed: {fed}");
    });
}

#[test]
fn a_key_is_forgotten_or_keeps_the_message_but_never_both() {
    check(|| {
        let ledger = Arc::new(Ledger::new());
        let late = {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.keep(1, 1).is_ok())
        };
        let forgotten = ledger.retire(tokio::time::Instant::now());
        let kept = late.join().unwrap();
        assert!(kept != forgotten);
        assert_eq!((ledger.is_removed(), ledger.is_recovering()), (forgotten, kept));
    });
}

#[test]
fn one_task_at_a_time_sees_to_the_backlog_and_no_message_waits_without_one() {
    check(|| {
        let ledger = Arc::new(Ledger::new());
        let delivered = Arc::new(Mutex::new(Vec::new()));
        // What each message that comes back does: see to the backlog unless somebody does, and look again afterwards.
        let come_back = |message: u32, ledger: &Ledger<u32>, delivered: &Mutex<Vec<u32>>| {
            ledger.keep(message, 1).unwrap();
            while ledger.is_recovering() && ledger.begin_reviving() {
                ledger.deliver_backlog(2, |message| {
                    delivered.lock().unwrap().push(message);
                    Ok(())
                });
                ledger.end_reviving();
            }
        };
        let other = {
            let (ledger, delivered) = (Arc::clone(&ledger), Arc::clone(&delivered));
            thread::spawn(move || come_back(1, &ledger, &delivered))
        };
        come_back(2, &ledger, &delivered);
        other.join().unwrap();
        assert_eq!(delivered.lock().unwrap().len(), 2, "a message waits and nobody comes");
    });
}
