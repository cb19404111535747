//! The lane of one channel account: takes messages out of the outbox and sees each on its way.
//!
//! Parent: `delivery` · Restart: permanent, isolated, backoff 1 s to 1 min without end · Mailbox: 64, reject
//! Survives a restart: everything that matters, in the outbox. Lost: the pace of the last second, the counters.
//! Fails when: the account's settings can't work at all (fatal), or on a bug in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use supervision::{Actor, ActorResult, BackoffPolicy, BoxError, ChildSpec, Ctx, Exit, Redaction, Reply, Slot, Timer};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::channels::contract::OutboundPort;
use crate::channels::registry::AccountSetup;
use crate::clock::Clock;
use crate::delivery::contract::{ChatKey, LaneId, LaneStatus, OutboxEntry, OutboxError, OutboxPort};
use crate::delivery::job::{self, Ending, JobPorts, Report};
use crate::delivery::rate::Pacer;
use crate::delivery::retry::RetryPolicy;

/// Messages on their way at the same time, each in another chat.
const MAX_IN_FLIGHT: usize = 8;
/// Chats waiting for a retry of which the lane keeps count; beyond it, it waits for one of them.
const MAX_WAITING: usize = 1000;
/// Wait after the store could not be asked.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// What every lane needs of the rest.
#[derive(Clone)]
pub struct DeliveryPorts {
    /// Where messages wait.
    pub outbox: Arc<dyn OutboxPort>,
    /// What follows from failures.
    pub policy: RetryPolicy,
    /// The wall clock.
    pub clock: Clock,
}

impl fmt::Debug for DeliveryPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryPorts").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// What a start is given.
#[derive(Debug)]
pub struct LaneArgs {
    /// The lane.
    pub id: LaneId,
    /// The account as configured now.
    pub setup: Arc<AccountSetup>,
    /// Ports.
    pub ports: DeliveryPorts,
}

/// What a lane is sent.
#[derive(Debug)]
pub(super) enum LaneMessage {
    /// Something was put into the outbox.
    Wake,
    /// The outbox said what is next.
    Loaded(Result<Option<OutboxEntry>, OutboxError>),
    /// A message asks when its next piece may go.
    Turn {
        /// The chat it goes to.
        to: String,
        /// Answered with the wait.
        grant: oneshot::Sender<Duration>,
    },
    /// A message left the lane's hands.
    Finished(Report),
    /// A chat has waited long enough.
    ChatDue(ChatKey),
    /// The lane has waited long enough.
    LaneDue,
    /// Somebody is at work for a chat.
    Typing(ChatKey),
    /// The platform was told so, or not.
    TypingShown(ChatKey),
    /// Replies with what was done so far.
    Status {
        /// The answer.
        reply: Reply<LaneStatus>,
    },
    /// Reply when nothing that may be sent now is left.
    Drain {
        /// The answer.
        reply: Reply<()>,
    },
    /// Begin nothing new, and reply when nothing is on its way any more.
    Quiesce {
        /// The answer.
        reply: Reply<()>,
    },
}

#[derive(Debug)]
pub(super) struct LaneActor;

/// What a lane keeps.
pub(super) struct LaneState {
    id: LaneId,
    ports: JobPorts,
    pacer: Pacer,
    started: Instant,
    in_flight: BTreeSet<ChatKey>,
    waiting: BTreeMap<ChatKey, Timer>,
    /// Set while the whole lane waits.
    paused: Option<Timer>,
    /// The outbox is being asked.
    loading: bool,
    /// Woken while the outbox was being asked: what it answers may be old.
    woken: bool,
    typing: BTreeSet<ChatKey>,
    draining: Vec<Reply<()>>,
    quiescing: Option<Vec<Reply<()>>>,
    status: LaneStatus,
}

/// The usual spec. `make` builds the arguments afresh at each start, from the configuration as it is then.
pub(super) fn child_spec(
    id: &str,
    slot: &Slot<LaneMessage>,
    make: impl Fn() -> LaneArgs + Send + Sync + 'static,
) -> ChildSpec {
    ChildSpec::actor(id, "delivery lane", slot, move |_| (LaneActor, make()))
        .backoff(BackoffPolicy::default())
        .counts(false)
        .redact(Redaction::Personal)
        .handler_limit(crate::HANDLER_LIMIT)
}

impl Actor for LaneActor {
    type Message = LaneMessage;
    type Args = LaneArgs;
    type State = LaneState;

