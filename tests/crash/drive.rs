//! One life of the daemon: it is given work without pause until it dies.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::FuturesUnordered;
use openclawd::client::{Client, ClientError, PendingAnswer};
use serde_json::{Value, json};

use crate::book::Book;
use crate::mind;
use crate::process::{Line, PATIENCE, assert_killed};
use crate::record::{Source, Told};
use crate::rig::{CLIENT_KEYS, Rig, chat_key, chats};

/// How long a named place is waited for; work goes on meanwhile.
pub(crate) const WORK_PATIENCE: Duration = Duration::from_secs(10);
/// How long the last life has for what is left: a chat gets one piece a second.
const LAST: Duration = Duration::from_secs(60);

/// How a life ends.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// So long after its start, whether it can be talked to or not.
    Starting(Duration),
    /// So long after the first talk.
    Talking(Duration),
    /// At a named place, when it is passed for this time.
    At(String, u32),
}

/// One life. False when the named place was not passed in time; it was killed all the same.
pub(crate) async fn live(rig: &mut Rig, fate: &Fate) -> bool {
    write_to_chats(rig);
    let failpoint = match fate {
        Fate::At(name, nth) => Some(format!("{name}:{nth}:kill")),
        Fate::Starting(_) | Fate::Talking(_) => None,
    };
    let mut process = rig.start(failpoint.as_deref());
    let mut as_planned = true;
    let how = match fate {
        Fate::Starting(after) => {
            tokio::time::sleep(*after).await;
            process.kill().await;
            format!("{after:?} after the start")
        }
        Fate::Talking(after) => {
            let line = rig.must_connect(&mut process).await;
            talk(rig, &line, tokio::time::sleep(*after), true).await;
            process.kill().await;
            format!("{after:?} after the first talk")
        }
        Fate::At(name, nth) => {
            if let Some(line) = rig.connect(&mut process).await {
                let death = tokio::time::timeout(WORK_PATIENCE, process.ended());
                as_planned = talk(rig, &line, death, true).await.is_ok();
            }
            if as_planned {
                assert_killed(process.ended().await);
            } else {
                process.kill().await;
            }
            format!("{name}:{nth}{}", if as_planned { "" } else { " (not passed)" })
        }
    };
    rig.buried(how).await;
    as_planned
}

/// The last life: everything that is open comes to its end, and the daemon is stopped.
pub(crate) async fn finish(rig: &mut Rig) {
    let mut process = rig.start(None);
    let line = rig.must_connect(&mut process).await;
    let book = Arc::clone(&rig.book);
    let done = async {
        let mut changes = book.changes();
        while book.all_open() > 0 {
            if changes.changed().await.is_err() {
                break;
            }
        }
    };
    if talk(rig, &line, tokio::time::timeout(LAST, done), false).await.is_err() {
        eprintln!("{} messages are open at the end", rig.book.all_open());
    }
    process.stop().await;
}

/// Talks to the daemon until something happens.
pub(crate) async fn talk<T>(rig: &Rig, line: &Line, until: impl Future<Output = T>, more: bool) -> T {
    let mut until = std::pin::pin!(until);
    let mut work: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    // What was not answered is sent again under the same id, in the same order, and before anything new.
    for key in CLIENT_KEYS {
        for offered in rig.book.unaccepted(key) {
            let text = mind::message(&offered.id, offered.kind);
            work.extend(send(rig, &line.client, key, &offered.id, &text).await);
        }
    }
    for offered in rig.book.untold() {
        work.push(wait_for(line.client.clone(), offered.id, Arc::clone(&rig.book)).boxed());
    }
    let mut book = rig.book.changes();
    let mut platforms = rig.platforms.values().map(|platform| platform.changes());
    let (mut one, mut two) = (platforms.next().unwrap(), platforms.next().unwrap());
    rig.look_at_platforms();
    loop {
        if more {
            write_to_chats(rig);
            for key in CLIENT_KEYS {
                while rig.book.has_room(key) {
                    let offered = rig.book.offer(key, &Source::Client);
                    let text = mind::message(&offered.id, offered.kind);
                    work.extend(send(rig, &line.client, key, &offered.id, &text).await);
                }
            }
        }
        tokio::select! {
            end = &mut until => return end,
            Some(()) = work.next(), if !work.is_empty() => {}
            Ok(()) = book.changed() => {}
            Ok(()) = one.changed() => rig.look_at_platforms(),
            Ok(()) = two.changed() => rig.look_at_platforms(),
        }
    }
}

fn write_to_chats(rig: &Rig) {
    for chat in chats() {
        while rig.book.has_room(&chat_key(&chat)) {
            rig.write(&chat);
        }
    }
}

/// Sends a message; none when the connection is gone.
async fn send(rig: &Rig, client: &Client, key: &str, id: &str, text: &str) -> Option<BoxFuture<'static, ()>> {
    let params = json!({"sessionKey": key, "message": text, "idempotencyKey": id});
    let pending = client.start("chat.send", params).await.ok()?;
    Some(follow(client.clone(), pending, id.to_owned(), Arc::clone(&rig.book)).boxed())
}

/// From a message on its way to the end of its run, or of the connection.
async fn follow(client: Client, mut pending: PendingAnswer, id: String, book: Arc<Book>) {
    match pending.next(PATIENCE).await {
        Ok(_) => book.accepted(&id),
        // The run of a message that was sent before has failed: the repeat is told so.
        Err(ClientError::Failed { payload: Some(payload), .. }) if payload["runId"] == id.as_str() => {
            book.accepted(&id);
        }
        Err(ClientError::Failed { error, .. }) => {
            book.refused(format!("{id}: {error:?}"));
            return;
        }
        Err(_) => return,
    }
    wait_for(client, id, book).await;
}

async fn wait_for(client: Client, id: String, book: Arc<Book>) {
    let params = json!({"runId": id, "timeoutMs": 30_000});
    loop {
        let Ok(answer) = client.request_within("agent.wait", &params, PATIENCE).await else { return };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match answer["status"].as_str() {
            Some("ok") => return book.told(&id, Told::Answer(text(&answer["terminalReply"]["text"]))),
            Some("error") => return book.told(&id, Told::Failure(text(&answer["error"]))),
            // Aborted: nobody here asked for that.
            Some("timeout") if !answer["endedAt"].is_null() => {
                return book.told(&id, Told::Failure("aborted".to_owned()));
            }
            Some("timeout") => {}
            Some(_) | None => return book.refused(format!("{id}: {answer}")),
        }
    }
}
