use std::collections::VecDeque;
use std::sync::Mutex;

use futures_util::future::BoxFuture;

use super::*;
use crate::channels::contract::{Capabilities, Pace, PeerKind, TextUnit};
use crate::testing::outbox::MemoryOutbox;

static TEN: Capabilities = Capabilities {
    chat_types: &[PeerKind::Direct],
    text_limit: 10,
    text_unit: TextUnit::Utf16,
    markdown: false,
    reply: true,
    threads: false,
    typing: false,
    pace: Pace { per_chat: Duration::ZERO, per_group: Duration::ZERO, per_second: 1000 },
    stall_after: None,
};

/// Answers what it was told to, then success; keeps what it was given.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<SendError>>,
    given: Mutex<Vec<OutboundChunk>>,
}

impl OutboundPort for Scripted {
    fn capabilities(&self) -> &'static Capabilities {
        &TEN
    }

    fn send(&self, chunk: OutboundChunk) -> BoxFuture<'_, Result<Receipt, SendError>> {
        self.given.lock().unwrap().push(chunk);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            match answer {
                Some(error) if error != SendError::Rejected("ok".into()) => Err(error),
                _ => Ok(Receipt { message_id: Some("9".into()) }),
            }
        })
    }

    fn typing(&self, _: String, _: Option<String>) -> BoxFuture<'_, Result<(), SendError>> {
        Box::pin(async { Ok(()) })
    }
}

struct Bench {
    outbox: Arc<MemoryOutbox>,
    outbound: Arc<Scripted>,
    ports: JobPorts,
    clock: Clock,
}

fn bench(answers: impl IntoIterator<Item = SendError>, policy: RetryPolicy) -> Bench {
    let outbox = Arc::new(MemoryOutbox::new());
    let outbound = Arc::new(Scripted { answers: Mutex::new(answers.into_iter().collect()), ..Scripted::default() });
    let clock = Clock::fixed(1_000_000);
    let ports = JobPorts { outbox: outbox.clone(), outbound: outbound.clone(), policy, clock: clock.clone() };
    Bench { outbox, outbound, ports, clock }
}

impl Bench {
    async fn run(&self, id: u64) -> Report {
        deliver(self.outbox.entry(id).unwrap(), &self.ports, || async {}).await
    }

    fn texts(&self) -> Vec<String> {
        self.outbound.given.lock().unwrap().iter().map(|chunk| chunk.text.clone()).collect()
    }
}

fn ok() -> SendError {
    SendError::Rejected("ok".into())
}

#[tokio::test]
async fn each_piece_is_announced_before_and_recorded_after() {
    let bench = bench([], RetryPolicy::default());
    let id = bench.outbox.push("7", "first one\nsecond", 0);
    bench.outbox.alter(id, |entry| entry.reply_to = Some("3".into()));
    let report = bench.run(id).await;
    assert_eq!((report.ending, report.sent), (Ending::Done, 2));
    assert_eq!(bench.outbox.log(), ["sending 1/0", "sent 1/0 as 9", "sending 1/1", "sent 1/1 as 9", "done 1"]);
    let replies: Vec<Option<String>> =
        bench.outbound.given.lock().unwrap().iter().map(|chunk| chunk.reply_to.clone()).collect();
    assert_eq!(replies, [Some("3".to_owned()), None]);
}

#[tokio::test]
async fn only_pieces_not_yet_sent_are_sent_again() {
    let bench = bench([ok(), SendError::NotSent("reset".into())], RetryPolicy::default());
    let id = bench.outbox.push("7", "first one\nsecond", 999_000);
    let report = bench.run(id).await;
    assert_eq!(report.ending, Ending::ChatWaits { until_ms: 1_005_000, error: "not sent: reset".into() });
    assert_eq!(bench.run(id).await.ending, Ending::Done);
    assert_eq!(bench.texts(), ["first one", "second", "second"]);
}

#[tokio::test]
async fn a_crash_while_sending_is_resent_and_counted() {
    let bench = bench([], RetryPolicy::default());
    let id = bench.outbox.push("7", "first one\nsecond", 0);
    bench.outbox.alter(id, |entry| {
        entry.chunks_sent = 1;
        entry.state = EntryState::Sending { chunk: 1 };
    });
    let report = bench.run(id).await;
    assert_eq!((report.ending, report.unknown), (Ending::Done, 1));
    assert_eq!(bench.texts(), ["second"]);
}

#[tokio::test]
async fn a_crash_while_sending_is_held_where_policy_says_so() {
    let bench = bench([], RetryPolicy { on_unknown: OnUnknown::Hold, ..RetryPolicy::default() });
    let id = bench.outbox.push("7", "text", 0);
    bench.outbox.alter(id, |entry| entry.state = EntryState::Sending { chunk: 0 });
    assert!(matches!(bench.run(id).await.ending, Ending::Held { .. }));
    assert_eq!(bench.outbox.held(), [id]);
    assert!(bench.texts().is_empty());
}

#[tokio::test]
async fn a_rejected_message_is_dead_and_sent_no_further() {
    let bench = bench([SendError::Rejected("403 blocked".into())], RetryPolicy::default());
    let id = bench.outbox.push("7", "first one\nsecond", 0);
    assert!(matches!(bench.run(id).await.ending, Ending::Dead { .. }));
    assert_eq!(bench.outbox.dead()[0].0, id);
    assert_eq!(bench.texts().len(), 1);
}

#[tokio::test]
async fn a_refused_account_charges_nothing() {
    let bench = bench([SendError::AccountDown("401".into())], RetryPolicy::default());
    bench.clock.set(1_000);
    let id = bench.outbox.push("7", "text", 0);
    assert!(matches!(bench.run(id).await.ending, Ending::LaneWaits { .. }));
    let entry = bench.outbox.entry(id).unwrap();
    assert_eq!((entry.attempt, entry.state), (0, EntryState::Queued));
}

#[tokio::test]
async fn a_text_without_anything_visible_is_done_at_once() {
    let bench = bench([], RetryPolicy::default());
    let id = bench.outbox.push("7", " \n ", 0);
    assert_eq!(bench.run(id).await.ending, Ending::Done);
    assert_eq!(bench.outbox.log(), ["done 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_before_anything_is_sent() {
    let bench = bench([], RetryPolicy::default());
    let id = bench.outbox.push("7", "text", 0);
    let entry = bench.outbox.entry(id).unwrap();
    bench.outbox.set_failing(true);
    let job = deliver(entry, &bench.ports, || async {});
    let back = async {
        sleep(Duration::from_secs(60)).await;
        assert!(bench.texts().is_empty());
        bench.outbox.set_failing(false);
    };
    let (report, ()) = futures_util::join!(job, back);
    assert_eq!(report.ending, Ending::Done);
    assert_eq!(bench.texts().len(), 1);
}