    async fn pre_start(&self, args: LaneArgs, ctx: &Ctx<LaneMessage>) -> Result<LaneState, BoxError> {
        let LaneArgs { id, setup, ports } = args;
        let outbound: Arc<dyn OutboundPort> = setup.connection.outbound().map_err(|error| Exit::Fatal(error.into()))?;
        let pace = outbound.capabilities().pace;
        let ports = JobPorts { outbox: ports.outbox, outbound, policy: ports.policy, clock: ports.clock };
        let mut state = LaneState {
            id,
            ports,
            pacer: Pacer::new(pace),
            started: Instant::now(),
            in_flight: BTreeSet::new(),
            waiting: BTreeMap::new(),
            paused: None,
            loading: false,
            woken: false,
            typing: BTreeSet::new(),
            draining: Vec::new(),
            quiescing: None,
            status: LaneStatus::default(),
        };
        state.load(ctx);
        Ok(state)
    }

    async fn handle(&self, state: &mut LaneState, message: LaneMessage, ctx: &Ctx<LaneMessage>) -> ActorResult {
        match message {
            LaneMessage::Wake => state.wake(ctx),
            LaneMessage::Loaded(next) => state.loaded(next, ctx),
            LaneMessage::Turn { to, grant } => state.grant(&to, grant),
            LaneMessage::Finished(report) => state.finished(report, ctx),
            LaneMessage::ChatDue(chat) => {
                state.waiting.remove(&chat);
                state.wake(ctx);
            }
            LaneMessage::LaneDue => {
                state.paused = None;
                ctx.clear_detail("paused");
                state.wake(ctx);
            }
            LaneMessage::Typing(chat) => state.show_typing(chat, ctx),
            LaneMessage::TypingShown(chat) => {
                state.typing.remove(&chat);
            }
            LaneMessage::Status { reply } => reply.send(state.status()),
            LaneMessage::Drain { reply } => {
                state.draining.push(reply);
                state.wake(ctx);
            }
            LaneMessage::Quiesce { reply } => {
                state.quiescing.get_or_insert_default().push(reply);
                state.answer_quiet();
            }
        }
        state.answer_drained();
        Ok(())
    }
}

impl LaneState {
    fn wake(&mut self, ctx: &Ctx<LaneMessage>) {
        self.woken = true;
        self.load(ctx);
    }

    /// Asks the outbox for the next message, unless there is no hand free for it.
    fn load(&mut self, ctx: &Ctx<LaneMessage>) {
        if self.loading || !self.may_ask() {
            return;
        }
        self.loading = true;
        self.woken = false;
        let skip: Vec<ChatKey> = self.in_flight.iter().chain(self.waiting.keys()).cloned().collect();
        let (outbox, lane, reporter) = (self.ports.outbox.clone(), self.id.clone(), ctx.reporter());
        ctx.spawn_scoped(async move {
            let next = outbox.next(&lane, skip).await;
            let _gone = reporter.send(LaneMessage::Loaded(next));
        });
    }

    /// True when there is a hand free for another message.
    fn may_ask(&self) -> bool {
        let full = self.in_flight.len() >= MAX_IN_FLIGHT || self.waiting.len() >= MAX_WAITING;
        !full && self.paused.is_none() && self.quiescing.is_none()
    }

