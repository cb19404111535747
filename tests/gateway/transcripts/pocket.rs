//! A gateway that fits in a pocket: the handshake and a handful of methods over a real socket, with the very decisions
//! the daemon makes. It shows that those decisions speak as the recordings do, without a daemon.

use std::net::SocketAddr;

use actors::clock::Clock;
use actors::secret::Secret;
use futures_util::{SinkExt as _, StreamExt as _};
use openclawd::control::auth::{
    Accepted, Attempt, AuthConfig, Caller, DeviceRegistry, Effect, Fresh as _, MethodGate, Outcome, RateLimiter,
    Refusal, SystemFresh, UpgradeFacts, authorize, decide,
};
use openclawd::protocol::connect::{CHALLENGE_EVENT, METHOD, challenge};
use openclawd::protocol::hello::{Features, ServerInfo, Snapshot};
use openclawd::protocol::methods::{Params, agents, chat, health};
use openclawd::protocol::{
    Close, ConnectParams, ErrorShape, Event, FrameFault, HelloOk, Request, Response, Scope, ScopeRule, ServerFrame,
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Upgrade, Response as Switch};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// The gateway.
pub(crate) struct Pocket {
    listener: TcpListener,
    config: AuthConfig,
    devices: DeviceRegistry,
    limiter: RateLimiter,
    clock: Clock,
}

type Socket = WebSocketStream<TcpStream>;

/// Why a connection ends.
struct Over(Option<Box<Response>>, Close);

impl From<Refusal> for Over {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.error.map(|error| Box::new(Response::failed("", error))), refusal.close)
    }
}

impl Pocket {
    pub(crate) async fn open(token: &str) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            config: AuthConfig { token: Some(Secret::new(token)), ..AuthConfig::default() },
            devices: DeviceRegistry::default(),
            limiter: RateLimiter::new(),
            clock: Clock::system(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.listener.local_addr().unwrap())
    }

    /// Serves one connection after the other, for as long as it is polled.
    pub(crate) async fn serve(mut self) {
        loop {
            let (stream, peer) = self.listener.accept().await.unwrap();
            self.connection(stream, peer).await;
        }
    }

    async fn connection(&mut self, stream: TcpStream, peer: SocketAddr) {
        let mut facts = None;
        #[expect(clippy::result_large_err, reason = "the library's own signature")]
        let read_headers = |upgrade: &Upgrade, switch: Switch| -> Result<Switch, ErrorResponse> {
            let headers = upgrade.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
            facts = Some(UpgradeFacts::from_headers(peer.ip(), headers));
            Ok(switch)
        };
        let Ok(mut socket) = accept_hdr_async(stream, read_headers).await else { return };
        let nonce = SystemFresh.request_id();
        say(&mut socket, Event::direct(CHALLENGE_EVENT, challenge(&nonce, self.clock.now_ms()))).await;
        let Some(first) = hear(&mut socket).await else { return };
        match self.handshake(&first, &facts.unwrap(), &nonce) {
            Ok((id, accepted)) => {
                say(&mut socket, Response::ok(id, hello(&accepted))).await;
                while let Some(text) = hear(&mut socket).await {
                    if let Some(response) = answer(&accepted, &text) {
                        say(&mut socket, response).await;
                    }
                }
            }
            Err(Over(response, close)) => {
                if let Some(response) = response {
                    say(&mut socket, *response).await;
                }
                let frame = CloseFrame { code: close.code.into(), reason: close.reason.into() };
                let _gone = socket.close(Some(frame)).await;
                while let Some(Ok(_)) = socket.next().await {}
            }
        }
    }

    fn handshake(&mut self, text: &str, upgrade: &UpgradeFacts, nonce: &str) -> Result<(String, Accepted), Over> {
        let request = Request::parse(text).map_err(|fault| match fault {
            FrameFault::NotJson => Over(None, Close::silent()),
            FrameFault::Malformed { .. } => Over(None, Close::policy("invalid request frame")),
        })?;
        let refuse = |refusal: Refusal| {
            let Over(response, close) = refusal.into();
            Over(response.map(|response| Box::new(Response { id: request.id.clone(), ..*response })), close)
        };
        if request.method != METHOD {
            return Err(refuse(Refusal::policy(ErrorShape::connect_first())));
        }
        let params = ConnectParams::parse(request.params.clone()).map_err(|error| refuse(Refusal::policy(error)))?;
        let now = self.clock.now_ms();
        let decision = decide(&Attempt {
            upgrade,
            params: &params,
            nonce,
            config: &self.config,
            devices: &self.devices,
            limiter: &self.limiter,
            now,
            fresh: &SystemFresh,
        });
        for effect in decision.effects {
            match effect {
                Effect::Devices(change) => self.devices.apply(change),
                Effect::AuthFailed(key) => self.limiter.failed(key, &self.config.rate, now),
                Effect::AuthSucceeded(key) => self.limiter.succeeded(&key),
                Effect::PairRequested(_) => {}
            }
        }
        match decision.outcome {
            Outcome::Accept(accepted) => Ok((request.id.clone(), *accepted)),
            Outcome::Refuse(refusal) => Err(refuse(*refusal)),
        }
    }
}

fn hello(accepted: &Accepted) -> Value {
    let hello = HelloOk::new(
        ServerInfo { version: "pocket".into(), conn_id: SystemFresh.request_id(), ..ServerInfo::default() },
        Features::default(),
        Snapshot { health: json!({}), ..Snapshot::default() },
        accepted.hello(),
    );
    serde_json::to_value(hello).unwrap()
}

/// The answer to a request; text that is no JSON has none.
fn answer(accepted: &Accepted, text: &str) -> Option<Response> {
    let request = match Request::parse(text) {
        Ok(request) => request,
        Err(FrameFault::NotJson) => return None,
        Err(FrameFault::Malformed { id, complaint }) => return Some(Response::malformed(id, &complaint)),
    };
    let gate = gate(&request.method);
    let caller = Caller { role: accepted.role, scopes: &accepted.scopes };
    let judged = authorize(caller, &request.method, gate.as_ref(), &request.params, false)
        .and_then(|()| handle(&request.method, request.params));
    Some(match judged {
        Ok(payload) => Response::ok(request.id, payload),
        Err(error) => Response::failed(request.id, error),
    })
}

fn gate(method: &str) -> Option<MethodGate> {
    let gate = MethodGate::operator(Scope::Read);
    match method {
        "health" => Some(MethodGate { scope: ScopeRule::Everyone, ..gate }),
        "agents.list" | "chat.history" => Some(gate),
        "chat.send" => Some(MethodGate { session_target: Some("sessionKey"), ..MethodGate::operator(Scope::Write) }),
        _ => None,
    }
}

fn handle(method: &str, params: Value) -> Result<Value, ErrorShape> {
    match method {
        "agents.list" => agents::ListParams::parse(params).map(|_| json!({})),
        "chat.history" => chat::HistoryParams::parse(params).map(|_| json!({})),
        "chat.send" => chat::SendParams::parse(params).map(|_| json!({})),
        _ => Ok(serde_json::to_value(health::HealthSnapshot { ok: true, ..Default::default() }).unwrap()),
    }
}

async fn say(socket: &mut Socket, frame: impl Into<ServerFrame>) {
    // A client that left does not mind.
    let _gone = socket.send(Message::text(frame.into().to_text())).await;
}

async fn hear(socket: &mut Socket) -> Option<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Some(text.to_string()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}
