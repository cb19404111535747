//! What can be asked of a supervisor, and what it answers.

use crate::child_spec::{Policy, SpecError};
use crate::exit::ExitReason;
use crate::incarnation::ActorId;
use crate::machine::{Birth, Down, Effect, Family, Key, Machine, Mode, Phase, Then, Ticket, Turn};
use crate::path::ChildId;

/// A request about one child.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// Start a child that was just inserted.
    StartNew(Key),
    /// Stop a child and leave it down.
    Terminate(ChildId),
    /// The same for a child known by its actor.
    TerminateKey(Key),
    /// Start a child that is down.
    Restart(ChildId),
    /// Start a child that is down or waiting to be retried, budgets reset.
    StartNow(ChildId),
    /// Forget a child that is down.
    Delete(ChildId),
    /// Stop a child, if it is up, and start it again; no budget is touched.
    Cycle(ChildId),
    /// Stop a child, if it is up, and forget it.
    Remove(ChildId),
    /// Do not restart a child until resumed.
    Suspend(ChildId),
    /// Undo `Suspend`; a child that ended meanwhile is started.
    Resume(ChildId),
    /// Attempts and windows start over; a waiting child is tried at once.
    ResetBackoff(ChildId),
    /// Use other rules for a child from its next exit on.
    Adopt(ChildId, Policy),
    /// Any of these, asked for by somebody who sees the tree and may name every child in it.
    Operator(Box<Request>),
}

impl Request {
    /// The child it is about, if it names one by id.
    fn id(&self) -> Option<&ChildId> {
        match self {
            Self::StartNew(_) | Self::TerminateKey(_) | Self::Operator(_) => None,
            Self::Terminate(id)
            | Self::Restart(id)
            | Self::StartNow(id)
            | Self::Delete(id)
            | Self::Cycle(id)
            | Self::Remove(id)
            | Self::Suspend(id)
            | Self::Resume(id)
            | Self::ResetBackoff(id)
            | Self::Adopt(id, _) => Some(id),
        }
    }
}

/// A request that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// The child has started.
    Started { key: Key, birth: Birth },
}

/// Why a supervisor did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// It has no child of that id.
    #[error("no such child")]
    NotFound,
    /// The child is running.
    #[error("the child is running")]
    Running,
    /// The child is being restarted or waits for it.
    #[error("the child is being restarted")]
    Restarting,
    /// A child of that id is running, or on its way up or down.
    #[error("a child of that id is already running")]
    AlreadyStarted(Option<ActorId>),
    /// A child of that id is known, though not running.
    #[error("a child of that id is already present")]
    AlreadyPresent,
    /// The supervisor has as many children as it may.
    #[error("the supervisor has as many children as it may")]
    MaxChildren,
    /// It does not go with this sort of supervisor: children made from a template have no ids of their own and no specs
    /// besides it, and independent children know no strategy but one for one.
    #[error("this sort of supervisor does not take that; children made from a template are known by their actors")]
    NotSupported,
    /// The child did not start.
    #[error("the child did not start: {0}")]
    StartFailed(ExitReason),
    /// The child was stopped before it had started.
    #[error("the child was stopped meanwhile")]
    Terminated,
    /// The specification makes no sense.
    #[error("the specification was refused")]
    Spec(#[from] SpecError),
    /// The supervisor is stopping.
    #[error("the supervisor is stopping")]
    ShuttingDown,
    /// There is no such supervisor now.
    #[error("the supervisor is not running")]
    NoProc,
}

