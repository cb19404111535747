//! Panics as values: message, place and backtrace of a panic inside supervised code; and what is known of that code
//! while it runs.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

use crate::exit::PanicInfo;
use crate::trace::TraceId;

thread_local! {
    /// What runs on this thread now.
    static NOW: Cell<Now> = const { Cell::new(Now { depth: 0, actor: 0, trace: None }) };
    /// Set with `PLACE`, which is dearer to look at.
    static PLACED: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic under a supervised frame happened.
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

type Place = (Option<String>, Option<String>);

#[derive(Clone, Copy)]
struct Now {
    /// How many supervised frames are on this thread's stack.
    depth: u32,
    /// The address of the actor whose callback runs; 0 = none.
    actor: u64,
    trace: Option<TraceId>,
}

/// Makes panics under supervised frames note where they happened instead of printing it. Others print as before.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if NOW.get().depth == 0 {
                before(info);
                return;
            }
            let location = info.location().map(|at| format!("{}:{}:{}", at.file(), at.line(), at.column()));
            let trace = Backtrace::capture();
            let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
            PLACE.with(|place| *place.borrow_mut() = Some((location, trace)));
            PLACED.set(true);
        }));
    });
}

/// Something that runs on this thread until dropped.
pub(crate) struct Frame {
    before: Now,
}

impl Frame {
    #[inline]
    fn enter(now: Now) -> Self {
        Self { before: NOW.replace(now) }
    }

    /// Supervised code of whoever runs now.
    fn deeper() -> Self {
        let now = NOW.get();
        Self::enter(Now { depth: now.depth + 1, ..now })
    }

    /// A callback of an actor.
    #[inline]
    fn callback(actor: u64, trace: Option<TraceId>) -> Self {
        Self::enter(Now { depth: NOW.get().depth + 1, actor, trace })
    }

    /// Code that a trace is in force in.
    #[inline]
    pub(crate) fn traced(trace: Option<TraceId>) -> Self {
        Self::enter(Now { trace, ..NOW.get() })
    }

    /// The trace in force.
    #[inline]
    pub(crate) fn trace() -> Option<TraceId> {
        NOW.get().trace
    }

    /// The address of the actor whose callback is running.
    #[inline]
    pub(crate) fn actor() -> Option<u64> {
        Some(NOW.get().actor).filter(|actor| *actor != 0)
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        NOW.set(self.before);
    }
}

/// Runs `f`, turning a panic into a value.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, PanicInfo> {
    catch_in(Frame::deeper(), f)
}

#[inline]
fn catch_in<T>(frame: Frame, f: impl FnOnce() -> T) -> Result<T, PanicInfo> {
    let outcome = catch_unwind(AssertUnwindSafe(f));
    // A panic that was caught further in leaves its place behind; it must not be taken for that of a later one.
    let place = if PLACED.replace(false) { take_place() } else { None };
    let outcome = outcome.map_err(|payload| panic_info(payload, place));
    drop(frame);
    outcome
}

#[cold]
fn take_place() -> Option<Place> {
    PLACE.with(|place| place.borrow_mut().take())
}

#[cold]
fn panic_info(payload: Box<dyn Any + Send>, place: Option<Place>) -> PanicInfo {
    let (location, backtrace) = place.unwrap_or_default();
    PanicInfo { message: message(payload), location, backtrace }
}

/// Runs a poll of a callback of the actor at an address, with a trace in force, turning a panic into a value.
#[inline]
pub(crate) fn catch_callback<T>(actor: u64, trace: Option<TraceId>, f: impl FnOnce() -> T) -> Result<T, PanicInfo> {
    catch_in(Frame::callback(actor, trace), f)
}

/// Makes and runs a future, turning a panic of either into a value.
pub(crate) async fn guard<F: Future>(make: impl FnOnce() -> F) -> Result<F::Output, PanicInfo> {
    guard_in(Frame::deeper, make).await
}

/// The same for a callback of the actor at an address, with a trace in force.
pub(crate) async fn guard_callback<F: Future>(
    actor: u64,
    trace: Option<TraceId>,
    make: impl FnOnce() -> F,
) -> Result<F::Output, PanicInfo> {
    guard_in(|| Frame::callback(actor, trace), make).await
}

/// The same for a task, with a trace in force.
pub(crate) async fn guard_task<F: Future>(
    trace: Option<TraceId>,
    make: impl FnOnce() -> F,
) -> Result<F::Output, PanicInfo> {
    guard_in(|| Frame::callback(0, trace), make).await
}

async fn guard_in<F: Future>(enter: impl Fn() -> Frame, make: impl FnOnce() -> F) -> Result<F::Output, PanicInfo> {
    // Made within the first poll, so that one layer catches both.
    let mut future = pin!(async move { make().await });
    poll_fn(|cx| match catch_in(enter(), || future.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Drops a value that is not ours; a panic in that is nobody's business.
pub(crate) fn bury<T>(value: T) {
    drop(catch(move || drop(value)));
}

/// Holds a value that is not ours and buries it in the end, whoever lets go of it last.
pub(crate) struct Quiet<T>(Option<T>);

impl<T> Quiet<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Some(value))
    }

    #[expect(clippy::expect_used, reason = "only `drop` takes it out")]
    pub(crate) fn get(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Quiet<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            bury(value);
        }
    }
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
