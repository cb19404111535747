//! An actor that does what it is told in every part of its life, and hands what it hears of its children to the test.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ractor::concurrency::JoinHandle;
use ractor::pg::GroupChangeMessage;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus, RpcReplyPort, SpawnErr, SupervisionEvent};
use tokio::sync::{Notify, mpsc, oneshot};

/// Longer than anything takes, and never waited for: the clock is paused or the wait ends before.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>, Arc<Notify>);

impl Log {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.into());
        self.1.notify_waiters();
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines().iter().any(|known| known == line)
    }

    pub(crate) async fn until(&self, line: &str) {
        let seen = async {
            loop {
                let grew = self.1.notified();
                if self.has(line) {
                    return;
                }
                grew.await;
            }
        };
        if tokio::time::timeout(PATIENCE, seen).await.is_err() {
            panic!("`{line}` was not seen: {:?}", self.lines());
        }
    }
}

/// Notes its own end.
#[derive(Debug)]
pub(crate) struct Witness(pub(crate) &'static str, pub(crate) Log);

impl Drop for Witness {
    fn drop(&mut self) {
        self.1.note(self.0);
    }
}

/// An error with a type, to see whether it keeps it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("typed {0}")]
pub(crate) struct Typed(pub(crate) u32);

/// What to do next.
#[derive(Clone, Debug, Default)]
pub(crate) enum Turn {
    #[default]
    Pass,
    Fail,
    Panic,
    /// Panics with a payload that is no text.
    PanicAny,
    /// Waits for ever; can be cancelled.
    Hang,
    Until(Arc<Notify>),
}

impl Turn {
    async fn take(&self) -> Result<(), ActorProcessingErr> {
        match self {
            Self::Pass => Ok(()),
            Self::Fail => Err(Typed(7).into()),
            Self::Panic => panic!("boom"),
            Self::PanicAny => std::panic::panic_any(7_u32),
            Self::Hang => std::future::pending().await,
            Self::Until(gate) => {
                gate.notified().await;
                Ok(())
            }
        }
    }
}

/// A message to a probe.
pub(crate) enum Order {
    Note(&'static str),
    Do(Turn),
    /// Notes `begun`, does its turn, notes `done`.
    Work(Turn),
    /// Changes the state, then does its turn.
    Change(u32, Turn),
    /// Blocks the thread until the other end is dropped.
    Block(std::sync::mpsc::Receiver<()>),
    /// The same without letting anybody else run before.
    BlockAtOnce(std::sync::mpsc::Receiver<()>),
    Ask(RpcReplyPort<u32>),
    /// Notes whether the caller has gone.
    IsGone(RpcReplyPort<u32>),
    /// Starts a task with the runtime's bare spawn; it answers when asked to.
    Task(oneshot::Receiver<()>, oneshot::Sender<()>),
}

/// A probe's state; its end is noted together with how far its actor's end had come.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) value: u32,
    me: ActorCell,
    log: Log,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.log.note(format!("state dropped while {:?}", self.me.get_status()));
    }
}

/// What a probe heard of a child, and what it saw at that moment.
#[derive(Debug)]
pub(crate) enum Event {
    Started(ActorCell, ActorStatus),
    Terminated { cell: ActorCell, state: Option<Held>, reason: Option<String>, children: usize, named: bool },
    Failed { cell: ActorCell, error: ActorProcessingErr },
    Left(String),
    Joined(String),
}

/// The actor.
#[derive(Default)]
pub(crate) struct Probe {
    pub(crate) log: Log,
    pub(crate) pre_start: Turn,
    pub(crate) post_start: Turn,
    pub(crate) post_stop: Turn,
    pub(crate) on_event: Turn,
    pub(crate) events: Option<mpsc::Sender<Event>>,
}

impl Probe {
    pub(crate) fn new(log: &Log) -> Self {
        Self { log: log.clone(), ..Self::default() }
    }

    /// Starts it under `parent`.
    pub(crate) async fn under(self, parent: &ActorRef<Order>) -> (ActorRef<Order>, JoinHandle<()>) {
        self.start(None, parent).await.unwrap()
    }

    /// Tries to start it under `parent`.
    pub(crate) async fn start(
        self,
        name: Option<&str>,
        parent: &ActorRef<Order>,
    ) -> Result<(ActorRef<Order>, JoinHandle<()>), SpawnErr> {
        Actor::spawn_linked(name.map(str::to_owned), self, (), parent.get_cell()).await
    }
}

/// A parent and what it hears.
pub(crate) async fn parent() -> (ActorRef<Order>, mpsc::Receiver<Event>) {
    let (events, heard) = mpsc::channel(1024);
    let probe = Probe { events: Some(events), ..Probe::default() };
    let (parent, _) = Actor::spawn(None, probe, ()).await.unwrap();
    (parent, heard)
}

