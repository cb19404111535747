//! A gateway of control plane and device records alone, and a client that speaks frames.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::agents::event::NoEvents;
use actors::clock::Clock;
use actors::config::{self, ConfigArgs, LoadSources};
use actors::gateway::root::{Plan, build};
use actors::tools::ToolRegistry;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use supervision::{ActorPath, ChildSpec, Strategy, Supervisor, SupervisorHandle, SupervisorSpec, TreeStore};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::control::auth::registry::DeviceRecord;
use crate::control::auth::{Change, DeviceStore, DeviceStoreError, SystemFresh};
use crate::control::devices::{self, DevicesArgs};
use crate::control::rpc::{Answer, Call, Final, Handled, Method};
use crate::control::services::{Writes, auth_config};
use crate::control::{
    BoundPort, BroadcastHandle, ControlSettings, DevicesHandle, MethodTable, Phase, Readiness, RuntimeLoad, Services,
    specs,
};
use crate::protocol::ErrorShape;
use crate::protocol::schema::Object;
use crate::protocol::scope::Scope;

pub(super) const TOKEN: &str = "a-token-for-tests";
/// Longer than anything here takes, shorter than a test runner's patience.
const PATIENCE: Duration = Duration::from_secs(30);

/// Device records in memory.
#[derive(Default)]
pub(super) struct MemoryStore(Mutex<BTreeMap<String, DeviceRecord>>);

impl DeviceStore for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Vec<DeviceRecord>, DeviceStoreError>> {
        let records = self.0.lock().unwrap().values().cloned().collect();
        async move { Ok(records) }.boxed()
    }

    fn save(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), DeviceStoreError>> {
        let mut records = self.0.lock().unwrap();
        for change in changes {
            match change {
                Change::Put(device) => drop(records.insert(device.device_id.clone(), *device)),
                Change::Remove(id) => drop(records.remove(&id)),
                Change::Seen { .. } | Change::PutPending(_) | Change::DropPending(_) => {}
            }
        }
        async { Ok(()) }.boxed()
    }
}

pub(super) struct Gateway {
    pub(super) services: Arc<Services>,
    pub(super) port: BoundPort,
    tree: SupervisorHandle,
    home: tempfile::TempDir,
}

impl Gateway {
    pub(super) async fn start() -> Self {
        Self::with(ControlSettings::default()).await
    }

    pub(super) async fn with(settings: ControlSettings) -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = format!(r#"{{ gateway: {{ auth: {{ token: "{TOKEN}" }} }} }}"#);
        std::fs::write(home.path().join("openclaw.json"), file).unwrap();
        let sources = LoadSources {
            config_path: home.path().join("openclaw.json"),
            state_dir: home.path().to_owned(),
            env: BTreeMap::new(),
        };
        let (_, domain) = build(Plan {
            snapshot: config::load(&sources).unwrap(),
            sources: sources.clone(),
            state_dir: home.path().to_owned(),
            clock: Clock::system(),
            events: Arc::new(NoEvents),
            tools: ToolRegistry::built_in(),
            control: Box::new(|_| Vec::new()),
        });
        let tree = TreeStore::new();
        tree.arm_chaos();
        let log = home.path().join("test.log");
        let services = Arc::new(Services {
            domain,
            tree: tree.clone(),
            clock: Clock::system(),
            boot_id: "boot".to_owned(),
            version: "0.0.1".to_owned(),
            host: "here".to_owned(),
            readiness: Readiness::new(),
            load: RuntimeLoad::default(),
            broadcast: BroadcastHandle::new(),
            devices: DevicesHandle::new(),
            settings: Arc::new(settings),
            log_file: Box::new(move || Some(log.clone())),
            writes: Writes::default(),
            generated: None,
        });
        let port = BoundPort::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let methods = MethodTable::own().with(METHODS);
        let owner = {
            let (handle, clock) = (services.domain.config.clone(), Clock::system());
            config::child_spec(&handle, move || ConfigArgs {
                sources: sources.clone(),
                clock: clock.clone(),
                settle: Duration::from_secs(3600),
            })
        };
        let children = vec![owner, specs(Arc::clone(&services), door(&services), methods, port.clone())];
        let spec = SupervisorSpec { strategy: Strategy::OneForOne, children, ..Default::default() };
        let tree = Supervisor::start_root(spec, tree).await.unwrap();
        services.readiness.enter(Phase::Ready);
        Self { services, port, tree, home }
    }

    /// The root supervisor.
    pub(super) fn root(&self) -> &SupervisorHandle {
        &self.tree
    }

    pub(super) async fn stop(self) {
        let report = self.tree.shutdown(Duration::from_secs(10)).await;
        assert!(report.stragglers.is_empty(), "{:?}", report.stragglers);
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/", self.port.address())
    }

    /// Opens a socket and takes its challenge.
    pub(super) async fn open(&self) -> Client {
        let mut client = self.knock().await.unwrap();
        let challenge = client.next_event("connect.challenge").await;
        challenge["payload"]["nonce"].as_str().unwrap().clone_into(&mut client.nonce);
        client
    }

    pub(super) async fn knock(&self) -> Result<Client, Error> {
        let (socket, _) = connect_async(self.url()).await?;
        Ok(Client { socket, nonce: String::new(), next_id: 0 })
    }

    /// A command line that was let in with these scopes.
    pub(super) async fn cli(&self, scopes: &[&str]) -> Client {
        let mut client = self.open().await;
        let hello = client.connect(connect_params("cli", "cli", scopes)).await;
        assert_eq!(hello["ok"], true, "{hello}");
        client
    }

