//! Keeps device records and failed attempts, and applies the decisions about both.
//!
//! Parent: `control` · Restart: permanent · Mailbox: 256, reject
//! Survives a restart: paired devices, read back from the store. Lost: waiting requests (devices ask again) and the
//! count of failed attempts.
//! Fails when: the store refuses a read at start or a save later: what is in memory can't be trusted then.

use std::fmt;
use std::sync::Arc;

use actors::clock::{Clock, EpochMs};
use serde_json::json;
use supervision::{Actor, ActorResult, BoxError, ChildSpec, Ctx, Mailbox, Reply};

use super::batch::Batch;
use super::{DeviceList, DevicesHandle, Operated};
use crate::control::auth::admission::decide;
use crate::control::auth::registry::{DeviceRecord, DeviceToken, RegistryError};
use crate::control::auth::{
    Attempt, AuthConfig, Change, Decision, DeviceRegistry, DeviceStore, DeviceStoreError, Effect, Fresh, RateLimiter,
    UpgradeFacts,
};
use crate::control::broadcast::{BroadcastHandle, Outgoing};
use crate::protocol::ConnectParams;
use crate::protocol::event;
use crate::protocol::scope::Role;

/// As many clients may knock at once.
const MAILBOX: usize = 256;

/// What the door needs.
pub struct DevicesArgs {
    /// Where records are kept.
    pub store: Arc<dyn DeviceStore>,
    /// What the configuration says now; asked at each connect.
    pub config: Arc<dyn Fn() -> AuthConfig + Send + Sync>,
    /// Tells operators of requests.
    pub broadcast: BroadcastHandle,
    /// The gateway's clock.
    pub clock: Clock,
    /// Makes tokens and ids.
    pub fresh: Arc<dyn Fresh>,
}

impl fmt::Debug for DevicesArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevicesArgs").finish_non_exhaustive()
    }
}

/// The facts of one `connect`.
#[derive(Debug)]
pub struct Admission {
    /// What the HTTP upgrade said.
    pub upgrade: UpgradeFacts,
    /// Validated parameters.
    pub params: ConnectParams,
    /// The nonce of the challenge.
    pub nonce: String,
}

pub(super) enum DevicesMessage {
    /// Somebody knocks. Replies with the decision once it is durable.
    Admit { attempt: Box<Admission>, reply: Reply<Decision> },
    /// List everything.
    List { reply: Reply<DeviceList> },
    /// An operator changes something.
    Operate(Operation),
    /// A save ended.
    Saved { outcome: Result<(), DeviceStoreError> },
}

/// What an operator may change. Replies once it is durable.
pub(crate) enum Operation {
    /// Approve a request with the approver's scopes.
    Approve { request_id: String, held: Vec<String>, reply: Reply<Operated<DeviceRecord>> },
    /// Reject a request.
    Reject { request_id: String, reply: Reply<Operated<String>> },
    /// Forget a device.
    Remove { device_id: String, reply: Reply<Operated<()>> },
    /// Name a device.
    Rename { device_id: String, label: String, reply: Reply<Operated<()>> },
    /// Replace a token.
    Rotate { device_id: String, role: Role, scopes: Option<Vec<String>>, reply: Reply<Operated<DeviceToken>> },
    /// Void a token.
    Revoke { device_id: String, role: Role, reply: Reply<Operated<()>> },
}

pub(super) struct DevicesState {
    args: DevicesArgs,
    registry: DeviceRegistry,
    limiter: RateLimiter,
    batch: Batch,
}

/// The usual spec. `make` builds the arguments afresh at each start.
pub fn child_spec(handle: &DevicesHandle, make: impl Fn() -> DevicesArgs + Send + Sync + 'static) -> ChildSpec {
    ChildSpec::actor("devices", "devices", handle.slot(), move |_start| (DevicesActor, make()))
        .mailbox(Mailbox::reject(MAILBOX))
        .handler_limit(actors::HANDLER_LIMIT)
}

struct DevicesActor;

impl Actor for DevicesActor {
    type Message = DevicesMessage;
    type Args = DevicesArgs;
    type State = DevicesState;

    async fn pre_start(&self, args: DevicesArgs, ctx: &Ctx<DevicesMessage>) -> Result<DevicesState, BoxError> {
        let registry = DeviceRegistry::new(args.store.load().await?);
        let state = DevicesState { args, registry, limiter: RateLimiter::new(), batch: Batch::default() };
        state.show(ctx);
        Ok(state)
    }

    async fn handle(
        &self,
        state: &mut DevicesState,
        message: DevicesMessage,
        ctx: &Ctx<DevicesMessage>,
    ) -> ActorResult {
        match message {
            DevicesMessage::Admit { attempt, reply } => state.admit(&attempt, reply),
            DevicesMessage::List { reply } => reply.send(state.list()),
            DevicesMessage::Operate(operation) => state.operate(operation),
            DevicesMessage::Saved { outcome } => {
                outcome?;
                state.batch.saved();
            }
        }
        state.save(ctx);
        state.show(ctx);
        Ok(())
    }
}

