//! A model server on loopback that fails on command.
//!
//! Speaks both streamed formats: `POST …/chat/completions` and `POST …/messages`. What it answers is, in this order:
//! the next turn of the script, the fault its model id names (`fault-429`, `fault-hang` … see [`FakeTurn::for_model`]),
//! or an echo of the user's last words. It remembers every request, and how many clients left before the end.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

mod script;
mod wires;

pub use script::{FakeCall, FakeFault, FakeTurn};

/// Largest request that is read.
const MAX_REQUEST: usize = 32 * 1024 * 1024;
/// What a long line is made of.
static LINE_PIECE: [u8; 65_536] = [b'x'; 65_536];
/// The path of [`FakeModelServer::settled`]'s own request.
const PROBE: &str = "/settled";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct FakeRequest {
    /// Path, with the query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
}

impl FakeRequest {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The model asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }
}

/// Answers instead of script, fault and echo, and keeps its own books: with one, the server keeps no requests.
pub trait FakeMind: Send + Sync + 'static {
    /// The answer to request `number`.
    fn answer(&self, number: u64, request: &FakeRequest) -> FakeTurn;
    /// The answer to request `number` is about to be complete, or its client has left.
    fn ended(&self, number: u64);
}

/// What a server has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FakeCounts {
    /// Requests received.
    pub requests: usize,
    /// Answers sent to their end, failures included.
    pub finished: usize,
    /// Clients that closed the connection before the end.
    pub left: usize,
    /// Connections that are open.
    pub open: usize,
}

struct Shared {
    script: Mutex<VecDeque<FakeTurn>>,
    mind: Mutex<Option<Arc<dyn FakeMind>>>,
    pace: Mutex<Duration>,
    requests: Mutex<Vec<FakeRequest>>,
    counts: watch::Sender<FakeCounts>,
}

/// The server. It stops when dropped.
pub struct FakeModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for FakeModelServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeModelServer").field("address", &self.address).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeModelServer {
    /// Starts a server on a free port of loopback.
    ///
    /// # Errors
    /// When no port can be bound.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test double outside every tree; dropping the server aborts its task"
    )]
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            mind: Mutex::default(),
            pace: Mutex::default(),
            requests: Mutex::default(),
            counts: watch::Sender::new(FakeCounts::default()),
        });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// The base address to configure, for either format.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds turns to the script; each answers one request.
    pub fn script(&self, turns: impl IntoIterator<Item = FakeTurn>) {
        lock(&self.shared.script).extend(turns);
    }

    /// From now on `mind` answers.
    pub fn set_mind(&self, mind: Arc<dyn FakeMind>) {
        *lock(&self.shared.mind) = Some(mind);
    }

    /// Waits until nothing is left of the clients there were: for after a client's process has died.
    ///
    /// # Errors
    /// When the server can't be reached.
    pub async fn settled(&self) -> io::Result<()> {
        // Connections are taken in their order: once this one is, all before it are.
        let mut probe = TcpStream::connect(self.address).await?;
        probe.write_all(format!("GET {PROBE} HTTP/1.1\r\n\r\n").as_bytes()).await?;
        probe.read_to_end(&mut Vec::new()).await?;
        self.wait_until(|counts| counts.open == 0).await;
        Ok(())
    }

    /// From now on an echo takes this long after each event.
    pub fn set_pace(&self, pace: Duration) {
        *lock(&self.shared.pace) = pace;
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<FakeRequest> {
        lock(&self.shared.requests).clone()
    }

    /// What was seen so far.
    #[must_use]
    pub fn counts(&self) -> FakeCounts {
        *self.shared.counts.borrow()
    }

    /// Waits until `seen` is true of the counts.
    pub async fn wait_until(&self, seen: impl FnMut(&FakeCounts) -> bool) {
        let mut counts = self.shared.counts.subscribe();
        // The sender lives as long as `self`, so this ends only when the condition holds.
        drop(counts.wait_for(seen).await);
    }
}

impl Drop for FakeModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts and serves in one task, so that aborting it ends every connection.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    shared.counts.send_modify(|counts| counts.open += 1);
                    let shared = Arc::clone(&shared);
                    connections.push(async move {
                        connection(stream, Arc::clone(&shared)).await;
                        shared.counts.send_modify(|counts| counts.open -= 1);
                    });
                }
                Err(_) => return,
            },
            Some(()) = connections.next(), if !connections.is_empty() => {}
        }
    }
}

/// How an answer ended.
enum End {
    Finished,
    Left,
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(request) = read_request(&mut stream).await.filter(|request| request.path != PROBE) else { return };
    let mind = lock(&shared.mind).clone();
    let mut number = 0;
    shared.counts.send_modify(|counts| {
        number = counts.requests as u64;
        counts.requests += 1;
    });
    let turn = match &mind {
        Some(mind) => mind.answer(number, &request),
        None => {
            let scripted = lock(&shared.script).pop_front();
            lock(&shared.requests).push(request.clone());
            scripted
                .or_else(|| FakeTurn::for_model(request.model()))
                .unwrap_or_else(|| FakeTurn::echo(&request).pace(*lock(&shared.pace)))
        }
    };
    let mut over = || {
        if let Some(mind) = &mind {
            mind.ended(number);
        }
    };
    let end = answer(&mut stream, &request, &turn, &mut over).await.unwrap_or(End::Left);
    if matches!(end, End::Left) {
        over();
    }
    shared.counts.send_modify(|counts| match end {
        End::Finished => counts.finished += 1,
        End::Left => counts.left += 1,
    });
}

