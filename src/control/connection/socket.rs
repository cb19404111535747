//! The task that owns one client's socket: writes what waits, reads what comes, pings, and closes in good form.
//!
//! It decides nothing. Frames go to the connection actor, which answers through the [`Outbox`]; the task ends when the
//! peer is gone, when a close was asked for and done, or when its actor ends.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::inbox::{Inbox, Permit};
use super::outbox::{Next, Outbox};
use crate::control::settings::ControlSettings;
use crate::control::upgrade::budget::{Budget, Metered};
use crate::protocol::close::{self, Close};

/// Read buffer of one connection; eagerly allocated, so small.
const READ_BUFFER: usize = 4096;
/// Frame headers and control frames that may come on top of the first payload.
pub(super) const PREAUTH_OVERHEAD: usize = 4096;

/// A text frame, and the room it takes until the actor has looked at it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) text: String,
    pub(super) _permit: Permit,
}

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer closed, or the stream broke.
    Peer,
    /// We closed.
    Ours,
    /// The peer did not answer a ping in time.
    Silent,
    /// The peer sent more than it may.
    Oversize,
}

impl Ending {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Ours => "ours",
            Self::Silent => "silent",
            Self::Oversize => "oversize",
        }
    }
}

/// What the socket works with.
pub(super) struct Wiring {
    pub(super) outbox: Arc<Outbox>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) budget: Arc<Budget>,
    pub(super) settings: Arc<ControlSettings>,
}

/// Runs the socket to its end; `deliver` hands a frame to the actor and never waits.
pub(super) async fn run<S>(stream: S, wiring: Wiring, deliver: impl Fn(Received) + Send) -> Ending
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let settings = &wiring.settings;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(settings.max_payload))
        .max_frame_size(Some(settings.max_payload));
    let metered = Metered::new(stream, Arc::clone(&wiring.budget));
    let stream = WebSocketStream::from_raw_socket(metered, Role::Server, Some(config)).await;
    let mut ping = interval_at(Instant::now() + settings.ping_interval, settings.ping_interval);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut socket = Socket { stream, wiring, ping, seen_at_ping: None, ping_due: false, closing: None };
    loop {
        match poll_fn(|cx| socket.step(cx)).await {
            Step::Text { text, permit } => deliver(Received { text, _permit: permit }),
            Step::Close(close) => {
                socket.close(&close).await;
                return Ending::Ours;
            }
            Step::Flood => {
                socket.wiring.budget.lift();
                socket.linger(&Close::preauth_payload_too_large()).await;
                return Ending::Oversize;
            }
            Step::Oversize => {
                socket.linger(&Close::new(close::TOO_BIG, "")).await;
                return Ending::Oversize;
            }
            Step::Ended(ending) => return ending,
        }
    }
}

enum Step {
    Text {
        text: String,
        permit: Permit,
    },
    /// Close in good form.
    Close(Close),
    /// More than an unauthenticated peer may send.
    Flood,
    /// A frame over the limit of authenticated peers.
    Oversize,
    Ended(Ending),
}

struct Socket<S> {
    stream: WebSocketStream<Metered<S>>,
    wiring: Wiring,
    ping: Interval,
    /// Bytes read when the last ping was due: a peer that sent nothing since is gone.
    seen_at_ping: Option<u64>,
    ping_due: bool,
    /// Runs out when what waits could not be written in time before a close.
    closing: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket<S> {
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some((close, at_once)) = self.wiring.outbox.closing(cx)
            && (at_once || self.close_is_overdue(cx))
        {
            return Poll::Ready(Step::Close(close));
        }
        if let Poll::Ready(step) = self.write(cx) {
            return Poll::Ready(step);
        }
        if self.ping.poll_tick(cx).is_ready() {
            let seen = self.wiring.budget.bytes_read();
            if self.seen_at_ping == Some(seen) {
                return Poll::Ready(Step::Ended(Ending::Silent));
            }
            self.seen_at_ping = Some(seen);
            self.ping_due = true;
            // The interval must be polled again to be woken by it, and the ping written.
            cx.waker().wake_by_ref();
        }
        self.read(cx)
    }

    fn close_is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let grace = self.wiring.settings.close_grace;
        let timer = self.closing.get_or_insert_with(|| Box::pin(sleep(grace)));
        timer.as_mut().poll(cx).is_ready()
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            match self.stream.poll_ready_unpin(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Step::Ended(Ending::Peer)),
                Poll::Pending => return Poll::Pending,
            }
            let message = if std::mem::take(&mut self.ping_due) {
                Message::Ping(Bytes::new())
            } else {
                match self.wiring.outbox.next(cx) {
                    Next::Frame(text) => Message::Text(text),
                    Next::Close(close) => return Poll::Ready(Step::Close(close)),
                    Next::Idle => break,
                }
            };
            if self.stream.start_send_unpin(message).is_err() {
                return Poll::Ready(Step::Ended(Ending::Peer));
            }
        }
        match self.stream.poll_flush_unpin(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(Step::Ended(Ending::Peer)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if !self.wiring.inbox.has_room(cx) {
                return Poll::Pending;
            }
            let Poll::Ready(next) = self.stream.poll_next_unpin(cx) else { return Poll::Pending };
            let text = match next {
                Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
                // Clients send text; bytes that are text are taken as such.
                Some(Ok(Message::Binary(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))) => continue,
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                    return Poll::Ready(if self.wiring.budget.holds() { Step::Flood } else { Step::Oversize });
                }
                Some(Err(_)) if self.wiring.budget.is_spent() => return Poll::Ready(Step::Flood),
                Some(Err(_)) | None => return Poll::Ready(Step::Ended(Ending::Peer)),
            };
            if self.wiring.budget.holds() && text.len() > self.wiring.settings.max_preauth_payload {
                return Poll::Ready(Step::Flood);
            }
            let permit = self.wiring.inbox.take(text.len());
            return Poll::Ready(Step::Text { text, permit });
        }
    }

    /// Sends the close and waits for the peer's, both within the grace.
    async fn close(&mut self, close: &Close) {
        let grace = self.wiring.settings.close_grace;
        let farewell = async {
            if self.stream.send(Message::Close(Some(frame(close)))).await.is_ok() {
                while let Some(Ok(_)) = self.stream.next().await {}
            }
        };
        timeout(grace, farewell).await.ok();
    }

    /// Closes a stream whose rest can't be read as frames: what still comes is thrown away for a while, or the peer
    /// would see a reset instead of the close.
    async fn linger(&mut self, close: &Close) {
        let grace = self.wiring.settings.close_grace;
        let farewell = async {
            self.stream.send(Message::Close(Some(frame(close)))).await.ok();
            let raw = self.stream.get_mut();
            raw.shutdown().await.ok();
            let mut rest = [0; READ_BUFFER];
            while raw.read(&mut rest).await.is_ok_and(|count| count > 0) {}
        };
        timeout(grace.max(Duration::from_millis(1)), farewell).await.ok();
    }
}

fn frame(close: &Close) -> CloseFrame {
    CloseFrame { code: CloseCode::from(close.code), reason: close.reason.as_str().into() }
}

#[cfg(test)]
mod tests;
