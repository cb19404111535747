//! `channels`: chat platforms, one file per vendor.

pub mod telegram;

use super::reader::Section;
use telegram::TelegramConfig;

/// Chat platforms that are set up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelsConfig {
    /// Telegram, when there is a block for it.
    pub telegram: Option<TelegramConfig>,
}

pub(super) fn read(channels: &Section<'_>) -> ChannelsConfig {
    ChannelsConfig { telegram: telegram::read(&channels.section("telegram")) }
}
