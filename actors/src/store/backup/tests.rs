//! There and back again.

use std::os::unix::fs::PermissionsExt as _;

use super::super::op::{Append, Commit};
use super::super::opening::{self, Past};
use super::super::payload::MAX_INLINE;
use super::super::rows::{self, SessionRow};
use super::super::{transcripts, value};
use super::*;
use crate::ids::AgentId;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    fn open(&self) -> Disk {
        opening::open(&self.state(), Past::default()).unwrap().disk
    }

    fn transcript(&self) -> PathBuf {
        transcripts::path(&self.state(), &AgentId::normalised("main"), "s")
    }

    /// A session with a line, a label and a large value.
    fn fill(&self, disk: &Disk, label: &str) {
        let row = SessionRow { session_id: "s".into(), label: Some(label.into()), ..SessionRow::default() };
        let lines = vec![format!(r#"{{"type":"custom","id":"{label}"}}"#)];
        let header = transcripts::header("s", 0, Path::new("/"));
        let commit = Commit::new()
            .put(rows::key(&AgentId::normalised("main"), "agent:main:main"), value::encode(&row).unwrap())
            .put(b"cursor/large".to_vec(), value::encode(&label.repeat(MAX_INLINE)).unwrap())
            .append(Append { path: self.transcript(), lines, header });
        assert!(disk.write(vec![commit]).broken.is_none());
    }

    fn label(&self, disk: &Disk) -> String {
        let key = rows::key(&AgentId::normalised("main"), "agent:main:main");
        let row: SessionRow = value::decode(&key, &disk.engine.get(&key).unwrap().unwrap()).unwrap();
        row.label.unwrap()
    }

    fn backed_up(&self) -> BackedUp {
        let disk = self.open();
        self.fill(&disk, "first");
        fs::write(self.state().join("openclaw.json"), "{}").unwrap();
        let taken = take(&disk, &self.target()).unwrap();
        // What comes while the links are copied belongs to the time after.
        self.fill(&disk, "second");
        finish(&taken, String::from("now")).unwrap()
    }
}

#[test]
fn a_restored_state_is_that_of_the_moment_it_was_taken() {
    let bench = Bench::new();
    let told = bench.backed_up();
    assert_eq!(told.files, 3, "records, transcript, configuration: {told:?}");
    assert!(fs::read_to_string(bench.transcript()).unwrap().contains("second"));

    let restored = restore(&bench.state(), &bench.target()).unwrap();
    let disk = bench.open();
    assert_eq!(bench.label(&disk), "first");
    let text = fs::read_to_string(bench.transcript()).unwrap();
    assert!(text.contains("first") && !text.contains("second"), "{text}");
    let large = disk.payloads.resolve(disk.engine.get(b"cursor/large").unwrap().unwrap()).unwrap();
    assert_eq!(value::decode::<String>(b"k", &large).unwrap(), "first".repeat(MAX_INLINE));
    assert!(super::super::check::check(&disk).unwrap().findings.is_empty());

    // What was there is kept aside, whole.
    let aside = restored.kept_aside.unwrap();
    let old = fs::read_to_string(aside.join("agents/main/sessions/s.jsonl")).unwrap();
    assert!(old.contains("second"));
    assert!(aside.join("openclawd/store/db").exists());
    let rest: Vec<_> = fs::read_dir(bench.state().join("openclawd")).unwrap().flatten().collect();
    assert!(!rest.iter().any(|entry| entry.file_name().to_string_lossy().starts_with("restore.")));
}

#[test]
fn a_backup_is_put_into_an_empty_state_directory() {
    let bench = Bench::new();
    bench.backed_up();
    fs::remove_dir_all(bench.state()).unwrap();
    let restored = restore(&bench.state(), &bench.target()).unwrap();
    assert_eq!(restored.kept_aside, None);
    assert_eq!(bench.label(&bench.open()), "first");
    assert!(fs::read_to_string(bench.state().join("agents/main/sessions/sessions.json")).unwrap().contains("first"));
}

#[test]
fn a_backup_is_private_and_leaves_no_links() {
    let bench = Bench::new();
    bench.backed_up();
    for name in ["", "store.export", "files/openclaw.json", "manifest.json"] {
        let mode = fs::metadata(bench.target().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    let ours = fs::read_dir(bench.state().join("openclawd")).unwrap().flatten();
    assert!(!ours.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("backup.")));
}

#[test]
fn a_folder_that_holds_something_is_not_used() {
    let bench = Bench::new();
    fs::create_dir_all(bench.target()).unwrap();
    fs::write(bench.target().join("mine"), "").unwrap();
    let error = take(&bench.open(), &bench.target()).unwrap_err();
    assert!(error.to_string().contains("new or empty folder"), "{error}");
    take(&bench.open(), Path::new("relative")).unwrap_err();
}

#[test]
fn a_backup_that_is_not_whole_changes_nothing() {
    let bench = Bench::new();
    bench.backed_up();
    let manifest = fs::read_to_string(bench.target().join(MANIFEST)).unwrap();
    let transcript = bench.target().join("files/agents/main/sessions/s.jsonl");
    let refused = |what: &str| {
        let error = restore(&bench.state(), &bench.target()).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert_eq!(bench.label(&bench.open()), "second");
    };
    let text = fs::read(&transcript).unwrap();
    fs::write(&transcript, "other").unwrap();
    refused("not what the manifest says");
    fs::remove_file(&transcript).unwrap();
    refused("lacks this file");
    fs::write(&transcript, text).unwrap();
    let elsewhere = manifest.replace("files/openclaw.json", "files/agents/../../../evil");
    fs::write(bench.target().join(MANIFEST), elsewhere).unwrap();
    refused("no backup holds");
    fs::write(bench.target().join(MANIFEST), manifest.replace("\"format\": 2", "\"format\": 99")).unwrap();
    refused("newer version");
    fs::remove_file(bench.target().join(MANIFEST)).unwrap();
    refused("not finished");
}
