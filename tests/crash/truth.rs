//! What the user and the platform see when the daemon is killed before and after each step that makes something durable.
//!
//! Each test is a row of the table in `docs/durability.md`: one message, one kill at one place, one restart.

use crate::check;
use crate::drive::{self, WORK_PATIENCE};
use crate::process::assert_killed;
use crate::record::{Chat, Kind, Open, Record, Source, Told};
use crate::rig::{Rig, chat_key};
use crate::snapshot;
use crate::transcript::{self, Line};

/// What can be seen from outside, and what the store holds.
#[derive(Debug)]
struct Seen {
    /// The client's request was answered, or the platform's offset moved past the message.
    acknowledged: bool,
    /// The client was told the end of the run.
    told: Option<Told>,
    /// How often the model was asked.
    asked: usize,
    /// What the platform got.
    delivered: Vec<String>,
    /// Marks of the changing tool.
    marks: usize,
}

/// A message's way through a kill.
struct Story {
    at_death: Seen,
    open: Open,
    /// After the restart, with everything at its end.
    after: Seen,
    record: Record,
}

impl Story {
    /// The result of its one call of a tool: whether it failed, and its words.
    fn result(&self) -> (bool, String) {
        let talks = self.record.talks.iter().flat_map(|talk| transcript::read(talk).unwrap());
        let mut results = talks.filter_map(|line| match line {
            Line::Result { is_error, text, .. } => Some((is_error, text)),
            Line::User(_) | Line::Assistant { .. } | Line::Note => None,
        });
        let result = results.next().unwrap();
        assert_eq!(results.next(), None);
        result
    }
}

fn chat() -> Chat {
    Chat { lane: "a".into(), to: "7".into() }
}

fn seen(rig: &Rig) -> Seen {
    rig.look_at_platforms();
    let (offered, _) = rig.book.read();
    let [message] = offered.as_slice() else { panic!("one message: {offered:?}") };
    let sent = rig.platforms["a"].sent();
    Seen {
        acknowledged: message.accepted,
        told: message.told.clone(),
        asked: rig.mind.log().len(),
        delivered: sent.into_iter().map(|sent| sent.visible).collect(),
        marks: rig.effects().values().sum(),
    }
}

/// Kills the daemon at `place`, when it is passed for the first time, with one message on its way.
async fn story(place: &str, source: Source, kind: Kind) -> Story {
    let mut rig = Rig::new(0).await;
    match &source {
        Source::Client => drop(rig.book.offer_of("u", &source, kind)),
        Source::Chat(chat) => {
            let offered = rig.book.offer_of(&chat_key(chat), &source, kind);
            rig.bring(chat, &offered);
        }
    }
    let mut process = rig.start(Some(&format!("{place}:1:kill")));
    // A chat's message may be on its way, and the daemon dead, before a client is let in.
    if let Some(line) = rig.connect(&mut process).await {
        let death = tokio::time::timeout(WORK_PATIENCE, process.ended());
        let passed = drive::talk(&rig, &line, death, false).await;
        assert!(passed.is_ok(), "{place} was not passed");
    }
    assert_killed(process.ended().await);
    rig.buried(place.to_owned()).await;
    let at_death = seen(&rig);
    drive::finish(&mut rig).await;
    let record = rig.record();
    let verdict = check::check(&record, snapshot::pieces);
    assert!(verdict.violations.is_empty(), "{place}: {:#?}\nkept: {}", verdict.violations, rig.keep().display());
    let after = seen(&rig);
    Story { at_death, open: record.kills[0].open.clone(), after, record }
}

async fn by_client(place: &str, kind: Kind) -> Story {
    let story = story(place, Source::Client, kind).await;
    assert_eq!(story.at_death.told, None, "{place}");
    assert_eq!(story.after.told, Some(Told::Answer(String::from("re:u-1 done"))), "{place}");
    story
}

async fn by_chat(place: &str, kind: Kind) -> Story {
    story(place, Source::Chat(chat()), kind).await
}

fn once() -> [String; 1] {
    [String::from("re:a7-1 done")]
}

