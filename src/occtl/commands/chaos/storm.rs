//! `occtl chaos storm`: faults at random places for a while, then the question whether the tree came back.
//!
//! Strikes workers that run. It keeps within the restart budgets it can see: a supervisor whose budget the storm has
//! used up is left alone until its period is over, for one fault more would end it, and at last the gateway.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use crate::occtl::args::Storm;
use crate::occtl::commands::Context;
use crate::occtl::failure::Failure;
use crate::occtl::gateway::Gateway;

/// What strikes.
const FAULTS: [&str; 3] = ["kill", "panic", "error"];
/// How long the tree may take to be whole again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the tree is looked at then.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn run(context: &Context, gateway: Gateway, args: &Storm) -> Result<(), Failure> {
    if !(args.rate > 0.0 && args.rate <= 1000.0) {
        return Err(Failure::Usage(String::from("--rate takes a number above 0, up to 1000")));
    }
    let mut storm = Raging {
        gateway,
        under: args.under.clone(),
        struck: BTreeMap::new(),
        missed: 0,
        held: 0,
        reopened: 0,
        recent: HashMap::new(),
    };
    let before = storm.running().await?;
    if before.is_empty() {
        return Err(Failure::Failed(format!("no node at {}", args.under.as_deref().unwrap_or("root"))));
    }
    let begin = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / args.rate));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while begin.elapsed() < args.lasting {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
            _ = ticks.tick() => storm.strike().await?,
        }
    }
    let calm = Instant::now();
    let missing = storm.settle(&before).await?;
    storm.report(context, &missing, begin.elapsed(), calm.elapsed())
}

/// Paths of nodes that run, with node and incarnation.
type Running = BTreeMap<String, (u64, u64)>;

/// A node that may be struck.
struct Candidate {
    path: String,
    /// Its supervisor's path, how many restarts that allows, and over which time. Not for temporary nodes.
    budget: Option<(String, u64, Duration)>,
}

struct Raging {
    gateway: Gateway,
    under: Option<String>,
    struck: BTreeMap<&'static str, u64>,
    missed: u64,
    held: u64,
    reopened: u64,
    /// When each supervisor's children were struck, as far as that counts.
    recent: HashMap<String, Vec<Instant>>,
}

impl Raging {
    async fn strike(&mut self) -> Result<(), Failure> {
        let nodes = self.nodes().await?;
        let all = candidates(&nodes, self.under.as_deref(), &self.gateway.hello().server.conn_id);
        let open: Vec<&Candidate> = all.iter().filter(|candidate| self.has_room(candidate)).collect();
        let (target, fault) = {
            let mut rng = rand::rng();
            let Some(target) = open.choose(&mut rng) else {
                self.held += 1;
                return Ok(());
            };
            (*target, FAULTS[rng.random_range(0..FAULTS.len())])
        };
        match self.gateway.call("chaos.inject", json!({ "path": target.path, "fault": fault })).await {
            Ok(_) => {}
            // It ended between the look and the blow.
            Err(Failure::Refused { .. }) => {
                self.missed += 1;
                return Ok(());
            }
            // The blow took this connection with it.
            Err(Failure::Unreachable { .. }) => self.reopen().await?,
            Err(error) => return Err(error),
        }
        *self.struck.entry(fault).or_default() += 1;
        if let Some((supervisor, _, _)) = &target.budget {
            self.recent.entry(supervisor.clone()).or_default().push(Instant::now());
        }
        Ok(())
    }

    /// True if one restart more is within the budget of the supervisor above.
    fn has_room(&self, candidate: &Candidate) -> bool {
        let Some((supervisor, max, period)) = &candidate.budget else { return true };
        let strikes = self.recent.get(supervisor).map(Vec::as_slice).unwrap_or_default();
        let counted = strikes.iter().filter(|at| at.elapsed() <= *period).count();
        u64::try_from(counted).unwrap_or(u64::MAX) < *max
    }

