//! Plays the clients' side of a recording against a live gateway.
//!
//! What a recording cannot hold is made here: devices sign the live challenge, and tokens that an earlier recording
//! received are sent again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use openclawd::client::{ClientOptions, DeviceIdentity, ProofVersion};
use openclawd::protocol::device::Statement;
use openclawd::protocol::{ConnectParams, Request};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::compare::{Bindings, left_by_client, place};
use super::recording::{Direction, Recording, Step, What};
use super::rules::{Kind, Rules};

/// A live gateway, and what its clients know of it so far.
pub(crate) struct Stage {
    /// `ws://127.0.0.1:<port>`.
    pub(crate) url: String,
    /// What placeholders stand for; [`super::compare()`] learns more.
    pub(crate) bindings: Bindings,
    /// How long an answer may take.
    pub(crate) patience: Duration,
    devices: BTreeMap<String, DeviceIdentity>,
}

impl Stage {
    /// A gateway at `url` whose shared token is `token`.
    pub(crate) fn new(url: impl Into<String>, token: &str) -> Self {
        let mut bindings = Bindings::new();
        bindings.insert("TOKEN".to_owned(), token.to_owned());
        for name in ["WRONG_TOKEN", "WRONG_DEVICE_TOKEN"] {
            bindings.insert(name.to_owned(), format!("not-{name}"));
        }
        let mut stage = Self { url: url.into(), bindings, patience: Duration::from_secs(10), devices: BTreeMap::new() };
        stage.bind_devices();
        stage
    }

    /// One device per recorded key. An id whose key belongs to another device is the id of a device of its own.
    fn bind_devices(&mut self) {
        for recording in Recording::all() {
            for step in &recording.steps {
                let What::Frame(frame) = &step.what else { continue };
                let Some(device) = frame.pointer("/params/device") else { continue };
                let (key, id) = (name_of(&device["publicKey"]), name_of(&device["id"]));
                if !self.devices.contains_key(&key) {
                    let identity = DeviceIdentity::generate().unwrap();
                    self.bindings.insert(key.clone(), identity.public_key().to_owned());
                    self.bindings.entry(id.clone()).or_insert_with(|| identity.id().to_owned());
                    self.devices.insert(key, identity);
                }
                self.bindings.entry(id).or_insert_with(|| DeviceIdentity::generate().unwrap().id().to_owned());
            }
        }
    }
}

fn name_of(placeholder: &Value) -> String {
    placeholder.as_str().unwrap().trim_matches(['<', '>']).to_owned()
}

/// Plays `recording` and returns what the gateway said. Events that the rules excuse are not waited for.
pub(crate) async fn replay(stage: &Stage, recording: &Recording, rules: &Rules) -> Vec<Step> {
    let mut player =
        Player { wire: Wire::open(&stage.url).await, stage, recording, heard: Vec::new(), challenges: None };
    let begins_in_the_middle = recording.steps[0].direction == Direction::FromClient;
    if begins_in_the_middle {
        player.sign_in().await;
    }
    let mut rest = recording.steps.as_slice();
    while !rest.is_empty() {
        let answers = rest.iter().take_while(|step| step.direction == Direction::FromGateway).count();
        player.hear(&rest[..answers], rules).await;
        rest = &rest[answers..];
        if let Some((step, after)) = rest.split_first() {
            player.say(&step.what).await;
            rest = after;
        }
    }
    player.heard
}

struct Player<'a> {
    wire: Wire,
    stage: &'a Stage,
    recording: &'a Recording,
    heard: Vec<Step>,
    /// Recorded and live payload of the challenge.
    challenges: Option<(Value, Value)>,
}

