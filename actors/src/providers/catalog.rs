//! Which models there are and how they are named.
//!
//! Built from the configuration as a whole and never changed; a reload builds another. When nothing is configured
//! there is the built-in demo model, so that a first start answers something.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::deadlines::Deadlines;
use super::registry::{self, Api};
use crate::auth_profiles::ProfileSource;
use crate::config::models::{DEFAULT_CONTEXT_WINDOW, DEFAULT_MAX_TOKENS};
use crate::config::{Config, ModelConfig, ModelCost, ModelsConfig, ProviderConfig};
use crate::message::{Cost, Usage};
use crate::secret::Secret;

/// Calls of one provider at the same time. Sessions wait in their lanes; this only guards the provider.
const CONCURRENCY: usize = 16;

/// A model by name: `provider/model[@profile]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelRef {
    /// Provider id, lower case.
    pub provider: String,
    /// Model id as the provider knows it; may hold slashes.
    pub model: String,
    /// The credential to prefer.
    pub profile: Option<String>,
}

/// Why a name is not a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelRefError {
    /// Not of the form.
    #[error("{0:?} is not a model: expected `provider/model`")]
    Malformed(String),
    /// No provider of that name.
    #[error("there is no provider {0:?}; add it under `models.providers`")]
    UnknownProvider(String),
    /// A bare name that is neither alias nor model id, or the id of several models.
    #[error("{0:?} names no model, or several; write it as `provider/model`")]
    UnknownName(String),
    /// The provider's wire format is not spoken here.
    #[error("provider {provider:?} speaks {api:?}, which is not supported")]
    UnsupportedApi {
        /// Provider id.
        provider: String,
        /// The format it is configured with.
        api: String,
    },
}

impl ModelRef {
    /// Takes a full name apart at its first slash. `@profile` is what follows the last `@`, unless that `@` begins
    /// a segment of the id (`@cf/…`).
    ///
    /// # Errors
    /// When a part is missing or the name holds control characters.
    pub fn parse(raw: &str) -> Result<Self, ModelRefError> {
        let malformed = || ModelRefError::Malformed(raw.chars().take(120).collect());
        let (provider, rest) = raw.trim().split_once('/').ok_or_else(malformed)?;
        if provider.is_empty() || rest.is_empty() || raw.chars().any(char::is_control) || raw.len() > 512 {
            return Err(malformed());
        }
        let (model, profile) = split_profile(rest);
        let profile = profile.filter(|profile| !profile.is_empty()).map(str::to_owned);
        Ok(Self { provider: registry::provider_id(provider), model: model.to_owned(), profile })
    }

    /// True when both name the same model, whatever the credential.
    #[must_use]
    pub fn same_model(&self, other: &Self) -> bool {
        self.provider == other.provider && self.model == other.model
    }
}

/// Parts `model` and `profile` of `model@profile` or `model@"profile"`.
fn split_profile(rest: &str) -> (&str, Option<&str>) {
    for (quote, opening) in [('"', "@\""), ('\'', "@'")] {
        if let Some((model, profile)) = rest.strip_suffix(quote).and_then(|inner| inner.split_once(opening)) {
            return if model.is_empty() { (rest, None) } else { (model, Some(profile)) };
        }
    }
    match rest.rsplit_once('@') {
        Some((model, profile)) if !model.is_empty() && !model.ends_with('/') && !profile.contains('/') => {
            (model, Some(profile))
        }
        Some(_) | None => (rest, None),
    }
}

