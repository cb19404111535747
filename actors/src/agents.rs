//! Runs: one turn of a session, from its input to an answer, with the tool calls on the way.
//!
//! A run owns nothing that lasts. What it produces goes to its session through [`contract::RunSink`], which answers
//! once it is durable; the session alone decides whether a run that died is started again.

pub mod calls;
pub mod compaction;
pub mod context;
pub mod contract;
pub mod event;
pub mod loop_detection;
pub mod model_call;
mod port;
pub mod prompt;
mod receive;
pub mod reply;
pub mod run;
mod run_calls;
mod tally;
pub mod tool_call;
mod tool_step;
pub mod truncate;
pub mod turn;

pub use calls::ToolRequest;
pub use contract::{Intent, RunFailure, RunJob, RunOutcome, RunResult, RunServices, RunSink, SentBlock, Unsettled};
pub use event::{EventSink, GatewayEvent, RunEvent, RunEventKind, RunPhase};
