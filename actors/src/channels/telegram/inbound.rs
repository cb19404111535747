//! From one raw update to what is to be done with it. Pure.
//!
//! Updates are read field by field from the JSON as received, so that a field or a kind that Telegram adds tomorrow
//! changes nothing. Every update gets a verdict; none is dropped without being counted.

use serde_json::Value;

use crate::channels::contract::{Answer, Inbound, Peer, PeerKind, Sender};
use crate::channels::telegram::ID;
use crate::channels::telegram::allow::AllowList;
use crate::clock::EpochMs;
use crate::ids::AccountId;

/// Longest excerpt of a message that is answered.
const REPLY_EXCERPT: usize = 200;

/// Contents that a message can have besides text, and what they are called in the transcript.
const CONTENTS: &[(&str, &str)] = &[
    // `animation` comes with a `document` and `venue` with a `location`: the first that fits names it.
    ("animation", "animation"),
    ("photo", "photo"),
    ("video", "video"),
    ("video_note", "video message"),
    ("voice", "voice message"),
    ("audio", "audio"),
    ("document", "file"),
    ("sticker", "sticker"),
    ("venue", "venue"),
    ("location", "location"),
    ("contact", "contact"),
    ("poll", "poll"),
    ("dice", "dice"),
    ("game", "game"),
    ("story", "story"),
    ("paid_media", "paid media"),
    ("invoice", "invoice"),
    ("checklist", "checklist"),
    ("giveaway", "giveaway"),
];

/// Members of a message that say something about it instead of being its content.
const ABOUT: &[&str] = &[
    "message_id",
    "message_thread_id",
    "from",
    "sender_chat",
    "sender_boost_count",
    "sender_business_bot",
    "date",
    "business_connection_id",
    "chat",
    "forward_origin",
    "forward_from",
    "forward_from_chat",
    "forward_from_message_id",
    "forward_signature",
    "forward_sender_name",
    "forward_date",
    "is_topic_message",
    "is_automatic_forward",
    "reply_to_message",
    "external_reply",
    "quote",
    "reply_to_story",
    "reply_to_checklist_task_id",
    "via_bot",
    "edit_date",
    "has_protected_content",
    "is_from_offline",
    "is_paid_post",
    "media_group_id",
    "author_signature",
    "paid_star_count",
    "text",
    "entities",
    "link_preview_options",
    "suggested_post_info",
    "effect_id",
    "caption",
    "caption_entities",
    "show_caption_above_media",
    "has_media_spoiler",
    "reply_markup",
    "direct_messages_topic",
];

/// Messages that report a change of the chat.
const SERVICE: &[&str] = &[
    "new_chat_members",
    "left_chat_member",
    "new_chat_title",
    "new_chat_photo",
    "delete_chat_photo",
    "group_chat_created",
    "supergroup_chat_created",
    "channel_chat_created",
    "message_auto_delete_timer_changed",
    "migrate_to_chat_id",
    "migrate_from_chat_id",
    "pinned_message",
    "successful_payment",
    "refunded_payment",
    "users_shared",
    "chat_shared",
    "connected_website",
    "write_access_allowed",
    "passport_data",
    "proximity_alert_triggered",
    "boost_added",
    "chat_background_set",
    "forum_topic_created",
    "forum_topic_edited",
    "forum_topic_closed",
    "forum_topic_reopened",
    "general_forum_topic_hidden",
    "general_forum_topic_unhidden",
    "video_chat_scheduled",
    "video_chat_started",
    "video_chat_ended",
    "video_chat_participants_invited",
    "web_app_data",
    "giveaway_created",
    "giveaway_completed",
    "giveaway_winners",
];

/// What is to be done with an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A message that gives a turn.
    Turn(Inbound),
    /// The channel answers by itself.
    Answer(Answer),
    /// A press of a button: it is told that buttons don't work, so that it stops waiting.
    Button {
        /// The id to answer.
        query: String,
    },
    /// Somebody who may not write.
    Stranger {
        /// Their numeric id.
        sender: i64,
    },
    /// Nothing to do.
    Ignore {
        /// The kind of update, for the tree.
        kind: String,
    },
}

