//! A transcript as it lies on disk.
//!
//! Each line is `{"dir", "frame"}`, `{"dir", "raw"}` for text that is no JSON, or `{"dir", "close"}`. `"trimmed": true`
//! marks a payload that was shortened: its keys and types count, its values do not. The same mark inside a payload says
//! that keys were left out as well.

use std::fs;

use serde_json::Value;

use crate::support::fixture;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    FromClient,
    FromGateway,
}

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Frame(Value),
    Raw(String),
    Close { code: u64, reason: String },
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) direction: Direction,
    pub(crate) what: What,
    pub(crate) trimmed: bool,
    pub(crate) keys_left_out: bool,
}

impl Step {
    pub(crate) fn from_gateway(what: What) -> Self {
        Self { direction: Direction::FromGateway, what, trimmed: false, keys_left_out: false }
    }

    fn parse(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).unwrap();
        let direction = match value["dir"].as_str() {
            Some("c>s") => Direction::FromClient,
            Some("s>c") => Direction::FromGateway,
            other => panic!("no direction: {other:?}"),
        };
        let what = if let Some(frame) = value.get("frame") {
            What::Frame(frame.clone())
        } else if let Some(raw) = value.get("raw") {
            What::Raw(raw.as_str().unwrap().to_owned())
        } else {
            let close = &value["close"];
            What::Close { code: close["code"].as_u64().unwrap(), reason: close["reason"].as_str().unwrap().to_owned() }
        };
        let keys_left_out = value.pointer("/frame/payload/trimmed") == Some(&Value::Bool(true));
        Self { direction, what, trimmed: value["trimmed"] == true || keys_left_out, keys_left_out }
    }
}

/// A transcript.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recording {
    /// File name without `.jsonl`.
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

impl Recording {
    /// All transcripts, by name: later ones build on what earlier ones left behind.
    pub(crate) fn all() -> Vec<Self> {
        let mut names: Vec<String> = fs::read_dir(fixture("transcripts"))
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().into_string().unwrap().strip_suffix(".jsonl").map(str::to_owned)
            })
            .collect();
        names.sort();
        names.iter().map(|name| Self::load(name)).collect()
    }

    /// One transcript.
    pub(crate) fn load(name: &str) -> Self {
        let text = fs::read_to_string(fixture("transcripts").join(format!("{name}.jsonl"))).unwrap();
        Self { name: name.to_owned(), steps: text.lines().map(Step::parse).collect() }
    }

    /// What the gateway said.
    pub(crate) fn answers(&self) -> Vec<Step> {
        self.steps.iter().filter(|step| step.direction == Direction::FromGateway).cloned().collect()
    }
}
