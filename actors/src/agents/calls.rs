//! The calls of one step: which may start now, and which results may be told.
//!
//! Calls go one after the other, each only when the result before it is in the transcript; a step of calls that all do
//! nothing to the world goes at once. Results are told in the order the calls were asked for, one for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use super::tool_call::ToolResult;
use crate::clock::EpochMs;
use crate::tools::contract::{Effect, Fate, Tool, ToolError};

/// One call the model asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolRequest {
    /// The provider's id of it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Value,
}

/// A call of a step, as the turn hands it over.
#[derive(Debug)]
pub struct Planned {
    /// The call.
    pub request: ToolRequest,
    /// Its result, when that is settled without carrying it out.
    pub verdict: Option<ToolResult>,
}

/// Where a call stands.
#[derive(Debug)]
enum Stage {
    Waiting,
    /// Its intent is on the way to the disk.
    Intending,
    Running,
    Done(Option<ToolResult>),
}

/// A tool with arguments that fit it.
pub(super) type Prepared = (Arc<dyn Tool>, Value);

/// A call of the step.
pub(super) struct Call {
    pub(super) request: ToolRequest,
    /// Its name among all calls of the step, whatever ids the provider gives.
    pub(super) key: String,
    pub(super) tool: Option<Prepared>,
    pub(super) effect: Effect,
    pub(super) started_at: EpochMs,
    stage: Stage,
}

/// A result on its way to the turn, with the place of its call.
pub(super) type Told = (usize, ToolResult);

/// All calls of a step.
pub(super) struct Calls {
    /// Tells this step from earlier ones of the run.
    pub(super) step: u64,
    calls: Vec<Call>,
    told: usize,
    settled: usize,
    results: mpsc::Sender<Told>,
}

impl Calls {
    /// `prepare` finds the tool of a call, or says why it can't be carried out.
    pub(super) fn new(
        step: u64,
        planned: Vec<Planned>,
        results: mpsc::Sender<Told>,
        prepare: impl Fn(&ToolRequest) -> Result<Prepared, ToolError>,
    ) -> Self {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let calls = planned.into_iter().map(|Planned { request, verdict }| {
            let count = seen.entry(request.id.clone()).and_modify(|count| *count += 1).or_insert(1);
            let key = if *count == 1 { request.id.clone() } else { format!("{}#{count}", request.id) };
            let (tool, verdict) = match verdict {
                Some(verdict) => (None, Some(verdict)),
                None => match prepare(&request) {
                    Ok(prepared) => (Some(prepared), None),
                    Err(error) => (None, Some(Err(error))),
                },
            };
            let effect = tool.as_ref().map_or(Effect::Pure, |(tool, arguments)| tool.effect(arguments));
            let stage = verdict.map_or(Stage::Waiting, |verdict| Stage::Done(Some(verdict)));
            Call { request, key, tool, effect, started_at: 0, stage }
        });
        Self { step, calls: calls.collect(), told: 0, settled: 0, results }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Call> {
        self.calls.get(index)
    }

    pub(super) fn by_key(&self, key: &str) -> Option<usize> {
        self.calls.iter().position(|call| call.key == key)
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Calls that may start now, marked as started.
    pub(super) fn start(&mut self, now: EpochMs) -> Vec<usize> {
        let waits = |call: &Call| matches!(call.stage, Stage::Waiting);
        let all = self.calls.iter().all(|call| call.effect == Effect::Pure);
        let busy = self.calls.iter().any(|call| matches!(call.stage, Stage::Intending | Stage::Running));
        let unsettled = self.settled < self.told;
        let mut starting: Vec<usize> = (0..self.calls.len()).filter(|at| waits(&self.calls[*at])).collect();
        if !all {
            starting.truncate(usize::from(!busy && !unsettled));
        }
        for &at in &starting {
            let call = &mut self.calls[at];
            call.stage = if call.effect == Effect::Pure { Stage::Running } else { Stage::Intending };
            call.started_at = now;
        }
        starting
    }

    /// The intent of a call is durable. True when it may be carried out.
    pub(super) fn intended(&mut self, index: usize) -> bool {
        match self.calls.get_mut(index) {
            Some(call) if matches!(call.stage, Stage::Intending) => {
                call.stage = Stage::Running;
                true
            }
            Some(_) | None => false,
        }
    }

    /// A call has its result. False when it had one already.
    pub(super) fn done(&mut self, index: usize, result: ToolResult) -> bool {
        match self.calls.get_mut(index) {
            Some(Call { stage: Stage::Done(_), .. }) | None => false,
            Some(call) => {
                call.stage = Stage::Done(Some(result));
                true
            }
        }
    }

    /// The turn has the result of a call in the transcript.
    pub(super) fn settled(&mut self, index: usize) {
        self.settled = self.settled.max(index + 1);
    }

    /// Calls that were not started.
    pub(super) fn waiting(&self) -> Vec<usize> {
        self.which(|call| matches!(call.stage, Stage::Waiting))
    }

    /// Calls whose intent is being written.
    pub(super) fn intending(&self) -> Vec<usize> {
        self.which(|call| matches!(call.stage, Stage::Intending))
    }

    /// Calls at work, of those that do something to the world, or of those that do not.
    pub(super) fn running(&self, effects: bool) -> Vec<usize> {
        self.which(|call| matches!(call.stage, Stage::Running) && (call.effect != Effect::Pure) == effects)
    }

    fn which(&self, wanted: impl Fn(&Call) -> bool) -> Vec<usize> {
        (0..self.calls.len()).filter(|at| wanted(&self.calls[*at])).collect()
    }

    /// Tells what may be told now; true when that was all there is.
    pub(super) fn tell(&mut self) -> bool {
        while let Some(Call { stage: Stage::Done(result), .. }) = self.calls.get_mut(self.told) {
            if let Some(result) = result.take() {
                // The channel has room for all; a turn that is gone needs none.
                drop(self.results.try_send((self.told, result)));
            }
            self.told += 1;
        }
        self.told == self.calls.len()
    }
}

/// The result of a call that was not carried out, or that nobody knows the outcome of.
pub(super) fn unfinished(fate: Fate, text: impl Into<String>) -> ToolResult {
    Err(ToolError::Unfinished { fate, text: text.into() })
}

#[cfg(test)]
mod tests;
