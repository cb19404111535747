//! Models and how they are called: wire formats, catalog, time limits, failure classes, the order of failover.
//!
//! A call runs in the task that asked for it; the provider's actor only lets it in and keeps its health. What a
//! vendor does differently stays in the vendor's module and in the table of `registry`. Nothing here keeps credentials:
//! they come with each call, leased from `auth_profiles`.

mod actor;
pub mod answer;
pub mod anthropic_messages;
pub mod breaker;
pub mod catalog;
pub mod classify;
pub mod contract;
pub mod deadlines;
pub mod demo;
pub mod failover;
mod handle;
mod http;
pub mod openai_completions;
mod registry;
mod replay;
pub mod sse;

pub use answer::{AnswerBuilder, Answerer};
pub use catalog::{Catalog, ModelInfo, ModelRef, ModelRefError, ProviderSettings};
pub use contract::{
    Endpoint, ErrorClass, HttpClient, ModelError, ModelEvent, ModelRequest, ModelStream, ToolSpec, Wire,
};
pub use deadlines::Deadlines;
pub use failover::{Failover, Failure, Next};
pub use handle::ProvidersHandle;

#[cfg(test)]
mod tests;
