//! A gateway that says what a test tells it to: signs clients in and answers each request from a script.

use std::net::TcpListener as StdListener;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use openclawd::protocol::hello::{Features, HelloAuth, HelloOk, ServerInfo, Snapshot};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// The token it wants.
pub(crate) const TOKEN: &str = "letmein";

/// What the fake does upon a request.
pub(crate) enum Step {
    /// Answers it with a payload.
    Answer(Value),
    /// Answers it with an error.
    Refuse(Value),
    /// Sends an event.
    Event(&'static str, Value),
    /// Cuts the connection without a word.
    Cut,
}

/// A request as a script sees it: the how-many-th connection, the method, its parameters.
pub(crate) struct Asked<'a> {
    pub(crate) connection: usize,
    pub(crate) method: &'a str,
    pub(crate) params: &'a Value,
}

type Script = dyn Fn(&Asked<'_>) -> Vec<Step> + Send + Sync;

/// A running fake; it ends when it is dropped.
pub(crate) struct Fake {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Fake {
    #[expect(clippy::disallowed_methods, reason = "joined when the fake is dropped")]
    pub(crate) fn new(script: impl Fn(&Asked<'_>) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = oneshot::channel();
        let serving = serve(listener, Arc::new(script), Arc::clone(&heard));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = serving => {}
                    _ = ended => {}
                }
            });
        });
        Self { port, heard, end: Some(end), thread: Some(thread) }
    }

    /// Parameters of all requests with this method, in order.
    pub(crate) fn heard(&self, method: &str) -> Vec<Value> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|(asked, _)| asked == method).map(|(_, params)| params.clone()).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// One connection at a time is all a command line client has.
async fn serve(listener: StdListener, script: Arc<Script>, heard: Arc<Mutex<Vec<(String, Value)>>>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut connection = 0;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connection += 1;
        if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
            converse(socket, connection, script.as_ref(), &heard).await;
        }
    }
}

/// Returns when the connection is over.
async fn converse(
    mut socket: WebSocketStream<TcpStream>,
    connection: usize,
    script: &Script,
    heard: &Mutex<Vec<(String, Value)>>,
) {
    let challenge = json!({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}});
    if socket.send(Message::text(challenge.to_string())).await.is_err() {
        return;
    }
    let mut seq = 0_u64;
    while let Some(Ok(message)) = socket.next().await {
        let Ok(request) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else { continue };
        let (method, params) = (request["method"].as_str().unwrap().to_owned(), request["params"].clone());
        heard.lock().unwrap().push((method.clone(), params.clone()));
        let steps = if method == "connect" {
            sign_in(&params)
        } else {
            script(&Asked { connection, method: &method, params: &params })
        };
        for step in steps {
            let frame = match step {
                Step::Answer(payload) => json!({"type": "res", "id": request["id"], "ok": true, "payload": payload}),
                Step::Refuse(error) => json!({"type": "res", "id": request["id"], "ok": false, "error": error}),
                Step::Event(event, payload) => {
                    seq += 1;
                    json!({"type": "event", "event": event, "payload": payload, "seq": seq})
                }
                Step::Cut => return,
            };
            if socket.send(Message::text(frame.to_string())).await.is_err() {
                return;
            }
        }
    }
}

fn sign_in(params: &Value) -> Vec<Step> {
    if params["auth"]["token"] != TOKEN {
        let details = json!({"code": "AUTH_TOKEN_MISMATCH", "authReason": "token_mismatch"});
        let error =
            json!({"code": "INVALID_REQUEST", "message": "unauthorized: gateway token mismatch", "details": details});
        return vec![Step::Refuse(error), Step::Cut];
    }
    let server = ServerInfo { version: "9.9.9".into(), conn_id: "c1".into(), ..ServerInfo::default() };
    let snapshot = Snapshot { uptime_ms: 185_000, ..Snapshot::default() };
    let auth = HelloAuth { role: "operator".into(), scopes: vec!["operator.admin".into()], ..HelloAuth::default() };
    vec![Step::Answer(serde_json::to_value(HelloOk::new(server, Features::default(), snapshot, auth)).unwrap())]
}
