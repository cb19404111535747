//! What the server answers to one request.

use std::time::Duration;

use serde_json::{Value, json};

use super::FakeRequest;

/// A tool call of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct FakeCall {
    /// Id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum FakeFault {
    /// Nothing.
    #[default]
    None,
    /// A failure status at once.
    Status {
        /// HTTP status.
        status: u16,
        /// Seconds in `retry-after`.
        retry_after: Option<u64>,
        /// The vendor's code; a fitting one when empty.
        code: String,
        /// The vendor's words.
        message: String,
    },
    /// The request is read and never answered.
    HangBeforeHeaders,
    /// Silence after so many events.
    HangAfter(usize),
    /// The connection is cut in the middle of the event after so many.
    CutAfter(usize),
    /// An event that is not JSON after so many.
    MalformedAfter(usize),
    /// An error object inside the stream after so many events.
    ErrorAfter {
        /// Events before it.
        events: usize,
        /// The vendor's code.
        code: String,
        /// The vendor's words.
        message: String,
    },
    /// Every byte in a chunk of its own, so that characters and line ends are split.
    SplitBytes,
    /// Comments at this pace and never an event.
    OnlyKeepAlive(Duration),
    /// Events at this pace that only keep the connection open, where the format has them; comments where not.
    OnlyPings(Duration),
    /// Something that is not HTTP, then silence.
    NoHttp,
    /// Bytes that are no events, for ever.
    Noise,
    /// One line of so many bytes, then silence.
    LongLine(usize),
}

/// One answer: what is said, what goes wrong, how fast.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FakeTurn {
    pub(super) thinking: String,
    pub(super) text: String,
    pub(super) calls: Vec<FakeCall>,
    pub(super) fault: FakeFault,
    pub(super) pace: Duration,
}

impl FakeTurn {
    /// Says `text`, word by word.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Calls one tool.
    #[must_use]
    pub fn call(id: &str, name: &str, arguments: Value) -> Self {
        Self::default().and_call(id, name, arguments)
    }

    /// Calls another tool in the same answer.
    #[must_use]
    pub fn and_call(mut self, id: &str, name: &str, arguments: Value) -> Self {
        self.calls.push(FakeCall { id: id.into(), name: name.into(), arguments });
        self
    }

    /// Thinks before it answers.
    #[must_use]
    pub fn thinking(mut self, thinking: impl Into<String>) -> Self {
        self.thinking = thinking.into();
        self
    }

    /// Takes `pace` after each event.
    #[must_use]
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Fails in this way.
    #[must_use]
    pub fn fault(mut self, fault: FakeFault) -> Self {
        self.fault = fault;
        self
    }

    /// Refuses with a status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::default().fault(FakeFault::Status {
            status,
            retry_after: None,
            code: String::new(),
            message: String::new(),
        })
    }

    /// Refuses with a status, code and words.
    #[must_use]
    pub fn refusal(status: u16, code: &str, message: &str) -> Self {
        Self::default().fault(FakeFault::Status {
            status,
            retry_after: None,
            code: code.into(),
            message: message.into(),
        })
    }

    /// Asks to come back after so many seconds; only for a failure status.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        if let FakeFault::Status { retry_after, .. } = &mut self.fault {
            *retry_after = Some(seconds);
        }
        self
    }

    /// The turn that a model id asks for: `fault-<status>`, `fault-429-<seconds>` (with `retry-after`), `fault-hang`,
    /// `fault-hang-stream`, `fault-cut`, `fault-malformed`, `fault-error`, `fault-split`, `fault-keepalive`,
    /// `fault-slow` (a word every 50 ms), `fault-empty`.
    #[must_use]
    pub fn for_model(model: &str) -> Option<Self> {
        let fault = model.strip_prefix("fault-")?;
        let text = || Self::text("Grüße von 🦞, one two three four five six");
        Some(match fault {
            "hang" => text().fault(FakeFault::HangBeforeHeaders),
            "hang-stream" => text().fault(FakeFault::HangAfter(3)),
            "cut" => text().fault(FakeFault::CutAfter(3)),
            "malformed" => text().fault(FakeFault::MalformedAfter(3)),
            "error" => text().fault(FakeFault::ErrorAfter {
                events: 3,
                code: "overloaded_error".into(),
                message: "Overloaded".into(),
            }),
            "split" => text().fault(FakeFault::SplitBytes),
            "keepalive" => text().fault(FakeFault::OnlyKeepAlive(Duration::from_millis(20))),
            "slow" => text().pace(Duration::from_millis(50)),
            "empty" => Self::default(),
            status => match status.split_once('-') {
                Some((status, seconds)) => Self::status(status.parse().ok()?).retry_after(seconds.parse().ok()?),
                None => Self::status(status.parse().ok()?),
            },
        })
    }

    /// Repeats the user's last words; after a tool's result, repeats that.
    pub(super) fn echo(request: &FakeRequest) -> Self {
        let last = request.body["messages"].as_array().and_then(|messages| messages.last().cloned());
        let content = last.map(|message| message["content"].clone()).unwrap_or_default();
        Self::text(format!("echo: {}", content_text(&content)))
    }
}

fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str().or(part["content"].as_str()));
            texts.collect::<Vec<_>>().join(" ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => json!(content).to_string(),
    }
}
