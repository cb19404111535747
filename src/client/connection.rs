//! The socket: handshake, then frames in both directions.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::error::ClientError;
use super::options::ClientOptions;
use super::request::{Client, Events, ORDERS, Order, Shared, Stages};
use crate::protocol::connect::{CHALLENGE_EVENT, METHOD};
use crate::protocol::{Close, HelloOk, Request, Response, ServerFrame, close, limits};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Events kept for a slow reader.
const EVENTS: usize = 8_192;
/// Id of the handshake's request; later ones are `r…`.
const CONNECT_ID: &str = "connect";

/// Connects: the client, its events, and the future that moves frames.
///
/// # Errors
/// When nobody is there, the gateway refuses, or it does not answer in time.
pub async fn connect(options: &ClientOptions) -> Result<(Client, Events, Driver), ClientError> {
    let after = options.connect_timeout;
    match timeout(after, handshake(options)).await {
        Ok(connected) => connected,
        Err(_elapsed) => Err(ClientError::Timeout { method: METHOD.to_owned(), after }),
    }
}

/// Connects, runs `work` beside the driver, and closes.
///
/// # Errors
/// When connecting fails. What fails later, `work` sees by itself.
pub async fn run_with<T, F: Future<Output = T>>(
    options: &ClientOptions,
    work: impl FnOnce(Client, Events) -> F,
) -> Result<T, ClientError> {
    let (client, events, driver) = connect(options).await?;
    let closer = client.clone();
    let work = async {
        let result = work(client, events).await;
        closer.close().await;
        result
    };
    let (result, _close) = tokio::join!(work, driver.run());
    Ok(result)
}

async fn handshake(options: &ClientOptions) -> Result<(Client, Events, Driver), ClientError> {
    let mut socket = open(options).await?;
    let (nonce, ts) = challenge(&mut socket).await?;
    let params = options.params(&nonce, ts);
    let params = serde_json::to_value(params).map_err(|error| ClientError::Protocol(error.to_string()))?;
    let request = Request::new(CONNECT_ID, METHOD, params);
    // A gateway that closed meanwhile has said why; that is read below.
    let _closed = socket.send(Message::text(request.to_text())).await;
    let hello = answer(&mut socket).await?;

    let (orders, inbox) = mpsc::channel(ORDERS);
    let (sink, receiver) = mpsc::channel(EVENTS);
    let (ended, closed) = watch::channel(None);
    let missed = Arc::new(AtomicU64::new(0));
    let tick = Duration::from_millis(hello.policy.tick_interval_ms.max(1));
    let shared = Arc::new(Shared {
        orders,
        closed,
        hello,
        request_timeout: options.request_timeout,
        next_id: AtomicU64::new(1),
    });
    let driver = Driver {
        socket,
        inbox,
        events: Some(sink),
        missed: Arc::clone(&missed),
        pending: HashMap::new(),
        ended,
        silence: tick.saturating_mul(2),
    };
    Ok((Client { shared }, Events { receiver, missed }, driver))
}

