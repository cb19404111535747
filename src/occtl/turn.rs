//! One turn of an agent as its client sees it: events in, text to print out.
//!
//! Deltas carry the whole text so far; printing the difference to what is already on the screen makes a turn that went on
//! over a lost connection read as if nothing had happened.

use serde_json::Value;

use crate::protocol::Event;

/// Follows one run.
#[derive(Debug)]
pub(crate) struct Turn {
    run_id: String,
    shown: String,
}

/// What an event means for the person who waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing to see, or another run's.
    Nothing,
    /// More text.
    Text(String),
    /// A tool was started.
    Tool(String),
    /// The model is asked again after a failure, in words.
    Retry(String),
    /// The run is over.
    Over(Ending),
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was answered; the rest of the text, if any was left.
    Answered(String),
    /// Somebody stopped it.
    Aborted,
    /// It failed, in words for a person.
    Failed(String),
}

impl Turn {
    /// Follows the run with this id.
    pub(crate) fn new(run_id: impl Into<String>) -> Self {
        Self { run_id: run_id.into(), shown: String::new() }
    }

    /// The run's id, which is also the idempotency key it was asked for with.
    pub(crate) fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The text so far.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Takes in an event of the gateway.
    pub(crate) fn on_event(&mut self, event: &Event) -> Step {
        let Some(payload) = event.payload.as_ref().filter(|payload| payload["runId"] == self.run_id.as_str()) else {
            return Step::Nothing;
        };
        match event.event.as_str() {
            "chat" => self.on_chat(payload),
            "agent" if payload["stream"] == "tool" && payload["data"]["phase"] == "start" => {
                Step::Tool(payload["data"]["name"].as_str().unwrap_or("tool").to_owned())
            }
            _ => Step::Nothing,
        }
    }

    fn on_chat(&mut self, payload: &Value) -> Step {
        match payload["state"].as_str().unwrap_or_default() {
            "delta" => {
                let whole = message_text(&payload["message"]).unwrap_or_else(|| {
                    let part = payload["deltaText"].as_str().unwrap_or_default();
                    if payload["replace"] == true { part.to_owned() } else { format!("{}{part}", self.shown) }
                });
                self.advance(&whole).map_or(Step::Nothing, Step::Text)
            }
            "final" => {
                let whole = message_text(&payload["message"]);
                Step::Over(Ending::Answered(whole.and_then(|whole| self.advance(&whole)).unwrap_or_default()))
            }
            "status" if payload["retry"].is_object() => {
                let retry = &payload["retry"];
                let (tries, reason) = (retry["attempt"].as_u64().unwrap_or(0), retry["reason"].as_str().unwrap_or("?"));
                Step::Retry(format!("the model did not answer ({reason}), asking again (try {})", tries + 1))
            }
            "aborted" => Step::Over(Ending::Aborted),
            "error" => {
                Step::Over(Ending::Failed(payload["errorMessage"].as_str().unwrap_or("the run failed").to_owned()))
            }
            _ => Step::Nothing,
        }
    }

    /// What to print so that `whole` stands there; a text that was rewritten is printed anew on its own line.
    pub(crate) fn advance(&mut self, whole: &str) -> Option<String> {
        if whole == self.shown {
            return None;
        }
        let new = match whole.strip_prefix(self.shown.as_str()) {
            Some(rest) => rest.to_owned(),
            None => format!("\n{whole}"),
        };
        whole.clone_into(&mut self.shown);
        Some(new)
    }
}

/// The text of a message: its content as it is, or its text parts joined.
pub(crate) fn message_text(message: &Value) -> Option<String> {
    match message.get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(|part| part["text"].as_str()).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// The answer to `run_id` in a page of history: the assistant's text after the message that started the run.
pub(crate) fn answer_in_history(messages: &[Value], run_id: &str) -> Option<String> {
    let key = format!("{run_id}:user");
    let asked = messages.iter().position(|message| message["idempotencyKey"] == key.as_str())?;
    let after = messages[asked + 1..].iter().take_while(|message| message["role"] != "user");
    let texts: Vec<String> = after
        .filter(|message| message["role"] == "assistant")
        .filter_map(message_text)
        .filter(|text| !text.is_empty())
        .collect();
    texts.last().cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chat(payload: Value) -> Event {
        Event::direct("chat", payload)
    }

    fn delta(text: &str) -> Event {
        chat(
            json!({"runId": "r", "state": "delta", "deltaText": "x", "message": {"content": [{"type": "text", "text": text}]}}),
        )
    }

    #[test]
    fn only_what_is_new_is_printed() {
        let mut turn = Turn::new("r");
        assert_eq!(turn.on_event(&delta("Hel")), Step::Text("Hel".into()));
        assert_eq!(turn.on_event(&delta("Hello")), Step::Text("lo".into()));
        assert_eq!(turn.on_event(&delta("Hello")), Step::Nothing);
        let over =
            chat(json!({"runId": "r", "state": "final", "message": {"content": [{"type": "text", "text": "Hello!"}]}}));
        assert_eq!(turn.on_event(&over), Step::Over(Ending::Answered("!".into())));
    }

    #[test]
    fn rewritten_text_is_printed_anew() {
        let mut turn = Turn::new("r");
        turn.on_event(&delta("Hello"));
        let replaced = chat(json!({"runId": "r", "state": "delta", "deltaText": "Bye", "replace": true}));
        assert_eq!(turn.on_event(&replaced), Step::Text("\nBye".into()));
        let more = chat(json!({"runId": "r", "state": "delta", "deltaText": " now"}));
        assert_eq!(turn.on_event(&more), Step::Text(" now".into()));
    }

    #[test]
    fn other_runs_are_not_ours() {
        let other = chat(json!({"runId": "s", "state": "final"}));
        assert_eq!(Turn::new("r").on_event(&other), Step::Nothing);
    }

    #[test]
    fn a_failure_is_told_in_its_own_words() {
        let failed = chat(json!({"runId": "r", "state": "error", "errorMessage": "no credit"}));
        assert_eq!(Turn::new("r").on_event(&failed), Step::Over(Ending::Failed("no credit".into())));
    }

    #[test]
    fn the_answer_is_found_in_history() {
        let messages = [
            json!({"role": "user", "content": "a", "idempotencyKey": "r:user"}),
            json!({"role": "assistant", "content": [{"type": "toolCall", "name": "clock"}]}),
            json!({"role": "toolResult", "content": [{"type": "text", "text": "noon"}]}),
            json!({"role": "assistant", "content": [{"type": "text", "text": "It is noon."}]}),
            json!({"role": "user", "content": "b", "idempotencyKey": "s:user"}),
            json!({"role": "assistant", "content": [{"type": "text", "text": "Later."}]}),
        ];
        assert_eq!(answer_in_history(&messages, "r").as_deref(), Some("It is noon."));
        assert_eq!(answer_in_history(&messages, "t"), None);
    }
}
