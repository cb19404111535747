//! Shortening the history of a run: when it is due, asking for the summary, handing it to the session.
//!
//! Whatever goes wrong leaves the history as it is.

use super::cut::{Keep, plan};
use super::estimate::{self, conversation_tokens, reserve};
use super::{Compacted, flush, summary};
use crate::agents::contract::{RunFailure, RunJob, RunOutcome, RunServices};
use crate::agents::event::RunEventKind;
use crate::agents::model_call::{self, Ask, Called};
use crate::agents::port::TurnPort;
use crate::agents::receive::Shown;
use crate::agents::reply::Reply;
use crate::agents::tally::Tally;
use crate::agents::turn::Turn;
use crate::config::CompactionConfig;
use crate::message::{AssistantPart, Message, StopReason, Usage};
use crate::providers::Failover;

/// How often a request for a summary that is itself too long is made again with half of the material.
const HALVINGS: u32 = 3;

/// How it went.
pub(in crate::agents) enum Shortened {
    /// The history is shorter.
    Done {
        /// Tokens before, as far as they are known.
        before: u64,
        /// Tokens after, estimated.
        after: u64,
        /// Messages that stayed.
        kept: usize,
    },
    /// There is nothing to leave out.
    Nothing,
    /// No good summary, or it could not be stored.
    Failed(String),
    /// A person stopped it.
    Aborted,
}

/// Looks at the history before a model is asked: notes are taken when it comes near the limit, and at the limit it is
/// shortened. What fails here is no reason not to answer.
pub(in crate::agents) async fn before_call(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    tally: &mut Tally,
    turn: &mut Turn,
) {
    let config = services.config.current();
    let config = &config.config.agents.defaults.compaction;
    let Some(window) = model_call::window(&turn.failover, services).filter(|_| config.enabled) else { return };
    let projected = estimate::projected(&job.history, turn.context.overhead);
    let limit = window.saturating_sub(reserve(window));
    let notes = config.flush.enabled && turn.context.audience.is_private();
    if notes && projected >= limit.saturating_sub(config.flush.soft_tokens) && port.sink.flushing().await {
        flush::take_notes(job, services, port, tally, turn, config).await;
    }
    if projected < limit {
        return;
    }
    if let Shortened::Failed(why) = shorten(job, services, port, tally, turn, None, false).await {
        tracing::warn!(run_id = %job.run, why, "history not shortened");
    }
}

/// A person asked for it: the answer tells how it went.
pub(in crate::agents) async fn on_command(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    tally: &mut Tally,
    turn: &mut Turn,
    wishes: &str,
) -> RunOutcome {
    let text = match shorten(job, services, port, tally, turn, Some(wishes), false).await {
        Shortened::Done { before, after, kept } => {
            format!(
                "The history is shorter now: about {before} tokens before, {after} after; the newest {kept} messages are as they were."
            )
        }
        Shortened::Nothing => String::from("There is nothing to shorten yet."),
        Shortened::Failed(why) => {
            let text = format!("the history is as it was: {why}");
            return RunOutcome::Failed(RunFailure { text, kind: "unknown" });
        }
        Shortened::Aborted => return RunOutcome::Aborted(None),
    };
    tally.reply = Reply::plain(text.as_str());
    RunOutcome::Answered(Message::Assistant {
        content: vec![AssistantPart::Text { text }],
        api: String::from("openclawd"),
        provider: String::from("openclawd"),
        model: String::from("command"),
        usage: Usage::default(),
        stop_reason: StopReason::Stop,
        error_message: None,
        timestamp: services.clock.now_ms(),
    })
}

/// Shortens the history, here and in the transcript.
pub(in crate::agents) async fn shorten(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    tally: &mut Tally,
    turn: &mut Turn,
    wishes: Option<&str>,
    will_retry: bool,
) -> Shortened {
    port.event(RunEventKind::Compaction { is_over: false, will_retry: false });
    let shortened = attempt(job, services, port, tally, turn, wishes).await;
    let is_done = matches!(shortened, Shortened::Done { .. });
    port.event(RunEventKind::Compaction { is_over: true, will_retry: will_retry && is_done });
    shortened
}

async fn attempt(
    job: &mut RunJob,
    services: &RunServices,
    port: &TurnPort,
    tally: &mut Tally,
    turn: &mut Turn,
    wishes: Option<&str>,
) -> Shortened {
    let snapshot = services.config.current();
    let config = &snapshot.config.agents.defaults.compaction;
    let Some(window) = model_call::window(&turn.failover, services) else {
        return Shortened::Failed(String::from("the model is not known"));
    };
    let half = window.saturating_sub(reserve(window)) / 2;
    let keep = Keep { tokens: config.keep_recent_tokens.min(half), turns: config.recent_turns, most: half };
    let Some(cut) = plan(&job.history, keep) else { return Shortened::Nothing };
    let before = estimate::projected(&job.history, turn.context.overhead);
    let (left_out, kept) = job.history.split_at(cut.kept_from);
    let mut asker =
        Asker { job, services, port, tally, config, wishes, failover: failover(config, services, turn), window };
    let text = match asker.summary(left_out, cut.turn_from).await {
        Ok(text) => text,
        Err(failed) => return failed,
    };
    let details = summary::details(left_out);
    let at = services.clock.now_ms();
    let front = summary::summary_message(&text, details.latest_unresolved_user_request.as_deref(), at);
    if !summary::shrinks(&front, left_out) {
        return Shortened::Failed(String::from("the summary is as long as what it stands for"));
    }
    let (kept, of) = (kept.to_vec(), job.history.len());
    let after = conversation_tokens(&kept) + super::message_tokens(&front) + turn.context.overhead;
    let entry =
        Compacted { summary: text, kept: kept.len(), of, tokens_before: before, tokens_after: after, details, at };
    if !port.sink.compacted(entry).await {
        return Shortened::Failed(String::from("it could not be written to the transcript"));
    }
    let done = Shortened::Done { before, after, kept: kept.len() };
    job.history = std::iter::once(front).chain(kept).collect();
    done
}

