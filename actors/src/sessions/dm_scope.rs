//! Which session a channel's message belongs to.

use crate::channels::contract::PeerKind;
use crate::config::{DmScope, GroupScope, SessionConfig};
use crate::ids::{AccountId, AgentId, ChannelId, IdError, SessionKey};

fn segment(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Direct => "direct",
        PeerKind::Group => "group",
        PeerKind::Channel => "channel",
    }
}

/// Where a message came from.
#[derive(Debug, Clone, Copy)]
pub struct Chat<'a> {
    /// The channel.
    pub channel: &'a ChannelId,
    /// Its account.
    pub account: &'a AccountId,
    /// The kind of chat.
    pub kind: PeerKind,
    /// The chat, or for a direct one the person.
    pub peer: &'a str,
}

/// The session of a message.
///
/// # Errors
/// When the peer's id can't be part of a key.
pub fn session_key(agent: &AgentId, chat: Chat<'_>, config: &SessionConfig) -> Result<SessionKey, IdError> {
    let Chat { channel, account, kind, peer } = chat;
    let peer = peer.trim().to_lowercase();
    match kind {
        PeerKind::Direct => {
            let scope = config.dm_scope;
            if peer.is_empty() || scope == DmScope::Main {
                return Ok(SessionKey::main(agent));
            }
            let peer = linked(config, channel, &peer);
            match scope {
                DmScope::Main => Ok(SessionKey::main(agent)),
                DmScope::PerPeer => SessionKey::under(agent, &format!("direct:{peer}")),
                DmScope::PerChannelPeer => SessionKey::under(agent, &format!("{channel}:direct:{peer}")),
                DmScope::PerAccountChannelPeer => {
                    SessionKey::under(agent, &format!("{channel}:{account}:direct:{peer}"))
                }
            }
        }
        PeerKind::Group | PeerKind::Channel if config.group_scope == GroupScope::Main => Ok(SessionKey::main(agent)),
        PeerKind::Group | PeerKind::Channel => {
            let peer = if peer.is_empty() { "unknown" } else { &peer };
            SessionKey::under(agent, &format!("{channel}:{}:{peer}", segment(kind)))
        }
    }
}

/// The name a person goes by, if the configuration links their address to one.
fn linked<'a>(config: &'a SessionConfig, channel: &ChannelId, peer: &'a str) -> &'a str {
    let full = format!("{channel}:{peer}");
    config.identity_links.get(&full).or_else(|| config.identity_links.get(peer)).map_or(peer, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_with(kind: PeerKind, peer: &str, config: &SessionConfig) -> String {
        let agent = AgentId::normalised("main");
        let (channel, account) = (&ChannelId::new("telegram"), &AccountId::normalised("bot"));
        session_key(&agent, Chat { channel, account, kind, peer }, config).unwrap().to_string()
    }

    fn key(kind: PeerKind, dm_scope: DmScope) -> String {
        key_with(kind, "77", &SessionConfig { dm_scope, ..SessionConfig::default() })
    }

    #[test]
    fn scopes_give_the_documented_keys() {
        assert_eq!(key(PeerKind::Direct, DmScope::Main), "agent:main:main");
        assert_eq!(key(PeerKind::Direct, DmScope::PerPeer), "agent:main:direct:77");
        assert_eq!(key(PeerKind::Direct, DmScope::PerChannelPeer), "agent:main:telegram:direct:77");
        assert_eq!(key(PeerKind::Direct, DmScope::PerAccountChannelPeer), "agent:main:telegram:bot:direct:77");
        assert_eq!(key(PeerKind::Group, DmScope::Main), "agent:main:telegram:group:77");
    }

    #[test]
    fn one_person_on_two_channels_has_one_session_when_linked() {
        let links = [("telegram:77", "ann"), ("88", "ann"), ("discord:77", "bob")];
        let identity_links = links.map(|(from, to)| (from.to_owned(), to.to_owned())).into();
        let linked = SessionConfig { dm_scope: DmScope::PerPeer, identity_links, ..SessionConfig::default() };
        assert_eq!(key_with(PeerKind::Direct, "77", &linked), "agent:main:direct:ann");
        assert_eq!(key_with(PeerKind::Direct, "88", &linked), "agent:main:direct:ann");
        assert_eq!(key_with(PeerKind::Direct, "99", &linked), "agent:main:direct:99");
        let main = SessionConfig { dm_scope: DmScope::Main, ..linked };
        assert_eq!(key_with(PeerKind::Direct, "77", &main), "agent:main:main");
    }

    #[test]
    fn groups_may_share_the_main_session() {
        let config = SessionConfig { group_scope: GroupScope::Main, ..SessionConfig::default() };
        assert_eq!(key_with(PeerKind::Group, "-5", &config), "agent:main:main");
    }
}
