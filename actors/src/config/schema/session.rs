//! `session`: which messages share a conversation.

use super::reader::Section;

/// Keys with an effect.
pub(super) const USED: &[&str] = &["session.dmScope", "session.scope", "session.mainKey", "session.store"];

/// Which messages share a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// How direct messages are split.
    pub dm_scope: DmScope,
    /// Whether senders are told apart at all.
    pub scope: SessionScope,
    /// True when `session.mainKey` asks for another name than `main`; the main session is always `main`.
    pub main_key_ignored: bool,
    /// Where `sessions.json` would lie, as written. Without effect: it lies under the state directory.
    pub store_template: Option<String>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { dm_scope: DmScope::Main, scope: SessionScope::PerSender, main_key_ignored: false, store_template: None }
    }
}

/// How direct messages are split into sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmScope {
    /// All in the agent's main session.
    Main,
    /// One per sender.
    PerPeer,
    /// One per channel and sender.
    PerChannelPeer,
    /// One per channel, account and sender.
    PerAccountChannelPeer,
}

/// Whether senders are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionScope {
    /// Yes.
    PerSender,
    /// No: one session for everybody.
    Global,
}

pub(super) fn read(session: &Section<'_>) -> SessionConfig {
    let defaults = SessionConfig::default();
    let main_key_ignored = session.text("mainKey").is_some_and(|key| key.trim() != "main");
    if main_key_ignored {
        session.section("mainKey").warn("the main session is always named \"main\"");
    }
    let store_template = session.text("store");
    if store_template.is_some() {
        session.section("store").warn("without effect; sessions lie under the state directory");
    }
    SessionConfig {
        dm_scope: session
            .choice(
                "dmScope",
                &[
                    ("main", DmScope::Main),
                    ("per-peer", DmScope::PerPeer),
                    ("per-channel-peer", DmScope::PerChannelPeer),
                    ("per-account-channel-peer", DmScope::PerAccountChannelPeer),
                ],
            )
            .unwrap_or(defaults.dm_scope),
        scope: session
            .choice("scope", &[("per-sender", SessionScope::PerSender), ("global", SessionScope::Global)])
            .unwrap_or(defaults.scope),
        main_key_ignored,
        store_template,
    }
}
