//! Models: `models.list`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params;
use crate::protocol::schema::{NAME, Object, Schema};

/// Parameters of `models.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListParams {
    /// As this agent sees them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// As this session sees them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// Of this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// With everything known about each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_details: Option<bool>,
    /// With the models used by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_default_models: Option<bool>,
    /// Ask providers afresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<bool>,
    /// `default`, `configured`, `provider-config` or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
}
params!(ListParams, "models.list", LIST);

/// Result of `models.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListResult {
    /// The models.
    pub models: Vec<ModelRow>,
    /// Models used by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_models: Option<Value>,
}

/// One model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelRow {
    /// Its id at the provider.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its provider.
    pub provider: String,
    /// Size of its context window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Longest answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Whether it thinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// How hard it can think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_levels: Option<Vec<Value>>,
    /// How hard it does unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_default: Option<String>,
    /// What it reads: `text`, `image`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<String>>,
    /// `default`, `configured` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Whether it can be used now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<bool>,
    /// Whether a user may pick it; told to clients that can show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_selection_allowed: Option<bool>,
}

const LIST: Object = Object::closed(
    &[],
    &[
        ("agentId", NAME),
        ("sessionKey", NAME),
        ("authProfileId", Schema::Text(1, 256)),
        ("provider", NAME),
        ("includeDetails", Schema::Bool),
        ("includeProviderCapabilities", Schema::Bool),
        ("includeDefaultModels", Schema::Bool),
        ("preparedOnly", Schema::Bool),
        ("refresh", Schema::Bool),
        ("view", Schema::OneOf(&["default", "configured", "provider-config", "all"])),
    ],
);
