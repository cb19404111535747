//! Where credentials come from and in which order they are tried.
//!
//! Three places, in this order: the key in the configuration, the profiles of `auth-profiles.json`, the environment.
//! A provider that needs no key has one keyless profile. Only API keys are used; profiles of another kind are kept in
//! the file and skipped here.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::cooldown::{ProfileState, UsageStats};
use crate::clock::EpochMs;
use crate::ids::AgentId;
use crate::secret::Secret;

/// A credential by name: `<provider>:<profile>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProfileId(String);

impl ProfileId {
    /// The profile `name` of `provider`.
    #[must_use]
    pub fn new(provider: &str, name: &str) -> Self {
        Self(format!("{provider}:{name}"))
    }

    /// Takes an id as a file names it.
    ///
    /// # Errors
    /// When provider or name is missing, or the whole is over 200 bytes or holds control characters.
    pub fn parse(raw: &str) -> Result<Self, ProfileError> {
        let bad = || ProfileError::Id(raw.chars().take(80).collect());
        let (provider, name) = raw.split_once(':').ok_or_else(bad)?;
        if provider.is_empty() || name.is_empty() || raw.len() > 200 || raw.chars().any(char::is_control) {
            return Err(bad());
        }
        Ok(Self(raw.to_owned()))
    }

    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the provider.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, name)| name)
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A credential of one agent. Displayed as `<agentId>/<provider>:<profile>`, the name in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProfileKey {
    /// Whose.
    pub agent: AgentId,
    /// Which.
    pub profile: ProfileId,
}

impl fmt::Display for ProfileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agent, self.profile)
    }
}

/// Why the profile file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// An id that is not `<provider>:<profile>`.
    #[error("profile id {0:?} is not `<provider>:<profile>`")]
    Id(String),
    /// The file is not JSON of the known shape.
    #[error("the file can't be understood")]
    Json(#[source] serde_json::Error),
    /// The file could not be read.
    #[error("the file can't be opened")]
    Io(#[source] std::io::Error),
}

/// What `auth-profiles.json` says of API keys.
#[derive(Debug, Clone, Default)]
pub struct ProfileFile {
    profiles: Vec<StoredProfile>,
    order: BTreeMap<String, Vec<String>>,
    stats: BTreeMap<String, UsageStats>,
}

#[derive(Debug, Clone)]
struct StoredProfile {
    id: ProfileId,
    provider: String,
    key: KeySource,
}

#[derive(Debug, Clone)]
enum KeySource {
    Plain(Secret),
    Env(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    #[serde(default)]
    profiles: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    order: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    usage_stats: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProfile {
    #[serde(rename = "type")]
    kind: String,
    provider: String,
    key: Option<Secret>,
    key_ref: Option<RawRef>,
}

#[derive(Deserialize)]
struct RawRef {
    source: String,
    id: String,
}

impl ProfileFile {
    /// Reads the text of the file. Entries that are not usable API keys are skipped: a login of another kind must
    /// not make the keys beside it unusable.
    ///
    /// # Errors
    /// When the text is not JSON of the documented shape.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let raw: RawFile = serde_json::from_str(text).map_err(ProfileError::Json)?;
        let profiles = raw.profiles.into_iter().filter_map(|(id, value)| stored_profile(&id, value)).collect();
        let stats = raw
            .usage_stats
            .into_iter()
            .filter_map(|(id, value)| Some((id, serde_json::from_value(value).ok()?)))
            .collect();
        Ok(Self { profiles, order: raw.order, stats })
    }

    /// Adds what later releases keep apart in `auth-state.json`: order and use.
    ///
    /// # Errors
    /// When the text is not JSON of the documented shape.
    pub fn add_state(&mut self, text: &str) -> Result<(), ProfileError> {
        let Self { order, stats, .. } = Self::parse(text)?;
        self.order.extend(order);
        self.stats.extend(stats);
        Ok(())
    }

    /// What the file remembers of a profile's use, for a profile we have no record of yet.
    #[must_use]
    pub fn stats(&self, id: &ProfileId) -> Option<&UsageStats> {
        self.stats.get(id.as_str())
    }
}

fn stored_profile(id: &str, value: serde_json::Value) -> Option<StoredProfile> {
    let id = ProfileId::parse(id).ok()?;
    let raw: RawProfile = serde_json::from_value(value).ok()?;
    if raw.kind != "api_key" {
        return None;
    }
    let key = match (raw.key.filter(|key| !key.is_empty()), raw.key_ref) {
        (Some(key), _) => KeySource::Plain(key),
        (None, Some(reference)) if reference.source == "env" => KeySource::Env(reference.id),
        (None, _) => return None,
    };
    Some(StoredProfile { id, provider: raw.provider.to_ascii_lowercase(), key })
}

/// What is known of a provider's credentials apart from the file. Filled from the configuration.
#[derive(Debug, Clone, Default)]
pub struct ProfileSource {
    /// The key in the configuration.
    pub configured_key: Option<Secret>,
    /// Names of environment variables that may hold a key, the first that is set counts.
    pub env_names: Vec<String>,
    /// True when calls without a key make sense: the demo, a server on this machine.
    pub keyless: bool,
    /// Where keys are sent. What was learnt of a key at one address says nothing about another.
    pub address: String,
}

/// Where a candidate came from; earlier ones are tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `models.providers.<id>.apiKey`.
    Configured,
    /// `auth-profiles.json`, named in its `order` at this place.
    Ordered(usize),
    /// `auth-profiles.json`.
    Stored,
    /// An environment variable.
    Env,
    /// No key at all.
    Keyless,
}

/// A credential that may be tried.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name.
    pub id: ProfileId,
    /// The key; none for a keyless profile.
    pub secret: Option<Secret>,
    /// Where it came from.
    pub origin: Origin,
    /// What the file remembers of its use.
    pub stats: Option<UsageStats>,
    /// Where it is sent.
    pub address: String,
}

