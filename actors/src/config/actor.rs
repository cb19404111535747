//! The owner of the configuration: publishes snapshots, follows the file, is its only writer.
//!
//! Parent: `core` · Restart: permanent · Mailbox: 64, reject
//! Survives a restart: the published snapshot and its revision. Re-read at start: the file. Lost: nothing.
//! Fails when: never by itself. A file that is refused or gone leaves the last good snapshot in force; a folder that
//! cannot be watched is read again every few seconds instead.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use supervision::{Actor, ActorResult, BoxError, ChildSpec, Ctx, Reply, Timer};
use tokio::time::Instant;

use super::diff::{ReloadClass, diff};
use super::handle::{ConfigHandle, Shared};
use super::issue::ConfigError;
use super::load::{LoadSources, load};
use super::schema::ReloadMode;
use super::snapshot::ConfigSnapshot;
use super::watch::FileWatch;
use super::write::{WriteError, write};
use crate::clock::Clock;

/// Quiet time after the last change before the file is read: editors write in several steps (OpenClaw: 200–300 ms).
pub const SETTLE: Duration = Duration::from_millis(250);
/// A file that never comes to rest is read after this long.
const MAX_SETTLE: Duration = Duration::from_secs(2);
/// How often a file is looked for again that vanished, as it does while an editor renames, and how soon.
const MISSING_RETRIES: u32 = 2;
const MISSING_DELAY: Duration = Duration::from_millis(150);
/// How often the file is read where its folder cannot be watched.
const POLL: Duration = Duration::from_secs(5);

/// What the owner needs at each start.
#[derive(Debug, Clone)]
pub struct ConfigArgs {
    /// Where the configuration lies.
    pub sources: LoadSources,
    /// Names refused texts.
    pub clock: Clock,
    /// Quiet time before a changed file is read, usually [`SETTLE`].
    pub settle: Duration,
}

/// Why the file was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReloadError {
    /// It is refused.
    #[error(transparent)]
    Invalid(Arc<ConfigError>),
    /// It is gone, though there was one.
    #[error("the configuration file is gone, the running configuration stays")]
    Missing,
    /// The owner did not answer.
    #[error("the configuration's owner did not answer: {0}")]
    Unavailable(String),
}

impl ReloadError {
    /// The reason on one line.
    fn brief(&self) -> String {
        match self {
            Self::Invalid(error) => error.brief(),
            Self::Missing | Self::Unavailable(_) => self.to_string(),
        }
    }
}

#[derive(Debug)]
pub(super) enum ConfigMessage {
    /// Something happened to a watched file.
    Touched,
    /// The file came to rest.
    Settled,
    /// Time to look, where nothing can be watched.
    Poll,
    /// Read the file now. Replies with what is in force then.
    Reload { reply: Reply<Result<Arc<ConfigSnapshot>, ReloadError>> },
    /// Make a text the configuration. Replies with what was published.
    Set { raw: String, base_hash: Option<String>, reply: Reply<Result<Arc<ConfigSnapshot>, WriteError>> },
}

pub(super) struct ConfigActor;

pub(super) struct ConfigState {
    shared: Arc<Shared>,
    args: ConfigArgs,
    watch: Option<FileWatch>,
    /// The first of the events that are waited out.
    restless_since: Option<Instant>,
    settle: Option<Timer>,
    poll: Option<Timer>,
    missing: u32,
    /// The file was not taken when it was last read.
    is_refused: bool,
}

/// The usual spec of the owner behind `handle`.
pub fn child_spec(handle: &ConfigHandle, make: impl Fn() -> ConfigArgs + Send + Sync + 'static) -> ChildSpec {
    let shared = Arc::clone(&handle.0);
    ChildSpec::actor("config", "config", &handle.0.slot, move |_| (ConfigActor, (Arc::clone(&shared), make())))
        .handler_limit(crate::HANDLER_LIMIT)
}

impl Actor for ConfigActor {
    type Message = ConfigMessage;
    type Args = (Arc<Shared>, ConfigArgs);
    type State = ConfigState;

