//! One account of a channel: its connection, and what is known of it.
//!
//! Parent: `channels` · Restart: permanent, isolated, backoff 5 s to 5 min, given up after 10 · Mailbox: 64, reject
//! Survives a restart: the cursor, in the store; counters and last error, on the board. Lost: nothing else matters.
//! Fails when: the connection ends, for good when the platform refuses the account, or when it hangs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use supervision::{
    Actor, ActorResult, BackoffPolicy, BoxError, ChildSpec, Ctx, Exhausted, Exit, Jitter, Redaction, ResetRule, Slot,
    Timer,
};
use tokio::time::Instant;

use crate::channels::contract::{ChannelEnd, CursorPort, InboundSink, Link};
use crate::channels::registry::AccountSetup;
use crate::channels::status::{Board, Fact, Lifecycle};
use crate::clock::Clock;

/// How often a connection that should be heard of is looked at (OpenClaw: 30 s).
const STALL_CHECK: Duration = Duration::from_secs(30);

/// What every account needs of the rest.
#[derive(Clone)]
pub struct ChannelPorts {
    /// Where messages go in.
    pub sink: Arc<dyn InboundSink>,
    /// Where cursors are kept.
    pub cursor: Arc<dyn CursorPort>,
    /// The wall clock.
    pub clock: Clock,
}

impl fmt::Debug for ChannelPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelPorts").finish_non_exhaustive()
    }
}

/// What a start is given.
#[derive(Debug)]
pub struct AccountArgs {
    /// The account as configured now.
    pub setup: Arc<AccountSetup>,
    /// Ports.
    pub ports: ChannelPorts,
    /// Where its snapshot stands.
    pub board: Board,
}

/// What an account is sent.
#[derive(Debug)]
pub(super) enum AccountMessage {
    /// The connection says how it fares.
    Reported(Fact),
    /// The connection is over.
    Ended(Result<(), ChannelEnd>),
    /// Time to look whether the connection was heard of.
    CheckStall,
}

#[derive(Debug)]
pub(super) struct AccountActor;

/// What an account keeps.
pub(super) struct AccountState {
    board: Board,
    clock: Clock,
    stall_after: Option<Duration>,
    heard: Instant,
    stall_check: Option<Timer>,
    /// Says on the board that the account is down, however it ends.
    _down: DownOnDrop,
}

struct DownOnDrop {
    board: Board,
    clock: Clock,
}

impl Drop for DownOnDrop {
    fn drop(&mut self) {
        let now = self.clock.now_ms();
        self.board.update(|snapshot| snapshot.stopped(now));
    }
}

/// Why an account ended.
#[derive(Debug, thiserror::Error)]
enum AccountError {
    #[error(transparent)]
    Connection(ChannelEnd),
    #[error("the connection ended without an error")]
    Unasked,
    #[error("nothing heard of the connection for {} s", .0.as_secs())]
    Stalled(Duration),
}

/// The ladder of restarts (OpenClaw's numbers): 5 s doubling to 5 min, ten times, from the start again after five good
/// minutes.
#[must_use]
pub fn ladder() -> BackoffPolicy {
    BackoffPolicy {
        initial: Duration::from_secs(5),
        max: Duration::from_secs(300),
        factor: 2.0,
        jitter: Jitter::Additive(0.1),
        max_attempts: Some(10),
        reset_after: ResetRule::Stable(Duration::from_secs(300)),
        window: None,
        on_exhausted: Exhausted::GiveUp,
    }
}

/// The usual spec. `make` builds the arguments afresh at each start, from the configuration as it is then.
pub(super) fn child_spec(
    id: &str,
    slot: &Slot<AccountMessage>,
    backoff: BackoffPolicy,
    make: impl Fn() -> AccountArgs + Send + Sync + 'static,
) -> ChildSpec {
    ChildSpec::actor(id, "channel account", slot, move |_| (AccountActor, make()))
        .backoff(backoff)
        .counts(false)
        .redact(Redaction::Personal)
        .handler_limit(crate::HANDLER_LIMIT)
}

impl Actor for AccountActor {
    type Message = AccountMessage;
    type Args = AccountArgs;
    type State = AccountState;

