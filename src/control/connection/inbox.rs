//! Frames that were read and not looked at yet: the socket reads no further while there are many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;

/// Frames read ahead of the actor.
const MAX_FRAMES: usize = 64;
/// Bytes read ahead of the actor; one frame is always taken, however big.
const MAX_BYTES: usize = 1_048_576;

/// Room for frames between a socket and its actor.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    frames: AtomicUsize,
    bytes: AtomicUsize,
    waker: AtomicWaker,
}

/// The room one frame takes; dropped when the actor has looked at it.
#[derive(Debug)]
pub(super) struct Permit {
    inbox: Arc<Inbox>,
    bytes: usize,
}

impl Inbox {
    /// True when another frame may be read; else the current task is woken when it may.
    pub(super) fn has_room(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.frames.load(Ordering::Acquire) < MAX_FRAMES && self.bytes.load(Ordering::Acquire) < MAX_BYTES
    }

    /// Takes room for a frame of so many bytes.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Permit {
        self.frames.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        Permit { inbox: Arc::clone(self), bytes }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inbox.frames.fetch_sub(1, Ordering::AcqRel);
        self.inbox.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.inbox.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn room_is_bounded_by_count_and_by_bytes_and_comes_back() {
        let inbox = Arc::new(Inbox::default());
        let cx = Context::from_waker(Waker::noop());
        let permits: Vec<_> = (0..MAX_FRAMES).map(|_| inbox.take(1)).collect();
        assert!(!inbox.has_room(&cx));
        drop(permits);
        assert!(inbox.has_room(&cx));
        let big = inbox.take(MAX_BYTES);
        assert!(!inbox.has_room(&cx));
        drop(big);
        assert!(inbox.has_room(&cx));
    }
}
