//! Counters of the nodes in view, in columns, with rates since the sample before.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::tree::{TreeReader, View};

/// Counters of several nodes at one moment: the same row of each column belongs to one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricColumns {
    /// Which node.
    pub ids: Vec<u64>,
    /// Messages in its mailbox.
    pub depth: Vec<u64>,
    /// How long the oldest has waited, at most.
    pub oldest: Vec<Option<Duration>>,
    /// Messages handled per second since the sample before; 0 in the first.
    pub rate: Vec<f64>,
    /// How long it has been busy with the message in hand.
    pub busy: Vec<Option<Duration>>,
}

/// Reads the counters of a view again and again.
#[derive(Debug)]
pub struct Sampler {
    reader: TreeReader,
    view: View,
    before: HashMap<u64, u64>,
    at: Option<Instant>,
}

impl TreeReader {
    /// Reads the counters of the nodes in `view`, and of no others.
    #[must_use]
    pub fn sampler(&self, view: View) -> Sampler {
        Sampler { reader: self.clone(), view, before: HashMap::new(), at: None }
    }
}

impl Sampler {
    /// Counters of the nodes now in view that have any.
    pub fn sample(&mut self) -> MetricColumns {
        let now = Instant::now();
        let since = self.at.replace(now).map(|at| now.saturating_duration_since(at).as_secs_f64());
        let mut columns = MetricColumns::default();
        let mut handled = HashMap::new();
        for node in self.reader.view_metrics(&self.view) {
            let rate = match (since, self.before.get(&node.id)) {
                (Some(since), Some(before)) if since > 0.0 => {
                    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
                    let done = node.handled.saturating_sub(*before) as f64;
                    done / since
                }
                (Some(_) | None, _) => 0.0,
            };
            handled.insert(node.id, node.handled);
            columns.ids.push(node.id);
            columns.depth.push(node.mailbox.depth);
            columns.oldest.push(node.mailbox.oldest);
            columns.rate.push(rate);
            columns.busy.push(node.in_hand);
        }
        self.before = handled;
        columns
    }
}
