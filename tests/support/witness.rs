//! Reads everything a client is sent, and waits for things to be seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use openclawd::client::{Client, DriverTask, Events};
use openclawd::protocol::Event;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::gateway::{Gateway, PATIENCE, SCOPES, Talk, text_of};

/// See the module. It reads until it is dropped.
pub(crate) struct Witness {
    seen: Arc<Mutex<Vec<Event>>>,
    changes: watch::Receiver<usize>,
    reader: JoinHandle<()>,
    _driver: DriverTask,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Gateway {
    /// A client that may do everything, and a witness of what it is sent.
    pub(crate) async fn talk(&self) -> (Client, Witness) {
        self.client(SCOPES).await.witnessed()
    }
}

impl Talk {
    /// Lets a witness read the events.
    pub(crate) fn witnessed(self) -> (Client, Witness) {
        (self.client, Witness::of(self.events, self.driver))
    }
}

impl Witness {
    #[expect(clippy::disallowed_methods, reason = "ends with its owner")]
    pub(crate) fn of(mut events: Events, driver: DriverTask) -> Self {
        let seen: Arc<Mutex<Vec<Event>>> = Arc::default();
        let (changed, changes) = watch::channel(0);
        let taken = Arc::clone(&seen);
        let reader = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                assert_eq!(events.missed(), 0, "events came faster than they were read");
                let count = {
                    let mut taken = taken.lock().unwrap();
                    taken.push(event);
                    taken.len()
                };
                changed.send(count).ok();
            }
        });
        Self { seen, changes, reader, _driver: driver }
    }

    /// Everything so far.
    pub(crate) fn all(&self) -> Vec<Event> {
        self.seen.lock().unwrap().clone()
    }

    /// Payloads of the `chat` events so far.
    pub(crate) fn chats(&self) -> Vec<Value> {
        self.payloads("chat")
    }

    /// Payloads of the events of this name so far.
    pub(crate) fn payloads(&self, name: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|event| event.event == name).filter_map(|event| event.payload.clone()).collect()
    }

    /// Waits until `found` of the events; fails the test when nothing comes any more.
    #[track_caller]
    pub(crate) fn until<'a, T: 'a>(
        &'a self,
        what: &'a str,
        mut find: impl FnMut(&[Event]) -> Option<T> + 'a,
    ) -> impl Future<Output = T> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let mut changes = self.changes.clone();
            let wait = async {
                loop {
                    if let Some(found) = find(&self.seen.lock().unwrap()) {
                        return Ok(found);
                    }
                    if changes.changed().await.is_err() {
                        return find(&self.seen.lock().unwrap()).ok_or("the connection ended before");
                    }
                }
            };
            let found = tokio::time::timeout(PATIENCE, wait).await.unwrap_or(Err("in time"));
            found.unwrap_or_else(|why| panic!("{place}: {what} did not come {why}; chat events: {}", self.digest()))
        }
    }

    /// Waits for the event that closes this run; its payload.
    #[track_caller]
    pub(crate) fn end_of<'a>(&'a self, run: &'a str) -> impl Future<Output = Value> + 'a {
        self.until(run, move |events| {
            let mut payloads =
                events.iter().filter(|event| event.event == "chat").filter_map(|event| event.payload.as_ref());
            payloads.find(|payload| payload["runId"] == run && is_end(payload)).cloned()
        })
    }

    /// Waits until the run has shown some text; the text.
    #[track_caller]
    pub(crate) fn text_from<'a>(&'a self, run: &'a str) -> impl Future<Output = String> + 'a {
        self.until(run, move |events| {
            let mut payloads =
                events.iter().filter(|event| event.event == "chat").filter_map(|event| event.payload.as_ref());
            payloads
                .find(|payload| payload["runId"] == run && payload["state"] == "delta")
                .map(|payload| text_of(&payload["message"]))
        })
    }

    /// Waits until all of these runs have ended; fails when one ends twice. Run → (state, text).
    #[track_caller]
    pub(crate) fn ends_of<'a>(
        &'a self,
        runs: &'a [String],
    ) -> impl Future<Output = BTreeMap<String, (String, String)>> + 'a {
        self.until("the end of all runs", move |events| {
            let mut ends = BTreeMap::new();
            for payload in
                events.iter().filter(|event| event.event == "chat").filter_map(|event| event.payload.as_ref())
            {
                let run = payload["runId"].as_str().unwrap();
                if is_end(payload) && runs.iter().any(|wanted| wanted == run) {
                    let state = payload["state"].as_str().unwrap().to_owned();
                    let before = ends.insert(run.to_owned(), (state, text_of(&payload["message"])));
                    assert_eq!(before, None, "{run} ended twice");
                }
            }
            (ends.len() == runs.len()).then_some(ends)
        })
    }

    /// How often this run ended.
    pub(crate) fn ends(&self, run: &str) -> usize {
        self.chats().iter().filter(|payload| payload["runId"] == run && is_end(payload)).count()
    }

    fn digest(&self) -> String {
        let chats = self.chats();
        let line = |chat: &Value| format!("\n  {} {} {}", chat["runId"], chat["state"], chat["errorMessage"]);
        chats.iter().skip(chats.len().saturating_sub(60)).map(line).collect()
    }
}

/// True for the events after which nothing comes of a run.
pub(crate) fn is_end(chat: &Value) -> bool {
    ["final", "error", "aborted"].iter().any(|state| chat["state"] == *state)
}
