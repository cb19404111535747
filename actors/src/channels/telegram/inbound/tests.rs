use serde_json::json;

use super::*;

fn reader() -> Reader {
    Reader { account: AccountId::normalised("default"), allow: AllowList::parse(["7"]), bot_name: "Testbot".to_owned() }
}

fn read(update: Value) -> Verdict {
    reader().read(&update, 5)
}

/// An update with a private message of user 7, with `extra` members.
fn private(extra: Value) -> Value {
    let mut message = json!({
        "message_id": 42, "date": 1, "chat": {"id": 7, "type": "private", "first_name": "Ann"},
        "from": {"id": 7, "is_bot": false, "first_name": "Ann", "last_name": "B", "username": "annb"},
    });
    for (name, value) in extra.as_object().unwrap() {
        message[name] = value.clone();
    }
    json!({"update_id": 100, "message": message})
}

#[track_caller]
fn turn(update: Value) -> Inbound {
    let verdict = read(update);
    let Verdict::Turn(inbound) = verdict else { panic!("{verdict:?}") };
    inbound
}

#[track_caller]
fn answer(update: Value) -> Answer {
    let verdict = read(update);
    let Verdict::Answer(answer) = verdict else { panic!("{verdict:?}") };
    answer
}

#[test]
fn a_private_text_gives_a_turn() {
    let inbound = turn(private(json!({"text": "hi there"})));
    assert_eq!((inbound.event_id.as_str(), inbound.message_id.as_str()), ("100", "42"));
    assert_eq!(inbound.peer, Peer { kind: PeerKind::Direct, id: "7".into() });
    assert_eq!(inbound.sender.name.as_deref(), Some("Ann B"));
    assert_eq!(inbound.body(), "hi there");
    assert_eq!(inbound.received_at, 5);
}

#[test]
fn media_becomes_a_note_and_the_caption_is_kept() {
    let inbound = turn(private(json!({"photo": [{"file_id": "x"}], "caption": "look"})));
    assert_eq!(inbound.body(), "look\n[photo: not supported yet]");
    let sticker = turn(private(json!({"sticker": {"emoji": "😀", "file_id": "x"}})));
    assert_eq!(sticker.body(), "[sticker 😀: not supported yet]");
}

#[test]
fn contents_that_come_in_pairs_are_named_once() {
    let inbound = turn(private(json!({"animation": {}, "document": {}})));
    assert_eq!(inbound.notes, ["[animation: not supported yet]"]);
}

#[test]
fn content_unknown_to_us_is_named_by_its_member() {
    let inbound = turn(private(json!({"hologram_clip": {"file_id": "x"}})));
    assert_eq!(inbound.notes, ["[hologram clip: not supported yet]"]);
}

#[test]
fn unknown_members_beside_text_change_nothing() {
    assert_eq!(turn(private(json!({"text": "hi", "brand_new_member": {"a": 1}}))).body(), "hi");
}

#[test]
fn forwards_and_replies_are_told() {
    let inbound = turn(private(json!({
        "text": "what about it?", "forward_origin": {"type": "user"},
        "reply_to_message": {"message_id": 3, "text": "line [one]\nline two"},
    })));
    assert_eq!(inbound.notes, ["[forwarded message]", "[in reply to: line one line two]"]);
}

#[test]
fn a_stranger_gets_no_answer() {
    let mut update = private(json!({"text": "hi"}));
    update["message"]["from"]["id"] = json!(8);
    assert_eq!(read(update.clone()), Verdict::Stranger { sender: 8 });
    let edited = json!({"update_id": 1, "edited_message": update["message"]});
    assert_eq!(read(edited), Verdict::Stranger { sender: 8 });
}

#[test]
fn a_group_is_told_once_that_only_direct_chats_work() {
    let mut update = private(json!({"text": "hi"}));
    update["message"]["chat"] = json!({"id": -100, "type": "supergroup"});
    let first = answer(update.clone());
    update["update_id"] = json!(101);
    assert_eq!(first.key, answer(update).key);
    assert_eq!(first.to, "-100");
}

#[test]
fn start_greets() {
    for text in ["/start", "/start payload", "/start@test_bot"] {
        assert!(answer(private(json!({"text": text}))).text.contains("Testbot"));
    }
    assert_eq!(turn(private(json!({"text": "/starting now"}))).text, "/starting now");
}

#[test]
fn an_edit_is_answered_once_per_message() {
    let update = json!({"update_id": 9, "edited_message": private(json!({"text": "x"}))["message"]});
    assert_eq!(answer(update).key, "edit:7:42");
}

#[test]
fn a_button_is_answered() {
    let update = json!({"update_id": 9, "callback_query": {"id": "q1", "from": {"id": 7}, "data": "x"}});
    assert_eq!(read(update), Verdict::Button { query: "q1".into() });
}

#[test]
fn everything_else_is_named_and_ignored() {
    for (update, expected) in [
        (json!({"update_id": 1, "channel_post": {"message_id": 1, "chat": {"id": -1}}}), "channel_post"),
        (json!({"update_id": 1, "my_chat_member": {"from": {"id": 7}}}), "my_chat_member"),
        (json!({"update_id": 1, "something_new": 5}), "something_new"),
        (json!({"update_id": 1}), "nothing"),
        (private(json!({"pinned_message": {}})), "service message"),
        (json!({"update_id": 1, "message": {"from": {"id": 7}}}), "unreadable message"),
    ] {
        assert_eq!(read(update), Verdict::Ignore { kind: expected.into() });
    }
}

#[test]
fn an_empty_message_is_answered() {
    assert!(answer(private(json!({}))).text.contains("text"));
}

proptest::proptest! {
    #[test]
    fn no_update_panics(
        member in "[a-z_]{1,12}", text in "\\PC{0,40}", id in proptest::prelude::any::<i64>(), chat_type in "[a-z]{0,8}"
    ) {
        for value in [json!(null), json!(id), json!(text), json!([id]), json!({"id": id, "type": chat_type})] {
            let _ = read(json!({"update_id": id, member.clone(): value.clone()}));
            let _ = read(private(json!({member.clone(): value.clone()})));
            let _ = read(json!({"update_id": id, "message": value.clone()}));
            let _ = read(json!({"update_id": 1, "message": {"from": {"id": 7}, "chat": value, "message_id": 1}}));
        }
    }
}
