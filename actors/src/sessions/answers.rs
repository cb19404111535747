//! Commands that a session answers itself, also while a run is at work: nothing of them reaches the model or the
//! transcript.

use supervision::{ActorResult, BoxError, Ctx, Reply};

use super::accept::{Submission, SubmitAck, SubmitError};
use super::command::{HELP, Question};
use super::recovery::Expiring;
use super::runs::last_event;
use super::session::{SessionMessage, SessionState, Stored};
use super::settings::QueueChange;
use super::{accounts, journal};
use crate::agents::event::Ending;
use crate::agents::prompt::report::render;
use crate::message::Usage;
use crate::store::records::{DedupeRecord, RunEnd, RunRecord, RunState, RunStatus};
use crate::store::{Outcome, StoreError, value};

/// Longest title of a session, in characters (OpenClaw's).
const LONGEST_NAME: usize = 512;

/// A command that was not given before.
#[derive(Debug)]
pub(crate) struct Asked {
    question: Question,
    submission: Submission,
    reply: Reply<Result<SubmitAck, SubmitError>>,
}

/// An answer on its way to the store.
pub(crate) struct Answered {
    submission: Submission,
    ending: Ending,
    reply: Reply<Result<SubmitAck, SubmitError>>,
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answered({})", self.submission.run)
    }
}

impl SessionState {
    /// A command came. One that came before is not carried out again.
    pub(super) fn ask(
        &mut self,
        question: Question,
        submission: Submission,
        reply: Reply<Result<SubmitAck, SubmitError>>,
        ctx: &Ctx<SessionMessage>,
    ) {
        let (store, reporter) = (self.services.store.clone(), ctx.reporter());
        let (key, session) = (submission.dedupe_key(), self.key.clone());
        ctx.spawn_scoped(async move {
            match store.get::<DedupeRecord>(key).await {
                Ok(None) => {
                    reporter.send(SessionMessage::Answer(Box::new(Asked { question, submission, reply })));
                }
                Ok(Some(known)) if known.fingerprint != submission.fingerprint(&session) => {
                    reply.send(Err(SubmitError::Conflict));
                }
                Ok(Some(_)) => {
                    let end = store.get::<RunRecord>(journal::run_key(&session, &submission.run)).await;
                    reply.send(match end {
                        Ok(Some(RunRecord { state: RunState::Ended(end), .. })) => Ok(SubmitAck::Ended(end)),
                        Ok(Some(_) | None) => Ok(SubmitAck::InFlight),
                        Err(error) => Err(SubmitError::Store(error)),
                    });
                }
                Err(error) => reply.send(Err(SubmitError::Store(error))),
            }
        });
    }

    /// Carries a command out and stores its answer.
    pub(super) fn answer(&mut self, asked: Asked) -> ActorResult {
        let Asked { question, submission, reply } = asked;
        let text = if question.is_for_owners() && !submission.owner {
            String::from("Only an owner of this gateway may do that.")
        } else {
            self.carry_out(&question, &submission)
        };
        let now = self.services.run.clock.now_ms();
        let end = RunEnd {
            status: RunStatus::Ok,
            text,
            error: None,
            provider: String::from("openclawd"),
            model: String::from("command"),
            usage: Usage::default(),
            ended_at: now,
            started_at: now,
            session_id: self.conversation.session_id.to_string(),
            tools: Vec::new(),
        };
        self.row.updated_at = now;
        self.row.session_id = self.conversation.session_id.to_string();
        let commit = self.answer_commit(&submission, &end, now)?;
        let ending = Ending { end };
        self.write(Stored::Answered(Box::new(Answered { submission, ending, reply })), commit)
    }

    fn answer_commit(&self, submission: &Submission, end: &RunEnd, now: i64) -> Result<crate::store::Commit, BoxError> {
        let open = RunRecord {
            session: self.key.to_string(),
            state: RunState::Open,
            attempts: 0,
            joined: Vec::new(),
            owner: submission.owner,
            compact: None,
            streamed: None,
            started_at: now,
            route: submission.route.clone(),
            model: None,
            expires_at: None,
        };
        let delivery = submission
            .route
            .as_ref()
            .map(|route| journal::delivery(&self.key, &submission.run, route, &end.text, self.next_seq(), now));
        let dedupe = submission.dedupe_key();
        let commit = journal::finish(&self.key, &submission.run, &open, end, Vec::new(), delivery.as_ref())?
            .expect_absent(dedupe.clone())
            .put(dedupe, value::encode(&submission.dedupe_record(&self.key, now))?);
        Ok(journal::with_row(commit, &self.key, &self.row)?)
    }

