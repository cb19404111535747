//! For tests of crates that build on this one: an actor that fails on command and a record of what happened.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::actor::{Actor, ChildExit};
use crate::address::{Address, Slot};
use crate::call::Reply;
use crate::child_spec::ChildSpec;
use crate::context::Ctx;
use crate::exit::{ActorResult, BoxError, Exit};
use crate::incarnation::StartInfo;
use crate::path::ChildId;

/// What happened, in order. Cheap to clone; clones share the record.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Record>);

#[derive(Default)]
struct Record {
    lines: Mutex<Vec<String>>,
    grew: Notify,
}

impl Recorder {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line.
    pub fn note(&self, line: impl Into<String>) {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.into());
        self.0.grew.notify_waiters();
    }

    /// All lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets all lines.
    pub fn clear(&self) {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until `line` has been noted.
    ///
    /// # Panics
    /// If that takes a minute of the runtime's time; the message says what was noted.
    #[track_caller]
    pub fn until(&self, line: &str) -> impl Future<Output = ()> + '_ {
        let line = line.to_owned();
        self.until_that(move |lines| lines.contains(&line))
    }

    /// Waits until the record satisfies `done`.
    ///
    /// # Panics
    /// If that takes a minute of the runtime's time; the message says what was noted.
    #[track_caller]
    pub fn until_that<'a>(&'a self, done: impl Fn(&[String]) -> bool + Send + 'a) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let wait = async {
                loop {
                    let grew = self.0.grew.notified();
                    if done(&self.lines()) {
                        return;
                    }
                    grew.await;
                }
            };
            if tokio::time::timeout(Duration::from_secs(60), wait).await.is_err() {
                panic!("{caller}: not seen within a minute; seen: {:?}", self.lines());
            }
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorder").field(&self.lines()).finish()
    }
}

