//! A client on one socket that keeps all it hears, in order.

use std::time::Duration;

use openclawd::client::ClientOptions;
use openclawd::protocol::Request;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::gateway::{Gateway, PATIENCE};
use crate::transcripts::recording::What;
use crate::transcripts::replay::Wire;

/// One thing said, by either side.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// `> method`, `< method`, or the event in short; see [`label`].
    pub(crate) line: String,
    /// What the gateway said; null for requests.
    pub(crate) frame: Value,
}

/// The client.
pub(crate) struct Line {
    wire: Wire,
    methods: Vec<&'static str>,
    /// Runs in the order they were first heard of.
    runs: Vec<String>,
    /// All that was said since the last [`Line::take`].
    pub(crate) said: Vec<Said>,
}

impl Line {
    /// Connects as a command line that wants to see tools.
    pub(crate) async fn open(gateway: &Gateway) -> Self {
        let mut wire = Wire::open(&gateway.url()).await;
        let deadline = Instant::now() + PATIENCE;
        let challenge = wire.frame_at("event:connect.challenge", deadline).await;
        let scopes = ["operator.admin", "operator.read", "operator.write", "operator.pairing"];
        let mut options = ClientOptions::cli(gateway.url(), Some(gateway.token()), scopes);
        options.caps = ["tool-events", "model-selection-policy"].map(str::to_owned).to_vec();
        let params = options.params(challenge["payload"]["nonce"].as_str().unwrap(), 0);
        let request = Request::new("sign-in", "connect", serde_json::to_value(params).unwrap());
        wire.say(&request.to_text()).await;
        let hello = wire.frame_at("res:sign-in", deadline).await;
        assert_eq!(hello["ok"], json!(true), "{hello}");
        Self { wire, methods: Vec::new(), runs: Vec::new(), said: Vec::new() }
    }

    /// Asks, and does not wait. Gives the request's number.
    pub(crate) async fn ask(&mut self, method: &'static str, params: Value) -> usize {
        self.methods.push(method);
        let number = self.methods.len();
        self.said.push(Said { line: format!("> {method}"), frame: Value::Null });
        self.wire.say(&Request::new(format!("r{number}"), method, params).to_text()).await;
        number
    }

    /// Listens until something is said that `is_it`; gives it back.
    pub(crate) async fn until(&mut self, is_it: impl Fn(&Said) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let step = self.wire.next(deadline).await;
            let Some(What::Frame(frame)) = step.map(|step| step.what) else {
                panic!("nothing more after {:#?}", self.said.iter().map(|said| &said.line).collect::<Vec<_>>());
            };
            let Some(said) = self.note(frame) else { continue };
            if is_it(&said) {
                return said.frame;
            }
        }
    }

    /// Asks and waits for the answer, without its id and type.
    pub(crate) async fn answer(&mut self, method: &'static str, params: Value) -> Value {
        let number = self.ask(method, params).await;
        self.answer_of(number).await
    }

    /// The next answer to a request.
    pub(crate) async fn answer_of(&mut self, number: usize) -> Value {
        let id = format!("r{number}");
        let mut frame = self.until(|said| said.frame["type"] == "res" && said.frame["id"] == id.as_str()).await;
        let fields = frame.as_object_mut().unwrap();
        fields.remove("id");
        fields.remove("type");
        frame
    }

    /// Listens until a line is said.
    pub(crate) async fn until_line(&mut self, line: &str) -> Value {
        self.until(|said| said.line == line).await
    }

    /// Listens as long as something comes.
    pub(crate) async fn until_quiet(&mut self, pause: Duration) {
        while let Some(step) = self.wire.next(Instant::now() + pause).await {
            if let What::Frame(frame) = step.what {
                self.note(frame);
            }
        }
    }

    fn note(&mut self, frame: Value) -> Option<Said> {
        let line = match frame["type"].as_str()? {
            "res" => {
                let number: usize = frame["id"].as_str()?.strip_prefix('r')?.parse().ok()?;
                format!("< {}", self.methods[number - 1])
            }
            "event" => label(&frame, &mut self.runs)?,
            _ => return None,
        };
        let said = Said { line, frame };
        self.said.push(said.clone());
        Some(said)
    }

    /// What was said so far; forgets it.
    pub(crate) fn take(&mut self) -> Vec<Said> {
        self.runs.clear();
        std::mem::take(&mut self.said)
    }
}

/// An event of a run in short; none for other events. Runs after the first one are numbered.
fn label(frame: &Value, runs: &mut Vec<String>) -> Option<String> {
    let payload = &frame["payload"];
    let line = match frame["event"].as_str()? {
        "chat" => {
            let phase = payload["phase"].as_str().map(|phase| format!(" {phase}"));
            format!("chat {}{}", payload["state"].as_str()?, phase.unwrap_or_default())
        }
        "agent" => agent_line(payload)?,
        _ => return None,
    };
    let run = payload["runId"].as_str()?;
    let at = runs.iter().position(|known| known == run).unwrap_or_else(|| {
        runs.push(run.to_owned());
        runs.len() - 1
    });
    Some(if at == 0 { line } else { format!("{line} (run {})", at + 1) })
}

fn agent_line(payload: &Value) -> Option<String> {
    let (stream, data) = (payload["stream"].as_str()?, &payload["data"]);
    let phase = data["phase"].as_str();
    let detail = match (stream, phase) {
        ("lifecycle", Some("model")) if data["provider"].is_null() => Some("released"),
        ("lifecycle", Some("end")) => data["status"].as_str(),
        ("item", _) => data["kind"].as_str(),
        _ => None,
    };
    let words: Vec<&str> = ["agent", stream].into_iter().chain(phase).chain(detail).collect();
    Some(words.join(" "))
}

/// Repetitions of one event, or of a pair of events, happen as often as text comes: once counts.
pub(crate) fn once(mut lines: Vec<String>) -> Vec<String> {
    loop {
        let before = lines.len();
        for size in [2, 1] {
            let mut at = 0;
            while at + 2 * size <= lines.len() {
                let is_repeated =
                    lines[at].starts_with("agent ") && lines[at..at + size] == lines[at + size..at + 2 * size];
                if is_repeated {
                    lines.drain(at + size..at + 2 * size);
                } else {
                    at += 1;
                }
            }
        }
        if lines.len() == before {
            return lines;
        }
    }
}
