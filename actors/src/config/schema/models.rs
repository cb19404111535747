//! `models`: providers and the models they offer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::reader::Section;
use crate::config::known::closest;
use crate::secret::Secret;

/// Keys with an effect.
pub(super) const USED: &[&str] = &[
    "models.providers.*.baseUrl",
    "models.providers.*.apiKey",
    "models.providers.*.api",
    "models.providers.*.headers.*",
    "models.providers.*.authHeader",
    "models.providers.*.timeoutSeconds",
    "models.providers.*.models[].id",
    "models.providers.*.models[].name",
    "models.providers.*.models[].reasoning",
    "models.providers.*.models[].input[]",
    "models.providers.*.models[].contextWindow",
    "models.providers.*.models[].maxTokens",
    "models.providers.*.models[].cost.input",
    "models.providers.*.models[].cost.output",
    "models.providers.*.models[].cost.cacheRead",
    "models.providers.*.models[].cost.cacheWrite",
    "models.providers.*.models[].api",
];

/// Wire formats a configuration may name. Whether one can be spoken is the provider's business. `demo` is built in and
/// works offline; `bedrock-converse` is an older spelling.
pub const WIRES: &[&str] = &[
    "openai-completions",
    "openai-responses",
    "openai-chatgpt-responses",
    "azure-openai-responses",
    "anthropic-messages",
    "google-generative-ai",
    "google-vertex",
    "github-copilot",
    "bedrock-converse-stream",
    "bedrock-converse",
    "ollama",
    "demo",
];

/// What a model takes in when nothing is said (OpenClaw: 200000).
pub const DEFAULT_CONTEXT_WINDOW: u64 = 200_000;
/// What a model may answer with when nothing is said (OpenClaw: 8192).
pub const DEFAULT_MAX_TOKENS: u64 = 8192;
/// More tokens than any window holds: catches a slip of the hand.
const MAX_TOKENS: u64 = 1_000_000_000;

/// Providers by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelsConfig {
    /// As configured. What is built in needs no entry.
    pub providers: BTreeMap<String, ProviderConfig>,
}

/// One provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProviderConfig {
    /// Where it answers, without a trailing slash.
    pub base_url: Option<String>,
    /// Its key.
    pub api_key: Option<Secret>,
    /// How it is spoken to: one of [`WIRES`].
    pub api: Option<String>,
    /// Headers of every request.
    pub headers: BTreeMap<String, Secret>,
    /// Whether the key goes into the `Authorization` header.
    pub auth_header: Option<bool>,
    /// Longest request.
    pub timeout: Option<Duration>,
    /// Its models.
    pub models: Vec<ModelConfig>,
}

/// One model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// As the provider knows it.
    pub id: String,
    /// For people; the id when nothing is said.
    pub name: String,
    /// Whether it thinks before it answers.
    pub reasoning: bool,
    /// What it takes: `text`, `image` …
    pub input: Vec<String>,
    /// Tokens it can see.
    pub context_window: u64,
    /// Tokens it may answer with.
    pub max_tokens: u64,
    /// US dollars per million tokens.
    pub cost: ModelCost,
    /// Its own wire format, when it differs from the provider's.
    pub api: Option<String>,
}

/// US dollars per million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ModelCost {
    /// Tokens sent.
    pub input: f64,
    /// Tokens answered.
    pub output: f64,
    /// Tokens read from the provider's cache.
    pub cache_read: f64,
    /// Tokens written to it.
    pub cache_write: f64,
}

pub(super) fn read(models: &Section<'_>) -> ModelsConfig {
    let mut providers = BTreeMap::new();
    for (id, section) in models.map("providers") {
        let plain =
            !id.is_empty() && id.len() <= 64 && !id.contains(['/', ':']) && !id.chars().any(char::is_whitespace);
        if plain {
            providers.insert(id, provider(&section));
        } else {
            section.refuse("a provider id with a slash, a colon or a space", "an id such as \"openrouter\"");
        }
    }
    ModelsConfig { providers }
}

fn provider(section: &Section<'_>) -> ProviderConfig {
    let headers = section
        .map("headers")
        .into_iter()
        .filter_map(|(name, value)| {
            let valid = reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok();
            if !valid {
                value.refuse("a name that is no header", "letters, digits and dashes");
            }
            value.own_secret().filter(|_| valid).map(|secret| (name, secret))
        })
        .collect();
    let mut models: Vec<ModelConfig> = Vec::new();
    for entry in section.list("models") {
        let Some(model) = model(&entry) else { continue };
        if models.iter().any(|earlier| earlier.id == model.id) {
            entry.warn(format_args!("model {:?} is listed twice, the first one counts", model.id));
        } else {
            models.push(model);
        }
    }
    ProviderConfig {
        base_url: section.address("baseUrl"),
        api_key: section.secret("apiKey"),
        api: wire(section),
        headers,
        auth_header: section.flag("authHeader"),
        timeout: section.integer("timeoutSeconds", 1..=86_400).map(Duration::from_secs),
        models,
    }
}

fn model(section: &Section<'_>) -> Option<ModelConfig> {
    if !section.exists() {
        return None;
    }
    let Some(id) = section.text("id") else {
        section.refuse("a model without an id", "an `id` as the provider knows it");
        return None;
    };
    let cost = section.section("cost");
    let amount = |key: &str| cost.amount(key).unwrap_or(0.0);
    Some(ModelConfig {
        name: section.text("name").unwrap_or_else(|| id.clone()),
        id,
        reasoning: section.flag("reasoning").unwrap_or(false),
        input: section.texts("input").filter(|kinds| !kinds.is_empty()).unwrap_or_else(|| vec!["text".into()]),
        context_window: section.integer("contextWindow", 1..=MAX_TOKENS).unwrap_or(DEFAULT_CONTEXT_WINDOW),
        max_tokens: section.integer("maxTokens", 1..=MAX_TOKENS).unwrap_or(DEFAULT_MAX_TOKENS),
        cost: ModelCost {
            input: amount("input"),
            output: amount("output"),
            cache_read: amount("cacheRead"),
            cache_write: amount("cacheWrite"),
        },
        api: wire(section),
    })
}

fn wire(section: &Section<'_>) -> Option<String> {
    let api = section.text("api")?;
    if WIRES.contains(&api.as_str()) {
        return Some(api);
    }
    let near = closest(&api, WIRES.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
    let shown: String = api.chars().take(40).collect();
    section.section("api").refuse_with(format!("{shown:?}"), format!("one of {}", WIRES.join(", ")), near.as_deref());
    None
}
