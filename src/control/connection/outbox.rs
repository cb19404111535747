//! What waits to be written to one client: a queue bounded in bytes, the client's event numbers, and its close.
//!
//! Filled by whoever has something to say, emptied by the one task that owns the socket. A reader that is too slow
//! costs its own connection and nothing else.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::protocol::close::Close;

/// Frames waiting for one client.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    waker: AtomicWaker,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Utf8Bytes>,
    bytes: usize,
    seq: u64,
    closing: Option<Closing>,
}

#[derive(Debug)]
struct Closing {
    close: Close,
    /// True when nothing that waits is worth sending any more.
    at_once: bool,
}

/// What the socket should write next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This frame.
    Frame(Utf8Bytes),
    /// A close, and then nothing.
    Close(Close),
    /// Nothing; the task is woken when there is something.
    Idle,
}

/// An event ready to be numbered: the frame's text up to the payload's end, and what follows the number.
#[derive(Debug)]
pub(crate) struct Numbered<'a> {
    /// `{"type":"event","event":…,"payload":…`
    pub(crate) head: &'a str,
    /// Empty, or `,"stateVersion":{…}`.
    pub(crate) tail: &'a str,
}

impl Outbox {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), waker: AtomicWaker::new(), max_bytes }
    }

    /// Queues a frame; a reader too slow for it is closed.
    pub(crate) fn push(&self, frame: String) {
        let mut state = self.lock();
        self.accept(&mut state, frame.into(), false);
    }

    /// Queues a frame without number that may be missing: false when there was no room.
    pub(crate) fn offer(&self, frame: String) -> bool {
        let mut state = self.lock();
        self.accept(&mut state, frame.into(), true)
    }

    /// Gives an event the next number and queues it. Without room it is left out when `drop_if_slow`, and its number
    /// stays used so that the client sees a gap; else the reader is closed.
    pub(crate) fn push_event(&self, event: &Numbered<'_>, drop_if_slow: bool) {
        let mut state = self.lock();
        state.seq += 1;
        let mut frame = String::with_capacity(event.head.len() + event.tail.len() + 32);
        frame.push_str(event.head);
        // Writing to a string can't fail.
        write!(frame, ",\"seq\":{}", state.seq).unwrap_or_default();
        frame.push_str(event.tail);
        frame.push('}');
        self.accept(&mut state, frame.into(), drop_if_slow);
    }

    /// Uses up a number without sending anything: the client sees that it missed something.
    pub(crate) fn skip_number(&self) {
        self.lock().seq += 1;
    }

    /// Closes the connection after what waits already. A close that was asked for earlier stays.
    pub(crate) fn close(&self, close: Close) {
        self.begin_close(&mut self.lock(), close, false);
    }

    /// The first thing to write, if any; else the current task is woken when there is one.
    pub(crate) fn next(&self, cx: &Context<'_>) -> Next {
        self.waker.register(cx.waker());
        let mut state = self.lock();
        if let Some(closing) = &state.closing
            && (closing.at_once || state.queue.is_empty())
        {
            return Next::Close(closing.close.clone());
        }
        match state.queue.pop_front() {
            Some(frame) => {
                state.bytes -= frame.len();
                Next::Frame(frame)
            }
            None => Next::Idle,
        }
    }

    /// How the connection is to be closed, once somebody asked for it: the close, and whether at once.
    pub(crate) fn closing(&self, cx: &Context<'_>) -> Option<(Close, bool)> {
        self.waker.register(cx.waker());
        self.lock().closing.as_ref().map(|closing| (closing.close.clone(), closing.at_once))
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.lock().bytes
    }

    fn accept(&self, state: &mut State, frame: Utf8Bytes, may_drop: bool) -> bool {
        if state.closing.is_some() {
            return false;
        }
        // One frame always fits, however big: the bound is about readers that don't read.
        if !state.queue.is_empty() && state.bytes + frame.len() > self.max_bytes {
            if !may_drop {
                state.queue.clear();
                state.bytes = 0;
                self.begin_close(state, Close::slow_consumer(), true);
            }
            return false;
        }
        state.bytes += frame.len();
        state.queue.push_back(frame);
        self.waker.wake();
        true
    }

    fn begin_close(&self, state: &mut State, close: Close, at_once: bool) {
        if state.closing.is_none() {
            state.closing = Some(Closing { close, at_once });
            self.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn next(outbox: &Outbox) -> Next {
        outbox.next(&Context::from_waker(Waker::noop()))
    }

    fn frame(text: &str) -> Next {
        Next::Frame(text.into())
    }

    #[test]
    fn frames_leave_in_order_and_a_close_comes_after_them() {
        let outbox = Outbox::new(100);
        outbox.push("a".to_owned());
        outbox.close(Close::policy("no"));
        outbox.push("too late".to_owned());
        assert_eq!(next(&outbox), frame("a"));
        assert_eq!(next(&outbox), Next::Close(Close::policy("no")));
    }

    #[test]
    fn events_are_numbered_from_one() {
        let outbox = Outbox::new(1000);
        let event = Numbered { head: r#"{"type":"event","event":"tick""#, tail: "" };
        outbox.push_event(&event, true);
        outbox.skip_number();
        outbox.push_event(&Numbered { tail: r#","stateVersion":{"presence":1,"health":2}"#, ..event }, true);
        assert_eq!(next(&outbox), frame(r#"{"type":"event","event":"tick","seq":1}"#));
        assert_eq!(
            next(&outbox),
            frame(r#"{"type":"event","event":"tick","seq":3,"stateVersion":{"presence":1,"health":2}}"#)
        );
        assert_eq!(next(&outbox), Next::Idle);
    }

    #[test]
    fn a_dropped_event_keeps_its_number() {
        let outbox = Outbox::new(10);
        outbox.push("0123456789".to_owned());
        outbox.push_event(&Numbered { head: "{", tail: "" }, true);
        assert_eq!(next(&outbox), frame("0123456789"));
        outbox.push_event(&Numbered { head: "{", tail: "" }, true);
        assert_eq!(next(&outbox), frame(r#"{,"seq":2}"#));
    }

    #[test]
    fn a_frame_that_must_arrive_closes_a_slow_reader_at_once() {
        let outbox = Outbox::new(10);
        outbox.push("0123456789".to_owned());
        outbox.push("x".to_owned());
        assert_eq!(next(&outbox), Next::Close(Close::slow_consumer()));
        assert_eq!(outbox.waiting_bytes(), 0);
    }

    #[test]
    fn one_frame_fits_however_big() {
        let outbox = Outbox::new(10);
        outbox.push("x".repeat(50));
        assert_eq!(next(&outbox), frame(&"x".repeat(50)));
        assert!(outbox.offer("y".repeat(50)));
        assert!(!outbox.offer("z".to_owned()));
    }
}
