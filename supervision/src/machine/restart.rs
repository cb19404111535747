//! What follows an exit: OTP's restart table, then budgets and backoff.

use crate::backoff::{Exhausted, ResetRule};
use crate::child_spec::{AutoShutdown, Restart, Strategy};
use crate::clock::later;
use crate::exit::ExitReason;
use crate::machine::{
    AdminError, Answer, Birth, BootError, Down, Effect, Family, Handling, Key, Machine, Mode, Phase, Then, Turn,
};

/// Whether an exit by itself is followed by a restart.
pub(crate) fn restarts(restart: Restart, reason: &ExitReason) -> bool {
    match restart {
        Restart::Permanent => true,
        Restart::Transient => !reason.is_clean(),
        Restart::Temporary => false,
    }
}

impl Machine {
    pub(super) fn on_started(&mut self, turn: &mut Turn<'_>, key: Key, inc: u64, outcome: Result<Birth, ExitReason>) {
        let Some(child) = self.children.get_mut(&key) else { return };
        if child.inc != inc {
            return;
        }
        match (child.phase, outcome) {
            (Phase::Starting, Ok(birth)) => {
                child.fresh = false;
                if let Some(policy) = &child.policy.backoff
                    && policy.reset_after == ResetRule::OnStart
                {
                    child.attempt = 0;
                }
                for ticket in std::mem::take(&mut child.start_waiters) {
                    turn.reply(ticket, Ok(Answer::Started { key, birth }));
                }
                match birth {
                    Birth::Up => self.set_phase(turn, key, Phase::Running { since: turn.now }),
                    Birth::Ignored => self.ignored(turn, key),
                }
            }
            (Phase::Starting, Err(reason)) => self.start_failed(turn, key, reason.at_init()),
            // Stopped while starting: a child that came up after all is being stopped by the shell.
            (Phase::Stopping { .. }, Ok(Birth::Up)) => {}
            (Phase::Stopping { then }, Ok(Birth::Ignored)) => {
                self.gone(turn, key, ExitReason::shutdown("nothing to run"), then);
            }
            (Phase::Stopping { then }, Err(reason)) => self.gone(turn, key, reason.at_init(), then),
            (Phase::Down(_) | Phase::Running { .. } | Phase::Waiting { .. } | Phase::Queued, Ok(_) | Err(_)) => {}
        }
    }

    /// There is nothing to run: the spec is kept for another try, unless there is no reason to keep it.
    fn ignored(&mut self, turn: &mut Turn<'_>, key: Key) {
        if self.ends_for_good(key) || self.rules.family != Family::Static {
            self.remove(turn, key);
        } else {
            self.set_phase(turn, key, Phase::Down(Down::Ignored));
        }
    }

    pub(super) fn on_exited(&mut self, turn: &mut Turn<'_>, key: Key, inc: u64, reason: ExitReason) {
        let Some(child) = self.children.get(&key) else { return };
        if child.inc != inc {
            return;
        }
        match child.phase {
            Phase::Running { .. } => self.exited_by_itself(turn, key, reason),
            Phase::Starting => self.start_failed(turn, key, reason.at_init()),
            Phase::Stopping { then } => self.gone(turn, key, reason, then),
            Phase::Down(_) | Phase::Waiting { .. } | Phase::Queued => {}
        }
    }

    /// A first or later start did not succeed.
    fn start_failed(&mut self, turn: &mut Turn<'_>, key: Key, reason: ExitReason) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let isolated = child.policy.isolated();
        let fresh = child.fresh;
        let temporary = child.policy.restart == Restart::Temporary;
        let asked = std::mem::take(&mut child.start_waiters);
        let by_hand = !asked.is_empty();
        for ticket in asked {
            turn.reply(ticket, Err(AdminError::StartFailed(reason.clone())));
        }
        if isolated && matches!(self.mode, Mode::Booting | Mode::Up) {
            child.fresh = false;
            self.decide(turn, key, reason);
            return;
        }
        match self.mode {
            Mode::Booting if fresh && !by_hand => {
                let id = child.id.clone();
                self.ended(turn, key, reason.clone(), Handling::Escalated);
                self.set_phase(turn, key, Phase::Down(Down::Exited));
                self.mode = Mode::RollingBack(BootError::Child { id, reason });
            }
            // A temporary child that is down is not kept, whoever tried to start it.
            Mode::Booting | Mode::Up if fresh || temporary => {
                self.ended(turn, key, reason, Handling::Ended);
                self.remove(turn, key);
            }
            Mode::Booting | Mode::Up if by_hand => {
                let fatal = reason.is_fatal();
                let down = if fatal { Down::Failed } else { Down::Exited };
                let handling = if fatal { Handling::Failed } else { Handling::Stopped };
                self.ended(turn, key, reason, handling);
                self.set_phase(turn, key, Phase::Down(down));
            }
            Mode::Booting | Mode::Up => self.decide(turn, key, reason),
            Mode::RollingBack(_) | Mode::Stopping(_) | Mode::Done => {
                self.ended(turn, key, reason, Handling::Stopped);
                self.set_phase(turn, key, Phase::Down(Down::Exited));
            }
        }
    }