async fn open(options: &ClientOptions) -> Result<Socket, ClientError> {
    let url = options.socket_url();
    let unreachable =
        |source: tungstenite::Error| ClientError::Unreachable { url: url.clone(), source: Box::new(source) };
    let mut request = url.as_str().into_client_request().map_err(unreachable)?;
    if let Some(origin) = &options.origin {
        let origin = http::HeaderValue::from_str(origin)
            .map_err(|_invalid| ClientError::Protocol("the origin is not a header value".to_owned()))?;
        request.headers_mut().insert(http::header::ORIGIN, origin);
    }
    if url.starts_with("wss://") {
        // Whoever was first has chosen; any provider will do.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(limits::MAX_BUFFERED_BYTES))
        .max_frame_size(Some(limits::MAX_BUFFERED_BYTES));
    let (socket, _response) = connect_async_with_config(request, Some(config), true).await.map_err(unreachable)?;
    Ok(socket)
}

/// What a message is for us.
enum Incoming {
    Frame(Box<ServerFrame>),
    Ended(Option<Close>),
    Other,
}

fn read(message: Option<Result<Message, tungstenite::Error>>) -> Result<Incoming, ClientError> {
    Ok(match message {
        Some(Ok(Message::Text(text))) => {
            let frame = ServerFrame::parse(&text).map_err(|error| ClientError::Protocol(error.to_string()))?;
            Incoming::Frame(Box::new(frame))
        }
        Some(Ok(Message::Close(frame))) => {
            Incoming::Ended(frame.map(|frame| Close { code: frame.code.into(), reason: frame.reason.to_string() }))
        }
        Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Incoming::Other,
        Some(Err(_)) | None => Incoming::Ended(None),
    })
}

async fn challenge(socket: &mut Socket) -> Result<(String, i64), ClientError> {
    loop {
        match read(socket.next().await)? {
            Incoming::Frame(frame) => {
                let ServerFrame::Event(event) = *frame else {
                    return Err(ClientError::Protocol("an answer before the challenge".to_owned()));
                };
                if event.event != CHALLENGE_EVENT {
                    continue;
                }
                let payload = event.payload.unwrap_or_default();
                let nonce = payload.get("nonce").and_then(Value::as_str).filter(|nonce| !nonce.is_empty());
                let ts = payload.get("ts").and_then(Value::as_i64).filter(|ts| *ts >= 0);
                return match (nonce, ts) {
                    (Some(nonce), Some(ts)) => Ok((nonce.to_owned(), ts)),
                    _ => Err(ClientError::Protocol("a challenge without nonce or time".to_owned())),
                };
            }
            Incoming::Ended(close) => return Err(ClientError::Refused { error: None, close }),
            Incoming::Other => {}
        }
    }
}

async fn answer(socket: &mut Socket) -> Result<HelloOk, ClientError> {
    let mut refused = None;
    loop {
        match read(socket.next().await)? {
            Incoming::Frame(frame) => {
                let ServerFrame::Response(response) = *frame else { continue };
                if response.id != CONNECT_ID {
                    continue;
                }
                let Some(error) = response.error else {
                    let hello = response.payload.unwrap_or_default();
                    return serde_json::from_value(hello).map_err(|error| ClientError::Protocol(error.to_string()));
                };
                // The close that follows says the rest.
                refused = Some(Box::new(error));
            }
            Incoming::Ended(close) => return Err(ClientError::Refused { error: refused, close }),
            Incoming::Other => {}
        }
    }
}

/// Moves frames between the socket and the client.
#[derive(Debug)]
pub struct Driver {
    socket: Socket,
    inbox: mpsc::Receiver<Order>,
    /// Gone once nobody listens.
    events: Option<mpsc::Sender<crate::protocol::Event>>,
    missed: Arc<AtomicU64>,
    pending: HashMap<String, Waiting>,
    ended: watch::Sender<Option<Option<Close>>>,
    /// Longest silence before the gateway is taken for dead.
    silence: Duration,
}

/// A driver that runs by itself. Dropping it closes the socket.
#[derive(Debug)]
pub struct DriverTask(tokio::task::AbortHandle);

impl Drop for DriverTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Waiting {
    answers: mpsc::Sender<Response>,
    stages: Stages,
}

impl Driver {
    /// Runs until the connection ends; with the gateway's close, if it sent one.
    pub async fn run(mut self) -> Option<Close> {
        let close = self.pump().await;
        self.ended.send_replace(Some(close.clone()));
        close
    }

    /// Runs it as a task that ends with the returned value: for callers that are no actors and wait for one thing at a
    /// time, such as the command line.
    #[must_use]
    pub fn detached(self) -> DriverTask {
        #[expect(clippy::disallowed_methods, reason = "the task is owned by the value returned and ends with it")]
        let task = tokio::spawn(self.run());
        DriverTask(task.abort_handle())
    }

    async fn pump(&mut self) -> Option<Close> {
        let mut quiet_until = Instant::now() + self.silence;
        loop {
            tokio::select! {
                message = self.socket.next() => {
                    quiet_until = Instant::now() + self.silence;
                    match read(message) {
                        Ok(Incoming::Frame(frame)) => self.deliver(*frame),
                        Ok(Incoming::Ended(close)) => return close,
                        // What cannot be read is skipped: newer gateways may say more than we know.
                        Ok(Incoming::Other) | Err(_) => {}
                    }
                }
                order = self.inbox.recv() => match order {
                    Some(Order::Call { request, answers, stages }) => {
                        self.pending.insert(request.id.clone(), Waiting { answers, stages });
                        if self.socket.send(Message::text(request.to_text())).await.is_err() {
                            return self.last_words().await;
                        }
                    }
                    Some(Order::Forget(id)) => { self.pending.remove(&id); }
                    Some(Order::Close) | None => return self.say_goodbye(close::NORMAL, "").await,
                },
                () = sleep_until(quiet_until) => {
                    return self.say_goodbye(close::TICK_TIMEOUT, "tick timeout").await;
                }
            }
        }
    }

    fn deliver(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Response(response) => {
                let Some(waiting) = self.pending.get(&response.id) else { return };
                let is_last = waiting.stages == Stages::One || !response.is_accepted_stage();
                let id = response.id.clone();
                // Room for every answer a request can have; a reader that left does not count.
                let is_gone = waiting.answers.try_send(response).is_err();
                if is_last || is_gone {
                    self.pending.remove(&id);
                }
            }
            ServerFrame::Event(event) => {
                let Some(events) = &self.events else { return };
                match events.try_send(event) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        self.missed.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => self.events = None,
                }
            }
        }
    }

    /// Closes from our side and waits a moment for the other.
    async fn say_goodbye(&mut self, code: u16, reason: &str) -> Option<Close> {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
        if self.socket.close(Some(frame)).await.is_ok() {
            return self.last_words().await;
        }
        None
    }

    /// Reads on until the close, for a moment.
    async fn last_words(&mut self) -> Option<Close> {
        let wait = async {
            loop {
                match read(self.socket.next().await) {
                    Ok(Incoming::Frame(frame)) => self.deliver(*frame),
                    Ok(Incoming::Ended(close)) => return close,
                    Ok(Incoming::Other) | Err(_) => {}
                }
            }
        };
        timeout(limits::CLOSE_GRACE, wait).await.unwrap_or(None)
    }
}

#[cfg(test)]
mod tests;
