//! A gateway made of canned answers: serves the dashboard's files and speaks enough of the protocol to drive them.
//!
//! Requests are answered by [`Canned`] and handed to the test; what happens next, the test says with [`Fake::event`].
//! It runs inside the test's own task: see [`Fake::serve`].

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// The token this gateway accepts.
pub(crate) const TOKEN: &str = "correct-horse";

/// The policy the real server sends with these files.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self'; script-src 'self'";

/// What is answered until the test says otherwise.
pub(crate) struct Canned {
    /// Rows of `chat.history`.
    pub(crate) history: Vec<Value>,
    /// The answer of `tree.snapshot`, without `ts`.
    pub(crate) tree: Value,
    /// Rows of `sessions.list`.
    pub(crate) sessions: Vec<Value>,
    /// Provider and model everybody uses.
    pub(crate) model: (&'static str, &'static str),
    /// Requests of these methods are recorded and never answered.
    pub(crate) mute: Vec<&'static str>,
    /// Whether a new socket is let in at all.
    pub(crate) accepting: bool,
}

enum Order {
    Frame(Value),
    Cut,
}

struct Shared {
    canned: Canned,
    sockets: Vec<mpsc::Sender<Order>>,
    seq: u64,
}

/// The gateway, as the test holds it.
#[derive(Clone)]
pub(crate) struct Fake {
    shared: Arc<Mutex<Shared>>,
    requests: mpsc::Sender<(String, Value)>,
    origin: String,
}

/// The requests that came in, in their order.
pub(crate) struct Requests {
    source: mpsc::Receiver<(String, Value)>,
    seen: VecDeque<(String, Value)>,
}

impl Requests {
    /// The params of the next request of this method; earlier ones of others stay for later.
    #[track_caller]
    pub(crate) fn next(&mut self, method: &str) -> impl Future<Output = Value> {
        let from = std::panic::Location::caller();
        async move {
            let wait = async {
                loop {
                    if let Some(at) = self.seen.iter().position(|(name, _)| name == method) {
                        return self.seen.remove(at).unwrap().1;
                    }
                    let came = self.source.recv().await.unwrap();
                    self.seen.push_back(came);
                }
            };
            tokio::time::timeout(Duration::from_secs(30), wait)
                .await
                .unwrap_or_else(|_| panic!("{from}: no request {method}"))
        }
    }
}