    async fn nodes(&mut self) -> Result<Vec<Value>, Failure> {
        loop {
            match self.gateway.call("tree.snapshot", json!({})).await {
                Ok(mut snapshot) => {
                    let Value::Array(nodes) = snapshot["nodes"].take() else {
                        return Err(Failure::Failed(String::from("the gateway shows no tree")));
                    };
                    return Ok(nodes);
                }
                Err(Failure::Unreachable { .. }) => self.reopen().await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn reopen(&mut self) -> Result<(), Failure> {
        self.reopened += 1;
        self.gateway.reopen(PATIENCE).await
    }

    /// Nodes that run, and which life of theirs that is.
    async fn running(&mut self) -> Result<Running, Failure> {
        let under = self.under.clone();
        let nodes = self.nodes().await?;
        let lasting = nodes.iter().filter(|node| node["restart"] != "temporary" && node["state"] == "running");
        Ok(lasting.filter_map(life).filter(|(path, _)| is_under(path, under.as_deref())).collect())
    }

    /// Waits until all of them run again; those that do not.
    async fn settle(&mut self, before: &Running) -> Result<Vec<String>, Failure> {
        let begin = Instant::now();
        loop {
            let missing = missing(before, &self.running().await?);
            if missing.is_empty() || begin.elapsed() > PATIENCE {
                return Ok(missing);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn report(&self, context: &Context, missing: &[String], lasted: Duration, calm: Duration) -> Result<(), Failure> {
        let output = context.output;
        let total: u64 = self.struck.values().sum();
        if output.is_json() {
            output.document(&json!({
                "struck": total, "byFault": self.struck, "missed": self.missed, "heldBack": self.held,
                "connectionsLost": self.reopened, "seconds": lasted.as_secs_f64(),
                "converged": missing.is_empty(), "convergedAfterMs": calm.as_millis(), "missing": missing,
            }))?;
        } else {
            let kinds: Vec<String> = self.struck.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
            let kinds = if kinds.is_empty() { String::from("none") } else { kinds.join(", ") };
            output.line(&format!("struck      {total} ({kinds})"))?;
            output.line(&format!("missed      {} (gone before the blow)", self.missed))?;
            output.line(&format!("held back   {} (restart budgets used up)", self.held))?;
            output.line(&format!("connection  lost {} times", self.reopened))?;
        }
        if missing.is_empty() {
            if !output.is_json() {
                output.line(&format!("tree        whole again {} ms after the storm", calm.as_millis()))?;
            }
            return Ok(());
        }
        Err(Failure::Failed(format!("not back after {} s: {}", PATIENCE.as_secs(), missing.join(", "))))
    }
}

fn life(node: &Value) -> Option<(String, (u64, u64))> {
    Some((node["path"].as_str()?.to_owned(), (node["id"].as_u64()?, node["incarnation"].as_u64()?)))
}

/// Those that ran and do not run. What a supervisor was given after its own start it does not have when it was rebuilt:
/// that comes back when it is needed.
fn missing(before: &Running, now: &Running) -> Vec<String> {
    let is_rebuilt = |path: &str| now.get(path).is_some_and(|life| before.get(path) != Some(life));
    let is_excused = |path: &str| path.rsplit_once('/').is_some_and(|(parent, _)| is_rebuilt(parent));
    before.keys().filter(|path| !now.contains_key(*path) && !is_excused(path)).cloned().collect()
}

fn is_under(path: &str, under: Option<&str>) -> bool {
    under.is_none_or(|under| path.strip_prefix(under).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn candidates(nodes: &[Value], under: Option<&str>, own: &str) -> Vec<Candidate> {
    let by_id: HashMap<u64, &Value> = nodes.iter().filter_map(|node| Some((node["id"].as_u64()?, node))).collect();
    let is_own = |path: &str| !own.is_empty() && path.contains(own);
    nodes
        .iter()
        .filter(|node| node["type"] == "worker" && node["state"] == "running")
        .filter_map(|node| {
            let path = node["path"].as_str().filter(|path| is_under(path, under) && !is_own(path))?.to_owned();
            let parent = node["parent"].as_u64().and_then(|id| by_id.get(&id));
            let budget = parent.filter(|_| node["restart"] != "temporary").and_then(|parent| {
                let period = Duration::from_millis(parent["intensity"]["periodMs"].as_u64()?);
                Some((parent["path"].as_str()?.to_owned(), parent["intensity"]["max"].as_u64()?, period))
            });
            Some(Candidate { path, budget })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, parent: Option<u64>, path: &str, kind: &str, state: &str, restart: &str) -> Value {
        json!({ "id": id, "parent": parent, "path": path, "type": kind, "state": state, "restart": restart,
            "intensity": { "used": 0, "max": 2, "periodMs": 1000 } })
    }

    #[test]
    fn a_rebuilt_supervisor_need_not_have_what_it_was_given_later() {
        let running = |nodes: &[(&str, u64)]| {
            nodes.iter().map(|(path, incarnation)| (String::from(*path), (1, *incarnation))).collect::<Running>()
        };
        let before = running(&[("root", 1), ("root/a", 1), ("root/a/x", 1), ("root/b", 1)]);
        assert_eq!(missing(&before, &running(&[("root", 1), ("root/a", 2), ("root/b", 2)])), [""; 0]);
        assert_eq!(missing(&before, &running(&[("root", 1), ("root/a", 1), ("root/b", 1)])), ["root/a/x"]);
        assert_eq!(missing(&before, &running(&[("root", 1), ("root/a", 2)])), ["root/b"]);
    }

    #[test]
    fn workers_that_run_are_struck_but_not_the_own_connection() {
        let nodes = [
            node(0, None, "root", "supervisor", "running", "permanent"),
            node(1, Some(0), "root/a", "worker", "running", "permanent"),
            node(2, Some(0), "root/ab", "worker", "running", "temporary"),
            node(3, Some(0), "root/c", "worker", "backing_off", "permanent"),
            node(4, Some(0), "root/conn:mine", "worker", "running", "temporary"),
        ];
        let paths = |under| candidates(&nodes, under, "mine").into_iter().map(|one| one.path).collect::<Vec<_>>();
        assert_eq!(paths(None), ["root/a", "root/ab"]);
        assert_eq!(paths(Some("root/a")), ["root/a"], "a path, not the beginning of a name");
        let all = candidates(&nodes, None, "mine");
        assert_eq!(all[0].budget, Some((String::from("root"), 2, Duration::from_secs(1))));
        assert_eq!(all[1].budget, None, "a temporary node is not restarted, so that uses no budget");
    }
}
