//! Which session a channel's message belongs to.

use crate::channels::contract::PeerKind;
use crate::config::DmScope;
use crate::ids::{AccountId, AgentId, ChannelId, IdError, SessionKey};

fn segment(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Direct => "direct",
        PeerKind::Group => "group",
        PeerKind::Channel => "channel",
    }
}

/// The session of a message.
///
/// # Errors
/// When the peer's id can't be part of a key.
pub fn session_key(
    agent: &AgentId,
    channel: &ChannelId,
    account: &AccountId,
    kind: PeerKind,
    peer: &str,
    scope: DmScope,
) -> Result<SessionKey, IdError> {
    let peer = peer.trim().to_lowercase();
    match (kind, scope) {
        (PeerKind::Direct, DmScope::Main) => Ok(SessionKey::main(agent)),
        (PeerKind::Direct, _) if peer.is_empty() => Ok(SessionKey::main(agent)),
        (PeerKind::Direct, DmScope::PerPeer) => SessionKey::under(agent, &format!("direct:{peer}")),
        (PeerKind::Direct, DmScope::PerChannelPeer) => SessionKey::under(agent, &format!("{channel}:direct:{peer}")),
        (PeerKind::Direct, DmScope::PerAccountChannelPeer) => {
            SessionKey::under(agent, &format!("{channel}:{account}:direct:{peer}"))
        }
        (PeerKind::Group | PeerKind::Channel, _) => {
            let peer = if peer.is_empty() { "unknown" } else { &peer };
            SessionKey::under(agent, &format!("{channel}:{}:{peer}", segment(kind)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: PeerKind, scope: DmScope) -> String {
        let agent = AgentId::normalised("main");
        let (channel, account) = (ChannelId::new("telegram"), AccountId::normalised("bot"));
        session_key(&agent, &channel, &account, kind, "77", scope).unwrap().to_string()
    }

    #[test]
    fn scopes_give_the_documented_keys() {
        assert_eq!(key(PeerKind::Direct, DmScope::Main), "agent:main:main");
        assert_eq!(key(PeerKind::Direct, DmScope::PerPeer), "agent:main:direct:77");
        assert_eq!(key(PeerKind::Direct, DmScope::PerChannelPeer), "agent:main:telegram:direct:77");
        assert_eq!(key(PeerKind::Direct, DmScope::PerAccountChannelPeer), "agent:main:telegram:bot:direct:77");
        assert_eq!(key(PeerKind::Group, DmScope::Main), "agent:main:telegram:group:77");
    }
}