/// The model of the summaries: the configured one, or that of the run.
fn failover(config: &CompactionConfig, services: &RunServices, turn: &Turn) -> Failover {
    let own = config.model.as_deref().and_then(|name| model_call::only(name, services));
    own.unwrap_or_else(|| turn.failover.clone())
}

/// Asks for summaries.
struct Asker<'a> {
    job: &'a RunJob,
    services: &'a RunServices,
    port: &'a TurnPort,
    tally: &'a mut Tally,
    config: &'a CompactionConfig,
    wishes: Option<&'a str>,
    failover: Failover,
    window: u64,
}

impl Asker<'_> {
    /// The summary of everything that is left out; the part of a turn that is cut through stands for itself behind it.
    async fn summary(&mut self, left_out: &[Message], turn_from: usize) -> Result<String, Shortened> {
        let (prior, rest) = match left_out.split_first() {
            Some((first, rest)) if super::is_summary(first) => (Some(summary::prior(first)), rest),
            Some(_) | None => (None, left_out),
        };
        let skipped = left_out.len() - rest.len();
        let (whole, begun) = rest.split_at(turn_from.min(left_out.len()).saturating_sub(skipped));
        let mut text = match prior {
            Some(prior) if whole.is_empty() => prior,
            prior if !whole.is_empty() => self.of(prior, whole, false).await?,
            Some(_) | None => String::new(),
        };
        if !begun.is_empty() {
            let prefix = self.of(None, begun, true).await?;
            text = if text.is_empty() { prefix } else { format!("{text}\n\n# The turn that goes on\n{prefix}") };
        }
        Ok(text)
    }

    /// The summary of one part, in as many requests as its length needs.
    async fn of(&mut self, prior: Option<String>, part: &[Message], is_prefix: bool) -> Result<String, Shortened> {
        let mut window = self.window;
        for _ in 0..=HALVINGS {
            match self.through(prior.clone(), part, window, is_prefix).await {
                Err(Asked::TooLong) => window /= 2,
                Err(Asked::Ended(ended)) => return Err(ended),
                Ok(text) => return Ok(text),
            }
        }
        Err(Shortened::Failed(String::from("the model takes no part of the conversation, however short")))
    }

    async fn through(
        &mut self,
        prior: Option<String>,
        part: &[Message],
        window: u64,
        is_prefix: bool,
    ) -> Result<String, Asked> {
        let with_headings = self.config.safeguard && !is_prefix;
        let system = summary::instructions(self.config.strict_identifiers, with_headings, self.wishes);
        let mut so_far = prior;
        let chunks = summary::chunks(part, window);
        for chunk in &chunks {
            let material = summary::material(so_far.as_deref(), chunk, is_prefix);
            so_far = Some(self.good(&system, material, with_headings).await?);
        }
        Ok(so_far.unwrap_or_default())
    }

    /// A summary with all its headings; asked for again as often as the configuration says.
    async fn good(&mut self, system: &str, material: String, with_headings: bool) -> Result<String, Asked> {
        let mut text = self.ask(system, &material).await?;
        let Some(retries) = self.config.quality_retries.filter(|_| with_headings) else { return Ok(text) };
        for _ in 0..retries {
            let missing = summary::missing_headings(&text);
            if missing.is_empty() {
                return Ok(text);
            }
            text = self.ask(system, &format!("{material}\n\n{}", summary::again(&missing))).await?;
        }
        match summary::missing_headings(&text).as_slice() {
            [] => Ok(text),
            missing => {
                let why = format!("the summary lacks these headings: {}", missing.join(", "));
                Err(Asked::Ended(Shortened::Failed(why)))
            }
        }
    }

    async fn ask(&mut self, system: &str, material: &str) -> Result<String, Asked> {
        let messages = [Message::user(material, self.services.clock.now_ms())];
        let ask = Ask {
            system,
            system_turn: "",
            messages: &messages,
            note: None,
            tools: &[],
            no_tool_calls: false,
            overhead: super::text_tokens(system),
            limit: Some(self.config.timeout),
        };
        let (port, mut shown) = (self.port.quiet(), Shown::new(false));
        match model_call::call(self.job, self.services, &port, ask, &mut shown, &mut self.failover).await {
            Called::Answered(message) => {
                self.tally.add(&message);
                let text = message.text().trim().to_owned();
                let empty = || Asked::Ended(Shortened::Failed(String::from("the summary is empty")));
                if text.is_empty() { Err(empty()) } else { Ok(text) }
            }
            Called::Aborted(_) => Err(Asked::Ended(Shortened::Aborted)),
            Called::Overflow(_) => Err(Asked::TooLong),
            Called::Empty(failure) | Called::Failed(failure) => Err(Asked::Ended(Shortened::Failed(failure.text))),
        }
    }
}

/// Why there is no summary.
enum Asked {
    /// The request was too long for the model.
    TooLong,
    /// It ends here.
    Ended(Shortened),
}