/// `provider/model`, without the credential.
impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// Writes into `usage` what it cost.
#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
pub fn price(cost: &ModelCost, usage: &mut Usage) {
    let of = |tokens: u64, per_million: f64| tokens as f64 * per_million / 1e6;
    let mut sum = Cost {
        input: of(usage.input, cost.input),
        output: of(usage.output, cost.output),
        cache_read: of(usage.cache_read, cost.cache_read),
        cache_write: of(usage.cache_write, cost.cache_write),
        total: 0.0,
    };
    sum.total = sum.input + sum.output + sum.cache_read + sum.cache_write;
    usage.cost = sum;
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Provider id.
    pub provider: String,
    /// Model id as the provider knows it.
    pub id: String,
    /// For people.
    pub name: String,
    /// Tokens of prompt and answer together.
    pub context_window: u64,
    /// Most tokens of an answer.
    pub max_tokens: u64,
    /// True when it thinks before it answers.
    pub reasoning: bool,
    /// What it takes: `text`, `image`.
    pub input: Vec<String>,
    /// Price; all zero when unknown.
    pub cost: ModelCost,
    /// Wire format.
    pub api: String,
}

/// A provider that can be called.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Provider id.
    pub id: String,
    /// Base address without a slash at its end.
    pub base_url: String,
    /// Wire format of its models unless they say otherwise.
    pub api: String,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// See [`super::contract::Endpoint::auth_header`].
    pub auth_header: Option<bool>,
    /// Time limits.
    pub deadlines: Deadlines,
    /// True for a server on this machine or in this network.
    pub local: bool,
    /// Calls at the same time.
    pub concurrency: usize,
    /// Where its credentials come from.
    pub credentials: ProfileSource,
}

impl ProviderSettings {
    /// True when `other` would be reached in the same way, so that connections may be kept.
    #[must_use]
    pub fn same_connection(&self, other: &Self) -> bool {
        self.base_url == other.base_url
            && self.deadlines == other.deadlines
            && self.local == other.local
            && self.concurrency == other.concurrency
    }
}

/// The catalog in force, replaced as a whole by a reload.
pub(super) type CatalogCell = Arc<ArcSwap<Catalog>>;

/// All providers and models of one configuration.
#[derive(Debug, Clone)]
pub struct Catalog {
    providers: BTreeMap<String, ProviderSettings>,
    models: Vec<ModelInfo>,
}

impl Catalog {
    /// The catalog of a configuration: its providers, and those whose models its agents name.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let own = config.agents.entries.iter().filter_map(|entry| entry.model.as_ref());
        let choices = std::iter::once(&config.agents.defaults.model).chain(own);
        Self::build(&config.models, choices.flat_map(|choice| choice.primary.iter().chain(&choice.fallbacks)))
    }

    /// Builds the catalog. `referenced` names models whose providers are made available; what is not understood there
    /// is left out, resolving it says why.
    #[must_use]
    pub fn build<'a>(config: &ModelsConfig, referenced: impl IntoIterator<Item = &'a String>) -> Self {
        let mut providers = BTreeMap::new();
        let mut models = Vec::new();
        for (id, given) in &config.providers {
            let id = registry::provider_id(id);
            if let Some(settings) = settings(&id, given) {
                models.extend(given.models.iter().map(|model| model_info(&settings, model)));
                providers.insert(id, settings);
            }
        }
        for model in referenced.into_iter().filter_map(|name| ModelRef::parse(name).ok()) {
            if !providers.contains_key(&model.provider)
                && let Some(settings) = settings(&model.provider, &ProviderConfig::default())
            {
                providers.insert(model.provider, settings);
            }
        }
        if providers.is_empty()
            && let Some(demo) = settings(registry::DEMO, &ProviderConfig::default())
        {
            providers.insert(registry::DEMO.to_owned(), demo);
        }
        if let Some(demo) = providers.get(registry::DEMO) {
            models.push(ModelInfo { name: "Demo (echo)".into(), ..undescribed(demo, registry::DEMO_MODEL) });
        }
        Self { providers, models }
    }

    /// All known models, by provider.
    #[must_use]
    pub fn models(&self) -> &[ModelInfo] {
        &self.models
    }

    /// All providers that can be called.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderSettings> {
        self.providers.values()
    }

    /// One provider.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&ProviderSettings> {
        self.providers.get(id)
    }

    /// The model used when no agent names one: the first configured, or the demo.
    #[must_use]
    pub fn default_model(&self) -> Option<ModelRef> {
        let real = self.models.iter().find(|model| model.provider != registry::DEMO);
        real.or(self.models.first()).map(|model| ModelRef {
            provider: model.provider.clone(),
            model: model.id.clone(),
            profile: None,
        })
    }

    /// The model that `name` means: `provider/model`, or the id of exactly one model.
    ///
    /// # Errors
    /// When it means none, or its provider is unknown.
    pub fn find(&self, name: &str) -> Result<ModelRef, ModelRefError> {
        let name = name.trim();
        let mut named = self.models.iter().filter(|model| model.id == name);
        if let (Some(model), None) = (named.next(), named.next()) {
            return Ok(ModelRef { provider: model.provider.clone(), model: model.id.clone(), profile: None });
        }
        if !name.contains('/') {
            return Err(ModelRefError::UnknownName(name.chars().take(120).collect()));
        }
        let model = ModelRef::parse(name)?;
        // An id that itself holds an `@` is no credential.
        if let Some(profile) = &model.profile {
            let whole = format!("{}@{profile}", model.model);
            if self.models.iter().any(|known| known.provider == model.provider && known.id == whole) {
                return Ok(ModelRef { provider: model.provider, model: whole, profile: None });
            }
        }
        match self.providers.contains_key(&model.provider) {
            true => Ok(model),
            false => Err(ModelRefError::UnknownProvider(model.provider)),
        }
    }

    /// What is known of a model. One that isn't listed is described by defaults: the provider knows better.
    ///
    /// # Errors
    /// When its provider is unknown or speaks a format we don't.
    pub fn resolve(&self, model: &ModelRef) -> Result<ModelInfo, ModelRefError> {
        let Some(settings) = self.providers.get(&model.provider) else {
            return Err(ModelRefError::UnknownProvider(model.provider.clone()));
        };
        let listed = self.models.iter().find(|known| known.provider == model.provider && known.id == model.model);
        let info = listed.cloned().unwrap_or_else(|| undescribed(settings, &model.model));
        match Api::parse(&info.api) {
            Some(_) => Ok(info),
            None => Err(ModelRefError::UnsupportedApi { provider: model.provider.clone(), api: info.api }),
        }
    }
}

