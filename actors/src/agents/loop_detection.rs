//! Whether a model goes round in circles: the same calls with the same outcomes, over and over.
//!
//! Pure. It looks at the last calls of a run. A loop that begins is told with the result that shows it. One that goes on
//! is broken: the calls that would continue it are not carried out, and the model may answer once more; if it goes on
//! even then, the run ends.

use std::collections::VecDeque;
use std::sync::LazyLock;

use regex::Regex;
use ring::digest;
use serde_json::Value;

/// Calls looked at.
const WINDOW: usize = 30;
/// Calls of a tool that does not exist.
const UNKNOWN_TOOL: usize = 10;
/// Repeats that are told.
const TOLD: usize = 10;
/// Repeats without news that are broken.
const BROKEN: usize = 20;
/// Outcomes that a full window must not be made of alone.
const FEW_OUTCOMES: usize = 2;
/// Calls behind a shortened history that must not all be the same.
const AFTER_COMPACTION: usize = 3;

/// Fields of results that differ each time without saying anything new.
const VOLATILE: &[&str] = &["at", "time", "timestamp", "updatedAt", "durationMs", "elapsedMs", "runId", "pid"];

/// Times within texts.
static TIMES: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?").ok());

type Digest = [u8; 8];

/// A call as far as loops are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    name: String,
    arguments: Digest,
    kind: Kind,
}

/// What kind of tool was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One that does not exist.
    Unknown,
    /// One that is there to be asked again and again.
    Poll,
    /// Any other.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    made: Made,
    outcome: Digest,
}

/// What is to become of calls that a model wants to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They are carried out.
    Go,
    /// They are not; each gets this as its result.
    Block(String),
    /// They are not, and the run ends, for this reason.
    End(String),
}

/// Watches one run.
#[derive(Debug, Default)]
pub struct LoopDetection {
    is_on: bool,
    guards_compaction: bool,
    seen: VecDeque<Seen>,
    broken: u32,
    /// Calls since the history was shortened; none when it was not, or long ago.
    since_compaction: Option<usize>,
    persisted: bool,
}

impl Made {
    /// A call of `name`.
    #[must_use]
    pub fn new(name: &str, arguments: &Value, kind: Kind) -> Self {
        Self { name: name.to_owned(), arguments: digest_of(&steady(arguments.clone()).to_string()), kind }
    }
}

impl LoopDetection {
    /// `setting` as configured. Without one, only loops behind a shortened history are looked for.
    #[must_use]
    pub fn new(setting: Option<bool>) -> Self {
        Self { is_on: setting == Some(true), guards_compaction: setting != Some(false), ..Self::default() }
    }

    /// The history was shortened because the model refused it, and the same call is made again.
    pub fn compacted(&mut self) {
        self.since_compaction = Some(0);
    }

    /// What is to become of the next calls.
    pub fn before(&mut self, next: &[Made]) -> Verdict {
        if self.persisted {
            return Verdict::End(String::from(
                "the same call went on behind a shortened history (compaction_loop_persisted)",
            ));
        }
        let Some(why) = next.iter().find_map(|made| self.critical(made)).filter(|_| self.is_on) else {
            return Verdict::Go;
        };
        self.broken += 1;
        if self.broken > 1 {
            return Verdict::End(format!("the model went round in circles ({why})"));
        }
        Verdict::Block(format!(
            "Not carried out: you go round in circles ({why}). Do something else, or answer with what you know."
        ))
    }

    /// A call has its result. What is to be told with it, if it shows a loop.
    pub fn after(&mut self, made: Made, text: &str) -> Option<String> {
        let outcome = match serde_json::from_str::<Value>(text) {
            Ok(value) => digest_of(&steady(value).to_string()),
            Err(_) => digest_of(&without_times(text)),
        };
        if self.seen.len() == WINDOW {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen { made, outcome });
        self.watch_compaction();
        let made = &self.seen.back()?.made;
        if !self.is_on {
            return None;
        }
        let (name, count) = self.warning(made)?;
        Some(format!("[{name}: {count} times without anything new. Change what you do, or answer with what you know.]"))
    }

