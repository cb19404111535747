//! Who may enter a mailbox.

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::check;
use crate::mailbox::Mailbox;
use crate::mailbox::admission::{Admission, Refused};

/// Enters if it may, counting how many are in; leaves again.
fn visit(admission: &Admission, inside: &AtomicUsize, bound: usize) -> bool {
    let Ok(permit) = admission.try_enter() else { return false };
    assert!(inside.fetch_add(1, Ordering::SeqCst) < bound, "more inside than the bound");
    permit.ride();
    inside.fetch_sub(1, Ordering::SeqCst);
    admission.leave(true);
    true
}

fn the_bound_holds(mailbox: Mailbox) {
    check(move || {
        let (admission, inside) = (Arc::new(Admission::new(mailbox)), Arc::new(AtomicUsize::new(0)));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (admission, inside) = (Arc::clone(&admission), Arc::clone(&inside));
                thread::spawn(move || visit(&admission, &inside, 1))
            })
            .collect();
        let entered = visit(&admission, &inside, 1);
        let entered = others.into_iter().fold(entered, |any, other| other.join().unwrap() || any);
        assert!(entered, "room for one, and nobody got in");
        assert_eq!(admission.messages(), 0);
        // All the room is there again, and no more of it.
        let permit = admission.try_enter().unwrap();
        assert_eq!(admission.try_enter().unwrap_err(), Refused::Full);
        drop(permit);
        assert!(admission.try_enter().is_ok());
    });
}

#[test]
fn no_more_enter_than_there_is_room_for_and_all_room_comes_back() {
    the_bound_holds(Mailbox::reject(1));
}

#[test]
fn no_more_enter_a_mailbox_to_wait_for_than_there_is_room_for() {
    the_bound_holds(Mailbox::wait(1));
}

#[test]
fn nobody_enters_after_the_end_and_the_books_close_at_nothing() {
    check(|| {
        let admission = Arc::new(Admission::new(Mailbox::reject(2)));
        let sender = {
            let admission = Arc::clone(&admission);
            thread::spawn(move || {
                if let Ok(permit) = admission.try_enter() {
                    permit.ride();
                    admission.leave(true);
                }
                admission.pass_by();
                admission.leave(false);
            })
        };
        admission.close();
        assert_eq!(admission.try_enter().unwrap_err(), Refused::Closed);
        sender.join().unwrap();
        assert_eq!(admission.messages(), 0);
        assert_eq!(admission.try_enter().unwrap_err(), Refused::Closed, "leaving took the mark away");
    });
}

#[test]
fn one_who_waits_gets_in_when_there_is_room_or_is_told_of_the_end() {
    check(|| {
        let admission = Arc::new(Admission::new(Mailbox::wait(1)));
        admission.try_enter().unwrap().ride();
        let waiting = {
            let admission = Arc::clone(&admission);
            thread::spawn(move || match block_on(admission.enter()) {
                Ok(permit) => drop(permit),
                Err(refused) => assert_eq!(refused, Refused::Closed),
            })
        };
        admission.leave(true);
        admission.close();
        waiting.join().unwrap();
        assert_eq!(admission.messages(), 0);
    });
}
