//! The system prompt. Byte-stable from turn to turn, so that providers can cache it.

use crate::ids::AgentId;

/// The system prompt of an agent.
#[must_use]
pub fn system(agent: &AgentId, name: Option<&str>) -> String {
    let name = name.unwrap_or("the owner's assistant");
    format!(
        "You are {name}, a personal assistant that runs on the owner's own machine (agent \"{agent}\"). Answer \
         briefly and truthfully. Say so when you do not know. Use a tool when it gives a better answer than memory."
    )
}