impl Machine {
    /// Whether a child of that id may be added.
    pub(crate) fn admits(&self, id: &ChildId) -> Result<(), AdminError> {
        if !matches!(self.mode, Mode::Booting | Mode::Up) {
            return Err(AdminError::ShuttingDown);
        }
        if let Some(child) = self.by_id.get(id).and_then(|key| self.children.get(key)) {
            return Err(match child.phase {
                Phase::Starting if child.is_coming_back() => AdminError::AlreadyPresent,
                Phase::Starting | Phase::Running { .. } | Phase::Stopping { .. } => AdminError::AlreadyStarted(None),
                Phase::Down(_) | Phase::Waiting { .. } | Phase::Queued => AdminError::AlreadyPresent,
            });
        }
        match self.rules.max_children {
            Some(max) if self.children.len() >= max => Err(AdminError::MaxChildren),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn on_admin(&mut self, turn: &mut Turn<'_>, ticket: Ticket, request: Request) {
        if !matches!(self.mode, Mode::Booting | Mode::Up) {
            turn.reply(ticket, Err(AdminError::ShuttingDown));
            return;
        }
        match request {
            Request::StartNew(key) => {
                if let Some(child) = self.children.get_mut(&key) {
                    child.start_waiters.push(ticket);
                }
                self.start_or_queue(turn, key);
            }
            Request::TerminateKey(key) => self.terminate(turn, ticket, key, Then::Terminate),
            Request::Operator(request) => {
                if let Request::Terminate(id) = request.as_ref()
                    && let Some(child) = self.by_id.get(id).and_then(|key| self.children.get_mut(key))
                {
                    child.held = true;
                }
                self.on_request(turn, ticket, *request);
            }
            Request::Terminate(_)
            | Request::Restart(_)
            | Request::StartNow(_)
            | Request::Delete(_)
            | Request::Cycle(_)
            | Request::Remove(_)
            | Request::Suspend(_)
            | Request::Resume(_)
            | Request::ResetBackoff(_)
            | Request::Adopt(..)
                if self.rules.family == Family::Template =>
            {
                turn.reply(ticket, Err(AdminError::NotSupported));
            }
            Request::Terminate(_)
            | Request::Restart(_)
            | Request::StartNow(_)
            | Request::Delete(_)
            | Request::Cycle(_)
            | Request::Remove(_)
            | Request::Suspend(_)
            | Request::Resume(_)
            | Request::ResetBackoff(_)
            | Request::Adopt(..) => self.on_request(turn, ticket, request),
        }
    }

    /// A request about a child by its id.
    fn on_request(&mut self, turn: &mut Turn<'_>, ticket: Ticket, request: Request) {
        let Some(key) = request.id().and_then(|id| self.by_id.get(id).copied()) else {
            turn.reply(ticket, Err(AdminError::NotFound));
            return;
        };
        match request {
            Request::StartNew(_) | Request::TerminateKey(_) | Request::Operator(_) => {}
            Request::Terminate(_) => self.terminate(turn, ticket, key, Then::Terminate),
            Request::Remove(_) => self.terminate(turn, ticket, key, Then::Delete),
            Request::Restart(_) => self.start_again(turn, ticket, key, false),
            Request::StartNow(_) => self.start_again(turn, ticket, key, true),
            Request::Delete(_) => self.delete(turn, ticket, key),
            Request::Cycle(_) => self.cycle(turn, ticket, key),
            Request::Suspend(_) => self.suspend(turn, ticket, key),
            Request::Resume(_) => self.resume(turn, ticket, key),
            Request::ResetBackoff(_) => self.reset_backoff(turn, ticket, key),
            Request::Adopt(_, policy) => {
                if let Some(child) = self.children.get_mut(&key) {
                    child.policy = policy;
                    // It is wanted again while it is on its way out.
                    if child.phase == (Phase::Stopping { then: Then::Delete }) {
                        child.phase = Phase::Stopping { then: Then::Cycle };
                    }
                }
                turn.out.push(Effect::Changed { key });
                turn.reply(ticket, Ok(Answer::Done));
            }
        }
    }

    fn terminate(&mut self, turn: &mut Turn<'_>, ticket: Ticket, key: Key, then: Then) {
        let forget = then == Then::Delete || self.ends_for_good(key);
        let Some(child) = self.children.get_mut(&key) else { return };
        for waiter in std::mem::take(&mut child.start_waiters) {
            turn.reply(waiter, Err(AdminError::Terminated));
        }
        match child.phase {
            Phase::Starting | Phase::Running { .. } | Phase::Stopping { .. } => {
                child.stop_waiters.push(ticket);
                self.begin_stop(turn, key, then);
            }
            Phase::Down(_) | Phase::Waiting { .. } | Phase::Queued => {
                if forget {
                    self.remove(turn, key);
                } else {
                    self.disarm(turn, key);
                    self.set_phase(turn, key, Phase::Down(Down::Exited));
                }
                turn.reply(ticket, Ok(Answer::Done));
            }
        }
    }

    fn start_again(&mut self, turn: &mut Turn<'_>, ticket: Ticket, key: Key, even_waiting: bool) {
        let Some(child) = self.children.get_mut(&key) else { return };
        match child.phase {
            Phase::Starting if even_waiting => child.start_waiters.push(ticket),
            Phase::Starting if child.is_coming_back() => turn.reply(ticket, Err(AdminError::Restarting)),
            Phase::Running { .. } | Phase::Stopping { .. } | Phase::Starting => {
                turn.reply(ticket, Err(AdminError::Running))
            }
            Phase::Waiting { .. } | Phase::Queued if !even_waiting => turn.reply(ticket, Err(AdminError::Restarting)),
            Phase::Queued => child.start_waiters.push(ticket),
            Phase::Waiting { .. } | Phase::Down(_) => {
                child.start_waiters.push(ticket);
                child.reset_budgets();
                self.start_or_queue(turn, key);
            }
        }
    }

    fn delete(&mut self, turn: &mut Turn<'_>, ticket: Ticket, key: Key) {
        let Some(child) = self.children.get(&key) else { return };
        match child.phase {
            Phase::Waiting { .. } | Phase::Queued => turn.reply(ticket, Err(AdminError::Restarting)),
            Phase::Starting if child.is_coming_back() => turn.reply(ticket, Err(AdminError::Restarting)),
            Phase::Starting | Phase::Running { .. } | Phase::Stopping { .. } => {
                turn.reply(ticket, Err(AdminError::Running))
            }
            Phase::Down(_) => {
                self.remove(turn, key);
                turn.reply(ticket, Ok(Answer::Done));
            }
        }
    }

    fn cycle(&mut self, turn: &mut Turn<'_>, ticket: Ticket, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        child.reset_budgets();
        match child.phase {
            Phase::Starting | Phase::Running { .. } | Phase::Stopping { .. } => {
                child.start_waiters.push(ticket);
                self.begin_stop(turn, key, Then::Cycle);
            }
            Phase::Queued => child.start_waiters.push(ticket),
            Phase::Waiting { .. } | Phase::Down(_) => {
                child.start_waiters.push(ticket);
                self.start_or_queue(turn, key);
            }
        }
    }

    fn suspend(&mut self, turn: &mut Turn<'_>, ticket: Ticket, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        child.suspended = true;
        if matches!(child.phase, Phase::Waiting { .. } | Phase::Queued) {
            // Whoever waits for its start learns that it will not come.
            for waiter in std::mem::take(&mut child.start_waiters) {
                turn.reply(waiter, Err(AdminError::Terminated));
            }
            self.disarm(turn, key);
            self.set_phase(turn, key, Phase::Down(Down::Suspended));
        } else {
            turn.out.push(Effect::Changed { key });
        }
        turn.reply(ticket, Ok(Answer::Done));
    }

    fn resume(&mut self, turn: &mut Turn<'_>, ticket: Ticket, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        child.suspended = false;
        if child.phase == Phase::Down(Down::Suspended) {
            child.start_waiters.push(ticket);
            self.start_or_queue(turn, key);
        } else {
            turn.out.push(Effect::Changed { key });
            turn.reply(ticket, Ok(Answer::Done));
        }
    }

    fn reset_backoff(&mut self, turn: &mut Turn<'_>, ticket: Ticket, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        child.attempt = 0;
        child.retries.clear();
        if matches!(child.phase, Phase::Waiting { .. }) {
            self.start_or_queue(turn, key);
        } else {
            turn.out.push(Effect::Changed { key });
        }
        turn.reply(ticket, Ok(Answer::Done));
    }
}