    fn watch_compaction(&mut self) {
        let Some(count) = self.since_compaction.map(|count| count + 1) else { return };
        self.since_compaction = (count < AFTER_COMPACTION).then_some(count);
        if count == AFTER_COMPACTION && self.guards_compaction {
            let last = self.seen.back();
            self.persisted = self.seen.iter().rev().take(AFTER_COMPACTION).all(|seen| Some(seen) == last);
        }
    }

    fn warning(&self, made: &Made) -> Option<(&'static str, usize)> {
        let alternating = self.alternating();
        let same = self.seen.iter().filter(|seen| seen.made == *made).count();
        let churn = self.churn(made);
        let polled = self.streak();
        match made.kind {
            Kind::Unknown => None,
            Kind::Poll => (polled >= TOLD).then_some(("known_poll_no_progress", polled)),
            Kind::Other if alternating >= TOLD => Some(("ping_pong", alternating)),
            Kind::Other if same >= TOLD => Some(("generic_repeat", same)),
            Kind::Other => (churn >= TOLD).then_some(("argument_churn", churn)),
        }
    }

    /// Why this call would go on with a loop.
    fn critical(&self, next: &Made) -> Option<&'static str> {
        let last = self.seen.back()?;
        let mut outcomes: Vec<Digest> = self.seen.iter().map(|seen| seen.outcome).collect();
        outcomes.sort_unstable();
        outcomes.dedup();
        if next.kind == Kind::Unknown {
            let again = self.seen.iter().filter(|seen| seen.made.kind == Kind::Unknown && seen.made.name == next.name);
            return (again.count() >= UNKNOWN_TOOL).then_some("unknown_tool_repeat");
        }
        if self.seen.len() == WINDOW && outcomes.len() <= FEW_OUTCOMES {
            return Some("global_circuit_breaker");
        }
        if next.kind == Kind::Poll {
            return (last.made == *next && self.streak() >= BROKEN).then_some("known_poll_no_progress");
        }
        let turn = self.seen.iter().rev().nth(1).is_some_and(|before| before.made == *next);
        if turn && self.alternating() >= BROKEN {
            return Some("ping_pong");
        }
        let same = |seen: &&Seen| seen.made == *next;
        let latest = self.seen.iter().rev().find(same)?.outcome;
        let repeats = self.seen.iter().filter(same).filter(|seen| seen.outcome == latest).count();
        (repeats >= BROKEN).then_some("generic_repeat")
    }

    /// How often the last call came in a row with the same outcome.
    fn streak(&self) -> usize {
        let last = self.seen.back();
        self.seen.iter().rev().take_while(|seen| Some(*seen) == last).count()
    }

    /// How many calls at the end alternate between two, each with the same outcome every time.
    fn alternating(&self) -> usize {
        let mut back = self.seen.iter().rev();
        let (Some(a), Some(b)) = (back.next(), back.next()) else { return 0 };
        if a.made == b.made {
            return 0;
        }
        self.seen.iter().rev().enumerate().take_while(|(at, seen)| *seen == if at % 2 == 0 { a } else { b }).count()
    }

    /// How many calls at the end were of one tool, with other arguments and the same outcome each time.
    fn churn(&self, made: &Made) -> usize {
        let Some(last) = self.seen.back() else { return 0 };
        let mut met: Vec<Digest> = Vec::new();
        for seen in self.seen.iter().rev() {
            let goes_on = seen.made.name == made.name && seen.outcome == last.outcome;
            if !goes_on || met.contains(&seen.made.arguments) {
                break;
            }
            met.push(seen.made.arguments);
        }
        met.len()
    }
}

fn digest_of(text: &str) -> Digest {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut short = Digest::default();
    short.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    short
}

/// A value without what differs each time.
fn steady(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, _)| !VOLATILE.contains(&name.as_str()))
            .map(|(name, value)| (name, steady(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(steady).collect(),
        Value::String(text) => Value::String(without_times(&text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn without_times(text: &str) -> String {
    match TIMES.as_ref() {
        Some(times) => times.replace_all(text, "(time)").into_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