    fn exited_by_itself(&mut self, turn: &mut Turn<'_>, key: Key, reason: ExitReason) {
        match self.mode {
            Mode::Booting | Mode::Up => {}
            Mode::RollingBack(_) | Mode::Stopping(_) | Mode::Done => {
                self.ended(turn, key, reason, Handling::Stopped);
                self.set_phase(turn, key, Phase::Down(Down::Exited));
                return;
            }
        }
        // A sibling that dies while it waits to be stopped for a round is part of that round.
        if self.round_will_stop(key) {
            self.ended(turn, key, reason, Handling::Restart);
            self.queue_or_forget(turn, key);
            return;
        }
        let significant = self.ends_supervisor(key, &reason);
        self.decide(turn, key, reason);
        if significant {
            self.shut_down(turn, ExitReason::shutdown("auto"));
        }
    }

    /// The decision proper: the table, then `Fatal`, suspension, intensity, backoff.
    fn decide(&mut self, turn: &mut Turn<'_>, key: Key, reason: ExitReason) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let ran_for = match child.phase {
            Phase::Running { since } => Some(turn.now.saturating_duration_since(since)),
            Phase::Down(_) | Phase::Starting | Phase::Stopping { .. } | Phase::Waiting { .. } | Phase::Queued => None,
        };
        if !restarts(child.policy.restart, &reason) {
            self.ended(turn, key, reason, Handling::Ended);
            if self.ends_for_good(key) {
                self.remove(turn, key);
            } else {
                self.set_phase(turn, key, Phase::Down(Down::Exited));
            }
            return;
        }
        if reason.is_fatal() {
            self.ended(turn, key, reason, Handling::Failed);
            turn.out.push(Effect::Forget { key });
            self.set_phase(turn, key, Phase::Down(Down::Failed));
            return;
        }
        if child.suspended {
            self.ended(turn, key, reason, Handling::Suspended);
            self.set_phase(turn, key, Phase::Down(Down::Suspended));
            return;
        }
        let counts = child.policy.counts;
        if counts {
            let intensity = self.rules.intensity;
            if self.window.exceeds(turn.now, intensity.max_restarts, intensity.period) {
                self.ended(turn, key, reason, Handling::Escalated);
                self.melt_down(turn, key, intensity.max_restarts);
                return;
            }
        }
        self.back_off(turn, key, reason, ran_for);
    }

    fn back_off(&mut self, turn: &mut Turn<'_>, key: Key, reason: ExitReason, ran_for: Option<std::time::Duration>) {
        let Some(child) = self.children.get_mut(&key) else { return };
        let Some(policy) = child.policy.backoff.clone() else {
            child.restarts += 1;
            self.ended(turn, key, reason, Handling::Restart);
            self.restart(turn, key, None, false, false);
            return;
        };
        if let (ResetRule::Stable(stable), Some(ran)) = (policy.reset_after, ran_for)
            && ran >= stable
        {
            child.attempt = 0;
        }
        child.attempt = child.attempt.saturating_add(1);
        if policy.max_attempts.is_some_and(|max| child.attempt > max) {
            match policy.on_exhausted {
                Exhausted::Escalate => {
                    let attempts = child.attempt;
                    self.ended(turn, key, reason, Handling::Escalated);
                    self.melt_down(turn, key, attempts);
                }
                Exhausted::GiveUp => {
                    child.attempt = child.attempt.saturating_sub(1);
                    self.ended(turn, key, reason, Handling::GaveUp);
                    self.set_phase(turn, key, Phase::Down(Down::Failed));
                }
                Exhausted::Cooldown { wait, then_reset } => {
                    child.attempt = child.attempt.saturating_sub(1);
                    child.restarts += 1;
                    self.ended(turn, key, reason, Handling::CoolDown);
                    let at = later(turn.now, wait);
                    self.restart(turn, key, Some(at), true, then_reset);
                }
            }
            return;
        }
        child.restarts += 1;
        if let Some(budget) = policy.window
            && let Err(until) = child.retries.admit(turn.now, budget)
        {
            self.ended(turn, key, reason, Handling::CoolDown);
            self.restart(turn, key, Some(until), true, false);
            return;
        }
        let delay = policy.delay(child.attempt, turn.rng);
        let handling = if delay.is_zero() { Handling::Restart } else { Handling::Backoff };
        self.ended(turn, key, reason, handling);
        let at = (!delay.is_zero()).then(|| later(turn.now, delay));
        self.restart(turn, key, at, false, false);
    }

    /// Brings the child back, with its siblings as the strategy says.
    fn restart(&mut self, turn: &mut Turn<'_>, key: Key, at: Option<tokio::time::Instant>, cooling: bool, reset: bool) {
        match self.rules.strategy {
            Strategy::OneForOne => match at {
                None => self.start_or_queue(turn, key),
                Some(at) => {
                    let token = self.arm(turn, Some(key), at);
                    self.set_phase(turn, key, Phase::Waiting { token, at, cooling, reset });
                }
            },
            Strategy::OneForAll => {
                let first = self.children.keys().next().copied().unwrap_or(key);
                self.begin_round(turn, first, key, at);
            }
            Strategy::RestForOne => self.begin_round(turn, key, key, at),
        }
    }

    /// Whether nothing is kept of a child that ended and is not restarted: a temporary one, or one that could only be
    /// asked for by its actor.
    pub(super) fn ends_for_good(&self, key: Key) -> bool {
        let temporary = self.children.get(&key).is_some_and(|child| child.policy.restart == Restart::Temporary);
        temporary || self.rules.family == Family::Template
    }

    /// A child that was being stopped is gone.
    pub(super) fn gone(&mut self, turn: &mut Turn<'_>, key: Key, reason: ExitReason, then: Then) {
        self.ended(turn, key, reason, Handling::Stopped);
        let forget = self.ends_for_good(key);
        let Some(child) = self.children.get_mut(&key) else { return };
        for ticket in std::mem::take(&mut child.stop_waiters) {
            turn.reply(ticket, Ok(Answer::Done));
        }
        match then {
            Then::Terminate if forget => self.remove(turn, key),
            Then::Delete => self.remove(turn, key),
            Then::Terminate | Then::Shutdown => {
                for ticket in std::mem::take(&mut child.start_waiters) {
                    turn.reply(ticket, Err(AdminError::Terminated));
                }
                self.set_phase(turn, key, Phase::Down(Down::Exited));
            }
            Then::Cycle => {
                if matches!(self.mode, Mode::Booting | Mode::Up) {
                    self.start_or_queue(turn, key);
                } else {
                    self.set_phase(turn, key, Phase::Down(Down::Exited));
                }
            }
            Then::Round => self.queue_or_forget(turn, key),
        }
    }

    pub(super) fn ended(&mut self, turn: &mut Turn<'_>, key: Key, reason: ExitReason, handling: Handling) {
        let Some(child) = self.children.get_mut(&key) else { return };
        child.last_exit = Some(reason.clone());
        turn.out.push(Effect::Ended { key, inc: child.inc, reason, handling });
    }

    /// Whether this exit, by itself, ends the supervisor.
    fn ends_supervisor(&self, key: Key, reason: &ExitReason) -> bool {
        let Some(child) = self.children.get(&key) else { return false };
        if !child.policy.significant || restarts(child.policy.restart, reason) {
            return false;
        }
        match self.rules.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => !self
                .children
                .iter()
                .any(|(other, c)| *other != key && c.policy.significant && !matches!(c.phase, Phase::Down(_))),
        }
    }
}
