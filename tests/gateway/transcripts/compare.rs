//! Holds what a live gateway said against the recording.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use super::recording::{Recording, Step, What};
use super::rules::{Kind, Rules, path_matches};

/// What placeholders stand for, as far as it is known. Learned while comparing.
pub(crate) type Bindings = BTreeMap<String, String>;

/// Placeholders that stand for one and the same thing wherever they appear.
const BOUND: &[&str] = &["TOKEN", "DEVICE_ID_", "PUBLIC_KEY_", "DEVICE_TOKEN_"];

/// What came of a comparison.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) file: String,
    /// Places that agree.
    pub(crate) compared: usize,
    /// Places that differ as they must: path and reason.
    pub(crate) skipped: Vec<(String, String)>,
    /// Places that differ and must not.
    pub(crate) faults: Vec<String>,
    /// Numbers of the rules that were needed.
    pub(crate) rules_used: BTreeSet<usize>,
}

impl Report {
    pub(crate) fn agrees(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (skipped, faults) = (self.skipped.len(), self.faults.len());
        writeln!(f, "{}: {} compared, {skipped} skipped, {faults} faults", self.file, self.compared)?;
        for (path, why) in &self.skipped {
            writeln!(f, "  skipped {path}: {why}")?;
        }
        for fault in &self.faults {
            writeln!(f, "  FAULT {fault}")?;
        }
        Ok(())
    }
}

/// Compares what the gateway said in `recording` with what it says now. `only` limits the comparison to a pattern.
pub(crate) fn compare(
    recording: &Recording,
    live: &[Step],
    rules: &Rules,
    bindings: &mut Bindings,
    only: Option<&str>,
) -> Report {
    let mut report = Report { file: recording.name.clone(), ..Report::default() };
    let mut comparison = Comparison { report: &mut report, rules, bindings, only };
    comparison.run(&recording.answers(), live);
    report
}

struct Comparison<'a> {
    report: &'a mut Report,
    rules: &'a Rules,
    bindings: &'a mut Bindings,
    only: Option<&'a str>,
}