/// The next end of a child; starts are passed over.
pub(crate) async fn next_end(heard: &mut mpsc::Receiver<Event>) -> Event {
    loop {
        match heard.recv().await.unwrap() {
            Event::Started(..) => {}
            other @ (Event::Terminated { .. } | Event::Failed { .. } | Event::Left(_) | Event::Joined(_)) => {
                return other;
            }
        }
    }
}

/// State (its value) and reason of the next end, which has to be a termination.
pub(crate) async fn next_termination(heard: &mut mpsc::Receiver<Event>) -> (Option<u32>, Option<String>) {
    match next_end(heard).await {
        Event::Terminated { state, reason, .. } => (state.map(|state| state.value), reason),
        other => panic!("{other:?}"),
    }
}

/// The error of the next end, which has to be a failure.
pub(crate) async fn next_failure(heard: &mut mpsc::Receiver<Event>) -> ActorProcessingErr {
    match next_end(heard).await {
        Event::Failed { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

/// A gate that is shut, and the turn that waits at it.
pub(crate) fn gate() -> (Arc<Notify>, Turn) {
    let gate = Arc::new(Notify::new());
    (Arc::clone(&gate), Turn::Until(gate))
}

/// Keeps an actor busy in a handler until the gate opens; returns once it is.
pub(crate) async fn occupy(actor: &ActorRef<Order>, log: &Log) -> Arc<Notify> {
    let (gate, turn) = gate();
    actor.cast(Order::Work(turn)).unwrap();
    log.until("begun").await;
    gate
}

/// Returns when nothing in the runtime has anything left to do: only then does a paused clock move.
pub(crate) async fn until_idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

impl Actor for Probe {
    type Msg = Order;
    type State = Held;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Order>, (): ()) -> Result<Held, ActorProcessingErr> {
        self.log.note("pre_start");
        let _future = Witness("pre_start over", self.log.clone());
        self.pre_start.take().await?;
        Ok(Held { value: 0, me: me.get_cell(), log: self.log.clone() })
    }

    async fn post_start(&self, _: ActorRef<Order>, _: &mut Held) -> Result<(), ActorProcessingErr> {
        self.log.note("post_start");
        self.post_start.take().await
    }

    async fn post_stop(&self, _: ActorRef<Order>, _: &mut Held) -> Result<(), ActorProcessingErr> {
        self.log.note("post_stop");
        self.post_stop.take().await
    }

    async fn handle(&self, _: ActorRef<Order>, order: Order, held: &mut Held) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Note(line) => self.log.note(line),
            Order::Do(turn) => turn.take().await?,
            Order::Work(turn) => {
                self.log.note("begun");
                turn.take().await?;
                self.log.note("done");
            }
            Order::Change(value, turn) => {
                held.value = value;
                self.log.note("changed");
                turn.take().await?;
            }
            Order::Block(until) => {
                // What this task has just woken must not wait on this thread for its turn.
                tokio::task::yield_now().await;
                self.log.note("blocked");
                until.recv().ok();
                self.log.note("unblocked");
                tokio::task::yield_now().await;
                self.log.note("went on");
            }
            Order::BlockAtOnce(until) => {
                self.log.note("blocked");
                until.recv().ok();
            }
            Order::Ask(reply) => drop(reply.send(held.value).ok()),
            Order::IsGone(reply) => self.log.note(if reply.is_closed() { "caller gone" } else { "caller waits" }),
            Order::Task(go, done) => drop(tokio::spawn(async move {
                go.await.ok();
                done.send(()).ok();
            })),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Order>,
        event: SupervisionEvent,
        _: &mut Held,
    ) -> Result<(), ActorProcessingErr> {
        self.log.note("event");
        self.on_event.take().await?;
        let event = match event {
            SupervisionEvent::ActorStarted(cell) => {
                let status = cell.get_status();
                Event::Started(cell, status)
            }
            SupervisionEvent::ActorTerminated(cell, state, reason) => Event::Terminated {
                state: state.and_then(|mut state| state.take::<Held>().ok()),
                reason,
                children: cell.get_children().len(),
                named: cell.get_name().is_some_and(|name| ractor::registry::where_is(name).is_some()),
                cell,
            },
            SupervisionEvent::ActorFailed(cell, error) => Event::Failed { cell, error },
            SupervisionEvent::ProcessGroupChanged(GroupChangeMessage::Join(_, group, _)) => Event::Joined(group),
            SupervisionEvent::ProcessGroupChanged(GroupChangeMessage::Leave(_, group, _)) => Event::Left(group),
        };
        if let Some(events) = &self.events {
            events.try_send(event).unwrap();
        }
        Ok(())
    }
}
