//! The built-in provider `demo`: offline and deterministic, so that a first start answers something and tests need
//! no network.
//!
//! It says what it is and how a real model is added. Three words change what it does:
//! * `time` or `tool`: it calls the tool `clock`, if that is offered, and answers with the result;
//! * `slow N`: it counts to N (at most 1000), a number every 100 ms;
//! * `long N`: it says N words (at most 20 000) without pauses.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;

use super::contract::{Endpoint, ModelEvent, ModelRequest, ModelStream, Wire};
use crate::message::{Message, StopReason, Usage};
use crate::secret::Secret;

/// Between two words: fast enough not to bore, slow enough to be seen.
const WORD: Duration = Duration::from_millis(15);
/// Between two numbers of `slow N`.
const SLOW_WORD: Duration = Duration::from_millis(100);
const MAX_SLOW: usize = 1000;
const MAX_LONG: usize = 20_000;
/// The tool it knows to call.
const CLOCK: &str = "clock";
/// Longest piece of the user's text that is repeated, in characters.
const MAX_ECHO: usize = 600;

const ABOUT: &str = "I am the built-in demo model of openclawd: I work offline, need no key, and only repeat what you \
                     write. To talk to a real model, run `occtl models add`.";

/// The wire format `demo`.
#[derive(Debug, Clone, Copy)]
pub struct Demo {
    pace: Duration,
}

impl Default for Demo {
    fn default() -> Self {
        Self { pace: WORD }
    }
}

impl Demo {
    /// A demo that takes `pace` between two words.
    #[must_use]
    pub fn paced(pace: Duration) -> Self {
        Self { pace }
    }
}

/// What is said, and how fast.
struct Script {
    words: Vec<String>,
    pause: Duration,
    call: bool,
}

impl Wire for Demo {
    fn stream(&self, _endpoint: &Endpoint, _credential: Option<&Secret>, request: &ModelRequest) -> ModelStream {
        let script = script(request, self.pace);
        let usage = usage(request, &script.words);
        let pause = script.pause;
        let words = stream::iter(script.words).then(move |word| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            ModelEvent::TextDelta(word)
        });
        let mut end = Vec::new();
        if script.call {
            let id = format!("demo-call-{}", request.messages.len());
            end.push(ModelEvent::ToolCallStart { index: 0, id, name: CLOCK.to_owned() });
            end.push(ModelEvent::ToolCallDelta { index: 0, arguments: json!({}).to_string() });
        }
        end.push(ModelEvent::Usage(usage));
        end.push(ModelEvent::Done(if script.call { StopReason::ToolUse } else { StopReason::Stop }));
        words.chain(stream::iter(end)).map(Ok).boxed()
    }
}

fn script(request: &ModelRequest, pace: Duration) -> Script {
    let say = |text: String| Script { words: words(&text), pause: pace, call: false };
    if let Some(Message::ToolResult { tool_name, is_error, .. }) = request.messages.last() {
        let result = request.messages.last().map(Message::text).unwrap_or_default();
        let result = cut(result.trim());
        return say(if *is_error {
            format!("The tool `{tool_name}` failed: {result}")
        } else {
            format!("The tool `{tool_name}` says: {result}")
        });
    }
    let asked = request.messages.iter().rev().find(|message| matches!(message, Message::User { .. }));
    let asked = asked.map(Message::text).unwrap_or_default();
    let lower = asked.to_lowercase();
    let mentions = |word: &str| lower.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
    if let Some(n) = number_after(&lower, "slow") {
        let words = (1..=n.min(MAX_SLOW)).map(|n| format!("{n} ")).collect();
        return Script { words, pause: SLOW_WORD, call: false };
    }
    if let Some(n) = number_after(&lower, "long") {
        let words = (1..=n.min(MAX_LONG)).map(|n| format!("word{n} ")).collect();
        return Script { words, pause: Duration::ZERO, call: false };
    }
    if (mentions("time") || mentions("tool")) && request.tools.iter().any(|tool| tool.name == CLOCK) {
        return Script { call: true, ..say("Let me look at the clock. ".to_owned()) };
    }
    say(format!("{ABOUT}\n\nYou said: {}", cut(asked.trim())))
}

