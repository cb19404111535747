//! The one table of vendors: address, wire format and the names of their keys in the environment.

use std::net::IpAddr;
use std::sync::Arc;

use super::contract::Wire;
use super::{anthropic_messages, demo, openai_completions};

/// The built-in provider that needs nothing.
pub(super) const DEMO: &str = "demo";
/// Its only model.
pub(super) const DEMO_MODEL: &str = "echo";
/// Wire format of a provider that names none.
pub(super) const DEFAULT_API: &str = "openai-completions";

/// A provider known without configuration.
#[derive(Debug)]
pub(super) struct Builtin {
    id: &'static str,
    pub(super) base_url: &'static str,
    pub(super) api: &'static str,
    env: &'static [&'static str],
    pub(super) keyless: bool,
}

const fn cloud(id: &'static str, base_url: &'static str, env: &'static [&'static str]) -> Builtin {
    Builtin { id, base_url, api: DEFAULT_API, env, keyless: false }
}

const fn server(id: &'static str, base_url: &'static str) -> Builtin {
    Builtin { id, base_url, api: DEFAULT_API, env: &[], keyless: true }
}

const BUILTIN: &[Builtin] = &[
    Builtin { id: DEMO, base_url: "demo:", api: "demo", env: &[], keyless: true },
    Builtin {
        id: "anthropic",
        base_url: "https://api.anthropic.com",
        api: "anthropic-messages",
        env: &[],
        keyless: false,
    },
    cloud("openai", "https://api.openai.com/v1", &[]),
    cloud("google", "https://generativelanguage.googleapis.com/v1beta/openai", &["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
    cloud("openrouter", "https://openrouter.ai/api/v1", &[]),
    cloud("deepseek", "https://api.deepseek.com", &[]),
    cloud("groq", "https://api.groq.com/openai/v1", &[]),
    cloud("mistral", "https://api.mistral.ai/v1", &[]),
    cloud("xai", "https://api.x.ai/v1", &[]),
    cloud("together", "https://api.together.xyz/v1", &[]),
    cloud("cerebras", "https://api.cerebras.ai/v1", &[]),
    cloud("fireworks", "https://api.fireworks.ai/inference/v1", &[]),
    cloud("moonshot", "https://api.moonshot.ai/v1", &[]),
    cloud("nvidia", "https://integrate.api.nvidia.com/v1", &[]),
    cloud("huggingface", "https://router.huggingface.co/v1", &["HF_TOKEN"]),
    cloud("zai", "https://api.z.ai/api/paas/v4", &[]),
    server("ollama", "http://127.0.0.1:11434/v1"),
    server("vllm", "http://127.0.0.1:8000/v1"),
    server("sglang", "http://127.0.0.1:30000/v1"),
    server("lmstudio", "http://localhost:1234/v1"),
    server("litellm", "http://localhost:4000"),
];

/// The canonical provider id.
pub(super) fn provider_id(raw: &str) -> String {
    let id = raw.trim().to_lowercase();
    match id.as_str() {
        "openai-codex" => "openai".to_owned(),
        "bedrock" => "amazon-bedrock".to_owned(),
        "z.ai" => "zai".to_owned(),
        _ => id,
    }
}

pub(super) fn builtin(id: &str) -> Option<&'static Builtin> {
    BUILTIN.iter().find(|known| known.id == id)
}

/// The environment variables that may hold a key, the vendor's own first.
pub(super) fn env_names(id: &str) -> Vec<String> {
    if id == DEMO {
        return Vec::new();
    }
    let own = builtin(id).map_or(&[][..], |known| known.env);
    let name: String =
        id.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let usual = format!("{name}_API_KEY");
    let mut names: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
    if !names.contains(&usual) {
        names.push(usual);
    }
    names
}

/// True for an address on this machine or in this network.
pub(super) fn is_local(base_url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(base_url) else { return false };
    let Some(host) = url.host_str() else { return false };
    match host.trim_matches(|c| c == '[' || c == ']').parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => host == "localhost" || [".localhost", ".local", ".internal"].iter().any(|end| host.ends_with(end)),
    }
}

/// A wire format that is spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    OpenAiCompletions,
    AnthropicMessages,
    Demo,
}

impl Api {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "openai-completions" => Some(Self::OpenAiCompletions),
            "anthropic-messages" => Some(Self::AnthropicMessages),
            "demo" => Some(Self::Demo),
            _ => None,
        }
    }

    pub(super) fn wire(self) -> Arc<dyn Wire> {
        match self {
            Self::OpenAiCompletions => Arc::new(openai_completions::OpenAiCompletions),
            Self::AnthropicMessages => Arc::new(anthropic_messages::AnthropicMessages),
            Self::Demo => Arc::new(demo::Demo::default()),
        }
    }
}
