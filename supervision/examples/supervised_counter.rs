//! A counter that crashes, comes back with what it had counted, and is stopped in order.
//!
//! Run with `cargo run -p supervision --example supervised_counter`.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use supervision::prelude::*;
use supervision::tree::{Query, TreeUpdate};

const PATIENCE: Duration = Duration::from_secs(1);

enum CounterMessage {
    /// Counts one up and answers with the count.
    Increment { reply: Reply<u64> },
    /// Fails.
    Fail,
}

struct Counter;

impl Actor for Counter {
    type Message = CounterMessage;
    type Args = ();
    type State = u64;

    async fn pre_start(&self, (): (), ctx: &Ctx<CounterMessage>) -> Result<u64, BoxError> {
        Ok(ctx.checkpoint().get::<u64>().map_or(0, |count| *count))
    }

    async fn handle(&self, count: &mut u64, message: CounterMessage, ctx: &Ctx<CounterMessage>) -> ActorResult {
        match message {
            CounterMessage::Increment { reply } => {
                *count += 1;
                ctx.checkpoint().put(Arc::new(*count));
                ctx.set_detail("count", count.to_string());
                reply.send(*count);
                Ok(())
            }
            CounterMessage::Fail => Err("asked to fail".into()),
        }
    }
}

pub(crate) async fn run(out: &mut impl Write) -> Result<(), BoxError> {
    let slot = Slot::new();
    let tree = TreeStore::new();
    let spec = SupervisorSpec {
        strategy: Strategy::OneForOne,
        intensity: Intensity { max_restarts: 3, period: Duration::from_secs(10) },
        children: vec![ChildSpec::actor("counter", "counter", &slot, |_| (Counter, ()))],
        ..SupervisorSpec::default()
    };
    let root = Supervisor::start_root(spec, tree.clone()).await?;
    let counter = slot.address();
    let mut changes = tree.subscribe();

    for _ in 0..3 {
        let count = counter.call(|reply| CounterMessage::Increment { reply }, PATIENCE).await?;
        writeln!(out, "counted to {count}")?;
    }
    counter.cast(CounterMessage::Fail).await?;
    while tree.history(&"root/counter".into()).is_empty() {
        if let Some(TreeUpdate::Delta(delta)) = changes.next().await {
            writeln!(out, "the tree changed, batch {}", delta.seq)?;
        }
    }
    counter.wait_live().await;
    let count = counter.call(|reply| CounterMessage::Increment { reply }, PATIENCE).await?;
    writeln!(out, "after the crash it counted on to {count}")?;
    for node in tree.snapshot(&Query::default()).nodes {
        writeln!(out, "{} {} incarnation {}", node.path, node.state.as_str(), node.incarnation)?;
    }
    let report = root.shutdown(PATIENCE).await;
    writeln!(out, "stopped, {} stragglers", report.stragglers.len())?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    run(&mut io::stdout()).await
}
