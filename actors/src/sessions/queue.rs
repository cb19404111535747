//! What waits in a session and who has its run slot. Pure: no clock, no disk, no actor.
//!
//! Every accepted message is in exactly one place: it waits, it is (part of) the run in the slot, or it was handed out
//! once, as started, as taken into the run, or as given up.

use std::collections::VecDeque;
use std::time::Duration;

use super::settings::QueueSettings;
use crate::config::{QueueDrop, QueueMode};
use crate::store::records::{AcceptRecord, Route};

/// Characters kept of a message that gave way (OpenClaw's).
const LINE: usize = 160;

/// A message that waits.
#[derive(Debug, Clone)]
struct Waiting {
    record: AcceptRecord,
    /// It came while the slot was taken or others waited.
    behind: bool,
}

/// The run in the slot.
#[derive(Debug, Clone)]
struct Slot {
    run: String,
    route: Option<Route>,
    owner: bool,
    /// Runs of messages that were taken into it.
    joined: Vec<String>,
    /// False from the moment it is to end.
    takes_more: bool,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    slot: Option<Slot>,
    /// True when nothing came for as long as `debounce` asks.
    quiet: bool,
    /// Counts arrivals that have to be followed by quiet.
    arrivals: u64,
}

/// What an arrival asks for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Arrival {
    /// These gave way and will not be run.
    pub(super) given_up: Vec<AcceptRecord>,
    /// The oldest that waits now carries their lines: it has to be stored again.
    pub(super) rewritten: Option<AcceptRecord>,
    /// The run in the slot is to be aborted.
    pub(super) interrupts: bool,
    /// Say [`Queue::was_quiet`] with this number after this time.
    pub(super) timer: Option<(u64, Duration)>,
    /// The run in the slot may take this message in.
    pub(super) steers: bool,
}

/// Who is next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// Nobody, or the slot is taken, or it is not quiet yet.
    Nobody,
    /// These, as one run; the slot is theirs. Never empty.
    Start(Vec<AcceptRecord>),
}

impl Queue {
    /// A queue over what was found to wait, oldest first.
    pub(super) fn new(records: impl IntoIterator<Item = AcceptRecord>) -> Self {
        let waiting = records.into_iter().map(|record| Waiting { record, behind: true });
        let mut queue = Self { waiting: VecDeque::new(), slot: None, quiet: true, arrivals: 0 };
        for found in waiting {
            let at = queue.place_of(&found.record);
            queue.waiting.insert(at, found);
        }
        queue
    }

    /// Messages that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True when none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// True when a message of this run waits or was taken into the run in the slot.
    pub(super) fn knows(&self, run: &str) -> bool {
        let waits = self.waiting.iter().any(|waiting| waiting.record.run_id == run);
        waits || self.slot.as_ref().is_some_and(|slot| slot.run == run || slot.joined.iter().any(|own| own == run))
    }

    /// True when a new message would be refused: as many wait as may, and the newest gives way.
    pub(super) fn refuses(&self, settings: &QueueSettings, on_their_way: usize) -> bool {
        settings.drop == QueueDrop::New && self.waiting.len() + on_their_way >= settings.cap
    }

    /// Behind everything, or for an owner's word behind other such words.
    fn place_of(&self, record: &AcceptRecord) -> usize {
        if !record.priority {
            return self.waiting.len();
        }
        self.waiting.iter().position(|waiting| !waiting.record.priority).unwrap_or(self.waiting.len())
    }

    /// A message was accepted.
    pub(super) fn arrive(&mut self, record: AcceptRecord, settings: &QueueSettings) -> Arrival {
        let mut arrival = Arrival::default();
        let behind = self.slot.is_some() || !self.waiting.is_empty();
        if behind && settings.mode == QueueMode::Interrupt {
            arrival.given_up.extend(self.waiting.drain(..).map(|waiting| waiting.record));
            arrival.interrupts = self.slot.as_ref().is_some_and(|slot| slot.takes_more);
        }
        if behind && matches!(settings.mode, QueueMode::Followup | QueueMode::Collect) && !settings.debounce.is_zero() {
            self.arrivals += 1;
            self.quiet = false;
            arrival.timer = Some((self.arrivals, settings.debounce));
        }
        let at = self.place_of(&record);
        let seq = record.seq;
        self.waiting.insert(at, Waiting { record, behind });
        self.make_room(seq, settings, &mut arrival);
        arrival.steers = self.slot.as_ref().is_some_and(|slot| slot.takes_more)
            && self.waiting.front().is_some_and(|front| front.record.seq == seq)
            && settings.mode == QueueMode::Steer;
        arrival
    }

    /// The oldest give way until as many wait as may; never the one that just came, never an owner's word.
    fn make_room(&mut self, newest: u64, settings: &QueueSettings, arrival: &mut Arrival) {
        let mut lines = Vec::new();
        while self.waiting.len() > settings.cap {
            let oldest =
                self.waiting.iter().position(|waiting| !waiting.record.priority && waiting.record.seq != newest);
            let Some(mut gone) = oldest.and_then(|at| self.waiting.remove(at)) else { break };
            if settings.drop == QueueDrop::Summarize {
                lines.append(&mut gone.record.overflow);
                lines.push(line_of(&gone.record.text));
            }
            arrival.given_up.push(gone.record);
        }
        if let (false, Some(front)) = (lines.is_empty(), self.waiting.front_mut()) {
            lines.append(&mut front.record.overflow);
            lines.drain(..lines.len().saturating_sub(settings.cap));
            front.record.overflow = lines;
            arrival.rewritten = Some(front.record.clone());
        }
    }

