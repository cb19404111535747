//! `occtl gateway call`: any method by name. A method that answers twice is waited for until its second answer.

use serde_json::Value;

use super::Context;
use crate::occtl::failure::Failure;

pub(super) async fn run(context: &Context, method: &str, params: &str) -> Result<(), Failure> {
    let params: Value =
        serde_json::from_str(params).map_err(|error| Failure::Usage(format!("--params is not JSON: {error}")))?;
    let answer = context.gateway().await?.start(method, params).last().await?;
    context.output.document(&answer)
}
