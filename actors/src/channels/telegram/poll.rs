//! The connection: who we are, then long polls for ever.
//!
//! The offset moves past an update only when the update is durably accepted or consciously handled. Trouble that heals
//! is handled here; trouble that lasts ends the connection and is the supervisor's.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use teloxide::payloads::{AnswerCallbackQuery, DeleteWebhook, GetMe, SetMyCommands};
use teloxide::types::{BotCommand, CallbackQueryId};
use tokio::time::{Instant, sleep, timeout};

use crate::channels::contract::{Accepted, ChannelEnd, Cursor, Link, SinkError};
use crate::channels::status::Fact;
use crate::channels::telegram::api::{Api, CallError};
use crate::channels::telegram::inbound::{Reader, Verdict, update_id};
use crate::channels::telegram::{TelegramSettings, Timing};
use crate::failpoint::failpoint;

/// Updates per poll: the Bot API's most.
const BATCH: u8 = 100;
/// Spread of waits.
const JITTER: f64 = 0.2;

/// What a bot gets by default as far as it concerns us, and what is to be counted at least.
const WANTED: &[&str] = &[
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "callback_query",
    "my_chat_member",
    "message_reaction",
];

/// The parameters of a poll. teloxide's own payload has a narrower offset than update ids may need.
#[derive(Serialize)]
struct PollRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    limit: u8,
    timeout: u64,
    allowed_updates: &'static [&'static str],
}

/// Runs the connection until it is cancelled, lost or refused.
///
/// # Errors
/// Fatal when Telegram refuses the account, lost when it can't be reached for longer than the loop puts up with.
pub async fn run(settings: TelegramSettings, link: Link) -> Result<(), ChannelEnd> {
    let cancel = link.cancel.clone();
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        end = connect_and_poll(settings, link) => end,
    }
}

async fn connect_and_poll(settings: TelegramSettings, link: Link) -> Result<(), ChannelEnd> {
    let api = Api::new(&settings)?;
    let me = api.call(&GetMe::new()).await.map_err(|error| start_failure(&error))?;
    let bot_id = me.get("id").and_then(Value::as_i64).ok_or_else(|| lost("getMe named no bot"))?;
    let username = me.get("username").and_then(Value::as_str).map(|name| format!("@{name}"));
    let bot_name = me.get("first_name").and_then(Value::as_str).unwrap_or("a bot").to_owned();
    remove_webhook(&api).await?;
    offer_commands(&api).await;
    let reader = Reader { account: link.account.clone(), allow: settings.allow, bot_name };
    let mut poller = Poller {
        cursor: Cursor { identity: bot_id.to_string(), endpoint: api.endpoint(), position: 0 },
        api,
        reader,
        link,
        timing: settings.timing,
        recovering: false,
    };
    poller.restore_cursor().await;
    poller.report(Fact::Connected { identity: username.unwrap_or_else(|| bot_id.to_string()) });
    poller.poll_for_ever().await
}

fn lost(why: &str) -> ChannelEnd {
    ChannelEnd::Lost(why.to_owned())
}

fn start_failure(error: &CallError) -> ChannelEnd {
    match error {
        CallError::Refused { code: 401, .. } => ChannelEnd::Fatal("Telegram refuses the bot token (401)".to_owned()),
        CallError::Refused { code: 404, .. } => {
            ChannelEnd::Fatal("no such bot at this address (404): check botToken and apiRoot".to_owned())
        }
        CallError::Refused { .. } | CallError::NotDispatched(_) | CallError::Ambiguous(_) => {
            ChannelEnd::Lost(format!("getMe: {error}"))
        }
    }
}

