//! A cancellation token that is only made when somebody wants to watch it: most actors never do.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LazyToken {
    cancelled: AtomicBool,
    token: OnceLock<CancellationToken>,
}

impl LazyToken {
    /// The token; cancelled already if [`LazyToken::cancel`] came first.
    pub(crate) fn token(&self) -> &CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new);
        // Either this sees the flag, or `cancel` sees the token.
        if self.cancelled.load(Ordering::SeqCst) {
            token.cancel();
        }
        token
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}
