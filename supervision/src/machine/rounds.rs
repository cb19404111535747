//! Ordered operations on several children: the first start, and restarts that take siblings along.

use tokio::time::Instant;

use crate::child_spec::Restart;
use crate::machine::{Child, Down, Effect, Key, Machine, Mode, Phase, Round, Stage, Then, Turn};

impl Machine {
    pub(super) fn start_all(&mut self, turn: &mut Turn<'_>) {
        // Children added meanwhile are being started already.
        let untouched = |child: &Child| child.inc == 0 && matches!(child.phase, Phase::Down(_));
        let keys: Vec<Key> = self.children.iter().filter(|(_, child)| untouched(child)).map(|(key, _)| *key).collect();
        for key in keys {
            self.set_phase(turn, key, Phase::Queued);
        }
        self.round = Some(Round { from: 0, stage: Stage::Starting, delay: None, current: Vec::new() });
    }

    /// Starts a round for `culprit`, or widens the one under way.
    pub(super) fn begin_round(&mut self, turn: &mut Turn<'_>, from: Key, culprit: Key, at: Option<Instant>) {
        self.set_phase(turn, culprit, Phase::Queued);
        let mut current = Vec::new();
        let (from, delay) = match self.round.take() {
            Some(old) => {
                current = old.current;
                if let Stage::Waiting(token) = old.stage {
                    self.disarm_token(turn, token);
                }
                match old.stage {
                    // What the old round has already brought back stays.
                    Stage::Starting => (from, at),
                    Stage::Stopping | Stage::Waiting(_) => (from.min(old.from), at.max(old.delay)),
                }
            }
            None => (from, at),
        };
        // Siblings that wait for a retry of their own are part of the round from now on, and so are those that are down
        // without having failed: a round starts everybody, as OTP does, but whom an operator keeps down.
        let along = |child: &Child| match child.phase {
            Phase::Waiting { .. } => true,
            Phase::Down(Down::Exited | Down::Ignored) => !child.held && child.policy.restart != Restart::Temporary,
            Phase::Down(Down::Failed | Down::Suspended)
            | Phase::Starting
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Queued => false,
        };
        let waiting: Vec<Key> =
            self.children.range(from..).filter(|(_, child)| along(child)).map(|(key, _)| *key).collect();
        for key in waiting {
            self.disarm(turn, key);
            self.set_phase(turn, key, Phase::Queued);
        }
        // Starts of older siblings go on, and the round is not over before they are.
        current.retain(|key| *key < from);
        self.round = Some(Round { from, stage: Stage::Stopping, delay, current });
    }

    /// True if a round under way is about to stop this child.
    pub(super) fn round_will_stop(&self, key: Key) -> bool {
        self.round.as_ref().is_some_and(|round| round.stage == Stage::Stopping && key >= round.from)
    }

    /// Takes a child that went down during a round along, unless it is not to come back.
    pub(super) fn queue_or_forget(&mut self, turn: &mut Turn<'_>, key: Key) {
        let Some(child) = self.children.get(&key) else { return };
        if child.policy.restart == Restart::Temporary {
            self.remove(turn, key);
        } else if matches!(self.mode, Mode::Booting | Mode::Up) {
            self.set_phase(turn, key, Phase::Queued);
        } else {
            self.set_phase(turn, key, Phase::Down(Down::Exited));
        }
    }

    /// Starts a child now, or lets the round under way start it in its turn.
    pub(super) fn start_or_queue(&mut self, turn: &mut Turn<'_>, key: Key) {
        if self.round.as_ref().is_some_and(|round| key >= round.from) {
            self.disarm(turn, key);
            self.set_phase(turn, key, Phase::Queued);
        } else {
            self.begin_start(turn, key);
        }
    }

    /// Takes the next steps of whatever ordered operation is under way.
    pub(super) fn advance(&mut self, turn: &mut Turn<'_>) {
        match self.mode {
            Mode::Booting | Mode::Up => self.advance_round(turn),
            Mode::RollingBack(_) | Mode::Stopping(_) => self.advance_shutdown(turn),
            Mode::Done => {}
        }
    }

    fn advance_round(&mut self, turn: &mut Turn<'_>) {
        while let Some(round) = &self.round {
            let from = round.from;
            match round.stage {
                Stage::Stopping => {
                    let Some(key) = self.alive.range(from..).next_back().copied() else {
                        self.after_stopping(turn);
                        continue;
                    };
                    self.stop_for_round(turn, key);
                    return;
                }
                Stage::Waiting(_) => return,
                Stage::Starting => {
                    if !self.start_next(turn) {
                        return;
                    }
                    self.round = None;
                    if matches!(self.mode, Mode::Booting) {
                        self.mode = Mode::Up;
                        turn.out.push(Effect::Booted(Ok(())));
                    }
                }
            }
        }
    }

    fn stop_for_round(&mut self, turn: &mut Turn<'_>, key: Key) {
        let Some(child) = self.children.get(&key) else { return };
        match child.phase {
            Phase::Starting | Phase::Running { .. } => self.begin_stop(turn, key, Then::Round),
            Phase::Stopping { .. } | Phase::Down(_) | Phase::Waiting { .. } | Phase::Queued => {}
        }
    }

    fn after_stopping(&mut self, turn: &mut Turn<'_>) {
        let delay = self.round.as_ref().and_then(|round| round.delay).filter(|at| *at > turn.now);
        let stage = match delay {
            Some(at) => Stage::Waiting(self.arm(turn, None, at)),
            None => Stage::Starting,
        };
        if let Some(round) = &mut self.round {
            round.stage = stage;
        }
        self.show_queued(turn);
    }

    /// What is shown of the children of a round depends on how far it is.
    pub(super) fn show_queued(&self, turn: &mut Turn<'_>) {
        turn.out.extend(self.queued.iter().map(|key| Effect::Changed { key: *key }));
    }

    /// Starts as many of the queued children as may start at once, in order. True when all of them are up.
    fn start_next(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(round) = &mut self.round else { return true };
        let mut current = std::mem::take(&mut round.current);
        current.retain(|key| self.is_starting(*key));
        let mut begun = Vec::new();
        while current.len() + begun.len() < self.rules.starts_at_once.max(1) {
            let Some(key) = self.queued.first().copied() else { break };
            self.begin_start(turn, key);
            begun.push(key);
        }
        current.append(&mut begun);
        let all_up = current.is_empty();
        if let Some(round) = &mut self.round {
            round.current = current;
        }
        all_up
    }

    fn is_starting(&self, key: Key) -> bool {
        self.children.get(&key).is_some_and(|child| child.phase == Phase::Starting)
    }

    /// When the round under way goes on, if it waits.
    pub(crate) fn round_waits_until(&self) -> Option<Instant> {
        self.round.as_ref().and_then(|round| match round.stage {
            Stage::Waiting(_) => round.delay,
            Stage::Stopping | Stage::Starting => None,
        })
    }
}
