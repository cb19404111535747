//! A byte budget under a stream: what an unauthenticated peer may send in total.
//!
//! The WebSocket codec can't change its frame limit later, so its limit is that of authenticated peers and this one
//! holds until somebody is authenticated.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// No limit any more.
const LIFTED: u64 = u64::MAX;

/// How much may still be read; shared with whoever decides that the peer is somebody.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicU64,
    spent: AtomicBool,
    read: AtomicU64,
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        let left = u64::try_from(bytes).unwrap_or(LIFTED - 1);
        Arc::new(Self { left: AtomicU64::new(left), spent: AtomicBool::new(false), read: AtomicU64::new(0) })
    }

    /// Ends the limit.
    pub(crate) fn lift(&self) {
        self.left.store(LIFTED, Ordering::Release);
    }

    /// True while the limit holds.
    pub(crate) fn holds(&self) -> bool {
        self.left.load(Ordering::Acquire) != LIFTED
    }

    /// True once the peer sent more than it may.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Acquire)
    }

    /// Bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// A stream that reads within a [`Budget`].
#[derive(Debug)]
pub(crate) struct Metered<S> {
    inner: S,
    budget: Arc<Budget>,
}

impl<S> Metered<S> {
    pub(crate) fn new(inner: S, budget: Arc<Budget>) -> Self {
        Self { inner, budget }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        let left = me.budget.left.load(Ordering::Acquire);
        // With nothing left, one byte is still asked for: only its arrival tells a flood from a peer that is done.
        let most = usize::try_from(left).unwrap_or(usize::MAX).max(1).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(Pin::new(&mut me.inner).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        let bytes = u64::try_from(count).unwrap_or(u64::MAX);
        me.budget.read.fetch_add(bytes, Ordering::Relaxed);
        if bytes > left {
            me.budget.spent.store(true, Ordering::Release);
            return Poll::Ready(Err(io::Error::other("more bytes than an unauthenticated peer may send")));
        }
        // Lifted in the meantime means lifted: only the value that was read is replaced.
        if left != LIFTED {
            me.budget.left.compare_exchange(left, left - bytes, Ordering::AcqRel, Ordering::Acquire).ok();
        }
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn exactly_the_budget_may_be_read_and_not_a_byte_more() {
        let (mut peer, ours) = duplex(64);
        let budget = Budget::new(4);
        let mut metered = Metered::new(ours, Arc::clone(&budget));
        peer.write_all(b"abcd").await.unwrap();
        let mut got = [0; 4];
        metered.read_exact(&mut got).await.unwrap();
        assert_eq!((&got, budget.is_spent(), budget.bytes_read()), (b"abcd", false, 4));
        peer.write_all(b"e").await.unwrap();
        assert!(metered.read_u8().await.is_err());
        assert!(budget.is_spent());
    }

    #[tokio::test]
    async fn a_lifted_budget_never_ends() {
        let (mut peer, ours) = duplex(64);
        let budget = Budget::new(1);
        let mut metered = Metered::new(ours, Arc::clone(&budget));
        budget.lift();
        peer.write_all(&[7; 60]).await.unwrap();
        metered.read_exact(&mut [0; 60]).await.unwrap();
        assert!(!budget.holds() && !budget.is_spent());
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_not_a_flood() {
        let (peer, ours) = duplex(64);
        let mut metered = Metered::new(ours, Budget::new(0));
        drop(peer);
        assert_eq!(metered.read(&mut [0; 8]).await.unwrap(), 0);
    }
}
