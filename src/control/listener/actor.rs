//! Accepts connections on the served port and answers their HTTP requests.
//!
//! Parent: `control` · Restart: permanent · Mailbox: 64, reject; accepted streams come past it, bounded by permits
//! Survives a restart: the port and every WebSocket, which are actors of their own. Lost: HTTP requests in hand.
//! Fails when: the port can't be accepted on any more.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use supervision::{Actor, ActorResult, BoxError, ChildSpec, Ctx, Slot};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{BoundPort, Front};

/// Longest head of a request.
const MAX_HEAD: usize = 64 * 1024;
/// After an accept that failed for want of something (file handles, memory).
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// So many failures in a row mean that the port itself is broken.
const MAX_FAILURES: u32 = 100;

pub(crate) struct ListenerArgs {
    pub(crate) port: BoundPort,
    pub(crate) front: Arc<Front>,
}

pub(super) enum ListenerMessage {
    /// Somebody connected.
    Accepted { stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit },
    /// The port can't be accepted on.
    Broken { error: io::Error },
}

pub(super) struct ListenerState {
    front: Arc<Front>,
    accepted: u64,
}

/// The listener of `control`.
pub(crate) fn child_spec(make: impl Fn() -> ListenerArgs + Send + Sync + 'static) -> ChildSpec {
    ChildSpec::actor("listener", "listener", &Slot::new(), move |_start| (ListenerActor, make()))
        .handler_limit(actors::HANDLER_LIMIT)
}

struct ListenerActor;

impl Actor for ListenerActor {
    type Message = ListenerMessage;
    type Args = ListenerArgs;
    type State = ListenerState;

    async fn pre_start(&self, args: ListenerArgs, ctx: &Ctx<ListenerMessage>) -> Result<ListenerState, BoxError> {
        let listener = args.port.listen()?;
        let permits = Arc::new(Semaphore::new(args.front.settings().max_http_connections));
        let reporter = ctx.reporter();
        let report = move |message| {
            reporter.send(message);
        };
        ctx.spawn_scoped(accept(listener, permits, report));
        ctx.set_detail("address", args.port.address().to_string());
        Ok(ListenerState { front: args.front, accepted: 0 })
    }

    async fn handle(
        &self,
        state: &mut ListenerState,
        message: ListenerMessage,
        ctx: &Ctx<ListenerMessage>,
    ) -> ActorResult {
        match message {
            ListenerMessage::Accepted { stream, peer, permit } => {
                state.accepted += 1;
                ctx.set_detail("accepted", state.accepted.to_string());
                ctx.spawn_scoped(serve(stream, peer, permit, Arc::clone(&state.front)));
                Ok(())
            }
            ListenerMessage::Broken { error } => Err(error.into()),
        }
    }
}

/// Accepts for ever, as many at a time as there are permits.
async fn accept(listener: TcpListener, permits: Arc<Semaphore>, report: impl Fn(ListenerMessage)) {
    let mut failures = 0;
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                failures = 0;
                report(ListenerMessage::Accepted { stream, peer, permit });
            }
            // The peer was gone before it was accepted: nothing is wrong here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                failures += 1;
                if failures >= MAX_FAILURES {
                    return report(ListenerMessage::Broken { error });
                }
                tracing::warn!(%error, failures, "a connection could not be accepted");
                tokio::time::sleep((FIRST_PAUSE * failures).min(LONGEST_PAUSE)).await;
            }
        }
    }
}

/// Answers the requests of one connection, until it ends or becomes a WebSocket. A panic ends this connection alone.
async fn serve(stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit, front: Arc<Front>) {
    // Small frames are the rule here; without this they would wait for each other.
    stream.set_nodelay(true).ok();
    let header_timeout = front.settings().header_timeout;
    let service = service_fn(move |request| {
        let front = Arc::clone(&front);
        async move { Ok::<_, Infallible>(front.answer(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    match AssertUnwindSafe(connection).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "an HTTP connection ended early"),
        Err(_) => tracing::error!(%peer, "an HTTP request panicked"),
    }
    drop(permit);
}
