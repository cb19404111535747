//! Which request of the outside a message belongs to.
//!
//! The id is set where a request comes in, with [`scope`], travels in each message sent meanwhile, and is in force again
//! while such a message is handled: in the callback, in tasks it starts, in messages they send.

use std::fmt;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::pin::pin;

use crate::panics::Frame;

/// An id of 16 bytes, never all zero in its first half.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId {
    high: NonZeroU64,
    low: u64,
}

impl TraceId {
    /// A random one.
    #[must_use]
    pub fn fresh() -> Self {
        Self { high: rand::random::<NonZeroU64>(), low: rand::random() }
    }

    /// The one in force here, if there is one.
    #[must_use]
    pub fn current() -> Option<Self> {
        Frame::trace()
    }

    /// Reads 32 hexadecimal digits, as `Display` writes them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let (high, low) = text.split_at(16);
        let high = NonZeroU64::new(u64::from_str_radix(high, 16).ok()?)?;
        Some(Self { high, low: u64::from_str_radix(low, 16).ok()? })
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.high, self.low)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

/// Runs `future` with `id` in force.
pub async fn scope<F: Future>(id: TraceId, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _frame = Frame::traced(Some(id));
        future.as_mut().poll(cx)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = TraceId::fresh();
        assert_eq!(TraceId::parse(&id.to_string()), Some(id));
        for wrong in ["", "12", "0000000000000000ffffffffffffffff", "+0000000000000000000000000000001"] {
            assert_eq!(TraceId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn fresh_ids_differ() {
        assert_ne!(TraceId::fresh(), TraceId::fresh());
    }

    #[tokio::test]
    async fn an_id_is_in_force_in_its_scope_only() {
        let (outer, inner) = (TraceId::fresh(), TraceId::fresh());
        scope(outer, async {
            assert_eq!(TraceId::current(), Some(outer));
            scope(inner, async {
                tokio::task::yield_now().await;
                assert_eq!(TraceId::current(), Some(inner));
            })
            .await;
            assert_eq!(TraceId::current(), Some(outer));
        })
        .await;
        assert_eq!(TraceId::current(), None);
    }
}
