//! Sends one piece: Markdown rendered to Telegram's HTML, and once more as plain text when Telegram can't read that.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use teloxide::payloads::{SendChatAction, SendMessage};
use teloxide::types::{
    ChatAction, ChatId, LinkPreviewOptions, MessageId, ParseMode, Recipient, ReplyParameters, ThreadId,
};

use crate::channels::contract::{Capabilities, OutboundChunk, OutboundPort, Receipt, SendError, TextUnit};
use crate::channels::telegram::api::{Api, CallError};
use crate::channels::telegram::{CAPABILITIES, format};

/// Telegram's hard limit, in UTF-16 units after the markup is taken out.
const HARD_LIMIT: usize = 4096;
/// The wait when Telegram asks for one without saying how long.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);
/// The general topic of a forum; naming it in a send is an error.
const GENERAL_TOPIC: i32 = 1;

/// The sending side of an account.
#[derive(Debug)]
pub struct TelegramOutbound {
    api: Api,
}

impl TelegramOutbound {
    /// Sends through `api`.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    async fn send_chunk(&self, chunk: OutboundChunk) -> Result<Receipt, SendError> {
        let plain = base_message(&chunk)?;
        let mut html = plain.clone();
        html.text = format::to_html(&chunk.text);
        html.parse_mode = Some(ParseMode::Html);
        let fits = TextUnit::Utf16.len_of(&format::visible(&html.text)) <= HARD_LIMIT;
        let sent = if fits && !format::visible(&html.text).trim().is_empty() {
            match self.api.call(&html).await {
                Err(error) if error.is_markup_refused() => {
                    tracing::warn!(%error, "markup refused, sending as plain text");
                    self.api.call(&plain).await
                }
                other => other,
            }
        } else {
            self.api.call(&plain).await
        };
        sent.map(|message| receipt(&message)).map_err(send_error)
    }

    async fn send_typing(&self, to: &str, thread_id: Option<&str>) -> Result<(), SendError> {
        let mut action = SendChatAction::new(recipient(to)?, ChatAction::Typing);
        action.message_thread_id = thread_id.map(thread).transpose()?;
        self.api.call(&action).await.map(drop).map_err(send_error)
    }
}

impl OutboundPort for TelegramOutbound {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn send(&self, chunk: OutboundChunk) -> BoxFuture<'_, Result<Receipt, SendError>> {
        Box::pin(self.send_chunk(chunk))
    }

    fn typing(&self, to: String, thread_id: Option<String>) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async move { self.send_typing(&to, thread_id.as_deref()).await })
    }
}

fn base_message(chunk: &OutboundChunk) -> Result<SendMessage, SendError> {
    let mut message = SendMessage::new(recipient(&chunk.to)?, chunk.text.clone());
    message.message_thread_id = match chunk.thread_id.as_deref().map(thread).transpose()? {
        Some(ThreadId(MessageId(GENERAL_TOPIC))) | None => None,
        other => other,
    };
    // A message that is gone must not keep its answer from arriving.
    message.reply_parameters = chunk
        .reply_to
        .as_deref()
        .and_then(|id| id.parse().ok())
        .map(|id| ReplyParameters::new(MessageId(id)).allow_sending_without_reply());
    message.link_preview_options = Some(LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    });
    Ok(message)
}

fn recipient(to: &str) -> Result<Recipient, SendError> {
    let bare = to.strip_prefix("telegram:").or_else(|| to.strip_prefix("tg:")).unwrap_or(to);
    let id = bare.parse().map_err(|_| SendError::Rejected("the recipient is not a numeric chat id".to_owned()))?;
    Ok(Recipient::Id(ChatId(id)))
}

fn thread(raw: &str) -> Result<ThreadId, SendError> {
    let id = raw.parse().map_err(|_| SendError::Rejected("the topic is not a number".to_owned()))?;
    Ok(ThreadId(MessageId(id)))
}

fn receipt(message: &Value) -> Receipt {
    Receipt { message_id: message.get("message_id").and_then(Value::as_i64).map(|id| id.to_string()) }
}

/// What a failed call means for the outbox.
fn send_error(error: CallError) -> SendError {
    let text = error.to_string();
    match error {
        CallError::Refused { code: 429, retry_after, .. } => {
            SendError::RateLimited { after: retry_after.unwrap_or(DEFAULT_RETRY_AFTER) }
        }
        CallError::Refused { code: 401 | 404, .. } => SendError::AccountDown(text),
        // The Bot API itself said that it did not do it.
        CallError::Refused { code: 408 | 409 | 500.., .. } => SendError::NotSent(text),
        CallError::Refused { .. } => SendError::Rejected(text),
        CallError::NotDispatched(_) => SendError::NotSent(text),
        CallError::Ambiguous(_) => SendError::Unknown(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16) -> SendError {
        send_error(CallError::Refused { code, description: "x".into(), retry_after: None })
    }

    #[test]
    fn every_refusal_has_its_consequence() {
        assert!(matches!(refused(400), SendError::Rejected(_)));
        assert!(matches!(refused(403), SendError::Rejected(_)));
        assert!(matches!(refused(401), SendError::AccountDown(_)));
        assert!(matches!(refused(500), SendError::NotSent(_)));
        assert_eq!(refused(429), SendError::RateLimited { after: DEFAULT_RETRY_AFTER });
        assert!(matches!(send_error(CallError::Ambiguous("cut".into())), SendError::Unknown(_)));
        assert!(matches!(send_error(CallError::NotDispatched("dns".into())), SendError::NotSent(_)));
    }

    #[test]
    fn the_general_topic_is_left_out_of_sends() {
        let chunk = |thread: &str| OutboundChunk {
            to: "7".into(),
            thread_id: Some(thread.into()),
            text: "x".into(),
            reply_to: None,
        };
        assert_eq!(base_message(&chunk("1")).unwrap().message_thread_id, None);
        assert!(base_message(&chunk("5")).unwrap().message_thread_id.is_some());
    }

    #[test]
    fn recipients_are_numeric() {
        assert!(recipient("telegram:-100").is_ok());
        assert!(matches!(recipient("@ann"), Err(SendError::Rejected(_))));
    }
}