/// All credentials of `provider`, in order of their origin.
///
/// An explicit `order` in the file is exclusive: stored profiles it doesn't name are left out. The keyless profile
/// stands in only when there is no key.
#[must_use]
pub fn candidates(
    provider: &str,
    source: &ProfileSource,
    file: &ProfileFile,
    env: &dyn Fn(&str) -> Option<String>,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut add = |id: ProfileId, secret: Option<Secret>, origin: Origin| {
        let stats = file.stats(&id).cloned();
        found.push(Candidate { id, secret, origin, stats, address: source.address.clone() });
    };
    if let Some(key) = source.configured_key.clone().filter(|key| !key.is_empty()) {
        add(ProfileId::new(provider, "config"), Some(key), Origin::Configured);
    }
    let order = file.order.get(provider);
    for stored in file.profiles.iter().filter(|stored| stored.provider == provider) {
        let origin = match order {
            None => Origin::Stored,
            Some(order) => match order.iter().position(|id| id == stored.id.as_str()) {
                Some(place) => Origin::Ordered(place),
                None => continue,
            },
        };
        let secret = match &stored.key {
            KeySource::Plain(key) => Some(key.clone()),
            KeySource::Env(name) => env(name).filter(|key| !key.trim().is_empty()).map(|key| Secret::new(key.trim())),
        };
        if secret.is_some() {
            add(stored.id.clone(), secret, origin);
        }
    }
    let from_env = source.env_names.iter().find_map(|name| env(name).filter(|key| !key.trim().is_empty()));
    if let Some(key) = from_env {
        add(ProfileId::new(provider, "env"), Some(Secret::new(key.trim())), Origin::Env);
    }
    if found.is_empty() && source.keyless {
        found.push(Candidate {
            id: ProfileId::new(provider, "keyless"),
            secret: None,
            origin: Origin::Keyless,
            stats: None,
            address: source.address.clone(),
        });
    }
    found.sort_by_key(|candidate| candidate.origin);
    found
}

/// What decides the place of a candidate in the order of trying.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Where it came from.
    pub origin: Origin,
    /// Whether it may be used.
    pub state: ProfileState,
    /// When it was last used.
    pub last_used: Option<EpochMs>,
}

/// The order of trying, as indices: usable ones first, by origin and then the least recently used; blocked ones last,
/// by when they come back.
#[must_use]
pub fn order(standings: &[Standing]) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..standings.len()).collect();
    indices.sort_by_key(|&index| {
        let standing = &standings[index];
        match standing.state.blocked_until() {
            None => (0, Some(standing.origin), standing.last_used.unwrap_or(0)),
            Some(until) => (1, None, until),
        }
    });
    indices
}

#[cfg(test)]
mod tests;