impl Player<'_> {
    /// Waits for what was recorded, collecting everything.
    async fn hear(&mut self, expected: &[Step], rules: &Rules) {
        let is_waited_for = |step: &&Step| {
            let rule = rules.at(&self.recording.name, &place(&step.what));
            let is_excused = matches!(rule, Some((_, rule)) if matches!(rule.kind, Kind::Absent | Kind::Optional));
            !is_excused && !left_by_client(&step.what)
        };
        let mut missing: Vec<String> = expected.iter().filter(is_waited_for).map(|step| place(&step.what)).collect();
        let deadline = Instant::now() + self.stage.patience;
        while !missing.is_empty() {
            let Some(step) = self.wire.next(deadline).await else { return };
            let heard = place(&step.what);
            missing.retain({
                let mut is_first = true;
                move |one| *one != heard || !std::mem::take(&mut is_first)
            });
            if let What::Frame(live) = &step.what
                && live["event"] == "connect.challenge"
            {
                let recorded = expected.iter().find_map(|step| match &step.what {
                    What::Frame(frame) if frame["event"] == "connect.challenge" => Some(frame["payload"].clone()),
                    What::Frame(_) | What::Raw(_) | What::Close { .. } => None,
                });
                self.challenges = recorded.map(|recorded| (recorded, live["payload"].clone()));
            }
            self.heard.push(step);
        }
    }

    async fn say(&mut self, what: &What) {
        let text = match what {
            What::Raw(text) => text.clone(),
            What::Frame(frame) => self.filled_in(frame).to_string(),
            What::Close { .. } => return,
        };
        self.wire.say(&text).await;
    }

    /// The frame with placeholders replaced and its device's signature made.
    fn filled_in(&self, frame: &Value) -> Value {
        let mut frame = frame.clone();
        let recorded = frame.pointer("/params/device").cloned();
        if let (Some(recorded), Some((old, live))) = (&recorded, &self.challenges) {
            let device = &mut frame["params"]["device"];
            if recorded["nonce"] == old["nonce"] {
                device["nonce"] = live["nonce"].clone();
            }
            let late_by = recorded["signedAt"].as_i64().unwrap() - old["ts"].as_i64().unwrap();
            device["signedAt"] = (live["ts"].as_i64().unwrap() + late_by).into();
        }
        replace(&mut frame, &self.stage.bindings);
        if let Some(recorded) = recorded.filter(|device| name_of(&device["signature"]).starts_with("SIGNATURE_")) {
            let params = ConnectParams::parse(frame["params"].clone()).unwrap();
            let statement = Statement::of(&params).unwrap();
            let text = if self.recording.name.contains("v2-signature") { statement.v2() } else { statement.v3() };
            let device = &self.stage.devices[&name_of(&recorded["publicKey"])];
            frame["params"]["device"]["signature"] = device.sign(&text).into();
        }
        frame
    }

    /// Connects as a signed device, for recordings that begin after that. Nothing of it is collected.
    async fn sign_in(&mut self) {
        let deadline = Instant::now() + self.stage.patience;
        let challenge = self.wire.frame_at("event:connect.challenge", deadline).await;
        let mut scopes = vec!["operator.read"];
        if !self.recording.name.contains("missing-scope") {
            scopes.extend(["operator.admin", "operator.write"]);
        }
        let token = self.stage.bindings["TOKEN"].clone();
        let options = ClientOptions::cli(&self.stage.url, Some(token), scopes);
        let payload = &challenge["payload"];
        let (nonce, ts) = (payload["nonce"].as_str().unwrap(), payload["ts"].as_i64().unwrap());
        let mut params = options.params(nonce, ts);
        let identity = DeviceIdentity::generate().unwrap();
        identity.prove(&mut params, nonce, ts, ProofVersion::V3);
        let request = Request::new("sign-in", "connect", serde_json::to_value(params).unwrap());
        self.wire.say(&request.to_text()).await;
        let hello = self.wire.frame_at("res:sign-in", deadline).await;
        assert_eq!(hello["ok"], json!(true), "{hello}");
    }
}

fn replace(value: &mut Value, bindings: &Bindings) {
    match value {
        Value::String(text) => {
            if let Some(bound) = text.strip_prefix('<').and_then(|text| bindings.get(text.strip_suffix('>')?)) {
                text.clone_from(bound);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|one| replace(one, bindings)),
        Value::Object(map) => map.values_mut().for_each(|one| replace(one, bindings)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A socket that speaks in steps.
pub(crate) struct Wire(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Wire {
    pub(crate) async fn open(url: &str) -> Self {
        Self(connect_async(url).await.unwrap().0)
    }

    pub(crate) async fn say(&mut self, text: &str) {
        // A gateway that has closed is heard, not told.
        let _closed = self.0.send(Message::text(text)).await;
    }

    /// What is said next; `None` when nothing comes in time or the socket has ended.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Option<Step> {
        loop {
            let what = match timeout_at(deadline, self.0.next()).await.ok()??.ok()? {
                Message::Text(text) => match serde_json::from_str(&text) {
                    Ok(frame) => What::Frame(frame),
                    Err(_) => What::Raw(text.to_string()),
                },
                Message::Close(frame) => frame.map_or(What::Close { code: 1005, reason: String::new() }, |frame| {
                    What::Close { code: u16::from(frame.code).into(), reason: frame.reason.to_string() }
                }),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            return Some(Step::from_gateway(what));
        }
    }

    /// The next frame at a place; others are skipped.
    pub(crate) async fn frame_at(&mut self, wanted: &str, deadline: Instant) -> Value {
        loop {
            let step = self.next(deadline).await.unwrap_or_else(|| panic!("no {wanted}"));
            if place(&step.what) == wanted
                && let What::Frame(frame) = step.what
            {
                return frame;
            }
        }
    }
}
