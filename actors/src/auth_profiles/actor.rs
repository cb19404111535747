//! One credential of one agent: hands it out, learns how calls ended, keeps it back while it must rest.
//!
//! Parent: `auth_profiles` · Restart: permanent, with a budget of its own · Mailbox: 64, reject
//! Survives a restart: cooldowns and counters, read back from the store; deadlines are absolute. Lost: at most the
//! last second of counters; a window that disables the credential is kept before it is acknowledged.
//! Fails when: the store refuses a read at start.

use std::sync::Arc;
use std::time::Duration;

use ring::digest::{Context, SHA256};
use supervision::{Actor, ActorResult, BoxError, Ctx, Reply, Timer};

use super::contract::{ProfileStore, ProfileStoreError};
use super::cooldown::{ProfileState, UsageStats};
use super::outcome::Outcome;
use super::profile::ProfileKey;
use crate::clock::{Clock, EpochMs, rfc3339};
use crate::secret::Secret;

/// Counters are written at most this often.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// After a failed write.
const SAVE_AGAIN: Duration = Duration::from_secs(5);

/// What a credential's actor is started with.
pub(super) struct ProfileArgs {
    pub(super) key: ProfileKey,
    pub(super) store: Arc<dyn ProfileStore>,
    pub(super) clock: Clock,
}

#[derive(Debug)]
pub(super) enum ProfileMessage {
    /// A model call needs the credential, which is now the one of `proof`. Replies with its proof, or when to come back.
    Lease { proof: Proof, known: Option<UsageStats>, reply: Reply<Result<Proof, ProfileState>> },
    /// A leased call ended. Replies when that is in force, and kept if it disables the credential.
    Report { proof: Proof, outcome: Outcome, reply: Reply<()> },
    /// Somebody asks whether it may be used.
    Inspect { proof: Proof, known: Option<UsageStats>, reply: Reply<(ProfileState, Option<EpochMs>)> },
    /// An operator wants it used again now.
    Reset { reply: Reply<()> },
    /// A window is over, so the tree shows something else.
    WindowOver,
    /// Counters are to be written.
    SaveDue,
    /// A write ended.
    Saved { result: Result<(), ProfileStoreError> },
}

/// Which credential a lease was given for; another one in its place is not blamed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof(Option<String>);

impl Proof {
    /// Tells one key at one address from another without telling anything of it.
    pub(super) fn of(secret: Option<&Secret>, address: &str) -> Self {
        if secret.is_none() && address.is_empty() {
            return Self(None);
        }
        let mut context = Context::new(&SHA256);
        context.update(secret.map_or("", Secret::expose).as_bytes());
        context.update(b"\n");
        context.update(address.as_bytes());
        Self(Some(context.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()))
    }
}

#[derive(Debug)]
pub(super) struct ProfileActor;

pub(super) struct ProfileRecord {
    key: ProfileKey,
    store: Arc<dyn ProfileStore>,
    clock: Clock,
    stats: UsageStats,
    /// Nothing was known at the start, so what a file remembers is taken over.
    is_new: bool,
    save: Save,
    /// Fires when the open window is over.
    window: Option<(EpochMs, Timer)>,
    /// Told when the write that follows the present one is done.
    waiting: Vec<Reply<()>>,
    /// Told when the present write is done.
    writing: Vec<Reply<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Save {
    Clean,
    /// A timer will write.
    Due,
    Writing {
        again: bool,
    },
}

impl Actor for ProfileActor {
    type Message = ProfileMessage;
    type Args = ProfileArgs;
    type State = ProfileRecord;

    async fn pre_start(&self, args: ProfileArgs, ctx: &Ctx<ProfileMessage>) -> Result<ProfileRecord, BoxError> {
        let ProfileArgs { key, store, clock } = args;
        let known = store.load(&key).await?;
        let mut state = ProfileRecord {
            is_new: known.is_none(),
            stats: known.unwrap_or_default(),
            key,
            store,
            clock,
            save: Save::Clean,
            window: None,
            waiting: Vec::new(),
            writing: Vec::new(),
        };
        state.show(ctx);
        Ok(state)
    }

    async fn handle(
        &self,
        state: &mut ProfileRecord,
        message: ProfileMessage,
        ctx: &Ctx<ProfileMessage>,
    ) -> ActorResult {
        match message {
            ProfileMessage::Lease { proof, known, reply } => reply.send(state.lease(proof, known, ctx)),
            ProfileMessage::Report { proof, outcome, reply } => state.report(&proof, outcome, reply, ctx),
            ProfileMessage::Inspect { proof, known, reply } => {
                state.adopt(&proof, known);
                reply.send((state.stats.state(state.clock.now_ms()), state.stats.last_used));
            }
            ProfileMessage::Reset { reply } => state.reset(reply, ctx),
            ProfileMessage::WindowOver => {}
            ProfileMessage::SaveDue => state.write(ctx),
            ProfileMessage::Saved { result } => state.saved(result, ctx),
        }
        state.show(ctx);
        Ok(())
    }
}

impl ProfileRecord {
    /// Counts for the credential that is there now.
    fn adopt(&mut self, proof: &Proof, known: Option<UsageStats>) {
        if std::mem::take(&mut self.is_new)
            && let Some(known) = known
        {
            self.stats = UsageStats { fingerprint: proof.0.clone(), ..known };
        }
        self.stats.adopt(proof.0.as_deref());
    }

