//! How the rest of the gateway gets credentials: leases, and reports of what became of them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use supervision::{
    BackoffPolicy, ChildSpec, Directory, DirectoryError, DirectoryOptions, DynamicOptions, Exhausted, Jitter,
    Redaction, ResetRule, Slot, SupervisorSlot,
};

use super::actor::{ProfileActor, ProfileArgs, ProfileMessage, Proof};
use super::contract::ProfileStore;
use super::cooldown::ProfileState;
use super::files;
use super::outcome::{ErrorClass, Outcome};
use super::profile::{Candidate, Origin, ProfileId, ProfileKey, ProfileSource, Standing, candidates, order};
use crate::clock::{Clock, EpochMs};
use crate::ids::AgentId;
use crate::secret::Secret;

/// Id of the supervisor.
const ID: &str = "auth_profiles";
/// How long a credential's actor may take to answer; at its start it reads its record.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Finds a variable of the environment.
pub type EnvLookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
/// Finds out where a provider's credentials come from.
pub type SourceLookup = Arc<dyn Fn(&str) -> Option<ProfileSource> + Send + Sync>;

/// What the credentials need.
pub struct AuthProfilesArgs {
    /// The state directory, below which the agents' files lie.
    pub state_dir: PathBuf,
    /// Looks a variable up in the environment as it was at start.
    pub env: EnvLookup,
    /// Where a provider's credentials come from, by the configuration of now; `None`: no such provider.
    pub source: SourceLookup,
    /// Remembers the use of credentials.
    pub store: Arc<dyn ProfileStore>,
    /// Wall clock.
    pub clock: Clock,
}

impl fmt::Debug for AuthProfilesArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthProfilesArgs").finish_non_exhaustive()
    }
}

/// Leases credentials. Cheap to clone; outlives restarts.
#[derive(Clone)]
pub struct AuthProfilesHandle {
    args: Arc<AuthProfilesArgs>,
    supervisor: SupervisorSlot,
    directory: Directory<ProfileKey, ProfileMessage>,
}

impl fmt::Debug for AuthProfilesHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthProfilesHandle").finish_non_exhaustive()
    }
}

/// The right to make one model call with a credential. To be reported with how the call ended, unless it was aborted.
pub struct Lease {
    /// Whose credential, and which.
    pub profile: ProfileKey,
    secret: Option<Secret>,
    proof: Proof,
}

impl Lease {
    /// The key; none for a provider that needs none.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// Why there is no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// All credentials rest; the first is back at `until`.
    #[error("every credential of the provider is cooling down")]
    CoolingDown {
        /// When the first is back.
        until: EpochMs,
    },
    /// All credentials are disabled until somebody acts, or until `until`.
    #[error("every credential of the provider is disabled")]
    Disabled {
        /// When the first is tried again.
        until: EpochMs,
        /// What happened to it.
        reason: ErrorClass,
    },
    /// There is no credential, or no such provider.
    #[error("there is no API key for the provider")]
    Missing,
    /// The credential's actor doesn't answer.
    #[error("the credential is not available at the moment")]
    Unavailable,
}

/// A credential as shown to an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileView {
    /// Its name.
    pub id: ProfileId,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it may be used.
    pub state: ProfileState,
    /// When it was last used.
    pub last_used: Option<EpochMs>,
}

impl AuthProfilesHandle {
    /// A handle on the credentials, which can be leased once [`AuthProfilesHandle::child_spec`] is started.
    #[must_use]
    pub fn new(args: AuthProfilesArgs) -> Self {
        let args = Arc::new(args);
        let supervisor = SupervisorSlot::new();
        let given = Arc::clone(&args);
        let template = move |key: &ProfileKey, slot: &Slot<ProfileMessage>| profile_spec(key, slot, &given);
        // A key has one actor per agent that uses it: few, and worth seeing. They stay:
        // nobody sweeps.
        let options = DirectoryOptions { patience: ANSWER_TIME, ..DirectoryOptions::default() };
        let directory = Directory::new(options, supervisor.clone(), template);
        Self { args, supervisor, directory }
    }

    /// The supervisor of the credentials; each starts with its first use.
    #[must_use]
    pub fn child_spec(&self) -> ChildSpec {
        ChildSpec::dynamic(ID, ID, &self.supervisor, DynamicOptions::default())
    }

    /// Leases a credential of `agent` for a call of `provider`: the first in the order of trying that may be used.
    /// `prefer` names one to try before the others.
    ///
    /// # Errors
    /// When none may be used.
    pub async fn lease(&self, agent: &AgentId, provider: &str, prefer: Option<&str>) -> Result<Lease, LeaseError> {
        let mut ranked = self.ranked(agent, provider).await?;
        if let Some(prefer) = prefer {
            // A full id, or the part behind the provider.
            let preferred = |id: &ProfileId| id.as_str() == prefer || id.name() == prefer;
            ranked.sort_by_key(|(candidate, _)| !preferred(&candidate.id));
        }
        let mut refusal = LeaseError::Missing;
        for (candidate, _) in ranked {
            let key = ProfileKey { agent: agent.clone(), profile: candidate.id };
            let proof = Proof::of(candidate.secret.as_ref(), &candidate.address);
            let known = candidate.stats;
            let leased =
                self.directory.call(&key, |reply| ProfileMessage::Lease { proof, known, reply }, ANSWER_TIME).await;
            match leased {
                Ok(Ok(proof)) => return Ok(Lease { profile: key, secret: candidate.secret, proof }),
                Ok(Err(state)) => refusal = sooner(refusal, state),
                Err(error) => {
                    unanswered(&key, &error);
                    if refusal == LeaseError::Missing {
                        refusal = LeaseError::Unavailable;
                    }
                }
            }
        }
        Err(refusal)
    }