impl Comparison<'_> {
    fn run(&mut self, recorded: &[Step], live: &[Step]) {
        let mut taken = vec![false; live.len()];
        for step in recorded {
            let place = place(&step.what);
            let found = (0..live.len()).find(|at| !taken[*at] && self::place(&live[*at].what) == place);
            match found {
                Some(at) => {
                    taken[at] = true;
                    self.step(step, &live[at], &place);
                }
                None if left_by_client(&step.what) => {
                    self.report.skipped.push((place, "the client left".to_owned()));
                }
                None => self.missing(&place),
            }
        }
        for (step, taken) in live.iter().zip(taken) {
            // Events nobody recorded are the business of whoever lives beside us; answers and closes are not.
            let is_event = place(&step.what).starts_with("event:");
            if !taken && !is_event {
                self.fault(&place(&step.what), &format!("was never recorded: {:?}", step.what));
            }
        }
    }

    fn step(&mut self, recorded: &Step, live: &Step, place: &str) {
        match (&recorded.what, &live.what) {
            (What::Frame(recorded_frame), What::Frame(live)) => {
                let keys_only = recorded.trimmed;
                let (mut left, mut right) = (recorded_frame.clone(), live.clone());
                if recorded.keys_left_out {
                    keep_known_keys(&mut left, &mut right);
                }
                // `seq` counts per connection and says how many events came before; that it is there is what counts.
                for frame in [&mut left, &mut right] {
                    if let Some(seq) = frame.get_mut("seq").filter(|seq| seq.is_u64()) {
                        *seq = Value::from(0);
                    }
                }
                // A rule for the whole message only says whether it must come.
                self.descend(&left, &right, place, keys_only);
            }
            (What::Close { code, reason }, What::Close { code: live_code, reason: live_reason }) => {
                self.value(&Value::from(*code), &Value::from(*live_code), "close/code", false);
                self.value(&reason.as_str().into(), &live_reason.as_str().into(), "close/reason", false);
            }
            _ => self.fault(place, "is another kind of message"),
        }
    }

    fn missing(&mut self, path: &str) {
        if self.is_out_of_scope(path) {
            return;
        }
        match self.rule(path) {
            Some((Kind::Absent | Kind::Optional, _)) => {}
            _ => self.fault(path, "is missing"),
        }
    }

    fn value(&mut self, recorded: &Value, live: &Value, path: &str, keys_only: bool) {
        if self.is_out_of_scope(path) {
            return self.descend(recorded, live, path, keys_only);
        }
        match self.rule(path) {
            Some((Kind::Type | Kind::Optional, _)) => self.same_type(recorded, live, path),
            Some((Kind::Absent, _)) => self.fault(path, "is there, but the differences say it is not"),
            Some((Kind::Items, _)) => self.items(recorded, live, path),
            Some((Kind::Value, Some(expected))) => {
                if live != &expected {
                    self.fault(path, &format!("is {live}, the differences say {expected}"));
                }
            }
            Some((Kind::Value | Kind::Extra, _)) => self.fault(path, "has a rule that does not fit"),
            None => self.descend(recorded, live, path, keys_only),
        }
    }

    fn descend(&mut self, recorded: &Value, live: &Value, path: &str, keys_only: bool) {
        match (recorded, live) {
            (Value::Object(recorded), Value::Object(live)) => self.object(recorded, live, path, keys_only),
            (Value::Array(recorded), Value::Array(live)) if keys_only && path.contains("/features/") => {
                // Shortened lists of names: that names are listed is what counts.
                let names = |list: &[Value]| list.iter().all(Value::is_string);
                self.leaf(names(recorded) == names(live), path, "is no list of names");
            }
            (Value::Array(recorded), Value::Array(live)) => {
                if recorded.len() != live.len() {
                    self.fault_in_scope(path, &format!("has {} items instead of {}", live.len(), recorded.len()));
                }
                for (at, (recorded, live)) in recorded.iter().zip(live).enumerate() {
                    self.value(recorded, live, &format!("{path}/{at}"), keys_only);
                }
                self.leaf(true, path, "");
            }
            (Value::String(recorded), Value::String(live)) => {
                let agrees = keys_only || self.text(recorded, live);
                self.leaf(agrees, path, &format!("is {live:?} instead of {recorded:?}"));
            }
            (Value::Number(recorded), Value::Number(live)) => {
                let is_time = |number: &serde_json::Number| number.as_i64().is_some_and(|ms| ms > 1_000_000_000_000);
                let agrees = keys_only || recorded == live || (is_time(recorded) && is_time(live));
                self.leaf(agrees, path, &format!("is {live} instead of {recorded}"));
            }
            (Value::Bool(recorded), Value::Bool(live)) => {
                self.leaf(keys_only || recorded == live, path, &format!("is {live} instead of {recorded}"));
            }
            (Value::Null, Value::Null) => self.leaf(true, path, ""),
            _ => self.leaf(false, path, &format!("is {} instead of {}", type_of(live), type_of(recorded))),
        }
    }

    fn object(&mut self, recorded: &Map<String, Value>, live: &Map<String, Value>, path: &str, keys_only: bool) {
        for (key, recorded) in recorded {
            let path = format!("{path}/{key}");
            match live.get(key) {
                Some(live) => self.value(recorded, live, &path, keys_only),
                None => self.missing(&path),
            }
        }
        for key in live.keys().filter(|key| !recorded.contains_key(*key)) {
            let path = format!("{path}/{key}");
            if self.is_out_of_scope(&path) {
                continue;
            }
            match self.rule(&path) {
                Some((Kind::Extra | Kind::Optional, _)) => {}
                _ => self.fault(&path, "was never recorded"),
            }
        }
    }

    fn items(&mut self, recorded: &Value, live: &Value, path: &str) {
        let (Value::Array(recorded), Value::Array(live)) = (recorded, live) else {
            return self.fault(path, "is no list");
        };
        let known: BTreeSet<&str> = recorded.iter().map(type_of).collect();
        if let Some(odd) = live.iter().find(|item| !known.is_empty() && !known.contains(type_of(item))) {
            self.fault(path, &format!("has an item like no recorded one: {odd}"));
        }
    }

    fn same_type(&mut self, recorded: &Value, live: &Value, path: &str) {
        if type_of(recorded) != type_of(live) {
            self.fault(path, &format!("is {} instead of {}", type_of(live), type_of(recorded)));
        }
    }

    /// Texts agree when they are the same, when both are unique ids, or when the placeholders fit.
    fn text(&mut self, recorded: &str, live: &str) -> bool {
        if recorded == live || (is_uuid(recorded) && is_uuid(live)) {
            return true;
        }
        let recorded = mask_uuids(recorded);
        let live_masked = mask_uuids(live);
        if recorded == live_masked {
            return true;
        }
        if let Some(name) =
            whole_placeholder(&recorded).filter(|name| BOUND.iter().any(|bound| name.starts_with(bound)))
        {
            let bound = self.bindings.entry(name.to_owned()).or_insert_with(|| live.to_owned());
            return bound == live;
        }
        fits_pattern(&recorded, &live_masked)
    }

    fn rule(&mut self, path: &str) -> Option<(Kind, Option<Value>)> {
        let (number, rule) = self.rules.at(&self.report.file, path)?;
        self.report.rules_used.insert(number);
        self.report.skipped.push((path.to_owned(), rule.why.clone()));
        Some((rule.kind, rule.value.clone()))
    }

    fn is_out_of_scope(&self, path: &str) -> bool {
        self.only.is_some_and(|only| !path_matches(only, path))
    }

    fn leaf(&mut self, agrees: bool, path: &str, complaint: &str) {
        if self.is_out_of_scope(path) {
            return;
        }
        if agrees {
            self.report.compared += 1;
        } else {
            self.fault(path, complaint);
        }
    }

    fn fault_in_scope(&mut self, path: &str, complaint: &str) {
        if !self.is_out_of_scope(path) {
            self.fault(path, complaint);
        }
    }

    fn fault(&mut self, path: &str, complaint: &str) {
        self.report.faults.push(format!("{path} {complaint}"));
    }
}