/// A webhook would take the updates. Trouble here shows again as a conflict of the poll.
async fn remove_webhook(api: &Api) -> Result<(), ChannelEnd> {
    let mut request = DeleteWebhook::new();
    request.drop_pending_updates = Some(false);
    match api.call(&request).await {
        Err(error) if error.is_account_refused() => Err(start_failure(&error)),
        Err(error) => {
            tracing::warn!(%error, "webhook not removed");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

async fn offer_commands(api: &Api) {
    let commands = SetMyCommands::new([BotCommand::new("start", "Say hello")]);
    if let Err(error) = api.call(&commands).await {
        tracing::debug!(%error, "commands not set");
    }
}

/// What the loop does after a failed poll.
#[derive(Debug, PartialEq, Eq)]
enum AfterFailure {
    Wait(Duration),
    End(ChannelEnd),
}

/// Counts failures in a row. `jitter` is in `0..1`.
#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
}

impl Failures {
    fn next(&mut self, error: &CallError, silent_for: Duration, timing: &Timing, jitter: f64) -> AfterFailure {
        let attempt = self.in_a_row;
        self.in_a_row = self.in_a_row.saturating_add(1);
        if error.is_account_refused() {
            return AfterFailure::End(start_failure(error));
        }
        match error {
            // Another poller has the bot. That is not the network's fault and not worth a restart.
            CallError::Refused { code: 409, .. } => {
                AfterFailure::Wait(backoff(timing.conflict_first, timing.conflict_max, attempt, jitter))
            }
            CallError::Refused { code: 429, retry_after: Some(wait), .. } => AfterFailure::Wait(*wait),
            CallError::Refused { .. } | CallError::NotDispatched(_) | CallError::Ambiguous(_) => {
                if silent_for >= timing.lost_after {
                    AfterFailure::End(ChannelEnd::Lost(format!("no poll for {} s: {error}", silent_for.as_secs())))
                } else {
                    AfterFailure::Wait(backoff(timing.retry_first, timing.retry_max, attempt, jitter))
                }
            }
        }
    }
}

/// `first · 2^attempt` up to `max`, spread by up to a fifth.
fn backoff(first: Duration, max: Duration, attempt: u32, jitter: f64) -> Duration {
    let base = first.saturating_mul(2_u32.saturating_pow(attempt.min(30))).min(max);
    base.mul_f64(1.0 + JITTER * jitter).min(max)
}

struct Poller {
    api: Api,
    reader: Reader,
    link: Link,
    timing: Timing,
    cursor: Cursor,
    recovering: bool,
}

impl Poller {
    fn report(&self, fact: Fact) {
        (self.link.report)(fact);
    }

    /// A cursor of another bot or another server says nothing about this one.
    async fn restore_cursor(&mut self) {
        let mut attempt = 0;
        loop {
            match self.link.cursor.load(&self.link.channel, &self.link.account).await {
                Ok(Some(old)) if old.identity == self.cursor.identity && old.endpoint == self.cursor.endpoint => {
                    self.cursor.position = old.position;
                    break;
                }
                Ok(_) => break,
                Err(error) => self.wait_for_store(&error.to_string(), attempt).await,
            }
            attempt += 1;
        }
        if attempt > 0 {
            self.report(Fact::IngressAvailable);
        }
    }

    async fn poll_for_ever(&mut self) -> Result<(), ChannelEnd> {
        let mut failures = Failures::default();
        let mut last_answer = Instant::now();
        loop {
            match self.poll_once().await {
                Ok(updates) => {
                    failures = Failures::default();
                    self.report(Fact::Activity);
                    if std::mem::take(&mut self.recovering) {
                        self.report(Fact::Recovered);
                    }
                    for update in &updates {
                        self.take_in(update).await;
                    }
                    // Only after the batch: a slow store is not silence of the platform.
                    last_answer = Instant::now();
                }
                Err(error) => {
                    tracing::debug!(account = %self.link.account, %error, "poll failed");
                    match failures.next(&error, last_answer.elapsed(), &self.timing, rand::random()) {
                        AfterFailure::End(end) => return Err(end),
                        AfterFailure::Wait(wait) => self.pause(&error, wait).await?,
                    }
                }
            }
        }
    }

    async fn pause(&mut self, error: &CallError, wait: Duration) -> Result<(), ChannelEnd> {
        self.recovering = true;
        self.report(Fact::Recovering { error: error.to_string() });
        let conflict = matches!(error, CallError::Refused { code: 409, .. });
        if matches!(error, CallError::Refused { code: 409 | 429, .. }) {
            // The platform does answer: waiting it out is no stall.
            self.wait_with_activity(wait).await;
        } else {
            sleep(wait).await;
        }
        if conflict {
            remove_webhook(&self.api).await?;
        }
        Ok(())
    }

    /// Waits and says now and then that nothing is stuck.
    async fn wait_with_activity(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            self.report(Fact::Activity);
            sleep(until.saturating_duration_since(Instant::now()).min(self.timing.poll)).await;
        }
    }

    async fn poll_once(&self) -> Result<Vec<Value>, CallError> {
        let request = PollRequest {
            offset: (self.cursor.position > 0).then_some(self.cursor.position),
            limit: BATCH,
            timeout: self.timing.poll.as_secs(),
            allowed_updates: WANTED,
        };
        let limit = self.timing.poll + self.timing.poll_margin;
        let Value::Array(mut updates) = self.api.call_method("getUpdates", &request, limit).await? else {
            return Err(CallError::Ambiguous("getUpdates answered no list".to_owned()));
        };
        let received = updates.len();
        updates.retain(|update| update_id(update).is_some());
        if updates.len() < received {
            tracing::warn!(account = %self.link.account, left = received - updates.len(), "updates without an id");
            if updates.is_empty() {
                return Err(CallError::Ambiguous("updates without an id".to_owned()));
            }
        }
        updates.sort_by_key(update_id);
        Ok(updates)
    }

    /// Handles one update to its end and moves the cursor past it. While the store takes nothing in, this waits: the
    /// update stays with Telegram.
    async fn take_in(&mut self, update: &Value) {
        let Some(id) = update_id(update) else { return };
        let mut verdict = self.reader.read(update, self.link.clock.now_ms());
        let mut attempt = 0;
        loop {
            let handled = timeout(self.timing.accept, self.handle(verdict.clone(), id)).await;
            match handled.unwrap_or_else(|_| Err(SinkError::Unavailable("the store does not answer".to_owned()))) {
                Ok(()) => break,
                Err(SinkError::Refused(why)) => match self.reader.refusal(&verdict, &why) {
                    // Its sender is told, instead.
                    Some(answer) => verdict = answer,
                    None => {
                        // Leaving it with Telegram would stop everything behind it.
                        tracing::warn!(account = %self.link.account, update = id, %why, "update refused");
                        self.report(Fact::Ignored { kind: "refused".to_owned() });
                        self.move_past(id).await;
                        break;
                    }
                },
                Err(SinkError::Unavailable(why)) => self.wait_for_store(&why, attempt).await,
            }
            attempt += 1;
        }
        if attempt > 0 {
            self.report(Fact::IngressAvailable);
        }
    }

    async fn handle(&mut self, verdict: Verdict, id: i64) -> Result<(), SinkError> {
        let mut fresh = false;
        let fact = match verdict {
            Verdict::Turn(inbound) => match self.link.sink.accept(inbound).await? {
                Accepted::New => {
                    fresh = true;
                    Fact::Inbound
                }
                Accepted::Duplicate => Fact::Duplicate,
            },
            Verdict::Answer(answer) => match self.link.sink.answer(answer).await? {
                Accepted::New => Fact::Answered,
                Accepted::Duplicate => Fact::Duplicate,
            },
            Verdict::Button { query } => {
                self.answer_button(query).await;
                Fact::Answered
            }
            Verdict::Stranger { sender } => {
                tracing::info!(account = %self.link.account, sender, "sender not in allowFrom");
                Fact::Stranger { sender: sender.to_string() }
            }
            Verdict::Ignore { kind } => {
                tracing::debug!(account = %self.link.account, update = id, %kind, "update ignored");
                Fact::Ignored { kind }
            }
        };
        // A lower id is a repeat, unless it brought something new: Telegram starts over after a week of silence.
        if fresh || id >= self.cursor.position {
            self.store_cursor(id + 1).await?;
        }
        self.report(fact);
        Ok(())
    }

    async fn move_past(&mut self, id: i64) {
        if id >= self.cursor.position
            && let Err(error) = self.store_cursor(id + 1).await
        {
            tracing::warn!(account = %self.link.account, %error, "cursor not stored");
            // It moves in memory at least; after a restart the update comes once more.
            self.cursor.position = id + 1;
        }
    }

    async fn store_cursor(&mut self, position: i64) -> Result<(), SinkError> {
        let moved = Cursor { position, ..self.cursor.clone() };
        failpoint!("channel.cursor.before");
        self.link.cursor.store(&self.link.channel, &self.link.account, moved.clone()).await?;
        failpoint!("channel.cursor.after");
        self.cursor = moved;
        Ok(())
    }

    async fn answer_button(&self, query: String) {
        let mut answer = AnswerCallbackQuery::new(CallbackQueryId(query));
        answer.text = Some("I can't use buttons yet. Please write.".to_owned());
        if let Err(error) = self.api.call(&answer).await {
            tracing::debug!(%error, "button press not answered");
        }
    }

    async fn wait_for_store(&self, why: &str, attempt: u32) {
        tracing::warn!(account = %self.link.account, why, "nothing taken in, the update stays with Telegram");
        self.report(Fact::IngressUnavailable { error: why.to_owned() });
        sleep(backoff(self.timing.retry_first, self.timing.retry_max, attempt, rand::random())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, retry_after: Option<u64>) -> CallError {
        CallError::Refused { code, description: "x".into(), retry_after: retry_after.map(Duration::from_secs) }
    }

    fn wait(error: &CallError, silent: u64) -> AfterFailure {
        Failures::default().next(error, Duration::from_secs(silent), &Timing::default(), 0.0)
    }

    #[test]
    fn a_refused_account_ends_for_good() {
        for code in [401, 404] {
            assert!(matches!(wait(&refused(code, None), 0), AfterFailure::End(ChannelEnd::Fatal(_))));
        }
    }

    #[test]
    fn a_conflict_is_waited_out_and_never_lost() {
        assert_eq!(wait(&refused(409, None), 10_000), AfterFailure::Wait(Duration::from_secs(30)));
    }

    #[test]
    fn a_rate_limit_sets_the_wait() {
        assert_eq!(wait(&refused(429, Some(3)), 0), AfterFailure::Wait(Duration::from_secs(3)));
    }

    #[test]
    fn lasting_trouble_is_the_supervisors() {
        let cut = CallError::Ambiguous("reset".into());
        assert_eq!(wait(&cut, 10), AfterFailure::Wait(Duration::from_secs(1)));
        assert!(matches!(wait(&cut, 120), AfterFailure::End(ChannelEnd::Lost(_))));
    }

    #[test]
    fn waits_double_up_to_their_cap() {
        let (first, max) = (Duration::from_secs(1), Duration::from_secs(30));
        let waits: Vec<u64> = (0..7).map(|attempt| backoff(first, max, attempt, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff(first, max, u32::MAX, 0.99), max);
    }
}