    /// The answer is durable: tell everybody.
    pub(super) fn answered(
        &mut self,
        answered: Answered,
        result: Result<Outcome, StoreError>,
        ctx: &Ctx<SessionMessage>,
    ) -> ActorResult {
        let Answered { submission, ending, reply } = answered;
        match result {
            Ok(Outcome::Committed) => {}
            // The same command twice at once: the other one has been answered.
            Ok(Outcome::Conflict { .. }) => {
                reply.send(Ok(SubmitAck::InFlight));
                return Ok(());
            }
            Err(error) => {
                reply.send(Err(SubmitError::Store(error)));
                return Ok(());
            }
        }
        reply.send(Ok(SubmitAck::Accepted));
        let now = ending.end.ended_at;
        self.forget.push_back(Expiring::new(&self.key, &submission.run, submission.dedupe_key(), now));
        self.job_of(&submission.run, now).publish(&self.services.run, last_event(&ending, "unknown", "stop"));
        self.remember_end(submission.run.clone(), ending.end.clone());
        self.answer_waiters(&submission.run, &ending);
        if let Some(route) = &submission.route {
            self.services.deliveries.wake(&route.channel, &route.account);
        }
        self.changed("update");
        self.start_next(ctx)
    }

    fn carry_out(&mut self, question: &Question, submission: &Submission) -> String {
        match question {
            Question::Help => HELP.to_owned(),
            Question::WhoAmI => self.who(submission),
            Question::Status => self.status_card(submission),
            Question::Queue(Err(wrong)) => format!("{wrong}. Nothing was changed."),
            Question::Queue(Ok(change)) => {
                change.apply(&mut self.row);
                let channel = submission.route.as_ref().map(|route| route.channel.as_str());
                let settings = self.queue_rules().for_input(channel, None);
                match change {
                    QueueChange::Show => format!("Queue: {}. {} waiting.", settings.describe(), self.queue.len()),
                    QueueChange::Clear => format!("Queue settings of this session are gone: {}.", settings.describe()),
                    QueueChange::Set { .. } => format!("Queue set: {}.", settings.describe()),
                }
            }
            Question::Context(in_detail) => match accounts::report(&self.row) {
                Some(report) => render(&report, accounts::context_use(&self.row, self.window()), *in_detail),
                None => String::from("No model was asked in this session yet."),
            },
            Question::Name(name) => self.rename(name),
            Question::Send(word) => self.toggle("sendPolicy", word, &[("on", "allow"), ("off", "deny")], "inherit"),
            Question::Usage(word) => {
                let words = [("off", "off"), ("tokens", "tokens"), ("full", "full")];
                self.toggle("responseUsage", word, &words, "reset")
            }
        }
    }

    /// The window of the agent's model, as the configuration tells it.
    fn window(&self) -> Option<u64> {
        let config = self.services.run.config.current();
        let primary = config.config.agents.model_of(&self.agent).primary.clone()?;
        let providers = &self.services.run.providers;
        let model = providers.find(&primary).ok()?;
        providers.resolve(&model).ok().map(|info| info.context_window)
    }

    fn who(&self, submission: &Submission) -> String {
        let role = if submission.owner { "an owner" } else { "a guest" };
        match &submission.route {
            Some(route) => {
                format!("You are {role}, in chat {} of {}:{}.", route.to, route.channel, route.account)
            }
            None => format!("You are {role}, a client of the control plane."),
        }
    }

    fn status_card(&self, submission: &Submission) -> String {
        let channel = submission.route.as_ref().map(|route| route.channel.as_str());
        let settings = self.queue_rules().for_input(channel, None);
        let row = &self.row;
        let model = match (&row.model_provider, &row.model) {
            (Some(provider), Some(model)) => format!("{provider}/{model}"),
            (None | Some(_), None) | (None, Some(_)) => String::from("not asked yet"),
        };
        let run = match &self.active {
            Some(active) => format!("run {} at work", active.run()),
            None => String::from("idle"),
        };
        format!(
            "Session {}: {run}\nModel: {model}\nContext: {} tokens, {} messages\nTokens: {} in, {} out\nQueue: {}, {} waiting\nCompactions: {}",
            self.key,
            row.total_tokens,
            self.conversation.messages().len(),
            row.input_tokens,
            row.output_tokens,
            settings.describe(),
            self.queue.len(),
            row.number("compactionCount").unwrap_or(0),
        )
    }

    fn rename(&mut self, name: &str) -> String {
        if name.is_empty() {
            return match &self.row.label {
                Some(label) => format!("This session is named \"{label}\"."),
                None => String::from("This session has no name; /name <title> gives it one."),
            };
        }
        if name.chars().count() > LONGEST_NAME {
            return format!("A name has at most {LONGEST_NAME} characters. Nothing was changed.");
        }
        self.row.label = Some(name.to_owned());
        format!("This session is named \"{name}\" now.")
    }

    /// Shows, sets or forgets a setting of the row that is one of a few words.
    fn toggle(&mut self, field: &str, word: &str, words: &[(&str, &str)], forget: &str) -> String {
        let choices = || words.iter().map(|(word, _)| *word).chain([forget]).collect::<Vec<_>>().join(", ");
        if word.is_empty() {
            let stored = self.row.text(field).unwrap_or("not set");
            return format!("It is: {stored}. Choices: {}.", choices());
        }
        if word == forget {
            self.row.rest.remove(field);
            return String::from("The session's own setting is gone.");
        }
        match words.iter().find(|(known, _)| *known == word) {
            Some((_, value)) => {
                self.row.set(field, *value);
                format!("Set: {word}.")
            }
            None => format!("\"{word}\" is none of {}. Nothing was changed.", choices()),
        }
    }
}
