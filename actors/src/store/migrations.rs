//! Bringing the state of an older version up to this one, a step for each format.
//!
//! A step may be interrupted and is then run again from its beginning, so it must not mind its own traces. The marker
//! is raised behind each step, so a state is never read as something it is not.

use super::engine::{self, Engine};
use super::error::StoreError;
use super::keys;
use super::marker::FORMAT;
use super::op::Op;
use super::records::ProjectionRecord;
use super::value;

/// Length of the hashes that the first format stored bare.
const BARE_HASH: usize = 32;

/// One step.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// The format behind it.
    pub to: u32,
    /// What it does, in words for the log.
    pub what: &'static str,
    /// Does it.
    pub run: fn(&dyn Engine) -> Result<(), StoreError>,
}

/// All of them, in order.
pub const STEPS: &[Migration] =
    &[Migration { to: FORMAT, what: "every value carries a version, batches are counted", run: version_hashes }];

/// Runs what a state of format `found` still needs; `raised` is told each format once it is durable.
///
/// # Errors
/// When a step fails; the state is then of the format told last.
pub fn run(
    engine: &dyn Engine,
    found: u32,
    steps: &[Migration],
    mut raised: impl FnMut(u32) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for step in steps.iter().filter(|step| step.to > found) {
        tracing::info!(format = step.to, what = step.what, "migrating the store");
        (step.run)(engine)?;
        engine.commit()?;
        raised(step.to)?;
    }
    Ok(())
}

/// Hashes of `sessions.json` were bare bytes.
fn version_hashes(engine: &dyn Engine) -> Result<(), StoreError> {
    let mut ops = Vec::new();
    engine::for_each(engine, keys::named(keys::META, "projection/").as_slice(), |key, stored| {
        if stored.len() == BARE_HASH {
            let record = ProjectionRecord { written: stored.to_vec(), writing: stored.to_vec() };
            ops.push(Op::Put { key: key.to_vec(), value: value::encode(&record)? });
        }
        Ok(())
    })?;
    engine.batch(&ops)
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryEngine;
    use super::*;

    fn add(engine: &dyn Engine) -> Result<(), StoreError> {
        engine.put(b"done", b"1")
    }

    fn fail(_: &dyn Engine) -> Result<(), StoreError> {
        Err(StoreError::Unavailable)
    }

    #[test]
    fn only_the_steps_above_the_found_format_run_and_each_is_noted() {
        let engine = MemoryEngine::default();
        let steps = [
            Migration { to: 2, what: "", run: fail },
            Migration { to: 3, what: "", run: add },
            Migration { to: 4, what: "", run: add },
        ];
        let mut formats = Vec::new();
        run(&engine, 2, &steps, |format| {
            formats.push(format);
            Ok(())
        })
        .unwrap();
        assert_eq!(formats, [3, 4]);
        assert_eq!(engine.get(b"done").unwrap().as_deref(), Some(&b"1"[..]));
    }

    #[test]
    fn a_step_that_fails_leaves_the_format_where_it_was() {
        let engine = MemoryEngine::default();
        let steps = [Migration { to: 2, what: "", run: add }, Migration { to: 3, what: "", run: fail }];
        let mut formats = Vec::new();
        run(&engine, 1, &steps, |format| {
            formats.push(format);
            Ok(())
        })
        .unwrap_err();
        assert_eq!(formats, [2]);
    }

    #[test]
    fn the_steps_lead_to_the_format_of_this_version() {
        assert_eq!(STEPS.last().unwrap().to, FORMAT);
        assert!(STEPS.windows(2).all(|pair| pair[0].to < pair[1].to));
    }

    #[test]
    fn bare_hashes_get_a_version_once() {
        let engine = MemoryEngine::default();
        let key = keys::named(keys::META, "projection/main");
        engine.put(&key, &[1; BARE_HASH]).unwrap();
        version_hashes(&engine).unwrap();
        version_hashes(&engine).unwrap();
        let record: ProjectionRecord = value::decode(&key, &engine.get(&key).unwrap().unwrap()).unwrap();
        assert_eq!(record.written, [1; BARE_HASH]);
    }
}