    async fn pre_start(&self, args: AccountArgs, ctx: &Ctx<AccountMessage>) -> Result<AccountState, BoxError> {
        let AccountArgs { setup, ports, board } = args;
        let (attempt, now) = (ctx.attempt(), ports.clock.now_ms());
        board.update(|snapshot| snapshot.started(attempt, now));
        for (key, value) in setup.connection.details() {
            ctx.set_detail(key, value);
        }
        let channel = setup.connection.channel();
        let stall_after = channel.capabilities().stall_after;
        let reporter = ctx.reporter();
        let link = Link {
            channel: setup.channel.clone(),
            account: setup.account.clone(),
            sink: ports.sink,
            cursor: ports.cursor,
            report: Arc::new({
                let reporter = reporter.clone();
                move |fact| {
                    // A report after the end concerns nobody.
                    let _gone = reporter.send(AccountMessage::Reported(fact));
                }
            }),
            cancel: ctx.cancel().clone(),
            clock: ports.clock.clone(),
        };
        ctx.spawn_scoped(async move {
            let end = channel.run(link).await;
            let _gone = reporter.send(AccountMessage::Ended(end));
        });
        let mut state = AccountState {
            _down: DownOnDrop { board: board.clone(), clock: ports.clock.clone() },
            board,
            clock: ports.clock,
            stall_after,
            heard: Instant::now(),
            stall_check: None,
        };
        state.watch(ctx);
        state.show(ctx);
        Ok(state)
    }

    async fn handle(
        &self,
        state: &mut AccountState,
        message: AccountMessage,
        ctx: &Ctx<AccountMessage>,
    ) -> ActorResult {
        match message {
            AccountMessage::Reported(fact) => state.hear(&fact, ctx),
            AccountMessage::Ended(_) if ctx.cancel().is_cancelled() => {}
            AccountMessage::Ended(end) => {
                ctx.set_detail("connection", if matches!(end, Err(ChannelEnd::Fatal(_))) { "refused" } else { "lost" });
                return Err(state.end(end));
            }
            AccountMessage::CheckStall => state.check_stall(ctx)?,
        }
        Ok(())
    }
}

impl AccountState {
    fn hear(&mut self, fact: &Fact, ctx: &Ctx<AccountMessage>) {
        self.heard = Instant::now();
        let now = self.clock.now_ms();
        self.board.update(|snapshot| snapshot.apply(fact, now));
        if *fact != Fact::Activity {
            self.show(ctx);
        }
    }

    /// The error to end with, noted on the board.
    fn end(&self, end: Result<(), ChannelEnd>) -> BoxError {
        let (text, fatal) = match &end {
            Ok(()) => ("the connection ended without an error".to_owned(), false),
            Err(end) => (end.to_string(), matches!(end, ChannelEnd::Fatal(_))),
        };
        self.board.update(|snapshot| {
            snapshot.last_error = Some(text.clone());
            snapshot.terminal_disconnect = fatal;
        });
        match end {
            Ok(()) => AccountError::Unasked.into(),
            Err(end) if fatal => Exit::Fatal(end.into()).into(),
            Err(end) => AccountError::Connection(end).into(),
        }
    }

    fn watch(&mut self, ctx: &Ctx<AccountMessage>) {
        self.stall_check =
            self.stall_after.map(|limit| ctx.send_after(STALL_CHECK.min(limit), AccountMessage::CheckStall));
    }

    fn check_stall(&mut self, ctx: &Ctx<AccountMessage>) -> Result<(), BoxError> {
        let silent = self.heard.elapsed();
        if self.stall_after.is_some_and(|limit| silent >= limit) {
            let error = AccountError::Stalled(silent);
            let text = error.to_string();
            self.board.update(|snapshot| snapshot.last_error = Some(text.clone()));
            return Err(error.into());
        }
        self.watch(ctx);
        Ok(())
    }

    /// Shows in the tree what the board says.
    fn show(&self, ctx: &Ctx<AccountMessage>) {
        let snapshot = self.board.read();
        let connection = match snapshot.lifecycle {
            Lifecycle::Starting => "connecting",
            Lifecycle::Ready => "connected",
            Lifecycle::Recovering => "recovering",
            Lifecycle::Stopped => "stopped",
        };
        ctx.set_detail("connection", connection);
        let counts = [
            ("accepted", snapshot.accepted),
            ("repeats", snapshot.duplicates),
            ("strangers", snapshot.strangers),
            ("ignored", snapshot.ignored),
            ("answered", snapshot.answered),
        ];
        for (key, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            ctx.set_detail(key, count.to_string());
        }
        if let Some(bot) = &snapshot.bot {
            ctx.set_detail("bot", bot.as_str());
        }
        if let Some(error) = &snapshot.last_error {
            ctx.set_detail("last error", error.as_str());
        }
        if snapshot.ingress_unavailable {
            ctx.set_detail("ingress", "the store takes nothing in");
        } else {
            ctx.clear_detail("ingress");
        }
    }
}
