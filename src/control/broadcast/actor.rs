//! Fan-out to all clients, and what is known of all of them: presence, health, the tick.
//!
//! Parent: `control` · Restart: permanent · Mailbox: 4096, reject; events wait in a queue of 4096 beside it, and what
//! finds no room there is shown as a gap in the clients' event numbers
//! Survives a restart: the queue; presence and its versions, through the checkpoint. Lost: the event in hand, the health
//! snapshot until the next refresh.
//! Fails when: never by itself; a panic while presence or an event is worked on.

use std::sync::Arc;
use std::time::Duration;

use actors::config::ConfigSnapshot;
use serde_json::{Value, json};
use supervision::{Actor, ActorResult, BoxError, ChildSpec, Ctx, Mailbox, Reply};

use super::fanout::{Outgoing, Written};
use super::{BroadcastHandle, StateSnapshot};
use crate::control::connection::context::{ConnContext, ConnId};
use crate::control::presence::{PresenceBook, gateway_entry};
use crate::control::rpc::health;
use crate::control::services::Services;
use crate::protocol::close::Close;
use crate::protocol::event;
use crate::protocol::frame::StateVersion;
use crate::protocol::methods::config::Changed;

/// Events that may wait: a burst of all sessions at once, not a backlog.
const MAILBOX: usize = 4096;
/// Longest wait for a health snapshot.
const HEALTH_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct BroadcastArgs {
    pub(crate) services: Arc<Services>,
}

pub(super) enum BroadcastMessage {
    /// Something is in the queue.
    Published,
    /// Answer once all before is queued.
    Settle { reply: Reply<()> },
    /// Tell what a new connection is told.
    State { reply: Reply<StateSnapshot> },
    /// A connection was let in.
    Joined { context: Arc<ConnContext> },
    /// A connection ended.
    Left { conn_id: ConnId },
    /// The tick is due.
    Tick,
    /// The health snapshot is due.
    HealthDue,
    /// Somebody asks for a fresh health snapshot.
    RefreshHealth,
    /// It is there, or it took too long.
    HealthRefreshed { health: Option<Value> },
    /// The configuration is another one.
    ConfigChanged { snapshot: Arc<ConfigSnapshot> },
}

/// What the next incarnation goes on with.
#[derive(Debug, Clone)]
struct Kept {
    book: PresenceBook,
    health_version: u64,
}

pub(super) struct BroadcastState {
    services: Arc<Services>,
    handle: BroadcastHandle,
    kept: Kept,
    health: Value,
    is_refreshing: bool,
    /// The configuration that connections were let in under.
    config: Arc<ConfigSnapshot>,
    /// Those who connected before the first health snapshot was there.
    waiting: Vec<Reply<StateSnapshot>>,
}

/// The fan-out of `control`.
pub(crate) fn child_spec(
    handle: &BroadcastHandle,
    make: impl Fn() -> BroadcastArgs + Send + Sync + 'static,
) -> ChildSpec {
    ChildSpec::actor("broadcast", "broadcast", handle.slot(), move |_start| (BroadcastActor, make()))
        .mailbox(Mailbox::reject(MAILBOX))
        .handler_limit(actors::HANDLER_LIMIT)
}

pub(super) struct BroadcastActor;

impl Actor for BroadcastActor {
    type Message = BroadcastMessage;
    type Args = BroadcastArgs;
    type State = BroadcastState;

    async fn pre_start(&self, args: BroadcastArgs, ctx: &Ctx<BroadcastMessage>) -> Result<BroadcastState, BoxError> {
        let services = args.services;
        let kept = ctx.checkpoint().get::<Kept>().map_or_else(
            || Kept {
                book: PresenceBook::new(gateway_entry(
                    &services.host,
                    &services.version,
                    &services.boot_id,
                    services.clock.now_ms(),
                )),
                health_version: 1,
            },
            |kept| (*kept).clone(),
        );
        let handle = services.broadcast.clone();
        let config = services.domain.config.current();
        let state = BroadcastState {
            services,
            handle,
            kept,
            health: json!({}),
            is_refreshing: false,
            config,
            waiting: Vec::new(),
        };
        state.follow_config(ctx);
        state.wait(state.services.settings.tick_interval, BroadcastMessage::Tick, ctx);
        state.wait(Duration::ZERO, BroadcastMessage::HealthDue, ctx);
        // What was published while nobody was here.
        ctx.reporter().send(BroadcastMessage::Published);
        Ok(state)
    }

    async fn handle(
        &self,
        state: &mut BroadcastState,
        message: BroadcastMessage,
        ctx: &Ctx<BroadcastMessage>,
    ) -> ActorResult {
        state.show_gaps();
        state.send_queued();
        match message {
            BroadcastMessage::Published => {}
            BroadcastMessage::Settle { reply } => reply.send(()),
            BroadcastMessage::State { reply } => state.tell(reply, ctx),
            BroadcastMessage::Joined { context } => state.joined(&context, ctx),
            BroadcastMessage::Left { conn_id } => state.left(&conn_id, ctx),
            BroadcastMessage::Tick => state.tick(ctx),
            BroadcastMessage::HealthDue => {
                state.wait(state.services.settings.health_interval, BroadcastMessage::HealthDue, ctx);
                if !state.handle.roster().has_no_audience() {
                    state.refresh_health(ctx);
                }
            }
            BroadcastMessage::RefreshHealth => state.refresh_health(ctx),
            BroadcastMessage::HealthRefreshed { health } => state.health_refreshed(health, ctx),
            BroadcastMessage::ConfigChanged { snapshot } => state.config_changed(snapshot),
        }
        Ok(())
    }
}