    fn loaded(&mut self, next: Result<Option<OutboxEntry>, OutboxError>, ctx: &Ctx<LaneMessage>) {
        self.loading = false;
        match next {
            Ok(Some(entry)) => {
                self.take(entry, ctx);
                self.load(ctx);
            }
            Ok(None) if self.woken => self.load(ctx),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(lane = %self.id, %error, "outbox not read, waiting");
                self.pause(STORE_WAIT, error.to_string(), ctx);
            }
        }
    }

    fn take(&mut self, entry: OutboxEntry, ctx: &Ctx<LaneMessage>) {
        let chat = entry.chat.clone();
        // It may have come in while the answer was on its way.
        if self.quiescing.is_some() || self.in_flight.contains(&chat) || self.waiting.contains_key(&chat) {
            return;
        }
        let now = self.ports.clock.now_ms();
        if entry.not_before_ms > now {
            self.wait_for(chat, entry.not_before_ms, ctx);
            return;
        }
        self.in_flight.insert(chat.clone());
        let (ports, reporter) = (self.ports.clone(), ctx.reporter());
        ctx.spawn_scoped(async move {
            let turn = || async {
                let (grant, granted) = oneshot::channel();
                let asked = reporter.send(LaneMessage::Turn { to: chat.to.clone(), grant });
                if asked && let Ok(wait) = granted.await {
                    sleep(wait).await;
                }
            };
            let report = job::deliver(entry, &ports, turn).await;
            let _gone = reporter.send(LaneMessage::Finished(report));
        });
        self.show(ctx);
    }

    fn grant(&mut self, to: &str, grant: oneshot::Sender<Duration>) {
        let now = self.started.elapsed();
        let at = self.pacer.grant(to, now);
        // The message may be gone already.
        let _gone = grant.send(at.saturating_sub(now));
    }

    fn finished(&mut self, report: Report, ctx: &Ctx<LaneMessage>) {
        self.in_flight.remove(&report.chat);
        self.status.pieces += u64::from(report.sent);
        self.status.unknown += u64::from(report.unknown);
        self.status.without_id += u64::from(report.without_id);
        match report.ending {
            Ending::Done => self.status.delivered += 1,
            Ending::ChatWaits { until_ms, error } => {
                tracing::warn!(lane = %self.id, entry = report.id, %error, "not delivered yet");
                self.status.last_error = Some(error);
                self.wait_for(report.chat, until_ms, ctx);
            }
            Ending::LaneWaits { after, error } => {
                tracing::warn!(lane = %self.id, entry = report.id, %error, "lane waits");
                self.pause(after, error, ctx);
            }
            Ending::Dead { error } => {
                tracing::error!(lane = %self.id, entry = report.id, %error, "message given up");
                self.status.dead += 1;
                self.status.last_error = Some(error);
            }
            Ending::Held { error } => {
                tracing::error!(lane = %self.id, entry = report.id, %error, "message held, nobody knows if it was sent");
                self.status.held += 1;
                self.status.last_error = Some(error);
            }
        }
        self.show(ctx);
        self.answer_quiet();
        // An answer of the outbox that is under way left this chat out.
        self.wake(ctx);
    }

    fn wait_for(&mut self, chat: ChatKey, until_ms: i64, ctx: &Ctx<LaneMessage>) {
        let wait = until_ms.saturating_sub(self.ports.clock.now_ms());
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        let timer = ctx.send_after(wait, LaneMessage::ChatDue(chat.clone()));
        self.waiting.insert(chat, timer);
    }

    fn pause(&mut self, after: Duration, error: String, ctx: &Ctx<LaneMessage>) {
        ctx.set_detail("paused", error.as_str());
        self.status.last_error = Some(error);
        self.paused = Some(ctx.send_after(after, LaneMessage::LaneDue));
    }

    fn show_typing(&mut self, chat: ChatKey, ctx: &Ctx<LaneMessage>) {
        // One at a time per chat, and no more at once than messages: it is a courtesy.
        let able = self.ports.outbound.capabilities().typing && self.typing.len() < MAX_IN_FLIGHT;
        if !able || self.paused.is_some() || !self.typing.insert(chat.clone()) {
            return;
        }
        let (outbound, reporter) = (self.ports.outbound.clone(), ctx.reporter());
        ctx.spawn_scoped(async move {
            if let Err(error) = outbound.typing(chat.to.clone(), chat.thread_id.clone()).await {
                tracing::debug!(%error, "typing not shown");
            }
            let _gone = reporter.send(LaneMessage::TypingShown(chat));
        });
    }

    fn answer_quiet(&mut self) {
        if self.in_flight.is_empty()
            && let Some(replies) = &mut self.quiescing
        {
            for reply in replies.drain(..) {
                reply.send(());
            }
        }
    }

    /// What waits for its time, or for the platform, is not waited for.
    fn answer_drained(&mut self) {
        let asks = self.loading || (self.woken && self.may_ask());
        if self.in_flight.is_empty() && !asks {
            for reply in self.draining.drain(..) {
                reply.send(());
            }
        }
    }

    fn status(&self) -> LaneStatus {
        LaneStatus { in_flight: self.in_flight.len(), waiting: self.waiting.len(), ..self.status.clone() }
    }

    fn show(&self, ctx: &Ctx<LaneMessage>) {
        let status = self.status();
        let busy = status.in_flight > 0;
        ctx.set_busy(busy.then(|| format!("sending to {} chat(s)", status.in_flight)));
        ctx.set_detail("delivered", status.delivered.to_string());
        let counts = [
            ("unknown outcome", status.unknown),
            ("without id", status.without_id),
            ("dead", status.dead),
            ("held", status.held),
            ("waiting chats", u64::try_from(status.waiting).unwrap_or(u64::MAX)),
        ];
        for (key, count) in counts {
            if count > 0 {
                ctx.set_detail(key, count.to_string());
            } else {
                ctx.clear_detail(key);
            }
        }
        if let Some(error) = &status.last_error {
            ctx.set_detail("last error", error.as_str());
        }
    }
}