    /// Says how the call of a lease ended. Resolves when that is in force, and kept if it disables the credential.
    pub async fn report(&self, lease: Lease, outcome: Outcome) {
        let Lease { profile, proof, .. } = lease;
        let build = |reply| ProfileMessage::Report { proof, outcome, reply };
        if let Err(error) = self.directory.call(&profile, build, ANSWER_TIME).await {
            unanswered(&profile, &error);
        }
    }

    /// The credentials of `agent` for `provider` in the order of trying.
    ///
    /// # Errors
    /// When there is no such provider or it has no credential.
    pub async fn profiles(&self, agent: &AgentId, provider: &str) -> Result<Vec<ProfileView>, LeaseError> {
        let ranked = self.ranked(agent, provider).await?;
        let view = |(candidate, standing): (Candidate, Standing)| ProfileView {
            id: candidate.id,
            origin: candidate.origin,
            state: standing.state,
            last_used: standing.last_used,
        };
        Ok(ranked.into_iter().map(view).collect())
    }

    /// True when a credential other than `used` may be used now, so that a call can be repeated with it.
    pub async fn has_other(&self, agent: &AgentId, provider: &str, used: &ProfileId) -> bool {
        let profiles = self.profiles(agent, provider).await.unwrap_or_default();
        profiles.iter().any(|profile| profile.id != *used && profile.state == ProfileState::Ready)
    }

    /// Ends the windows of a credential: an operator knows that it is good again.
    ///
    /// # Errors
    /// When its actor doesn't answer.
    pub async fn reset(&self, key: &ProfileKey) -> Result<(), LeaseError> {
        let reset = self.directory.call(key, |reply| ProfileMessage::Reset { reply }, ANSWER_TIME).await;
        reset.map_err(|error| {
            unanswered(key, &error);
            LeaseError::Unavailable
        })
    }

    async fn ranked(&self, agent: &AgentId, provider: &str) -> Result<Vec<(Candidate, Standing)>, LeaseError> {
        let source = (self.args.source)(provider).ok_or(LeaseError::Missing)?;
        let file = files::stored(&self.args.state_dir, agent).await;
        let found = candidates(provider, &source, &file, &*self.args.env);
        if found.is_empty() {
            return Err(LeaseError::Missing);
        }
        let mut standings = Vec::with_capacity(found.len());
        for candidate in &found {
            standings.push(self.standing(agent, candidate).await);
        }
        let mut found: Vec<Option<(Candidate, Standing)>> =
            found.into_iter().zip(standings.clone()).map(Some).collect();
        Ok(order(&standings).into_iter().filter_map(|index| found.get_mut(index)?.take()).collect())
    }

    /// Where a candidate stands; one whose actor doesn't answer is tried like any other.
    async fn standing(&self, agent: &AgentId, candidate: &Candidate) -> Standing {
        let key = ProfileKey { agent: agent.clone(), profile: candidate.id.clone() };
        let (proof, known) = (Proof::of(candidate.secret.as_ref(), &candidate.address), candidate.stats.clone());
        let build = |reply| ProfileMessage::Inspect { proof, known, reply };
        let (state, last_used) = match self.directory.call(&key, build, ANSWER_TIME).await {
            Ok(answer) => answer,
            Err(error) => {
                unanswered(&key, &error);
                (ProfileState::Ready, None)
            }
        };
        Standing { origin: candidate.origin, state, last_used }
    }
}

fn unanswered(key: &ProfileKey, error: &DirectoryError) {
    tracing::warn!(profile = key.profile.as_str(), %error, "credential's actor did not answer");
}

/// The better of two refusals to tell: what passes before what does not, the sooner before the later.
fn sooner(before: LeaseError, state: ProfileState) -> LeaseError {
    let now = match state {
        ProfileState::Ready => return before,
        ProfileState::CoolingDown { until, .. } => LeaseError::CoolingDown { until },
        ProfileState::Disabled { until, reason } => LeaseError::Disabled { until, reason },
    };
    let rank = |refusal: &LeaseError| match refusal {
        LeaseError::CoolingDown { until, .. } => (0, *until),
        LeaseError::Disabled { until, .. } => (1, *until),
        LeaseError::Unavailable => (2, 0),
        LeaseError::Missing => (3, 0),
    };
    if rank(&now) < rank(&before) { now } else { before }
}

/// Isolated: a credential whose record can't be read is nobody else's trouble.
fn profile_spec(key: &ProfileKey, slot: &Slot<ProfileMessage>, args: &Arc<AuthProfilesArgs>) -> ChildSpec {
    let (name, args) = (key.clone(), Arc::clone(args));
    ChildSpec::actor(key.to_string(), "auth_profile", slot, move |_start| {
        let args = ProfileArgs { key: name.clone(), store: Arc::clone(&args.store), clock: args.clock.clone() };
        (ProfileActor, args)
    })
    .handler_limit(crate::HANDLER_LIMIT)
    .counts(false)
    .redact(Redaction::Personal)
    .backoff(BackoffPolicy {
        initial: Duration::from_millis(50),
        max: Duration::from_secs(30),
        factor: 2.0,
        jitter: Jitter::Additive(0.1),
        max_attempts: None,
        reset_after: ResetRule::Stable(Duration::from_secs(60)),
        window: None,
        on_exhausted: Exhausted::GiveUp,
    })
}

#[cfg(test)]
mod tests;