    async fn pre_start(&self, args: Self::Args, ctx: &Ctx<ConfigMessage>) -> Result<ConfigState, BoxError> {
        let (shared, args) = args;
        let mut state = ConfigState {
            shared,
            args,
            watch: None,
            restless_since: None,
            settle: None,
            poll: None,
            missing: 0,
            is_refused: false,
        };
        ctx.set_detail("path", state.args.sources.config_path.display().to_string());
        state.show(&state.current(), ctx);
        // Whatever happened while nobody watched: first the watch, then the look, so that no change falls between.
        state.follow(ctx);
        state.look(ctx);
        Ok(state)
    }

    async fn handle(&self, state: &mut ConfigState, message: ConfigMessage, ctx: &Ctx<ConfigMessage>) -> ActorResult {
        match message {
            ConfigMessage::Touched => state.touched(ctx),
            ConfigMessage::Settled => state.look(ctx),
            ConfigMessage::Poll => state.polled(ctx),
            ConfigMessage::Reload { reply } => reply.send(state.reload(ctx)),
            ConfigMessage::Set { raw, base_hash, reply } => reply.send(state.set(&raw, base_hash.as_deref(), ctx)),
        }
        Ok(())
    }
}

impl ConfigState {
    fn current(&self) -> Arc<ConfigSnapshot> {
        self.shared.published.borrow().clone()
    }

    /// Starts the quiet time anew, unless it has lasted too long already.
    fn touched(&mut self, ctx: &Ctx<ConfigMessage>) {
        if let Some(watch) = &self.watch {
            watch.taken();
        }
        let since = *self.restless_since.get_or_insert_with(Instant::now);
        if self.settle.is_none() || since.elapsed() < MAX_SETTLE {
            self.settle = Some(ctx.send_after(self.args.settle, ConfigMessage::Settled));
        }
    }

    /// Reads the file because it may have changed.
    fn look(&mut self, ctx: &Ctx<ConfigMessage>) {
        self.restless_since = None;
        self.settle = None;
        match self.read() {
            Ok(found) => {
                self.missing = 0;
                self.accept(ctx);
                if !differs(&found, &self.current()) {
                    ctx.clear_detail("pending");
                } else if self.current().config.gateway.reload == ReloadMode::Off {
                    tracing::info!("configuration changed, reload is off");
                    ctx.set_detail("pending", "the file has changed, gateway.reload.mode is off");
                } else {
                    self.publish(found, ctx);
                }
            }
            Err(ReloadError::Missing) if self.missing < MISSING_RETRIES => {
                self.missing += 1;
                self.settle = Some(ctx.send_after(MISSING_DELAY, ConfigMessage::Settled));
            }
            Err(error) => {
                if matches!(error, ReloadError::Missing) {
                    // Its folder may have gone with it, and the watch with the folder.
                    self.watch = None;
                }
                self.refuse(&error, ctx);
            }
        }
        self.follow(ctx);
    }

    fn polled(&mut self, ctx: &Ctx<ConfigMessage>) {
        self.poll = None;
        self.look(ctx);
    }

    fn reload(&mut self, ctx: &Ctx<ConfigMessage>) -> Result<Arc<ConfigSnapshot>, ReloadError> {
        let found = match self.read() {
            Ok(found) => found,
            Err(error) => {
                self.refuse(&error, ctx);
                return Err(error);
            }
        };
        self.accept(ctx);
        if differs(&found, &self.current()) {
            self.publish(found, ctx);
        }
        self.follow(ctx);
        Ok(self.current())
    }

    fn set(
        &mut self,
        raw: &str,
        base_hash: Option<&str>,
        ctx: &Ctx<ConfigMessage>,
    ) -> Result<Arc<ConfigSnapshot>, WriteError> {
        let written = write(&self.args.sources, raw, base_hash, self.args.clock.now_ms())?;
        tracing::info!(hash = %written.hash, "configuration written");
        self.accept(ctx);
        if differs(&written, &self.current()) {
            self.publish(written, ctx);
        }
        self.follow(ctx);
        Ok(self.current())
    }

    /// The file's snapshot. That a file is gone which was there is an error, not a return to defaults.
    fn read(&self) -> Result<ConfigSnapshot, ReloadError> {
        let found = load(&self.args.sources).map_err(|error| ReloadError::Invalid(Arc::new(error)))?;
        if !found.exists && self.current().exists { Err(ReloadError::Missing) } else { Ok(found) }
    }

