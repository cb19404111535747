//! Sends one subscriber the changes of the tree as they come, and changed counters at most once a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use supervision::tree::{TreeOp, TreeReader, TreeSubscription, TreeUpdate, View};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::wire;
use crate::control::connection::context::ConnContext;
use crate::protocol::event;
use crate::protocol::methods::tree::{TreeDelta, TreeMetric};

/// Between two samples of the counters.
const SAMPLE: Duration = Duration::from_secs(1);

/// Runs until the tree or the connection is gone.
pub(super) async fn run(tree: TreeReader, mut subscription: TreeSubscription, conn: Arc<ConnContext>) {
    let mut follower = Follower {
        epoch: subscription.epoch(),
        seq: subscription.seq(),
        view: subscription.view().clone(),
        known: HashMap::new(),
    };
    follower.changed_counters(&tree);
    let mut sample = interval_at(Instant::now() + SAMPLE, SAMPLE);
    sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let sent = tokio::select! {
            update = subscription.next() => match update {
                Some(update) => follower.update(&update, &conn),
                None => return,
            },
            _ = sample.tick() => follower.counters(&tree, &conn),
        };
        if !sent {
            // It reads too slowly for this: told once that it missed something, it asks again when it can.
            follower.reset(&conn);
        }
    }
}

/// What one subscriber was sent.
struct Follower {
    epoch: u64,
    seq: u64,
    view: View,
    known: HashMap<u64, TreeMetric>,
}

impl Follower {
    fn update(&mut self, update: &TreeUpdate, conn: &ConnContext) -> bool {
        match update {
            TreeUpdate::Delta(delta) => {
                self.seq = delta.seq;
                // A node that is new has no counters yet, and those sent before it was known were for nobody.
                for op in &delta.ops {
                    if let TreeOp::Add(facts) = op {
                        self.known.remove(&facts.id);
                    }
                }
                let delta = TreeDelta {
                    epoch: self.epoch,
                    seq: delta.seq,
                    prev_seq: Some(delta.prev),
                    reset: false,
                    ops: delta.ops.iter().map(wire::op).collect(),
                    metrics: None,
                };
                conn.offer_event(event::TREE_DELTA, json!(delta))
            }
            TreeUpdate::Reset => {
                self.reset(conn);
                true
            }
        }
    }

    /// Counters carry no number of their own: they are about the picture as it is.
    fn counters(&mut self, tree: &TreeReader, conn: &ConnContext) -> bool {
        let metrics = self.changed_counters(tree);
        metrics.is_empty() || conn.offer_event(event::TREE_DELTA, self.say(&json!({ "metrics": metrics })))
    }

    fn changed_counters(&mut self, tree: &TreeReader) -> Vec<TreeMetric> {
        let now: Vec<TreeMetric> = tree.view_metrics(&self.view).iter().map(wire::metric).collect();
        let changed = now.iter().filter(|metric| self.known.get(&metric.id) != Some(metric)).copied().collect();
        self.known = now.into_iter().map(|metric| (metric.id, metric)).collect();
        changed
    }

    fn reset(&self, conn: &ConnContext) {
        conn.send_event(event::TREE_DELTA, self.say(&json!({ "reset": true })));
    }

    fn say(&self, what: &Value) -> Value {
        let mut payload = json!({ "epoch": self.epoch, "seq": self.seq });
        for (key, value) in what.as_object().into_iter().flatten() {
            payload[key] = value.clone();
        }
        payload
    }
}
