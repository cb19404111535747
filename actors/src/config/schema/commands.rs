//! `commands`: who may command by chat.

use super::reader::Section;

/// Keys with an effect.
pub(super) const USED: &[&str] = &["commands.ownerAllowFrom[]"];

/// Who may command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandsConfig {
    /// Owners, as `<channel>:<sender id>`, lower-cased. Control-plane clients with `operator.admin` are owners as well.
    pub owners: Vec<String>,
}

impl CommandsConfig {
    /// True when the sender of a channel is an owner.
    #[must_use]
    pub fn is_owner(&self, channel: &str, sender: &str) -> bool {
        let wanted = format!("{channel}:{sender}").to_lowercase();
        self.owners.contains(&wanted)
    }
}

pub(super) fn read(commands: &Section<'_>) -> CommandsConfig {
    let mut owners = Vec::new();
    for entry in commands.list("ownerAllowFrom") {
        let Some(text) = entry.own_text_or_number() else { continue };
        let text = text.trim().to_lowercase();
        match text.split_once(':') {
            Some((channel, sender)) if !channel.is_empty() && !sender.trim().is_empty() && sender.trim() != "*" => {
                owners.push(format!("{channel}:{}", sender.trim()));
            }
            Some(_) | None => entry.warn("not `<channel>:<sender id>`, this owner counts as absent"),
        }
    }
    CommandsConfig { owners }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_sender_of_one_channel() {
        let commands = CommandsConfig { owners: vec![String::from("telegram:7")] };
        assert!(commands.is_owner("Telegram", "7"));
        assert!(!commands.is_owner("discord", "7") && !commands.is_owner("telegram", "77"));
    }
}
