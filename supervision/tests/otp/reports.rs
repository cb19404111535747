//! What is said of an end: bounded whatever it was, and nothing of what the actor was sent.

use std::fmt;

use supervision::prelude::*;
use supervision::testing::Recorder;
use supervision::tree::ExitRecord;
use supervision::{AdminError, ExitClass, Handling, StartError};
use tracing::Level;

use crate::log::*;
use crate::support::*;

/// Longest text kept of a reason.
const MAX_TEXT: usize = 512;
/// All a report may come to: the reason, and some room for who, where, when and what follows.
const MAX_REPORT: usize = 1024;
/// What an actor is sent and must not be seen again.
const SECRET: &str = "sk-0123456789";

/// An error of many words, with a source of more.
#[derive(Debug)]
struct Long(usize, Option<Box<Long>>);

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", "é".repeat(self.0))
    }
}

impl std::error::Error for Long {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

/// How a message ends its reader.
#[derive(Clone, Copy, Debug)]
enum End {
    Panic,
    PanicWith,
    Error,
    Fatal,
    Shutdown,
    Limit,
}

/// A message with something in it that is nobody's business.
struct Letter {
    end: End,
    content: String,
}

struct Reader;

impl Actor for Reader {
    type Message = Letter;
    type Args = ();
    type State = Vec<String>;

    async fn pre_start(&self, (): (), _: &Ctx<Letter>) -> Result<Self::State, BoxError> {
        Ok(Vec::new())
    }