/// Where a message belongs: answers by their id, events by their name.
pub(crate) fn place(what: &What) -> String {
    match what {
        What::Frame(frame) if frame["type"] == "res" => format!("res:{}", frame["id"].as_str().unwrap_or("?")),
        What::Frame(frame) if frame["type"] == "event" => format!("event:{}", frame["event"].as_str().unwrap_or("?")),
        What::Frame(_) => "frame".to_owned(),
        What::Raw(_) => "raw".to_owned(),
        What::Close { .. } => "close".to_owned(),
    }
}

/// A close without a status: the recording client hung up.
pub(crate) fn left_by_client(what: &What) -> bool {
    matches!(what, What::Close { code: 1005, .. })
}

/// Takes the mark off a shortened payload, and from the live one what was left out of the recording.
fn keep_known_keys(recorded: &mut Value, live: &mut Value) {
    let Some(recorded) = recorded.get_mut("payload").and_then(Value::as_object_mut) else { return };
    recorded.remove("trimmed");
    if let Some(live) = live.get_mut("payload").and_then(Value::as_object_mut) {
        live.retain(|key, _| recorded.contains_key(key));
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Unique ids inside a text, also one that was cut off at its end, become `<UUID>`.
fn mask_uuids(text: &str) -> String {
    let Some(at) = text.find("requestId: ").map(|at| at + "requestId: ".len()) else { return text.to_owned() };
    let end = text[at..].find(')').map_or(text.len(), |end| at + end);
    format!("{}<UUID>{}", &text[..at], &text[end..])
}

/// `NAME` of a text that is `<NAME>` and nothing else.
fn whole_placeholder(text: &str) -> Option<&str> {
    let name = text.strip_prefix('<')?.strip_suffix('>')?;
    (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'))
        .then_some(name)
}

/// True when `live` is `recorded` with something in place of each placeholder.
fn fits_pattern(recorded: &str, live: &str) -> bool {
    let mut pieces = Vec::new();
    let mut rest = recorded;
    while let Some(start) = rest.find('<') {
        let Some(end) = rest[start..].find('>').map(|end| start + end + 1) else { break };
        if whole_placeholder(&rest[start..end]).is_none() {
            return false;
        }
        pieces.push(&rest[..start]);
        rest = &rest[end..];
    }
    if pieces.is_empty() {
        return false;
    }
    let Some(mut left) = live.strip_prefix(pieces[0]) else { return false };
    for piece in &pieces[1..] {
        // At least one character for the placeholder before this piece.
        let Some(at) = left.char_indices().skip(1).map(|(at, _)| at).find(|at| left[*at..].starts_with(piece)) else {
            return false;
        };
        left = &left[at + piece.len()..];
    }
    left.len() > rest.len() && left.ends_with(rest)
}

#[test]
fn placeholders_stand_for_something() {
    for (recorded, live, expected) in [
        ("<HOME>/.openclaw", "/tmp/x/.openclaw", true),
        ("<HOME>/.openclaw", "/.openclaw", false),
        ("<HOME>/.openclaw", "/tmp/x/.other", false),
        ("<HOME>/.openclaw", ".openclaw", false),
        ("linux <KERNEL>", "linux 6.1", true),
        ("linux <KERNEL>", "linux ", false),
        ("<HOST> (<IP>)", "box (10.0.0.1)", true),
        ("<HOST> (<IP>)", "box 10.0.0.1", false),
        ("plain", "other", false),
    ] {
        assert_eq!(fits_pattern(recorded, live), expected, "{recorded} {live}");
    }
}
