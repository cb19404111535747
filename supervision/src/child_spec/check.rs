//! What makes no sense in a spec, found before anything starts.

use std::collections::HashSet;

use crate::backoff::BackoffError;
use crate::child_spec::{AutoShutdown, ChildSpec, Restart};
use crate::path::ChildId;

/// A specification that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Two children with one id.
    #[error("duplicate child id {0}")]
    DuplicateId(ChildId),
    /// A child without a name.
    #[error("empty child id")]
    EmptyId,
    /// A permanent child never ends by itself, so it cannot be significant.
    #[error("child {0} is permanent and significant")]
    SignificantPermanent(ChildId),
    /// A significant child under a supervisor that ignores significance.
    #[error("child {0} is significant but the supervisor never shuts down by itself")]
    SignificantIgnored(ChildId),
    /// An intensity over no time.
    #[error("the intensity period is zero")]
    ZeroPeriod,
    /// A mailbox without room.
    #[error("child {0} has a mailbox of zero messages")]
    ZeroMailbox(ChildId),
    /// A backoff policy that makes no sense.
    #[error("child {0}")]
    Backoff(ChildId, #[source] BackoffError),
}

/// Checks all specs of a supervisor together.
///
/// # Errors
/// The first thing found to be wrong.
pub fn check_specs(specs: &[ChildSpec], auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
    let mut ids = HashSet::with_capacity(specs.len());
    for spec in specs {
        check_spec(spec, auto_shutdown)?;
        if !ids.insert(&spec.id) {
            return Err(SpecError::DuplicateId(spec.id.clone()));
        }
    }
    Ok(())
}

pub(crate) fn check_spec(spec: &ChildSpec, auto_shutdown: AutoShutdown) -> Result<(), SpecError> {
    if spec.id.as_str().is_empty() {
        return Err(SpecError::EmptyId);
    }
    if spec.significant && spec.restart == Restart::Permanent {
        return Err(SpecError::SignificantPermanent(spec.id.clone()));
    }
    if spec.significant && auto_shutdown == AutoShutdown::Never {
        return Err(SpecError::SignificantIgnored(spec.id.clone()));
    }
    if spec.mailbox.bound() == 0 {
        return Err(SpecError::ZeroMailbox(spec.id.clone()));
    }
    match &spec.backoff {
        Some(policy) => policy.check().map_err(|error| SpecError::Backoff(spec.id.clone(), error)),
        None => Ok(()),
    }
}
