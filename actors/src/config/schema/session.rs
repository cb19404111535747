//! `session`: which messages share a conversation.

use std::collections::BTreeMap;

use super::reader::Section;
use super::reset::{self, ResetConfig};

/// Keys with an effect.
pub(super) const USED: &[&str] = &[
    "session.dmScope",
    "session.groupScope",
    "session.identityLinks.*[]",
    "session.scope",
    "session.mainKey",
    "session.store",
];

/// Which messages share a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// How direct messages are split.
    pub dm_scope: DmScope,
    /// Whether groups have sessions of their own.
    pub group_scope: GroupScope,
    /// Names of people, by every address they write from: `<channel>:<peer>` or a bare peer, lower-cased.
    pub identity_links: BTreeMap<String, String>,
    /// Whether senders are told apart at all.
    pub scope: SessionScope,
    /// When conversations start anew by themselves.
    pub reset: ResetConfig,
    /// True when `session.mainKey` asks for another name than `main`; the main session is always `main`.
    pub main_key_ignored: bool,
    /// Where `sessions.json` would lie, as written. Without effect: it lies under the state directory.
    pub store_template: Option<String>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            dm_scope: DmScope::Main,
            group_scope: GroupScope::PerGroup,
            identity_links: BTreeMap::new(),
            scope: SessionScope::PerSender,
            reset: ResetConfig::default(),
            main_key_ignored: false,
            store_template: None,
        }
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

/// Whether groups have sessions of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupScope {
    /// Each its own.
    PerGroup,
    /// All in the agent's main session.
    Main,
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
        group_scope: session
            .choice("groupScope", &[("per-group", GroupScope::PerGroup), ("main", GroupScope::Main)])
            .unwrap_or(defaults.group_scope),
        identity_links: identity_links(session),
        reset: reset::read(session),
        scope: session
            .choice("scope", &[("per-sender", SessionScope::PerSender), ("global", SessionScope::Global)])
            .unwrap_or(defaults.scope),
        main_key_ignored,
        store_template,
    }
}

/// The name each address stands for; an address that two names claim belongs to the first.
fn identity_links(session: &Section<'_>) -> BTreeMap<String, String> {
    let mut links = BTreeMap::new();
    for (name, _) in session.map("identityLinks") {
        for address in session.section("identityLinks").texts(&name).unwrap_or_default() {
            links.entry(address.trim().to_lowercase()).or_insert_with(|| name.trim().to_lowercase());
        }
    }
    links
}