/// Whose updates are read.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The account.
    pub account: AccountId,
    /// Who may write.
    pub allow: AllowList,
    /// The bot's display name, for the greeting.
    pub bot_name: String,
}

/// The id of an update.
#[must_use]
pub fn update_id(update: &Value) -> Option<i64> {
    update.get("update_id").and_then(Value::as_i64)
}

/// The kind of an update: the name of what it carries.
#[must_use]
pub fn kind(update: &Value) -> &str {
    update
        .as_object()
        .and_then(|members| members.keys().find(|name| name.as_str() != "update_id"))
        .map_or("nothing", String::as_str)
}

impl Reader {
    /// Decides what is to be done with `update`.
    #[must_use]
    pub fn read(&self, update: &Value, received_at: EpochMs) -> Verdict {
        let kind = kind(update);
        let ignore = || Verdict::Ignore { kind: short(kind, 40) };
        let Some(content) = update.get(kind) else { return ignore() };
        let (Some(id), sender) = (update_id(update), number(content, "from", "id")) else { return ignore() };
        match (kind, sender) {
            ("message" | "edited_message" | "callback_query", Some(sender)) if !self.allow.allows(sender) => {
                Verdict::Stranger { sender }
            }
            ("message", Some(sender)) => self.message(content, id, sender, received_at),
            ("edited_message", Some(_)) => self.edited(content),
            ("callback_query", Some(_)) => match content.get("id").and_then(Value::as_str) {
                Some(query) => Verdict::Button { query: query.to_owned() },
                None => ignore(),
            },
            _ => ignore(),
        }
    }

    /// What the sender of a message that will never be taken in is told. None for anything but a message.
    #[must_use]
    pub fn refusal(&self, verdict: &Verdict, why: &str) -> Option<Verdict> {
        let Verdict::Turn(inbound) = verdict else { return None };
        let text = format!("I could not take this message: {}.", why.trim_end_matches('.'));
        Some(Verdict::Answer(Answer {
            channel: inbound.channel.clone(),
            account: inbound.account.clone(),
            key: format!("refused:{}", inbound.event_id),
            to: inbound.peer.id.clone(),
            thread_id: inbound.thread_id.clone(),
            reply_to: Some(inbound.message_id.clone()),
            text,
        }))
    }

    fn message(&self, message: &Value, id: i64, sender: i64, received_at: EpochMs) -> Verdict {
        let ignore = |kind: &str| Verdict::Ignore { kind: kind.to_owned() };
        let (Some(chat), Some(message_id)) =
            (number(message, "chat", "id"), message.get("message_id").and_then(Value::as_i64))
        else {
            return ignore("unreadable message");
        };
        if message["from"]["is_bot"].as_bool() == Some(true) {
            return ignore("message of a bot");
        }
        if SERVICE.iter().any(|name| message.get(*name).is_some()) {
            return ignore("service message");
        }
        if message["chat"]["type"].as_str() != Some("private") {
            return Verdict::Answer(self.answer(
                format!("group:{chat}"),
                chat,
                None,
                None,
                "I can only read text in direct chats yet. Please write to me there.",
            ));
        }
        let text = string(message, "text").or_else(|| string(message, "caption")).unwrap_or_default();
        let thread_id = topic(message);
        if is_start(&text) {
            let greeting = format!(
                "Hello, I am {}. Write to me here and I will answer. I read text; photos, files and voice not yet.",
                self.bot_name
            );
            return Verdict::Answer(self.answer(format!("start:{id}"), chat, thread_id, None, &greeting));
        }
        let notes = notes(message);
        if text.trim().is_empty() && notes.is_empty() {
            return Verdict::Answer(self.answer(
                format!("empty:{id}"),
                chat,
                thread_id,
                Some(message_id),
                "I can only read text in direct chats yet, and found none in this message.",
            ));
        }
        Verdict::Turn(Inbound {
            channel: ID.to_owned(),
            account: self.account.as_str().to_owned(),
            event_id: id.to_string(),
            message_id: message_id.to_string(),
            peer: Peer { kind: PeerKind::Direct, id: chat.to_string() },
            sender: Sender {
                id: sender.to_string(),
                name: display_name(&message["from"]),
                username: string(&message["from"], "username"),
            },
            text,
            notes,
            received_at,
            thread_id,
        })
    }

