//! What the store needs of a database. One implementation over sled, one in memory for tests; both pass the same
//! conformance tests.

use super::error::StoreError;
use super::op::Op;

/// A pair as it is stored.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Records read at a time where all of a kind are looked at.
const PAGE: usize = 1000;

/// How much an engine holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Records, without those of the engine itself.
    pub records: u64,
    /// Batches that were ever applied.
    pub batches: u64,
    /// Bytes of its files.
    pub bytes_on_disk: u64,
}

/// An ordered key space with atomic batches. All calls may block; the store's actor calls them off the executor,
/// except reads, which are in memory.
pub trait Engine: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// When the engine fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` pairs whose key starts with `prefix`, in order, after `after` (exclusive).
    ///
    /// # Errors
    /// When the engine fails.
    fn scan_prefix(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, StoreError>;

    /// Applies all operations or none.
    ///
    /// # Errors
    /// When the engine fails; nothing was applied then.
    fn batch(&self, ops: &[Op]) -> Result<(), StoreError>;

    /// Makes everything applied so far survive a loss of power.
    ///
    /// # Errors
    /// When the disk refuses; nothing since the last success may be called durable.
    fn commit(&self) -> Result<(), StoreError>;

    /// Whether what it writes still ends up where it was opened.
    ///
    /// # Errors
    /// When its files were removed or replaced since.
    fn check_place(&self) -> Result<(), StoreError>;

    /// Notes beside the records how far they go, so that an older state of them is recognised by the next start.
    ///
    /// # Errors
    /// When the note can't be written.
    fn seal(&self) -> Result<(), StoreError>;

    /// How much it holds.
    ///
    /// # Errors
    /// When the engine fails.
    fn size(&self) -> Result<Size, StoreError>;

    /// Sets one key.
    ///
    /// # Errors
    /// As [`Engine::batch`].
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.batch(&[Op::Put { key: key.to_vec(), value: value.to_vec() }])
    }

    /// Removes one key.
    ///
    /// # Errors
    /// As [`Engine::batch`].
    fn delete(&self, key: &[u8]) -> Result<(), StoreError> {
        self.batch(&[Op::Delete { key: key.to_vec() }])
    }
}

/// Shows every record under `prefix` to `look`, some at a time.
///
/// # Errors
/// When the engine fails or `look` does.
pub fn for_each(
    engine: &dyn Engine,
    prefix: &[u8],
    mut look: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = engine.scan_prefix(prefix, after.as_deref(), PAGE)?;
        for (key, value) in &page {
            look(key, value)?;
        }
        match page.into_iter().last() {
            Some((last, _)) => after = Some(last),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod conformance {
    //! What every engine has to do.

    use super::*;

    pub(in crate::store) fn all(engine: &dyn Engine) {
        puts_gets_and_deletes(engine);
        scans_in_order_with_paging(engine);
        a_batch_is_applied_whole(engine);
        every_record_is_shown_once(engine);
        it_knows_its_size(engine);
        engine.commit().unwrap();
        engine.check_place().unwrap();
        engine.seal().unwrap();
    }

    fn puts_gets_and_deletes(engine: &dyn Engine) {
        assert_eq!(engine.get(b"x/1").unwrap(), None);
        engine.put(b"x/1", b"one").unwrap();
        assert_eq!(engine.get(b"x/1").unwrap().as_deref(), Some(&b"one"[..]));
        engine.delete(b"x/1").unwrap();
        engine.delete(b"x/1").unwrap();
        assert_eq!(engine.get(b"x/1").unwrap(), None);
    }

    fn scans_in_order_with_paging(engine: &dyn Engine) {
        for n in [3_u8, 1, 2] {
            engine.put(&[b's', n], &[n]).unwrap();
        }
        engine.put(b"t", b"other").unwrap();
        let first = engine.scan_prefix(b"s", None, 2).unwrap();
        assert_eq!(first.iter().map(|(_, v)| v[0]).collect::<Vec<_>>(), [1, 2]);
        let rest = engine.scan_prefix(b"s", Some(&first[1].0), 9).unwrap();
        assert_eq!(rest, [(vec![b's', 3], vec![3])]);
    }

    fn a_batch_is_applied_whole(engine: &dyn Engine) {
        engine.put(b"b/1", b"old").unwrap();
        engine
            .batch(&[Op::Put { key: b"b/2".to_vec(), value: b"new".to_vec() }, Op::Delete { key: b"b/1".to_vec() }])
            .unwrap();
        assert_eq!(engine.scan_prefix(b"b/", None, 9).unwrap(), [(b"b/2".to_vec(), b"new".to_vec())]);
    }

    fn every_record_is_shown_once(engine: &dyn Engine) {
        let count = PAGE + PAGE / 2;
        let ops: Vec<Op> = (0..count as u32)
            .map(|n| Op::Put { key: [&b"e/"[..], &n.to_be_bytes()].concat(), value: vec![1] })
            .collect();
        engine.batch(&ops).unwrap();
        let mut seen = 0_u32;
        for_each(engine, b"e/", |key, _| {
            assert_eq!(key[2..], seen.to_be_bytes());
            seen += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(seen as usize, count);
    }

    fn it_knows_its_size(engine: &dyn Engine) {
        let before = engine.size().unwrap();
        engine.put(b"z", b"1").unwrap();
        let after = engine.size().unwrap();
        assert_eq!((after.records, after.batches), (before.records + 1, before.batches + 1));
    }
}