impl DevicesState {
    fn admit(&mut self, attempt: &Admission, reply: Reply<Decision>) {
        let config = (self.args.config)();
        let now = self.args.clock.now_ms();
        let mut decision = decide(&Attempt {
            upgrade: &attempt.upgrade,
            params: &attempt.params,
            nonce: &attempt.nonce,
            config: &config,
            devices: &self.registry,
            limiter: &self.limiter,
            now,
            fresh: &*self.args.fresh,
        });
        let mut changes = Vec::new();
        let mut asked = Vec::new();
        for effect in decision.effects.drain(..) {
            match effect {
                Effect::Devices(change) => changes.push(change),
                Effect::AuthFailed(key) => self.limiter.failed(key, &config.rate, now),
                Effect::AuthSucceeded(key) => self.limiter.succeeded(&key),
                Effect::PairRequested(request) => asked.push(json!(request)),
            }
        }
        self.change(changes, move || reply.send(decision));
        for request in asked {
            self.args.broadcast.publish(Outgoing::new(event::DEVICE_PAIR_REQUESTED, request));
        }
    }

    fn operate(&mut self, operation: Operation) {
        let now = self.args.clock.now_ms();
        let registry = &self.registry;
        let silent = |_: &()| None;
        match operation {
            Operation::Approve { request_id, held, reply } => {
                let approved = registry.approve(&request_id, &held, now, &*self.args.fresh);
                self.carry_out(approved, reply, |device| {
                    Some(resolved(&request_id, &device.device_id, "approved", now))
                });
            }
            Operation::Reject { request_id, reply } => {
                let rejected = registry.reject(&request_id, now);
                self.carry_out(rejected, reply, |device_id| Some(resolved(&request_id, device_id, "rejected", now)));
            }
            Operation::Remove { device_id, reply } => {
                let removed = registry.remove(&device_id).map(|changes| ((), changes));
                self.carry_out(removed, reply, silent);
            }
            Operation::Rename { device_id, label, reply } => {
                let renamed = registry.rename(&device_id, &label).map(|changes| ((), changes));
                self.carry_out(renamed, reply, |()| Some(Outgoing::new(event::DEVICE_PAIR_CHANGED, json!({}))));
            }
            Operation::Rotate { device_id, role, scopes, reply } => {
                let rotated = registry.rotate(&device_id, role, scopes.as_deref(), now, &*self.args.fresh);
                self.carry_out(rotated, reply, |_| None);
            }
            Operation::Revoke { device_id, role, reply } => {
                let revoked = registry.revoke(&device_id, role).map(|changes| ((), changes));
                self.carry_out(revoked, reply, silent);
            }
        }
    }

    /// Applies what the registry worked out; tells and replies once it is durable.
    fn carry_out<T: Send + 'static>(
        &mut self,
        worked_out: Result<(T, Vec<Change>), RegistryError>,
        reply: Reply<Operated<T>>,
        tell: impl FnOnce(&T) -> Option<Outgoing>,
    ) {
        match worked_out {
            Ok((result, changes)) => {
                let (event, broadcast) = (tell(&result), self.args.broadcast.clone());
                self.change(changes, move || {
                    if let Some(event) = event {
                        broadcast.publish(event);
                    }
                    reply.send(Ok(result));
                });
            }
            Err(error) => reply.send(Err(error.into())),
        }
    }

    /// In memory at once, so that the next decision sees it; `then` once it is durable. A save that fails ends this
    /// incarnation, and the next reads what was kept.
    fn change(&mut self, changes: Vec<Change>, then: impl FnOnce() + Send + 'static) {
        for change in &changes {
            self.registry.apply(change.clone());
        }
        self.batch.add(&changes, Box::new(then));
    }

    fn save(&mut self, ctx: &Ctx<DevicesMessage>) {
        let Some(changes) = self.batch.take(&self.registry) else { return };
        let (store, reporter) = (Arc::clone(&self.args.store), ctx.reporter());
        ctx.spawn_scoped(async move {
            let outcome = store.save(changes).await;
            reporter.send(DevicesMessage::Saved { outcome });
        });
    }

    fn list(&self) -> DeviceList {
        let now = self.args.clock.now_ms();
        DeviceList {
            pending: self.registry.waiting(now).into_iter().cloned().collect(),
            paired: self.registry.devices().into_iter().cloned().collect(),
        }
    }

    fn show(&self, ctx: &Ctx<DevicesMessage>) {
        ctx.set_detail("paired", self.registry.devices().len().to_string());
        ctx.set_detail("waiting", self.registry.waiting(self.args.clock.now_ms()).len().to_string());
    }
}

fn resolved(request_id: &str, device_id: &str, decision: &str, ts: EpochMs) -> Outgoing {
    let payload = json!({ "requestId": request_id, "deviceId": device_id, "decision": decision, "ts": ts });
    Outgoing::new(event::DEVICE_PAIR_RESOLVED, payload)
}
