//! Actors that keep their thread to themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use supervision::prelude::*;
use supervision::testing::Recorder;

use crate::{BUDGET, root};

/// Blocks its thread in its very first message, which it has sent itself before it was up.
struct Blocker {
    record: Recorder,
    release: Arc<AtomicBool>,
}

impl Actor for Blocker {
    type Message = ();
    type Args = ();
    type State = ();

    async fn pre_start(&self, (): (), ctx: &Ctx<()>) -> Result<(), BoxError> {
        ctx.address().try_cast(())?;
        Ok(())
    }

    async fn handle(&self, (): &mut (), (): (), _: &Ctx<()>) -> ActorResult {
        self.record.note("blocked");
        while !self.release.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_blocks_in_its_first_message_does_not_hold_up_its_supervisor() {
    let record = Recorder::new();
    let release = Arc::new(AtomicBool::new(false));
    let (root, _) = root(vec![]).await;
    let (slot, of, by) = (Slot::new(), record.clone(), Arc::clone(&release));
    let spec = ChildSpec::actor("blocker", "blocker", &slot, move |_| {
        (Blocker { record: of.clone(), release: Arc::clone(&by) }, ())
    });
    let starter = root.clone();
    let starting = tokio::spawn(async move { starter.start_child(spec.shutdown(Shutdown::Brutal)).await });
    record.until("blocked").await;
    let answer = tokio::time::timeout(Duration::from_secs(5), root.which_children()).await;
    release.store(true, Ordering::SeqCst);
    assert_eq!(answer.expect("no answer while a child blocks its thread").unwrap().len(), 1);
    starting.await.unwrap().unwrap();
    root.shutdown(BUDGET).await;
}