    /// Writes the configuration and has it read.
    pub(super) async fn reconfigure(&self, text: &str) {
        std::fs::write(self.home.path().join("openclaw.json"), text).unwrap();
        self.services.domain.config.reload().await.unwrap();
    }

    pub(super) fn chaos(&self) -> supervision::chaos::ChaosPort {
        self.services.tree.chaos().unwrap()
    }

    pub(super) fn path(&self, below: &str) -> ActorPath {
        ActorPath::parse(&format!("root/{below}"))
    }
}

fn door(services: &Arc<Services>) -> ChildSpec {
    let (store, services) = (Arc::new(MemoryStore::default()), Arc::clone(services));
    let handle = services.devices.clone();
    devices::child_spec(&handle, move || {
        let config = services.domain.config.clone();
        DevicesArgs {
            store: Arc::clone(&store) as Arc<dyn DeviceStore>,
            config: Arc::new(move || auth_config(&config.current().config, None)),
            broadcast: services.broadcast.clone(),
            clock: services.clock.clone(),
            fresh: Arc::new(SystemFresh),
        }
    })
}

pub(super) fn connect_params(id: &str, mode: &str, scopes: &[&str]) -> Value {
    json!({
        "minProtocol": 4, "maxProtocol": 4,
        "client": { "id": id, "version": "1", "platform": "linux", "mode": mode },
        "scopes": scopes, "auth": { "token": TOKEN },
    })
}

/// A client that sees every frame.
pub(super) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(super) nonce: String,
    next_id: usize,
}

impl Client {
    pub(super) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends without caring whether anybody listens.
    pub(super) async fn throw(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.ok();
    }

    /// Sends a request and gives its id.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> String {
        self.next_id += 1;
        let id = format!("r{}", self.next_id);
        self.send(json!({ "type": "req", "id": id, "method": method, "params": params }).to_string()).await;
        id
    }

    /// Sends a request and waits for its answer, passing over events.
    pub(super) async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.answer(&id).await
    }

    pub(super) async fn connect(&mut self, params: Value) -> Value {
        self.call("connect", params).await
    }

    pub(super) async fn answer(&mut self, id: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == "res" && frame["id"] == *id {
                return frame;
            }
        }
    }

    pub(super) async fn next_event(&mut self, name: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == "event" && frame["event"] == *name {
                return frame;
            }
        }
    }

    pub(super) async fn frame(&mut self) -> Value {
        match self.message().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
            other => panic!("no frame but {other:?}"),
        }
    }

    /// The close that ends the connection, passing over frames.
    pub(super) async fn close(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Ok(_)) => {}
                other => panic!("no close but {other:?}"),
            }
        }
    }

    /// True when the socket ends without a close.
    pub(super) async fn is_cut_off(&mut self) -> bool {
        loop {
            match self.message().await {
                Some(Ok(Message::Close(_))) => return false,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return true,
            }
        }
    }

    async fn message(&mut self) -> Option<Result<Message, Error>> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("nothing came");
            if !matches!(message, Some(Ok(Message::Ping(_) | Message::Pong(_)))) {
                return message;
            }
        }
    }
}

const ANY: Object = Object::open(&[], &[]);

/// Methods of the tests.
const METHODS: &[Method] = &[
    Method::new("test.echo", Scope::Read, &ANY, |call| async { Ok(Answer::One(call.params)) }.boxed()),
    Method::new("test.panic", Scope::Read, &ANY, |_| async { panic!("on purpose") }.boxed()),
    Method::new("test.wait", Scope::Read, &ANY, |call| wait(call)).ordered(),
    Method::new("test.ordered", Scope::Read, &ANY, |call| async { Ok(Answer::One(call.params)) }.boxed()).ordered(),
    Method::new("test.release", Scope::Read, &ANY, |call| release(call)),
    Method::new("test.twice", Scope::Read, &ANY, twice),
    Method::new("test.twice.panic", Scope::Read, &ANY, |_| {
        let rest = async { panic!("later") }.boxed();
        async { Ok(Answer::TwoStage { first: json!({ "status": "accepted" }), rest }) }.boxed()
    }),
    Method::new("test.flood", Scope::Read, &ANY, flood),
    Method::new("test.write", Scope::Admin, &ANY, |_| async { Ok(Answer::One(json!({}))) }.boxed())
        .control_plane_write(),
];

static RELEASES: Mutex<BTreeMap<String, Arc<Notify>>> = Mutex::new(BTreeMap::new());

fn gate(call: &Call) -> Arc<Notify> {
    let key = call.params["gate"].as_str().unwrap().to_owned();
    Arc::clone(RELEASES.lock().unwrap().entry(key).or_default())
}

/// Waits until `test.release` names the same gate.
fn wait(call: Call) -> Handled {
    async move {
        gate(&call).notified().await;
        Ok(Answer::One(call.params))
    }
    .boxed()
}

fn release(call: Call) -> Handled {
    gate(&call).notify_one();
    async { Ok(Answer::One(json!({}))) }.boxed()
}

fn twice(_: Call) -> Handled {
    let rest =
        async { Final::failed(Some(json!({ "status": "error" })), ErrorShape::unavailable("the second answer")) };
    async { Ok(Answer::TwoStage { first: json!({ "status": "accepted" }), rest: rest.boxed() }) }.boxed()
}

/// Sends more than any buffer holds.
fn flood(call: Call) -> Handled {
    async move {
        let text = "x".repeat(100_000);
        for _ in 0..400 {
            call.conn.send_event("tree.delta", json!({ "text": text }));
        }
        Ok(Answer::One(json!({})))
    }
    .boxed()
}

/// A name nobody else uses.
pub(super) fn unique(what: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