    fn publish(&mut self, mut found: ConfigSnapshot, ctx: &Ctx<ConfigMessage>) {
        let before = self.current();
        found.revision = before.revision + 1;
        let changed = diff(&before, &found).len();
        tracing::info!(revision = found.revision, changed, "configuration published");
        for warning in found.warnings.iter().filter(|warning| !before.warnings.contains(warning)) {
            tracing::warn!(%warning, "configuration");
        }
        let (waited, waiting) = (self.waiting_for_restart(&before), self.waiting_for_restart(&found));
        if waiting != waited && !waiting.is_empty() {
            tracing::warn!(changed = waiting.join(", "), "takes effect with the next start only");
        }
        // The tree first: who hears of the revision finds it there.
        self.show(&found, ctx);
        ctx.clear_detail("pending");
        self.shared.published.send_replace(Arc::new(found));
    }

    /// Says that the file was not taken, in the log and in the tree.
    fn refuse(&mut self, error: &ReloadError, ctx: &Ctx<ConfigMessage>) {
        let (brief, in_force) = (error.brief(), self.current().revision);
        tracing::warn!(error = brief, in_force, "config reload skipped (invalid config)");
        ctx.set_detail("refused", brief);
        self.is_refused = true;
    }

    /// The file can be taken again.
    fn accept(&mut self, ctx: &Ctx<ConfigMessage>) {
        if std::mem::take(&mut self.is_refused) {
            tracing::info!("the configuration file is good again");
        }
        ctx.clear_detail("refused");
    }

    /// Shows what is, or is about to be, in force.
    fn show(&self, current: &ConfigSnapshot, ctx: &Ctx<ConfigMessage>) {
        ctx.set_detail("revision", current.revision.to_string());
        ctx.set_detail("hash", current.hash.get(..12).unwrap_or_default());
        if current.warnings.is_empty() {
            ctx.clear_detail("warnings");
        } else {
            ctx.set_detail("warnings", current.warnings.len().to_string());
        }
        let waiting = self.waiting_for_restart(current);
        if waiting.is_empty() {
            ctx.clear_detail("needs_restart");
        } else {
            ctx.set_detail("needs_restart", waiting.join(", "));
        }
    }

    /// What differs from the configuration of the start and can't be changed under way.
    fn waiting_for_restart(&self, current: &ConfigSnapshot) -> Vec<String> {
        let changes = diff(&self.shared.booted, current).into_iter();
        changes.filter(|change| change.class == ReloadClass::Restart).map(|change| change.path).collect()
    }

    /// Watches the files of the snapshot in force, or arranges to look again.
    fn follow(&mut self, ctx: &Ctx<ConfigMessage>) {
        let files = self.watched();
        if self.watch.as_ref().is_some_and(|watch| watch.covers(&files)) {
            return;
        }
        let reporter = ctx.reporter();
        let hint = move || {
            // Nobody left to tell is no loss: the next incarnation reads the file first.
            reporter.send(ConfigMessage::Touched);
        };
        match FileWatch::start(&files, hint) {
            Ok(watch) => {
                self.watch = Some(watch);
                self.poll = None;
                ctx.set_detail("follows", "events");
            }
            Err(error) => {
                tracing::debug!(%error, "configuration folder cannot be watched, looking every few seconds");
                self.watch = None;
                self.poll = Some(ctx.send_after(POLL, ConfigMessage::Poll));
                ctx.set_detail("follows", "a look every 5 s");
            }
        }
    }

    /// The configuration's files, and the `.env` it may take values from.
    fn watched(&self) -> Vec<PathBuf> {
        let sources = &self.args.sources;
        let mut files = vec![sources.config_path.clone(), sources.state_dir.join(".env")];
        files.extend(self.current().files.iter().cloned());
        files
    }
}

/// True when anybody could tell the two apart.
fn differs(a: &ConfigSnapshot, b: &ConfigSnapshot) -> bool {
    a.fingerprint != b.fingerprint || a.exists != b.exists || a.config != b.config || a.env != b.env
}
