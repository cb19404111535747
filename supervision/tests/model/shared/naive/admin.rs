//! What the naive supervisor does when asked.

#![expect(clippy::wildcard_enum_match_arm, reason = "any other step is no request, and is shown")]

use super::super::api::Strategy;
use super::super::program::{Plan, Sort, Step};
use super::{Is, Naive};

impl Naive {
    pub(super) fn add(&mut self, name: usize, plan: &Plan, ticket: usize) {
        let room = self.max_children.is_none_or(|max| self.kids.len() < max);
        let refused = match self.key(name).map(|key| self.kids[&key].is) {
            Some(Is::Up { .. }) => Some("already_started"),
            Some(_) => Some("already_present"),
            None if room => None,
            None => Some("max_children"),
        };
        match refused {
            Some(why) => self.answer(ticket, why),
            None => {
                let key = self.insert(name, plan);
                self.kid(key).asked.push(ticket);
                self.start_or_queue(key);
            }
        }
    }

    pub(super) fn terminate(&mut self, key: u64, ticket: usize) {
        self.answer_all(key, "terminated");
        if matches!(self.kids[&key].is, Is::Up { .. }) {
            self.note("end", key);
        }
        self.forget_or_keep(key);
        self.answer(ticket, "ok");
    }

    pub(super) fn hold(&mut self, name: usize, ticket: usize) {
        match self.key(name) {
            Some(key) => {
                self.kid(key).held = true;
                self.terminate(key, ticket);
            }
            None => self.answer(ticket, "not_found"),
        }
    }

    pub(super) fn by_hand(&mut self, step: &Step, name: usize, ticket: usize) {
        if self.sort == Sort::Template {
            return self.answer(ticket, "not_supported");
        }
        let Some(key) = self.key(name) else { return self.answer(ticket, "not_found") };
        let is = self.kids[&key].is;
        let coming = matches!(is, Is::Waiting { .. } | Is::Queued);
        let up = matches!(is, Is::Up { .. });
        match step {
            Step::Terminate(_) => self.terminate(key, ticket),
            Step::Restart(_) | Step::StartNow(_) if up => self.answer(ticket, "running"),
            Step::Restart(_) if coming => self.answer(ticket, "restarting"),
            Step::Restart(_) | Step::StartNow(_) => {
                if is != Is::Queued {
                    self.fresh_budgets(key);
                }
                self.start_for(key, ticket);
            }
            Step::Delete(_) if up => self.answer(ticket, "running"),
            Step::Delete(_) if coming => self.answer(ticket, "restarting"),
            Step::Delete(_) => {
                self.kids.remove(&key);
                self.answer(ticket, "ok");
            }
            Step::Cycle(_) => {
                self.fresh_budgets(key);
                if up {
                    self.note("end", key);
                }
                self.start_for(key, ticket);
            }
            Step::Suspend(_) => {
                self.kid(key).suspended = true;
                if coming {
                    self.answer_all(key, "terminated");
                    self.set(key, Is::Suspended);
                }
                self.answer(ticket, "ok");
            }
            Step::Resume(_) => {
                self.kid(key).suspended = false;
                if is == Is::Suspended {
                    self.start_for(key, ticket);
                } else {
                    self.answer(ticket, "ok");
                }
            }
            Step::ResetBackoff(_) => {
                self.kid(key).attempt = 0;
                self.kid(key).retries.clear();
                // Asked and answered first: the start that may follow is nobody's request.
                self.answer(ticket, "ok");
                if matches!(is, Is::Waiting { .. }) {
                    self.start_or_queue(key);
                }
            }
            other => unreachable!("{other:?} is not a request about a child by its name"),
        }
    }

    fn fresh_budgets(&mut self, key: u64) {
        let kid = self.kid(key);
        kid.attempt = 0;
        kid.retries.clear();
        kid.suspended = false;
        kid.held = false;
    }

    fn start_for(&mut self, key: u64, ticket: usize) {
        self.kid(key).asked.push(ticket);
        if self.kids[&key].is != Is::Queued {
            self.start_or_queue(key);
        }
    }

    pub(super) fn reconfigure(&mut self, strategy: Strategy, max_restarts: u32, name: usize, plan: &Plan) {
        if self.sort != Sort::Fixed {
            return;
        }
        self.strategy = strategy;
        self.max_restarts = max_restarts;
        match self.key(name) {
            Some(key) => self.kid(key).plan = plan.under(self.auto_shutdown),
            // A spec that is new is kept and not started.
            None => drop(self.insert(name, plan)),
        }
    }
}