    fn edited(&self, message: &Value) -> Verdict {
        let (Some(chat), Some(message_id)) =
            (number(message, "chat", "id"), message.get("message_id").and_then(Value::as_i64))
        else {
            return Verdict::Ignore { kind: "unreadable edit".to_owned() };
        };
        if message["chat"]["type"].as_str() != Some("private") {
            return Verdict::Ignore { kind: "edit in a group".to_owned() };
        }
        Verdict::Answer(self.answer(
            format!("edit:{chat}:{message_id}"),
            chat,
            topic(message),
            Some(message_id),
            "I don't see edits yet. Please send the corrected text as a new message.",
        ))
    }

    fn answer(&self, key: String, chat: i64, thread_id: Option<String>, reply_to: Option<i64>, text: &str) -> Answer {
        Answer {
            channel: ID.to_owned(),
            account: self.account.as_str().to_owned(),
            key,
            to: chat.to_string(),
            thread_id,
            reply_to: reply_to.map(|id| id.to_string()),
            text: text.to_owned(),
        }
    }
}

/// What a message holds besides its text.
fn notes(message: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some((name, label)) = CONTENTS.iter().find(|(name, _)| message.get(*name).is_some()) {
        notes.push(match message[*name].get("emoji").and_then(Value::as_str) {
            Some(emoji) => format!("[{label} {}: not supported yet]", short(emoji, 16)),
            None => format!("[{label}: not supported yet]"),
        });
    } else if message.get("text").is_none() {
        notes.extend(unknown_content(message).map(|name| format!("[{}: not supported yet]", name.replace('_', " "))));
    }
    if ["forward_origin", "forward_from", "forward_sender_name", "forward_from_chat"]
        .iter()
        .any(|name| message.get(*name).is_some())
    {
        notes.push("[forwarded message]".to_owned());
    }
    if let Some(original) = message.get("reply_to_message") {
        let excerpt = string(message.get("quote").unwrap_or(&Value::Null), "text")
            .or_else(|| string(original, "text"))
            .or_else(|| string(original, "caption"));
        notes.extend(excerpt.map(|text| format!("[in reply to: {}]", short(&text.replace('\n', " "), REPLY_EXCERPT))));
    }
    notes
}

fn unknown_content(message: &Value) -> Option<String> {
    let members = message.as_object()?;
    members.keys().find(|name| !ABOUT.contains(&name.as_str())).map(|name| short(name, 40))
}

/// `/start`, with or without a payload or the bot's name.
fn is_start(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or("");
    first == "/start" || first.starts_with("/start@")
}

fn topic(message: &Value) -> Option<String> {
    if message.get("is_topic_message").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    message.get("message_thread_id").and_then(Value::as_i64).map(|id| id.to_string())
}

fn display_name(user: &Value) -> Option<String> {
    let parts: Vec<String> = ["first_name", "last_name"].iter().filter_map(|name| string(user, name)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn string(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn number(value: &Value, object: &str, name: &str) -> Option<i64> {
    value.get(object)?.get(name)?.as_i64()
}

/// At most `limit` characters of `text`, without control characters and brackets that would end a note.
fn short(text: &str, limit: usize) -> String {
    let clean = text.chars().filter(|c| !c.is_control() && !matches!(c, '[' | ']'));
    let mut out: String = clean.clone().take(limit).collect();
    if clean.count() > limit {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests;
