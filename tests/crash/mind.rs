//! The scripted model: what it answers follows from the message alone, and it writes down when it was asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actors::testing::fake_models::{FakeMind, FakeRequest, FakeTurn};
use serde_json::{Value, json};

use crate::record::{Asked, Kind, Life};
use crate::transcript::{marks, text_of};

/// Words of a long answer: two pieces on the platform.
const LONG: usize = 700;
/// Characters of a long message: more than the store keeps in one record.
const BIG: usize = 9_000;
/// The line of a file behind which each change leaves its mark.
const BEGIN: &str = "begin";

/// The text of a message of a person.
pub(crate) fn message(id: &str, kind: Kind) -> String {
    let mark = format!("<<{id} {}>>", word(kind));
    match kind {
        Kind::Plain | Kind::Long | Kind::Look | Kind::Change => mark,
        Kind::Big => format!("{mark} {}", "x".repeat(BIG)),
        Kind::Reset => format!("/new {mark}"),
    }
}

/// The answer to it.
pub(crate) fn answer_to(id: &str, kind: Kind) -> String {
    match kind {
        Kind::Long => (0..LONG).fold(format!("re:{id}"), |text, n| format!("{text} {id}/{n}")),
        Kind::Plain | Kind::Big | Kind::Look | Kind::Change | Kind::Reset => format!("re:{id} done"),
    }
}

/// The id of the message that a delivered text begins to answer.
pub(crate) fn answered(text: &str) -> Option<&str> {
    text.strip_prefix("re:")?.split(' ').next()
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain => "plain",
        Kind::Long => "long",
        Kind::Big => "big",
        Kind::Look => "look",
        Kind::Change => "change",
        Kind::Reset => "reset",
    }
}

/// True for a call of the tool that changes a file.
pub(crate) fn is_change(call: &str) -> bool {
    call.starts_with("change-")
}

/// The file that the changes of a key go to, and what is in it at first.
pub(crate) fn mark_file(key: &str) -> (String, String) {
    (format!("marks-{key}.txt"), format!("{BEGIN}\n"))
}

/// The marks in such a file.
pub(crate) fn marks_in(text: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| *line != BEGIN) {
        *found.entry(line.to_owned()).or_default() += 1;
    }
    found
}

/// The model.
#[derive(Debug)]
pub(crate) struct Mind {
    since: Instant,
    life: AtomicU32,
    /// By number of the request.
    asked: Mutex<BTreeMap<u64, Asked>>,
}

impl Mind {
    pub(crate) fn new(since: Instant) -> Self {
        Self { since, life: AtomicU32::new(0), asked: Mutex::default() }
    }

    fn asked(&self) -> MutexGuard<'_, BTreeMap<u64, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new life of the daemon begins; nothing of the one before is left.
    pub(crate) fn begins(&self, life: Life) {
        self.life.store(life, Ordering::Relaxed);
    }

    /// Every call so far, in order.
    pub(crate) fn log(&self) -> Vec<Asked> {
        self.asked().values().cloned().collect()
    }
}

impl FakeMind for Mind {
    fn answer(&self, number: u64, request: &FakeRequest) -> FakeTurn {
        let question = Question::of(&request.body);
        let key = question.id.rsplit_once('-').map_or("", |(key, _)| key).to_owned();
        let asked = Asked {
            life: self.life.load(Ordering::Relaxed),
            key: key.clone(),
            id: question.id.clone(),
            from: self.since.elapsed(),
            until: None,
        };
        self.asked().insert(number, asked);
        question.turn(number, &key)
    }

    fn ended(&self, number: u64) {
        if let Some(asked) = self.asked().get_mut(&number) {
            asked.until.get_or_insert(self.since.elapsed());
        }
    }
}

/// What a request is about.
#[derive(Debug)]
struct Question {
    id: String,
    kind: Kind,
    /// Results of tools behind the message.
    results: usize,
    may_change: bool,
}

impl Question {
    fn of(body: &Value) -> Self {
        let none = Vec::new();
        let messages = body["messages"].as_array().unwrap_or(&none);
        let marked = |message: &Value| message["role"] == "user" && marks(&text_of(message)).next().is_some();
        let at = messages.iter().rposition(marked).unwrap_or(0);
        let text = messages.get(at).map(text_of).unwrap_or_default();
        let (id, word) = marks(&text).last().and_then(|mark| mark.split_once(' ')).unwrap_or_default();
        let behind = messages.iter().skip(at + 1);
        let tools = body["tools"].as_array().into_iter().flatten();
        Self {
            id: id.to_owned(),
            kind: match word {
                "long" => Kind::Long,
                "big" => Kind::Big,
                "look" => Kind::Look,
                "change" => Kind::Change,
                "reset" => Kind::Reset,
                _ => Kind::Plain,
            },
            results: behind.filter(|message| message["role"] == "tool").count(),
            may_change: tools.into_iter().any(|tool| tool["function"]["name"] == "edit"),
        }
    }

    fn turn(&self, number: u64, key: &str) -> FakeTurn {
        // At once, quickly, slowly: by turns.
        let pace = Duration::from_millis([0, 4, 15][usize::try_from(number % 3).unwrap_or(0)]);
        match self.kind {
            Kind::Change if self.results == 0 && self.may_change => {
                let call = format!("change-{}-{number}", self.id);
                let (path, _) = mark_file(key);
                let edits = json!([{"oldText": BEGIN, "newText": format!("{BEGIN}\n{call}")}]);
                FakeTurn::call(&call, "edit", json!({"path": path, "edits": edits}))
            }
            Kind::Look | Kind::Change if self.results == 0 => {
                FakeTurn::call(&format!("look-{}-{number}", self.id), "clock", json!({}))
            }
            Kind::Long => FakeTurn::text(answer_to(&self.id, self.kind)).pace(Duration::ZERO),
            Kind::Plain | Kind::Big | Kind::Look | Kind::Change | Kind::Reset => {
                FakeTurn::text(answer_to(&self.id, self.kind)).pace(pace)
            }
        }
    }
}
