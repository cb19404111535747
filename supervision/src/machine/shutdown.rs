//! Stopping everything: in reverse start order, or all at once for independent children.

use crate::exit::ExitReason;
use crate::machine::{AdminError, BootError, Down, Effect, Family, Key, Machine, Mode, Phase, Stage, Then, Turn};

/// How many children are stopped together at most.
const STOPS_IN_FLIGHT: usize = 1024;

impl Machine {
    pub(super) fn melt_down(&mut self, turn: &mut Turn<'_>, key: Key, restarts: u32) {
        self.set_phase(turn, key, Phase::Down(Down::Exited));
        turn.out.push(Effect::Meltdown { key, restarts });
        self.shut_down(turn, ExitReason::shutdown("intensity"));
    }

    pub(super) fn shut_down(&mut self, turn: &mut Turn<'_>, reason: ExitReason) {
        self.mode = match &self.mode {
            Mode::Booting => {
                turn.out.push(Effect::Booted(Err(BootError::ShutDown)));
                Mode::Stopping(reason)
            }
            Mode::RollingBack(error) => {
                turn.out.push(Effect::Booted(Err(error.clone())));
                Mode::Stopping(reason)
            }
            Mode::Up => Mode::Stopping(reason),
            Mode::Stopping(_) | Mode::Done => return,
        };
        self.cancel_pending(turn);
    }

    /// Drops every retry and round, and refuses whoever waits for a start.
    fn cancel_pending(&mut self, turn: &mut Turn<'_>) {
        if let Some(round) = self.round.take()
            && let Stage::Waiting(token) = round.stage
        {
            self.disarm_token(turn, token);
        }
        let pending: Vec<Key> = self
            .children
            .iter()
            .filter(|(_, child)| {
                matches!(child.phase, Phase::Waiting { .. } | Phase::Queued) || !child.start_waiters.is_empty()
            })
            .map(|(key, _)| *key)
            .collect();
        for key in pending {
            self.disarm(turn, key);
            let Some(child) = self.children.get_mut(&key) else { continue };
            for ticket in std::mem::take(&mut child.start_waiters) {
                turn.reply(ticket, Err(AdminError::ShuttingDown));
            }
            if matches!(child.phase, Phase::Waiting { .. } | Phase::Queued) {
                self.set_phase(turn, key, Phase::Down(Down::Exited));
            }
        }
    }

    pub(super) fn advance_shutdown(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.mode, Mode::RollingBack(_)) {
            self.cancel_pending(turn);
        }
        if self.rules.family != Family::Static {
            self.stop_together(turn);
        } else if let Some(key) = self.alive.last().copied() {
            self.begin_stop_for_shutdown(turn, key);
        }
        if !self.alive.is_empty() {
            return;
        }
        match std::mem::replace(&mut self.mode, Mode::Done) {
            Mode::RollingBack(error) => {
                turn.out.push(Effect::Booted(Err(error)));
                turn.out.push(Effect::Exit(ExitReason::shutdown("start failed")));
            }
            Mode::Stopping(reason) => turn.out.push(Effect::Exit(reason)),
            Mode::Booting | Mode::Up | Mode::Done => {}
        }
    }

    /// Stops newest first, many at a time.
    fn stop_together(&mut self, turn: &mut Turn<'_>) {
        while self.stopping < STOPS_IN_FLIGHT {
            let next = match self.stop_cursor {
                None => self.alive.last().copied(),
                Some(cursor) => self.alive.range(..cursor).next_back().copied(),
            };
            let Some(key) = next else { return };
            self.stop_cursor = Some(key);
            self.begin_stop_for_shutdown(turn, key);
        }
    }

    fn begin_stop_for_shutdown(&mut self, turn: &mut Turn<'_>, key: Key) {
        let Some(child) = self.children.get(&key) else { return };
        match child.phase {
            Phase::Starting | Phase::Running { .. } => self.begin_stop(turn, key, Then::Shutdown),
            Phase::Stopping { .. } | Phase::Down(_) | Phase::Waiting { .. } | Phase::Queued => {}
        }
    }
}
