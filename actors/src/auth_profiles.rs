//! Credentials: where they come from, when each may be used, who uses it now.
//!
//! No model is called without a lease from here. Only API keys are known; a provider that needs none has a keyless
//! profile, so that the rule has no exception. Keys never leave this module except inside a lease.

mod actor;
pub mod contract;
pub mod cooldown;
mod files;
mod handle;
pub mod outcome;
pub mod profile;

pub use contract::{ProfileStore, ProfileStoreError};
pub use cooldown::{ProfileState, UsageStats};
pub use handle::{AuthProfilesArgs, AuthProfilesHandle, EnvLookup, Lease, LeaseError, ProfileView, SourceLookup};
pub use outcome::{ErrorClass, Outcome};
pub use profile::{Origin, ProfileError, ProfileFile, ProfileId, ProfileKey, ProfileSource};
