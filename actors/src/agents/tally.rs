//! What a turn adds up on its way to its result.

use super::contract::{RunOutcome, RunResult};
use super::model_call;
use super::prompt::PromptReport;
use super::reply::Reply;
use crate::message::{Message, Usage};

/// What is known so far.
#[derive(Default)]
pub(super) struct Tally {
    provider: String,
    model: String,
    pub(super) usage: Usage,
    /// Tools that were called with success.
    pub(super) tools: Vec<String>,
    /// What a person sees of the answer.
    pub(super) reply: Reply,
    context_tokens: u64,
    pub(super) report: Option<Box<PromptReport>>,
}

impl Tally {
    pub(super) fn result(self, outcome: RunOutcome) -> RunResult {
        let reply = match &outcome {
            RunOutcome::Answered(_) => self.reply,
            RunOutcome::Failed(_) | RunOutcome::Aborted(_) => Reply::default(),
        };
        RunResult {
            outcome,
            provider: self.provider,
            model: self.model,
            usage: self.usage,
            tools: self.tools,
            reply,
            context_tokens: self.context_tokens,
            report: self.report,
        }
    }

    /// Adds what a call cost that is not part of the conversation.
    pub(super) fn add(&mut self, message: &Message) {
        add(&mut self.usage, &model_call::usage_of(message));
    }

    /// Adds a message of the conversation.
    pub(super) fn heard(&mut self, message: &Message) {
        if let Message::Assistant { provider, model, usage, .. } = message {
            self.provider.clone_from(provider);
            self.model.clone_from(model);
            self.context_tokens = usage.total_tokens;
        }
        self.add(message);
    }
}

fn add(sum: &mut Usage, more: &Usage) {
    sum.input += more.input;
    sum.output += more.output;
    sum.cache_read += more.cache_read;
    sum.cache_write += more.cache_write;
    sum.total_tokens += more.total_tokens;
    sum.cost.input += more.cost.input;
    sum.cost.output += more.cost.output;
    sum.cost.cache_read += more.cost.cache_read;
    sum.cost.cache_write += more.cost.cache_write;
    sum.cost.total += more.cost.total;
}