impl BroadcastState {
    fn send(&self, outgoing: &Outgoing, written: &Written) {
        for connection in self.handle.roster().authenticated() {
            if outgoing.is_for(&connection) {
                connection.outbox.push_event(&written.numbered(), outgoing.drop_if_slow);
            }
        }
    }

    fn send_queued(&self) {
        while let Some((outgoing, written)) = self.handle.next_queued() {
            self.send(&outgoing, &written);
        }
    }

    fn send_now(&self, outgoing: &Outgoing) {
        self.send(outgoing, &Written::of(outgoing));
    }

    fn show_gaps(&self) {
        let missed = self.handle.take_missed();
        if missed > 0 {
            tracing::warn!(missed, "events found no room; clients are shown a gap");
            for connection in self.handle.roster().authenticated() {
                connection.outbox.skip_number();
            }
        }
    }

    fn version(&self) -> StateVersion {
        StateVersion { presence: self.kept.book.version(), health: self.kept.health_version }
    }

    fn snapshot(&self) -> StateSnapshot {
        StateSnapshot { presence: self.kept.book.entries(), health: self.health.clone(), version: self.version() }
    }

    /// The first one waits for the first health snapshot, with a limit: nobody is kept out by a part that hangs.
    fn tell(&mut self, reply: Reply<StateSnapshot>, ctx: &Ctx<BroadcastMessage>) {
        if self.has_health() {
            reply.send(self.snapshot());
        } else {
            self.waiting.push(reply);
            self.refresh_health(ctx);
        }
    }

    fn has_health(&self) -> bool {
        self.health.as_object().is_some_and(|health| !health.is_empty())
    }

    fn joined(&mut self, context: &ConnContext, ctx: &Ctx<BroadcastMessage>) {
        if self.kept.book.join(context, self.services.clock.now_ms()) {
            self.presence_changed(ctx);
        }
    }

    fn left(&mut self, conn_id: &ConnId, ctx: &Ctx<BroadcastMessage>) {
        if self.kept.book.leave(conn_id, self.services.clock.now_ms()) {
            self.presence_changed(ctx);
        }
    }

    fn presence_changed(&self, ctx: &Ctx<BroadcastMessage>) {
        ctx.checkpoint().put(Arc::new(self.kept.clone()));
        ctx.set_detail("present", (self.kept.book.entries().len() - 1).to_string());
        let payload = json!({ "presence": self.kept.book.entries() });
        self.send_now(&Outgoing::new(event::PRESENCE, payload).droppable().at(self.version()));
    }

    fn tick(&mut self, ctx: &Ctx<BroadcastMessage>) {
        self.wait(self.services.settings.tick_interval, BroadcastMessage::Tick, ctx);
        let now = self.services.clock.now_ms();
        self.send_now(&Outgoing::tick(now));
        if self.kept.book.reconcile(&self.handle.roster().authenticated(), now) {
            self.presence_changed(ctx);
        }
    }

    fn refresh_health(&mut self, ctx: &Ctx<BroadcastMessage>) {
        if std::mem::replace(&mut self.is_refreshing, true) {
            return;
        }
        let (services, reporter) = (Arc::clone(&self.services), ctx.reporter());
        ctx.spawn_scoped(async move {
            let health = tokio::time::timeout(HEALTH_PATIENCE, health::snapshot(&services)).await.ok();
            reporter.send(BroadcastMessage::HealthRefreshed { health });
        });
    }

    fn health_refreshed(&mut self, health: Option<Value>, ctx: &Ctx<BroadcastMessage>) {
        self.is_refreshing = false;
        if let Some(health) = health {
            self.kept.health_version += 1;
            ctx.checkpoint().put(Arc::new(self.kept.clone()));
            self.send_now(&Outgoing::new(event::HEALTH, health.clone()).droppable().at(self.version()));
            self.health = health;
        } else {
            tracing::warn!("the health snapshot took too long");
        }
        for reply in std::mem::take(&mut self.waiting) {
            reply.send(self.snapshot());
        }
    }

    fn follow_config(&self, ctx: &Ctx<BroadcastMessage>) {
        let (mut changes, reporter) = (self.services.domain.config.changes(), ctx.reporter());
        ctx.spawn_scoped(async move {
            while changes.changed().await.is_ok() {
                let snapshot = Arc::clone(&changes.borrow_and_update());
                reporter.send(BroadcastMessage::ConfigChanged { snapshot });
            }
        });
    }

    /// Tells of the change, and sends those away who came in by a secret that is no longer the one.
    fn config_changed(&mut self, snapshot: Arc<ConfigSnapshot>) {
        let before = self.services.sign_in(&self.config);
        let after = self.services.sign_in(&snapshot);
        if (before.mode, &before.token, &before.password) != (after.mode, &after.token, &after.password) {
            let by_secret = |one: &ConnContext| one.method.is_shared_secret();
            self.handle.close_where(&Close::auth_changed(), by_secret);
        }
        let ts = self.services.clock.now_ms();
        let changed = Changed { path: snapshot.path.display().to_string(), hash: snapshot.hash.clone(), ts };
        self.send_now(&Outgoing::new(event::CONFIG_CHANGED, json!(changed)).droppable());
        self.config = snapshot;
    }

    fn wait(&self, delay: Duration, message: BroadcastMessage, ctx: &Ctx<BroadcastMessage>) {
        ctx.send_after(delay, message).detach();
    }
}