fn twice() -> [String; 2] {
    [String::from("re:a7-1 done"), String::from("re:a7-1 done")]
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_accept_the_sender_sends_again() {
    for story in [by_client("accept.before", Kind::Plain).await, by_chat("accept.before", Kind::Plain).await] {
        assert!(!story.at_death.acknowledged && !story.open.is_busy(), "{:?} {:?}", story.at_death, story.open);
        assert_eq!(story.after.asked, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_accept_a_repeat_is_recognised() {
    for story in [by_client("accept.after", Kind::Plain).await, by_chat("accept.after", Kind::Plain).await] {
        assert!(!story.at_death.acknowledged, "{:?}", story.at_death);
        assert_eq!((story.open.waiting, story.open.runs.len()), (1, 0));
        assert_eq!(story.after.asked, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_consume_the_message_waits_for_the_restart() {
    for story in [by_client("consume.before", Kind::Plain).await, by_chat("consume.before", Kind::Plain).await] {
        assert_eq!((story.open.waiting, story.open.runs.len()), (1, 0));
        assert_eq!((story.at_death.asked, story.after.asked), (0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_consume_the_run_is_resumed() {
    for story in [by_client("consume.after", Kind::Plain).await, by_chat("consume.after", Kind::Plain).await] {
        assert_eq!((story.open.waiting, story.open.runs.len()), (0, 1));
        assert_eq!(story.after.asked, story.at_death.asked + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_intent_the_call_was_not_started() {
    let story = by_client("intent.before", Kind::Change).await;
    assert_eq!((story.open.intents.len(), story.at_death.marks), (0, 0));
    let (is_error, text) = story.result();
    assert!(is_error && !check::says_unknown(&text), "{text}");
    assert_eq!(story.after.marks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_intent_the_outcome_is_unknown() {
    let story = by_client("intent.after", Kind::Change).await;
    assert_eq!((story.open.intents.len(), story.at_death.marks), (1, 0));
    let (is_error, text) = story.result();
    assert!(is_error && check::says_unknown(&text), "{text}");
    assert_eq!(story.after.marks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_outcome_it_was_done_once_and_is_unknown() {
    let story = by_client("outcome.before", Kind::Change).await;
    assert_eq!((story.open.intents.len(), story.at_death.marks), (1, 1));
    let (is_error, text) = story.result();
    assert!(is_error && check::says_unknown(&text), "{text}");
    assert_eq!(story.after.marks, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_outcome_it_was_done_once_and_is_known() {
    let story = by_client("outcome.after", Kind::Change).await;
    assert_eq!((story.open.intents.len(), story.at_death.marks), (0, 1));
    assert!(!story.result().0);
    assert_eq!(story.after.marks, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_reply_the_model_is_asked_again() {
    for story in [by_client("reply.before", Kind::Plain).await, by_chat("reply.before", Kind::Plain).await] {
        // A quick model is done before the consumption is durable: then the message still waits.
        assert_eq!((story.open.runs.len() + story.open.waiting, story.open.outgoing), (1, 0));
        assert_eq!((story.at_death.asked, story.after.asked), (1, 2));
        assert_eq!(story.at_death.delivered.len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_reply_it_is_told_and_delivered_without_the_model() {
    by_client("reply.after", Kind::Plain).await;
    let story = by_chat("reply.after", Kind::Plain).await;
    assert_eq!((story.open.runs.len(), story.open.outgoing), (0, 1));
    assert_eq!((story.at_death.asked, story.after.asked), (1, 1));
    assert_eq!((story.at_death.delivered.len(), story.after.delivered.as_slice()), (0, &once()[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_sending_mark_it_is_sent_once() {
    let story = by_chat("delivery.mark_sending.before", Kind::Plain).await;
    assert_eq!((story.open.outgoing, story.open.sending.len()), (1, 0));
    assert_eq!((story.at_death.delivered.len(), story.after.delivered.as_slice()), (0, &once()[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_send_it_is_sent_once() {
    let story = by_chat("delivery.send.before", Kind::Plain).await;
    assert_eq!(story.open.sending.len(), 1);
    assert_eq!((story.at_death.delivered.len(), story.after.delivered.as_slice()), (0, &once()[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_send_it_is_sent_twice_the_declared_window() {
    let story = by_chat("delivery.send.after", Kind::Plain).await;
    assert_eq!(story.open.sending.len(), 1);
    assert_eq!((story.at_death.delivered.as_slice(), story.after.delivered.as_slice()), (&once()[..], &twice()[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_sent_mark_it_is_not_sent_again() {
    for place in ["delivery.mark_sent.after", "delivery.done.before", "delivery.done.after"] {
        let story = by_chat(place, Kind::Plain).await;
        assert_eq!(story.open.sending.len(), 0);
        assert_eq!((story.at_death.delivered.as_slice(), story.after.delivered.as_slice()), (&once()[..], &once()[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_the_cursor_the_update_is_not_taken_twice() {
    for place in ["channel.cursor.before", "channel.cursor.after"] {
        let story = by_chat(place, Kind::Plain).await;
        assert_eq!(story.after.delivered.len(), 1, "{place}");
        assert!(story.after.asked <= 2, "{place}: {:?}", story.after);
    }
}