/// What a puppet can be told to do.
#[derive(Debug)]
pub enum Command {
    /// Says which incarnation it is.
    Incarnation(Reply<u64>),
    /// Notes a line.
    Note(String),
    /// Panics.
    Panic(&'static str),
    /// Returns an error.
    Error(&'static str),
    /// Returns [`Exit::Fatal`].
    Fatal(&'static str),
    /// Returns the given exit.
    Exit(Exit),
    /// Stops cleanly.
    Stop(&'static str),
    /// Drains.
    Drain,
    /// Never returns, but can be cancelled.
    Hang,
    /// Blocks its thread until the flag is set.
    Block(Arc<AtomicBool>),
    /// Sleeps, then answers.
    Sleep(Duration, Reply<()>),
    /// Starts a scoped task that panics.
    TaskPanic(&'static str),
    /// Starts a worker child.
    StartChild(Box<ChildSpec>),
    /// Stops a worker child.
    StopChild(ChildId),
    /// Calls another puppet for its incarnation.
    CallOther(Address<Command>, Reply<Result<u64, crate::call::CallError>>),
    /// Adds to the checkpoint and says what is in it.
    Count(Reply<u64>),
    /// Says what it is busy with.
    Busy(Option<String>),
    /// Shows a fact.
    Detail(&'static str, String),
}

/// An actor that does what it is told and notes its life: `start a#1`, `stop a#1`, `drop a#1`, `child x: reason`.
#[derive(Clone)]
pub struct Puppet {
    name: String,
    recorder: Recorder,
    slot: Slot<Command>,
    fail_starts: Arc<AtomicU32>,
    ignore_starts: Arc<AtomicU32>,
    info: Option<StartInfo>,
    fatal_start: bool,
    hang_start: bool,
    hang_stop: bool,
}

impl Puppet {
    /// A well-behaved puppet.
    #[must_use]
    pub fn new(name: &str, recorder: &Recorder) -> Self {
        Self {
            name: name.to_owned(),
            recorder: recorder.clone(),
            slot: Slot::new(),
            fail_starts: Arc::default(),
            ignore_starts: Arc::default(),
            info: None,
            fatal_start: false,
            hang_start: false,
            hang_stop: false,
        }
    }

    /// Its next `n` starts fail. May be called at any time.
    pub fn fail_starts(&self, n: u32) {
        self.fail_starts.store(n, Ordering::SeqCst);
    }

    /// Its next `n` starts, after those that fail, say that there is nothing to run. May be called at any time.
    pub fn ignore_starts(&self, n: u32) {
        self.ignore_starts.store(n, Ordering::SeqCst);
    }

    /// Its starts leave this for whoever asked for them.
    #[must_use]
    pub fn with_info(mut self, info: StartInfo) -> Self {
        self.info = Some(info);
        self
    }

    /// Its starts fail fatally.
    #[must_use]
    pub fn fatal_start(mut self) -> Self {
        self.fatal_start = true;
        self
    }

    /// Its starts never end.
    #[must_use]
    pub fn hang_start(mut self) -> Self {
        self.hang_start = true;
        self
    }

    /// Its `post_stop` never ends.
    #[must_use]
    pub fn hang_stop(mut self) -> Self {
        self.hang_stop = true;
        self
    }

    /// A slot to use instead of its own.
    #[must_use]
    pub fn in_slot(mut self, slot: &Slot<Command>) -> Self {
        self.slot = slot.clone();
        self
    }

    /// Its spec.
    #[must_use]
    pub fn spec(&self) -> ChildSpec {
        let puppet = self.clone();
        ChildSpec::actor(self.name.as_str(), "puppet", &self.slot, move |_| (puppet.clone(), ()))
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Address<Command> {
        self.slot.address()
    }

    /// Tells it something.
    ///
    /// # Panics
    /// If it is not there to be told.
    #[track_caller]
    pub fn tell(&self, command: Command) {
        if let Err(error) = self.address().try_cast(command) {
            panic!("{} cannot be told: {error}", self.name);
        }
    }

    /// Its incarnation, once it answers.
    ///
    /// # Panics
    /// If it does not.
    pub async fn incarnation(&self) -> u64 {
        match self.address().call(Command::Incarnation, Duration::from_secs(30)).await {
            Ok(incarnation) => incarnation,
            Err(error) => panic!("{} does not answer: {error}", self.name),
        }
    }

    async fn child_command(command: Command, ctx: &Ctx<Command>) {
        match command {
            Command::StartChild(spec) => ctx.start_child(*spec),
            Command::StopChild(id) => ctx.stop_child(&id),
            Command::TaskPanic(text) => ctx.spawn_scoped(async move { panic!("{text}") }),
            Command::CallOther(other, reply) => {
                reply.send(other.call(Command::Incarnation, Duration::from_secs(5)).await);
            }
            Command::Count(reply) => {
                let count = ctx.checkpoint().get::<u64>().map_or(0, |count| *count) + 1;
                ctx.checkpoint().put(Arc::new(count));
                reply.send(count);
            }
            Command::Busy(what) => ctx.set_busy(what),
            Command::Detail(key, value) => ctx.set_detail(key, value),
            Command::Incarnation(_)
            | Command::Note(_)
            | Command::Panic(_)
            | Command::Error(_)
            | Command::Fatal(_)
            | Command::Exit(_)
            | Command::Stop(_)
            | Command::Drain
            | Command::Hang
            | Command::Block(_)
            | Command::Sleep(..) => {}
        }
    }
}

impl fmt::Debug for Puppet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Puppet").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Notes its own end.
#[derive(Debug)]
pub struct Witness {
    line: String,
    recorder: Recorder,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.recorder.note(std::mem::take(&mut self.line));
    }
}

impl Actor for Puppet {
    type Message = Command;
    type Args = ();
    type State = Witness;

    async fn pre_start(&self, (): (), ctx: &Ctx<Command>) -> Result<Witness, BoxError> {
        let life = format!("{}#{}", self.name, ctx.incarnation());
        if self.hang_start {
            self.recorder.note(format!("hang {life}"));
            std::future::pending::<()>().await;
        }
        if self.fatal_start {
            return Err(Exit::Fatal("bad credentials".into()).into());
        }
        let left = self.fail_starts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() {
            self.recorder.note(format!("fail {life}"));
            return Err("start refused".into());
        }
        if self.ignore_starts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            self.recorder.note(format!("ignore {life}"));
            return Err(Exit::Ignore.into());
        }
        if let Some(info) = &self.info {
            ctx.set_start_info(Arc::clone(info));
        }
        self.recorder.note(format!("start {life}"));
        Ok(Witness { line: format!("drop {life}"), recorder: self.recorder.clone() })
    }

    async fn handle(&self, _: &mut Witness, command: Command, ctx: &Ctx<Command>) -> ActorResult {
        match command {
            Command::Incarnation(reply) => reply.send(ctx.incarnation()),
            Command::Note(line) => self.recorder.note(line),
            Command::Panic(text) => panic!("{text}"),
            Command::Error(text) => return Err(text.into()),
            Command::Fatal(text) => return Err(Exit::Fatal(text.into()).into()),
            Command::Exit(exit) => return Err(exit.into()),
            Command::Stop(reason) => ctx.stop(reason),
            Command::Drain => ctx.drain(),
            Command::Hang => {
                self.recorder.note(format!("hang {}#{}", self.name, ctx.incarnation()));
                std::future::pending::<()>().await;
            }
            Command::Block(until) => {
                // A task woken just now must not wait on this thread for its turn.
                tokio::task::yield_now().await;
                self.recorder.note(format!("block {}#{}", self.name, ctx.incarnation()));
                while !until.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            Command::Sleep(time, reply) => {
                tokio::time::sleep(time).await;
                reply.send(());
            }
            other @ (Command::TaskPanic(_)
            | Command::StartChild(_)
            | Command::StopChild(_)
            | Command::CallOther(..)
            | Command::Count(_)
            | Command::Busy(_)
            | Command::Detail(..)) => Self::child_command(other, ctx).await,
        }
        Ok(())
    }

    async fn child_exited(&self, _: &mut Witness, exit: ChildExit, _: &Ctx<Command>) -> ActorResult {
        self.recorder.note(format!("child {}: {}", exit.id, exit.reason.class().as_str()));
        Ok(())
    }

    async fn post_stop(&self, _: &mut Witness, ctx: &Ctx<Command>) -> ActorResult {
        if self.hang_stop {
            std::future::pending::<()>().await;
        }
        self.recorder.note(format!("stop {}#{}", self.name, ctx.incarnation()));
        Ok(())
    }
}

/// Kills the actor that calls it, as from outside: at its next `.await` it is gone, without an orderly end.
pub fn kill_self<M: Send + 'static>(ctx: &Ctx<M>) {
    ctx.core.cell.kill();
}

/// Kills the supervisor of the actor that calls it, as from outside.
pub fn kill_supervisor<M: Send + 'static>(ctx: &Ctx<M>) {
    if let Some(supervisor) = ctx.core.cell.try_get_supervisor() {
        supervisor.kill();
    }
}

/// Cuts the runtime's link between the actor that calls it and its supervisor, which then hears of its end from nobody.
/// No actor can do that to itself outside of tests.
pub fn cut_link<M: Send + 'static>(ctx: &Ctx<M>) {
    if let Some(supervisor) = ctx.core.cell.try_get_supervisor() {
        ctx.core.cell.unlink(supervisor);
    }
}
