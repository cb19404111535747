//! The mailbox's files, compiled with the checker's locks.

pub use dead_letters::{DeadLetter, DeadLetterCause, DeadLetters};
pub use supervision::{Mailbox, Overflow};

#[path = "../../src/mailbox/admission.rs"]
mod admission;
#[path = "../../src/mailbox/books.rs"]
mod books;
#[path = "../../src/mailbox/dead_letters.rs"]
mod dead_letters;
#[path = "../../src/mailbox/lane.rs"]
mod lane;
#[path = "../../src/mailbox/quarantine.rs"]
mod quarantine;
#[path = "../../src/mailbox/stable_queue.rs"]
mod stable_queue;

mod entering;
mod queueing;