impl Fake {
    /// Binds a free port and runs `test` against it until it ends.
    pub(crate) async fn serve<T: Future<Output = ()>>(canned: Canned, test: impl FnOnce(Self, Requests) -> T) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (requests, source) = mpsc::channel(256);
        let shared = Arc::new(Mutex::new(Shared { canned, sockets: Vec::new(), seq: 0 }));
        let fake = Self { shared, requests, origin };
        let test = test(fake.clone(), Requests { source, seen: VecDeque::new() });
        tokio::select! {
            () = test => {}
            () = fake.accept(listener) => {}
        }
    }

    /// The dashboard's address.
    pub(crate) fn dashboard(&self) -> String {
        format!("{}/openclawd/", self.origin)
    }

    /// Address of a file of the tests.
    pub(crate) fn test_file(&self, name: &str) -> String {
        format!("{}/test/{name}", self.origin)
    }

    /// Changes what is answered from now on.
    pub(crate) fn canned(&self, change: impl FnOnce(&mut Canned)) {
        change(&mut self.lock().canned);
    }

    /// Sends an event to every socket.
    pub(crate) async fn event(&self, name: &str, payload: Value) {
        let sockets = self.lock().sockets.clone();
        let seq = {
            let mut shared = self.lock();
            shared.seq += 1;
            shared.seq
        };
        for socket in sockets {
            let frame = json!({ "type": "event", "event": name, "payload": payload, "seq": seq });
            let _gone = socket.send(Order::Frame(frame)).await;
        }
    }

    /// Drops every socket without a closing word.
    pub(crate) async fn cut(&self) {
        let sockets = std::mem::take(&mut self.lock().sockets);
        for socket in sockets {
            let _gone = socket.send(Order::Cut).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    async fn accept(&self, listener: TcpListener) {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => connections.push(self.connection(accepted.unwrap().0)),
                Some(()) = connections.next() => {}
            }
        }
    }

    async fn connection(&self, stream: TcpStream) {
        let mut head = vec![0; 8192];
        loop {
            let Ok(length) = stream.peek(&mut head).await else { return };
            if length == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&head[..length]).into_owned();
            if !text.contains("\r\n\r\n") {
                tokio::task::yield_now().await;
                continue;
            }
            let upgrade = text.to_ascii_lowercase().contains("upgrade: websocket");
            if upgrade && self.lock().canned.accepting {
                self.socket(stream).await;
            } else if !upgrade {
                let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
                file(stream, &path, text.len()).await;
            }
            return;
        }
    }

    async fn socket(&self, stream: TcpStream) {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        let (orders, mut inbox) = mpsc::channel(256);
        let nonce = uuid::Uuid::new_v4().to_string();
        let challenge = json!({ "nonce": nonce, "ts": now_ms() });
        let greeting = json!({ "type": "event", "event": "connect.challenge", "payload": challenge });
        let mut outgoing = vec![greeting];
        let mut signed_in = false;
        loop {
            for frame in outgoing.drain(..) {
                if socket.send(Message::text(frame.to_string())).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(Order::Frame(frame)) => outgoing.push(frame),
                    Some(Order::Cut) | None => return,
                },
                frame = socket.next() => {
                    let Some(Ok(Message::Text(text))) = frame else { return };
                    let request: Value = serde_json::from_str(&text).unwrap();
                    let method = request["method"].as_str().unwrap().to_owned();
                    let answer = if method == "connect" {
                        self.sign_in(&request["params"], &challenge)
                    } else {
                        assert!(signed_in, "{method} before connect");
                        self.answer(&method, &request["params"])
                    };
                    if method == "connect" && answer.is_ok() {
                        signed_in = true;
                        self.lock().sockets.push(orders.clone());
                    }
                    self.requests.send((method.clone(), request["params"].clone())).await.unwrap();
                    if self.lock().canned.mute.contains(&method.as_str()) {
                        continue;
                    }
                    let refused = answer.is_err();
                    outgoing.push(match answer {
                        Ok(payload) => json!({ "type": "res", "id": request["id"], "ok": true, "payload": payload }),
                        Err(error) => json!({ "type": "res", "id": request["id"], "ok": false, "error": error }),
                    });
                    if refused && method == "connect" {
                        let _gone = socket.send(Message::text(outgoing.remove(0).to_string())).await;
                        let _closed = socket.close(None).await;
                        return;
                    }
                }
            }
        }
    }

    /// Checks the token and the proof of the device as the real gateway does.
    fn sign_in(&self, params: &Value, challenge: &Value) -> Result<Value, Value> {
        check_proof(params, challenge);
        let auth = &params["auth"];
        if auth["deviceToken"].is_string() {
            assert_eq!(auth["deviceToken"], "device-token");
        } else if auth["token"] != TOKEN {
            let (code, reason) = match auth["token"].as_str() {
                Some(_) => ("AUTH_TOKEN_MISMATCH", "token_mismatch"),
                None => ("AUTH_TOKEN_MISSING", "token_missing"),
            };
            let details = json!({ "code": code, "authReason": reason });
            return Err(
                json!({ "code": "INVALID_REQUEST", "message": "unauthorized: gateway token", "details": details }),
            );
        }
        let methods = [
            "health",
            "chat.send",
            "chat.history",
            "chat.abort",
            "sessions.list",
            "agents.list",
            "models.list",
            "tree.snapshot",
            "tree.subscribe",
            "tree.act",
            "tree.history",
        ];
        Ok(json!({
            "type": "hello-ok", "protocol": 4,
            "server": { "version": "0.1.0", "connId": "c" },
            "features": { "methods": methods, "events": ["chat", "agent", "tree.delta"] },
            "snapshot": {
                "presence": [], "health": {}, "stateVersion": { "presence": 1, "health": 1 }, "uptimeMs": 93_784_000,
                "sessionDefaults": { "defaultAgentId": "main", "mainKey": "main", "mainSessionKey": "agent:main:main", "scope": "per-sender" },
                "configPath": "/home/ada/.openclaw/openclaw.json",
            },
            "auth": { "role": "operator", "scopes": params["scopes"], "method": "token", "deviceToken": "device-token" },
            "policy": { "maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000 },
        }))
    }

    fn answer(&self, method: &str, params: &Value) -> Result<Value, Value> {
        let shared = self.lock();
        let canned = &shared.canned;
        let (provider, model) = canned.model;
        let defaults = json!({ "modelProvider": provider, "model": model, "contextTokens": 128_000 });
        Ok(match method {
            "health" => json!({ "ok": true }),
            "sessions.list" => json!({ "sessions": canned.sessions, "defaults": defaults, "hasMore": false }),
            "agents.list" => json!({ "defaultId": "main", "mainKey": "main", "agents": [{ "id": "main" }] }),
            "models.list" => json!({ "models": [{ "provider": provider, "id": model }] }),
            "chat.history" => json!({
                "sessionKey": params["sessionKey"], "hasMore": false, "defaults": defaults,
                "messages": if params["sessionKey"] == "agent:main:main" { json!(canned.history) } else { json!([]) },
            }),
            "chat.send" => json!({ "runId": params["idempotencyKey"], "status": "started" }),
            "chat.abort" => json!({ "ok": true, "aborted": true, "runIds": [] }),
            "tree.subscribe" => json!({ "subscribed": true, "epoch": canned.tree["epoch"], "seq": canned.tree["seq"] }),
            "tree.snapshot" => {
                let mut tree = canned.tree.clone();
                tree["ts"] = json!(now_ms());
                tree
            }
            "tree.history" => json!({ "path": params["path"], "exits": [
                { "class": "panic", "text": "index out of bounds: the len is 3 but the index is 7", "location": "actors/src/channels/telegram/poll.rs:214:31", "at": now_ms() - 41_000, "incarnation": 4, "handling": "restarted after 4 s" },
                { "class": "error", "text": "connection reset by peer", "at": now_ms() - 192_000, "incarnation": 3, "handling": "restarted at once" },
            ] }),
            "tree.act" => json!({ "ok": true, "path": params["path"], "action": params["action"] }),
            other => return Err(json!({ "code": "INVALID_REQUEST", "message": format!("unknown method: {other}") })),
        })
    }
}

