//! The engine on disk: what it keeps, what it notices.

use super::*;
use crate::store::records::ProjectionRecord;

#[test]
fn sled_engine_conforms() {
    let folder = tempfile::tempdir().unwrap();
    crate::store::engine::conformance::all(&SledEngine::open(folder.path()).unwrap());
}

#[test]
fn records_are_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    {
        let engine = SledEngine::open(folder.path()).unwrap();
        engine.put(b"a", b"1").unwrap();
        engine.put(b"a", b"2").unwrap();
        engine.put(b"b", b"3").unwrap();
        engine.delete(b"b").unwrap();
        engine.commit().unwrap();
    }
    let engine = SledEngine::open(folder.path()).unwrap();
    assert_eq!(engine.get(b"a").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(engine.noted().records, 1);
}

#[test]
fn batches_of_several_threads_leave_the_right_count() {
    let folder = tempfile::tempdir().unwrap();
    {
        let engine = SledEngine::open(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let engine = &engine;
                scope.spawn(move || (0..200_u8).for_each(|n| engine.put(&[thread, n], b"1").unwrap()));
            }
        });
        engine.commit().unwrap();
    }
    assert_eq!(SledEngine::open(folder.path()).unwrap().noted().records, 800);
}

#[test]
fn a_lost_record_is_noticed_when_opening() {
    let folder = tempfile::tempdir().unwrap();
    {
        let engine = SledEngine::open(folder.path()).unwrap();
        engine.put(b"a", b"1").unwrap();
        engine.db().unwrap().remove(b"a").unwrap();
        engine.commit().unwrap();
    }
    assert!(matches!(SledEngine::open(folder.path()), Err(StoreError::Damaged { .. })));
}

#[test]
fn values_at_the_limit_stay_out_of_the_blobs_folder() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SledEngine::open(folder.path()).unwrap();
    for n in 0..200_u32 {
        engine.put(&n.to_be_bytes(), &[7; crate::store::payload::MAX_INLINE]).unwrap();
    }
    engine.commit().unwrap();
    assert_eq!(fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0);
}

fn crowded(folder: &Path) -> SledEngine {
    let engine = SledEngine::open(folder).unwrap();
    for n in 0..50_u32 {
        engine.put(&n.to_be_bytes(), &[7; 1000]).unwrap();
        engine.commit().unwrap();
    }
    engine
}

#[test]
fn a_database_whose_end_is_missing_is_noticed_when_opening() {
    let folder = tempfile::tempdir().unwrap();
    let older = tempfile::tempdir().unwrap();
    drop(crowded(folder.path()));
    copy_folder(folder.path(), older.path());
    let engine = SledEngine::open(folder.path()).unwrap();
    engine.put(b"newest", b"1").unwrap();
    engine.commit().unwrap();
    engine.seal().unwrap();
    drop(engine);
    // What a file system gives back that forgot the last writes: consistent in itself, and too old.
    fs::copy(folder.path().join("made"), older.path().join("made")).unwrap();
    let error = SledEngine::open(older.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { found, .. } if found.contains("went on to")), "{error}");
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn a_state_of_a_newer_version_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    drop(crowded(folder.path()));
    let before = contents(folder.path());
    let newer = format!("{} 9 whatever comes\n", FORMAT + 1);
    fs::write(folder.path().join("made"), newer).unwrap();
    let error = SledEngine::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    let mut after = contents(folder.path());
    after.insert(OsString::from("made"), before[&OsString::from("made")].clone());
    assert!(before == after, "a file was changed");
}

fn contents(folder: &Path) -> std::collections::BTreeMap<OsString, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file());
    entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_database_of_the_first_format_is_brought_up_to_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let key = b"meta/projection/main";
    {
        let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        db.insert(key, &[3_u8; 32]).unwrap();
        db.insert(SENTINEL, &1_u64.to_be_bytes()).unwrap();
        db.flush().unwrap();
    }
    fs::write(folder.path().join("made"), "1\n").unwrap();
    {
        let engine = SledEngine::open(folder.path()).unwrap();
        let stored = engine.get(key).unwrap().unwrap();
        let record: ProjectionRecord = crate::store::value::decode(key, &stored).unwrap();
        assert_eq!(record.written, [3; 32]);
    }
    assert_eq!(marker::read(folder.path()).unwrap().unwrap().format, FORMAT);
    assert_eq!(SledEngine::open(folder.path()).unwrap().noted().records, 1);
}

#[test]
fn an_interrupted_migration_leaves_the_old_format() {
    let folder = tempfile::tempdir().unwrap();
    drop(crowded(folder.path()));
    fs::write(folder.path().join("made"), "1\n").unwrap();
    let fails = migrations::Migration { to: 2, what: "fails", run: |_| Err(StoreError::Unavailable) };
    SledEngine::open_with(folder.path(), &[fails]).unwrap_err();
    assert_eq!(marker::read(folder.path()).unwrap().unwrap().format, 1);
}

#[test]
fn a_removed_or_replaced_folder_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("store");
    let engine = crowded(&place);
    engine.check_place().unwrap();
    fs::rename(&place, folder.path().join("elsewhere")).unwrap();
    assert!(matches!(engine.check_place(), Err(StoreError::Gone { .. })));
    let other = SledEngine::open(&place).unwrap();
    assert!(matches!(engine.check_place(), Err(StoreError::Gone { .. })));
    other.check_place().unwrap();
}

#[test]
fn pages_that_sled_moves_to_blobs_are_synced_with_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let engine = SledEngine::open(folder.path()).unwrap();
    for n in 0..40_u32 {
        engine.put(&n.to_be_bytes(), &[7; 14 * 1024]).unwrap();
    }
    engine.commit().unwrap();
    let present = fs::read_dir(folder.path().join("blobs")).unwrap().count();
    assert!(present > 0, "values this large are what makes sled use the folder");
    assert_eq!(engine.synced_blobs.lock().unwrap().len(), present);
}