/// The number behind `word`, as in `slow 20`.
fn number_after(text: &str, word: &str) -> Option<usize> {
    let mut parts = text.split_whitespace();
    parts.find(|part| *part == word)?;
    parts.next()?.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_ECHO) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Words with the white space behind them, so that joining gives the text back.
fn words(text: &str) -> Vec<String> {
    text.split_inclusive(char::is_whitespace).map(str::to_owned).collect()
}

/// Counts words as tokens, so that the counters of a user interface move.
fn usage(request: &ModelRequest, words: &[String]) -> Usage {
    let count = |text: &str| u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX);
    let system = request.system.as_deref().map_or(0, count);
    let input = request.messages.iter().map(|message| count(&message.text())).fold(system, u64::saturating_add);
    let output = u64::try_from(words.len()).unwrap_or(u64::MAX);
    Usage { input, output, total_tokens: input.saturating_add(output), ..Usage::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::TextPart;
    use crate::providers::contract::{HttpClient, ToolSpec};
    use crate::providers::{AnswerBuilder, Deadlines};

    async fn answer(messages: Vec<Message>, with_clock: bool) -> (String, Vec<ModelEvent>) {
        let endpoint = Endpoint {
            provider: "demo".into(),
            base_url: "demo:".into(),
            headers: Vec::new(),
            auth_header: None,
            default_max_tokens: 1,
            deadlines: Deadlines::default(),
            client: HttpClient::lazy(Duration::ZERO, true),
        };
        let clock = ToolSpec { name: CLOCK.into(), description: String::new(), parameters: json!({}) };
        let tools = if with_clock { vec![clock] } else { Vec::new() };
        let request = ModelRequest { model: "echo".into(), messages, tools, ..ModelRequest::default() };
        let stream = Demo::paced(Duration::ZERO).stream(&endpoint, None, &request);
        let events: Vec<ModelEvent> = stream.map(Result::unwrap).collect().await;
        let mut answer = AnswerBuilder::default();
        events.iter().for_each(|event| answer.push(event));
        (answer.text(), events)
    }

    #[tokio::test]
    async fn says_what_it_is_and_repeats() {
        let (text, events) = answer(vec![Message::user("hello there", 0)], true).await;
        assert!(text.contains("demo") && text.contains("occtl models add"));
        assert!(text.ends_with("You said: hello there"));
        assert!(events.len() > 10, "word by word");
        assert_eq!(events.last(), Some(&ModelEvent::Done(StopReason::Stop)));
        assert_eq!(answer(vec![Message::user("hello there", 0)], true).await.1, events, "the same each time");
    }

    #[tokio::test]
    async fn calls_the_clock_when_asked_and_answers_with_its_result() {
        let asked = Message::user("what time is it?", 0);
        let (_, events) = answer(vec![asked.clone()], true).await;
        assert!(events.iter().any(|event| matches!(event, ModelEvent::ToolCallStart { name, .. } if name == "clock")));
        assert_eq!(events.last(), Some(&ModelEvent::Done(StopReason::ToolUse)));
        let (text, _) = answer(vec![asked.clone()], false).await;
        assert!(text.contains("You said"), "without the tool it just answers");
        let result = Message::ToolResult {
            tool_call_id: "c".into(),
            tool_name: "clock".into(),
            content: vec![TextPart { text: "noon".into() }],
            details: None,
            is_error: false,
            timestamp: 0,
        };
        assert_eq!(answer(vec![asked, result], true).await.0, "The tool `clock` says: noon");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_and_long_answers_come_on_request() {
        let started = tokio::time::Instant::now();
        assert_eq!(answer(vec![Message::user("slow 3", 0)], false).await.0, "1 2 3 ");
        assert!(started.elapsed() >= 3 * SLOW_WORD);
        let (text, _) = answer(vec![Message::user("say a long 5000 story", 0)], false).await;
        assert_eq!(text.split_whitespace().count(), 5000);
    }
}