/// Milliseconds since 1970, as the wire has them.
pub(crate) fn now_ms() -> i64 {
    actors::clock::Clock::system().now_ms()
}

fn check_proof(params: &Value, challenge: &Value) {
    let (client, device) = (&params["client"], &params["device"]);
    assert_eq!(client["id"], "openclaw-control-ui");
    assert_eq!(client["mode"], "webchat");
    assert_eq!(device["nonce"], challenge["nonce"]);
    assert_eq!(device["signedAt"], challenge["ts"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let scopes: Vec<String> = params["scopes"].as_array().unwrap().iter().map(text).collect();
    let token = params["auth"]["token"].as_str().or(params["auth"]["deviceToken"].as_str()).unwrap_or_default();
    let signed = format!(
        "v3|{}|openclaw-control-ui|webchat|operator|{}|{}|{token}|{}|{}|",
        text(&device["id"]),
        scopes.join(","),
        device["signedAt"],
        text(&device["nonce"]),
        text(&client["platform"]).trim().to_ascii_lowercase(),
    );
    let key = URL_SAFE_NO_PAD.decode(text(&device["publicKey"])).unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &key);
    let id: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(device["id"], json!(id), "device id is the hash of its key");
    let signature = URL_SAFE_NO_PAD.decode(text(&device["signature"])).unwrap();
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key);
    key.verify(signed.as_bytes(), &signature).expect("the device's signature holds");
}

/// Answers one request for a file: the dashboard's under `/openclawd/`, the tests' own under `/test/`.
async fn file(mut stream: TcpStream, path: &str, head: usize) {
    let mut request = vec![0; head];
    let _read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut request).await;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let found = if let Some(name) = path.strip_prefix("/openclawd/") {
        Some(root.join("src/control/dashboard").join(if name.is_empty() { "index.html" } else { name }))
    } else {
        path.strip_prefix("/test/").map(|name| root.join("tests/dashboard").join(name))
    };
    let body = found.as_ref().filter(|_| !path.contains("..")).and_then(|file| std::fs::read(file).ok());
    let kind = match path.rsplit('.').next() {
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some(_) | None => "text/html; charset=utf-8",
    };
    let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\ncontent-security-policy: {POLICY}\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _sent = stream.write_all(head.as_bytes()).await;
    let _sent = stream.write_all(&body).await;
    let _closed = stream.shutdown().await;
}