async fn read_request(stream: &mut TcpStream) -> Option<FakeRequest> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > MAX_REQUEST || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    while bytes.len() < head_end + length.min(MAX_REQUEST) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[head_end..]).unwrap_or(Value::Null);
    Some(FakeRequest { path, headers, body })
}

/// `over` is called when nothing but the last event is to be sent.
async fn answer(
    stream: &mut TcpStream,
    request: &FakeRequest,
    turn: &FakeTurn,
    over: &mut (dyn FnMut() + Send),
) -> io::Result<End> {
    match &turn.fault {
        FakeFault::HangBeforeHeaders => return gone(stream).await,
        FakeFault::Status { .. } => {
            let (status, headers, body) = wires::refusal(&request.path, &turn.fault);
            let head = format!(
                "HTTP/1.1 {status} Fault\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            stream.shutdown().await?;
            return Ok(End::Finished);
        }
        FakeFault::NoHttp => {
            stream.write_all(b"SSH-2.0-not-a-model\r\n\r\n").await?;
            return gone(stream).await;
        }
        FakeFault::None
        | FakeFault::HangAfter(_)
        | FakeFault::CutAfter(_)
        | FakeFault::MalformedAfter(_)
        | FakeFault::ErrorAfter { .. }
        | FakeFault::SplitBytes
        | FakeFault::OnlyKeepAlive(_)
        | FakeFault::OnlyPings(_)
        | FakeFault::Noise
        | FakeFault::LongLine(_) => {}
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    if let Some(end) = pit(stream, request, turn).await? {
        return Ok(end);
    }
    let events = wires::events(&request.path, request.model(), turn);
    for (sent, event) in events.iter().enumerate() {
        if sent + 1 == events.len() {
            over();
        }
        match &turn.fault {
            FakeFault::HangAfter(n) if sent >= *n => return gone(stream).await,
            FakeFault::CutAfter(n) if sent >= *n => {
                let half = &event.as_bytes()[..event.len() / 2];
                chunk(stream, half).await?;
                stream.flush().await?;
                return Ok(End::Finished);
            }
            FakeFault::MalformedAfter(n) if sent >= *n => {
                chunk(stream, b"data: {\"choices\": [{\"delta\": oops\n\n").await?;
                return gone(stream).await;
            }
            FakeFault::ErrorAfter { events, code, message } if sent >= *events => {
                chunk(stream, wires::error_event(&request.path, code, message).as_bytes()).await?;
                return gone(stream).await;
            }
            FakeFault::SplitBytes => {
                for byte in event.as_bytes() {
                    chunk(stream, &[*byte]).await?;
                }
            }
            FakeFault::None
            | FakeFault::Status { .. }
            | FakeFault::HangBeforeHeaders
            | FakeFault::HangAfter(_)
            | FakeFault::CutAfter(_)
            | FakeFault::MalformedAfter(_)
            | FakeFault::ErrorAfter { .. }
            | FakeFault::OnlyKeepAlive(_)
            | FakeFault::OnlyPings(_)
            | FakeFault::NoHttp
            | FakeFault::Noise
            | FakeFault::LongLine(_) => chunk(stream, event.as_bytes()).await?,
        }
        if !turn.pace.is_zero() && left_within(stream, turn.pace).await? {
            return Ok(End::Left);
        }
    }
    stream.write_all(b"0\r\n\r\n").await?;
    stream.shutdown().await?;
    Ok(End::Finished)
}

/// Faults that never come to an event.
async fn pit(stream: &mut TcpStream, request: &FakeRequest, turn: &FakeTurn) -> io::Result<Option<End>> {
    let (piece, pause) = match turn.fault {
        FakeFault::OnlyKeepAlive(pause) => (&b": still here\n\n"[..], pause),
        FakeFault::OnlyPings(pause) => (wires::ping(&request.path), pause),
        FakeFault::Noise => (&b"\x00\xff\xfe{]data\n\n\x07: event"[..], Duration::from_millis(20)),
        FakeFault::LongLine(bytes) => {
            chunk(stream, b"data: ").await?;
            for _ in 0..bytes.div_ceil(LINE_PIECE.len()) {
                chunk(stream, &LINE_PIECE).await?;
            }
            return gone(stream).await.map(Some);
        }
        FakeFault::None
        | FakeFault::Status { .. }
        | FakeFault::HangBeforeHeaders
        | FakeFault::HangAfter(_)
        | FakeFault::CutAfter(_)
        | FakeFault::MalformedAfter(_)
        | FakeFault::ErrorAfter { .. }
        | FakeFault::SplitBytes
        | FakeFault::NoHttp => return Ok(None),
    };
    loop {
        chunk(stream, piece).await?;
        if left_within(stream, pause).await? {
            return Ok(Some(End::Left));
        }
    }
}

async fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    stream.write_all(&framed).await
}

/// Says nothing until the client leaves.
async fn gone(stream: &mut TcpStream) -> io::Result<End> {
    let mut scrap = [0_u8; 256];
    while stream.read(&mut scrap).await? > 0 {}
    Ok(End::Left)
}

/// Waits for `pause`; true when the client left meanwhile.
async fn left_within(stream: &mut TcpStream, pause: Duration) -> io::Result<bool> {
    match tokio::time::timeout(pause, gone(stream)).await {
        Ok(end) => end.map(|_| true),
        Err(_) => Ok(false),
    }
}