    fn lease(
        &mut self,
        proof: Proof,
        known: Option<UsageStats>,
        ctx: &Ctx<ProfileMessage>,
    ) -> Result<Proof, ProfileState> {
        self.adopt(&proof, known);
        let now = self.clock.now_ms();
        match self.stats.state(now) {
            ProfileState::Ready => {
                self.stats.leased(now);
                self.save_soon(ctx);
                Ok(proof)
            }
            blocked @ (ProfileState::CoolingDown { .. } | ProfileState::Disabled { .. }) => Err(blocked),
        }
    }

    fn report(&mut self, proof: &Proof, outcome: Outcome, reply: Reply<()>, ctx: &Ctx<ProfileMessage>) {
        if proof.0 != self.stats.fingerprint {
            reply.send(());
            return;
        }
        let now = self.clock.now_ms();
        let was = self.stats.state(now);
        let disabled = self.stats.report(outcome, now);
        let is = self.stats.state(now);
        if was != is {
            let profile = self.key.profile.as_str();
            match is {
                ProfileState::Ready => {}
                ProfileState::CoolingDown { until, reason } => {
                    tracing::info!(profile, reason = reason.as_str(), until = rfc3339(until), "credential cools down");
                }
                ProfileState::Disabled { until, reason } => {
                    tracing::error!(profile, reason = reason.as_str(), until = rfc3339(until), "credential disabled");
                }
            }
        }
        if disabled {
            self.save_now(Some(reply), ctx);
        } else {
            self.save_soon(ctx);
            reply.send(());
        }
    }

    fn reset(&mut self, reply: Reply<()>, ctx: &Ctx<ProfileMessage>) {
        let fingerprint = self.stats.fingerprint.take();
        self.stats.adopt(fingerprint.as_deref());
        if fingerprint.is_none() {
            self.stats = UsageStats { last_used: self.stats.last_used, ..UsageStats::default() };
        }
        self.save_now(Some(reply), ctx);
    }

    fn save_soon(&mut self, ctx: &Ctx<ProfileMessage>) {
        match self.save {
            Save::Clean => {
                self.save = Save::Due;
                ctx.send_after(SAVE_EVERY, ProfileMessage::SaveDue).detach();
            }
            Save::Due => {}
            Save::Writing { .. } => self.save = Save::Writing { again: true },
        }
    }

    fn save_now(&mut self, reply: Option<Reply<()>>, ctx: &Ctx<ProfileMessage>) {
        self.waiting.extend(reply);
        match self.save {
            Save::Clean | Save::Due => self.write(ctx),
            Save::Writing { .. } => self.save = Save::Writing { again: true },
        }
    }

    /// Starts a write, unless one is under way: two at a time could end in the wrong order.
    fn write(&mut self, ctx: &Ctx<ProfileMessage>) {
        match self.save {
            Save::Writing { .. } => return,
            // The timer of a write that was done sooner.
            Save::Clean if self.waiting.is_empty() => return,
            Save::Clean | Save::Due => {}
        }
        self.save = Save::Writing { again: false };
        self.writing.append(&mut self.waiting);
        let save = self.store.save(&self.key, &self.stats);
        let reporter = ctx.reporter();
        ctx.spawn_scoped(async move {
            let result = save.await;
            reporter.send(ProfileMessage::Saved { result });
        });
    }

    fn saved(&mut self, result: Result<(), ProfileStoreError>, ctx: &Ctx<ProfileMessage>) {
        let again = self.save == Save::Writing { again: true };
        self.save = Save::Clean;
        match result {
            Ok(()) => {
                ctx.clear_detail("store");
                self.writing.drain(..).for_each(|reply| reply.send(()));
                if !self.waiting.is_empty() {
                    self.write(ctx);
                } else if again {
                    self.save_soon(ctx);
                }
            }
            Err(error) => {
                tracing::warn!(profile = self.key.profile.as_str(), %error, "use of a credential not written");
                ctx.set_detail("store", "last write failed");
                // Those who wait go on waiting; their deadline ends it.
                self.waiting.append(&mut self.writing);
                self.save = Save::Due;
                ctx.send_after(SAVE_AGAIN, ProfileMessage::SaveDue).detach();
            }
        }
    }

    fn show(&mut self, ctx: &Ctx<ProfileMessage>) {
        let now = self.clock.now_ms();
        let (state, window) = match self.stats.state(now) {
            ProfileState::Ready => ("ready", None),
            ProfileState::CoolingDown { until, reason } => ("cooling down", Some((until, reason))),
            ProfileState::Disabled { until, reason } => ("disabled", Some((until, reason))),
        };
        ctx.set_detail("state", state);
        match window {
            Some((until, reason)) => {
                ctx.set_detail("until", rfc3339(until));
                ctx.set_detail("reason", reason.as_str());
                if self.window.as_ref().is_none_or(|(at, _)| *at != until) {
                    let wait = Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0));
                    self.window = Some((until, ctx.send_after(wait, ProfileMessage::WindowOver)));
                }
            }
            None => {
                ctx.clear_detail("until");
                ctx.clear_detail("reason");
                self.window = None;
            }
        }
        let UsageStats { usage_count, success_count, failure_count, error_count, .. } = &self.stats;
        ctx.set_detail("uses", format!("{usage_count}, {success_count} ok, {failure_count} failed"));
        ctx.set_detail("failuresInRow", error_count.to_string());
    }
}
