//! What a tool is.

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// What a call may use.
#[derive(Debug, Clone)]
pub struct ToolContext {
    /// Wall clock.
    pub clock: Clock,
    /// Cancelled when the run is aborted or the daemon stops.
    pub cancel: CancellationToken,
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolOutput {
    /// Text for the model.
    pub text: String,
    /// Facts for a user interface.
    pub details: Option<Value>,
}

/// Why a call failed; the text goes to the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// The arguments are not what the schema asks for.
    #[error("bad arguments: {0}")]
    Arguments(String),
    /// It did not work.
    #[error("{0}")]
    Failed(String),
}

/// One tool. A call runs in an actor of its own: a panic or a hang hurts that call only.
pub trait Tool: Send + Sync + 'static {
    /// Name as the model calls it.
    fn name(&self) -> &'static str;
    /// What it does, for the model.
    fn description(&self) -> &'static str;
    /// JSON Schema of the arguments.
    fn parameters(&self) -> Value;
    /// Carries out one call.
    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>>;
}
