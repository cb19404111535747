//! Panics as values: message, place and backtrace of a panic inside supervised code.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

use crate::exit::PanicInfo;

thread_local! {
    /// How many supervised frames are on this thread's stack.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the last panic under a supervised frame happened.
    static PLACE: RefCell<Option<(Option<String>, Option<String>)>> = const { RefCell::new(None) };
}

/// Makes panics under supervised frames note where they happened instead of printing it. Others print as before.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.with(Cell::get) == 0 {
                before(info);
                return;
            }
            let location = info.location().map(|at| format!("{}:{}:{}", at.file(), at.line(), at.column()));
            let trace = Backtrace::capture();
            let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
            PLACE.with(|place| *place.borrow_mut() = Some((location, trace)));
        }));
    });
}

struct Frame;

impl Frame {
    fn enter() -> Self {
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        Self
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}

/// Runs `f`, turning a panic into a value.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, PanicInfo> {
    let frame = Frame::enter();
    let outcome = catch_unwind(AssertUnwindSafe(f));
    let place = PLACE.with(|place| place.borrow_mut().take());
    let outcome = outcome.map_err(|payload| {
        let (location, backtrace) = place.unwrap_or_default();
        PanicInfo { message: message(payload), location, backtrace }
    });
    drop(frame);
    outcome
}

/// Makes and runs a future, turning a panic of either into a value.
pub(crate) async fn guard<F: Future>(make: impl FnOnce() -> F) -> Result<F::Output, PanicInfo> {
    let future = catch(make)?;
    let mut future = pin!(future);
    poll_fn(|cx| match catch(|| future.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn message(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return *text,
        Err(payload) => payload,
    };
    match payload.downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(payload) => {
            // A payload may itself panic when dropped.
            if let Err(second) = catch_unwind(AssertUnwindSafe(move || drop(payload))) {
                std::mem::forget(second);
            }
            "panic without a message".to_owned()
        }
    }
}