fn settings(id: &str, given: &ProviderConfig) -> Option<ProviderSettings> {
    let known = registry::builtin(id);
    let base_url = given.base_url.as_deref().or(known.map(|known| known.base_url))?.trim_end_matches('/').to_owned();
    let local = registry::is_local(&base_url);
    let api = given.api.as_deref().or(known.map(|known| known.api)).unwrap_or(registry::DEFAULT_API).to_owned();
    Some(ProviderSettings {
        id: id.to_owned(),
        api,
        headers: given.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        auth_header: given.auth_header,
        deadlines: Deadlines::of_provider(local, given.timeout),
        local,
        concurrency: CONCURRENCY,
        credentials: ProfileSource {
            configured_key: given.api_key.clone(),
            env_names: registry::env_names(id),
            // A server nobody sells needs no key; a vendor reached through a local relay may not either.
            keyless: local || known.is_none_or(|known| known.keyless),
            address: base_url.clone(),
        },
        base_url,
    })
}

fn model_info(settings: &ProviderSettings, given: &ModelConfig) -> ModelInfo {
    ModelInfo {
        provider: settings.id.clone(),
        id: given.id.clone(),
        name: given.name.clone(),
        context_window: given.context_window,
        max_tokens: given.max_tokens,
        reasoning: given.reasoning,
        input: given.input.clone(),
        cost: given.cost,
        api: given.api.clone().unwrap_or_else(|| settings.api.clone()),
    }
}

/// A model of which only the id is known.
fn undescribed(settings: &ProviderSettings, id: &str) -> ModelInfo {
    ModelInfo {
        provider: settings.id.clone(),
        id: id.to_owned(),
        name: id.to_owned(),
        context_window: DEFAULT_CONTEXT_WINDOW,
        max_tokens: DEFAULT_MAX_TOKENS,
        reasoning: false,
        input: vec!["text".into()],
        cost: ModelCost::default(),
        api: settings.api.clone(),
    }
}

#[cfg(test)]
mod tests;