    /// Nothing came for as long as was asked. True when what waits may start now.
    pub(super) fn was_quiet(&mut self, arrival: u64) -> bool {
        if arrival == self.arrivals {
            self.quiet = true;
        }
        self.quiet
    }

    /// Gives the slot to the oldest that waits, together with what is collected with it.
    pub(super) fn next(&mut self, settings: impl Fn(&AcceptRecord) -> QueueSettings) -> Next {
        if self.slot.is_some() {
            return Next::Nobody;
        }
        let Some(first) = self.waiting.front() else { return Next::Nobody };
        let mode = settings(&first.record).mode;
        let pauses = first.behind && matches!(mode, QueueMode::Followup | QueueMode::Collect);
        if pauses && !self.quiet {
            return Next::Nobody;
        }
        let Some(first) = self.waiting.pop_front() else { return Next::Nobody };
        let mut batch = vec![first.record];
        if mode == QueueMode::Collect && first.behind {
            while let Some(other) = self.waiting.front()
                && belongs(&batch[0], &other.record)
                && settings(&other.record).mode == QueueMode::Collect
            {
                batch.extend(self.waiting.pop_front().map(|other| other.record));
            }
        }
        self.occupy(&batch);
        Next::Start(batch)
    }

    fn occupy(&mut self, batch: &[AcceptRecord]) {
        let Some(first) = batch.first() else { return };
        self.slot = Some(Slot {
            run: first.run_id.clone(),
            route: first.route.clone(),
            owner: first.owner,
            joined: batch[1..].iter().map(|other| other.run_id.clone()).collect(),
            takes_more: true,
        });
    }

    /// A run that was found open has the slot.
    pub(super) fn take_up(&mut self, run: &str, route: Option<Route>, owner: bool, joined: Vec<String>) {
        self.slot = Some(Slot { run: run.to_owned(), route, owner, joined, takes_more: true });
    }

    /// What the run in the slot may take in now, oldest first. They are part of it from here on.
    pub(super) fn take_in(&mut self, settings: impl Fn(&AcceptRecord) -> QueueSettings) -> Vec<AcceptRecord> {
        let Some(slot) = &mut self.slot else { return Vec::new() };
        let mut taken = Vec::new();
        while slot.takes_more
            && let Some(front) = self.waiting.front()
            && may_join(slot, &front.record)
            && settings(&front.record).mode == QueueMode::Steer
        {
            let Some(front) = self.waiting.pop_front() else { break };
            slot.joined.push(front.record.run_id.clone());
            taken.push(front.record);
        }
        taken
    }

    /// The run in the slot is to end: it takes nothing in any more.
    pub(super) fn is_ending(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.takes_more = false;
        }
    }

    /// The run in the slot has ended.
    pub(super) fn release(&mut self) {
        self.slot = None;
    }

    /// What waits and is aborted: the message of one run, or all.
    pub(super) fn abort(&mut self, run: Option<&str>) -> Vec<AcceptRecord> {
        let all = std::mem::take(&mut self.waiting);
        let (aborted, kept) =
            all.into_iter().partition::<VecDeque<_>, _>(|waiting| run.is_none_or(|run| waiting.record.run_id == run));
        self.waiting = kept;
        aborted.into_iter().map(|waiting| waiting.record).collect()
    }
}

/// True when two messages may be answered as one.
fn belongs(first: &AcceptRecord, other: &AcceptRecord) -> bool {
    same_chat(first.route.as_ref(), other.route.as_ref())
        && first.owner == other.owner
        && first.model == other.model
        && !other.priority
}

/// True when a message may be taken into a run: what the run may do is what its sender may do.
fn may_join(slot: &Slot, record: &AcceptRecord) -> bool {
    same_chat(slot.route.as_ref(), record.route.as_ref()) && slot.owner == record.owner && record.model.is_none()
}

fn same_chat(one: Option<&Route>, other: Option<&Route>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one.channel == other.channel
                && one.account == other.account
                && one.to == other.to
                && one.thread_id == other.thread_id
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// A message in one short line.
fn line_of(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= LINE {
        return flat;
    }
    let mut cut: String = flat.chars().take(LINE - 1).collect();
    cut.push('…');
    cut
}

/// The texts of a run's messages, as the model is shown them: one as it is, several with a number each, and before
/// them the lines of those that gave way.
pub(super) fn shown(batch: &[AcceptRecord]) -> Vec<String> {
    let mut texts: Vec<String> = match batch {
        [only] => vec![only.text.clone()],
        many => many.iter().enumerate().map(|(at, record)| numbered(at + 1, record)).collect(),
    };
    let several = batch.len() > 1;
    let lines: Vec<&str> = batch.iter().flat_map(|record| record.overflow.iter().map(String::as_str)).collect();
    if let Some(first) = texts.first_mut() {
        let mut head = String::new();
        if several {
            head.push_str("[Messages that came while the agent was busy]\n");
        }
        if !lines.is_empty() {
            head.push_str(&format!("[{} earlier messages gave way; one line of each]\n", lines.len()));
            for line in &lines {
                head.push_str(&format!("- {line}\n"));
            }
        }
        if !head.is_empty() {
            *first = format!("{head}\n{first}");
        }
    }
    texts
}

fn numbered(number: usize, record: &AcceptRecord) -> String {
    match &record.sender {
        Some(sender) => format!("Queued #{number} (from {sender})\n{}", record.text),
        None => format!("Queued #{number}\n{}", record.text),
    }
}

#[cfg(test)]
mod tests;