    async fn handle(&self, read: &mut Self::State, letter: Letter, ctx: &Ctx<Letter>) -> ActorResult {
        let end = letter.end;
        read.push(letter.content.clone());
        match end {
            End::Panic => panic!("{}", "à".repeat(100_000)),
            End::PanicWith => std::panic::panic_any(letter),
            End::Error => Err(Long(400, Some(Box::new(Long(100_000, None)))).into()),
            End::Fatal => Err(Exit::Fatal(Long(100_000, None).into()).into()),
            End::Shutdown => {
                ctx.stop(&"ü".repeat(100_000));
                Ok(())
            }
            End::Limit => std::future::pending().await,
        }
    }
}

const READER: &str = "root/reader";

async fn reader(end: End) -> (SupervisorHandle, TreeStore, Log) {
    let log = Log::default();
    let guard = log.listen();
    let slot = Slot::<Letter>::new();
    let spec = ChildSpec::actor("reader", "reader", &slot, |_| (Reader, ()))
        .restart(Restart::Transient)
        .handler_limit(std::time::Duration::from_secs(1));
    let (root, tree) = start(SupervisorSpec { children: vec![spec], ..rules(Strategy::OneForOne, 9) }).await;
    for _ in 0..2 {
        let sent = slot.address().try_cast(Letter { end, content: SECRET.repeat(1000) });
        assert!(sent.is_ok());
    }
    until_node(&tree, READER, |node| node.is_some_and(|node| node.last_exit.is_some())).await;
    settled().await;
    drop(guard);
    (root, tree, log)
}

fn is_bounded(record: &ExitRecord) {
    assert!(record.text.len() <= MAX_TEXT, "{}", record.text.len());
    assert!(record.location.as_ref().is_none_or(|location| location.len() <= MAX_TEXT));
    assert!(!format!("{record:?}").contains(SECRET));
}

#[tokio::test(start_paused = true)]
async fn format_log_1() {
    // What is reported of an end to whoever looks: its sort, its reason in words, where, and what follows.
    for (end, class, text) in [
        (End::Panic, ExitClass::Panic, "àà"),
        (End::PanicWith, ExitClass::Panic, "panic without a message"),
        (End::Error, ExitClass::Error, "éé"),
        (End::Fatal, ExitClass::Fatal, "éé"),
        (End::Shutdown, ExitClass::Shutdown, "üü"),
        (End::Limit, ExitClass::Error, "a message was worked on for more than 1s"),
    ] {
        let (root, tree, _) = reader(end).await;
        let record = tree.history(&READER.into()).remove(0);
        is_bounded(&record);
        assert_eq!(record.class, class);
        assert!(record.text.starts_with(text), "{end:?}: {}", record.text);
        if matches!(end, End::Panic | End::Error | End::Fatal | End::Shutdown) {
            // Cut where it was too long, which is shown, and not in the middle of a character.
            assert!(record.text.ends_with('…') && record.text.len() > MAX_TEXT - 8, "{}", record.text);
        }
        assert_eq!(record.location.is_some(), class == ExitClass::Panic);
        assert_eq!(record.incarnation, 1);
        let expected = match class {
            ExitClass::Fatal => Handling::Failed,
            ExitClass::Shutdown => Handling::Ended,
            ExitClass::Normal
            | ExitClass::Error
            | ExitClass::Panic
            | ExitClass::Killed
            | ExitClass::Cancelled
            | ExitClass::InitFailed
            | ExitClass::InitTimeout => Handling::Restart,
        };
        assert_eq!(record.handling, expected);

        // The same through the supervisor: the words of a reason are never more than that.
        let child = root.which_child(&"reader".into()).await.unwrap();
        let reason = child.last_exit.unwrap();
        assert!(reason.text().len() <= MAX_TEXT && reason.to_string().len() <= 2 * MAX_TEXT);
        assert!(!reason.to_string().contains(SECRET));
        assert!(root.shutdown(LONG).await.stragglers.is_empty());
    }

    // And of a start that failed, to whoever asked for it.
    let record = Recorder::new();
    let (root, _) = start(rules(Strategy::OneForOne, 1)).await;
    let long = ChildSpec::actor("long", "probe", &Slot::new(), |start| {
        assert!(start.incarnation() > 1, "{}", "ñ".repeat(100_000));
        (Reader, ())
    });
    let refused = root.start_child(long.clone()).await.unwrap_err();
    assert!(matches!(&refused, AdminError::StartFailed(reason) if reason.location().is_some()), "{refused}");
    assert!(refused.to_string().len() <= MAX_REPORT, "{}", refused.to_string().len());
    let failed = Supervisor::start_root(
        SupervisorSpec { children: vec![Probe::new("first", &record).spec(), long], ..rules(Strategy::OneForOne, 1) },
        TreeStore::new(),
    )
    .await
    .unwrap_err();
    assert!(matches!(failed, StartError::Child { .. }));
    assert!(failed.to_string().len() <= MAX_REPORT, "{}", failed.to_string().len());
    assert!(root.shutdown(LONG).await.stragglers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn format_log_2() {
    // What is logged of an end: one event with its fields, bounded, and as loud as it matters.
    for (end, level, class, next) in [
        (End::Panic, Level::WARN, "panic", "restart"),
        (End::PanicWith, Level::WARN, "panic", "restart"),
        (End::Error, Level::WARN, "error", "restart"),
        (End::Fatal, Level::ERROR, "fatal", "failed"),
        (End::Shutdown, Level::DEBUG, "shutdown", "ended"),
        (End::Limit, Level::WARN, "error", "restart"),
    ] {
        let (root, _, log) = reader(end).await;
        let lines: Vec<Line> =
            log.of(READER).into_iter().filter(|line| line.field("message") == "child ended").collect();
        let line = &lines[0];
        assert_eq!((line.level, line.field("class"), line.field("next")), (level, class, next), "{end:?}");
        assert_eq!(line.field("incarnation"), "1");
        assert!(line.field("text").len() <= MAX_TEXT && line.len() <= MAX_REPORT, "{end:?}: {}", line.len());
        assert_eq!(line.field("location").contains("reports.rs"), class == "panic", "{line:?}");
        for line in log.lines() {
            assert!(line.len() <= MAX_REPORT && !format!("{line:?}").contains(SECRET), "{line:?}");
        }
        assert!(root.shutdown(LONG).await.stragglers.is_empty());
    }

    // A supervisor that gives up says who made it, once, and loudest.
    let log = Log::default();
    let _guard = log.listen();
    let child = Probe::new("child", &Recorder::new());
    let (root, _) = start(SupervisorSpec { children: vec![child.spec()], ..rules(Strategy::OneForOne, 0) }).await;
    child.tell(Order::Die(Death::Panic));
    root.wait().await;
    let said: Vec<Line> = log.of("root").into_iter().filter(|line| line.field("message") == "meltdown").collect();
    assert_eq!(
        said.iter().map(|line| (line.level, line.field("child"))).collect::<Vec<_>>(),
        [(Level::ERROR, "root/child")]
    );
    let last = log.of("root/child").pop().unwrap();
    assert_eq!((last.level, last.field("next"), last.field("text")), (Level::ERROR, "escalated", "boom"));
}
