//! The store as an operator handles it: looked at, copied and put back, by a gateway that runs and without one.

use crate::program::Home;

/// What the transcripts of the state directory say.
fn said(home: &Home, text: &str) -> usize {
    let sessions = home.path("agents/main/sessions");
    let files = std::fs::read_dir(sessions).unwrap().map(|entry| entry.unwrap().path());
    let transcripts = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    transcripts.map(|path| std::fs::read_to_string(path).unwrap().matches(text).count()).sum()
}

#[tokio::test]
async fn it_is_looked_at_while_the_gateway_runs_and_without_one() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "kept"]).await.exited(0);
    home.occtl(&["store", "stats"]).await.exited(0).printed(&["format       2", "dedupe", "run "]);
    home.occtl(&["store", "check"]).await.exited(0).printed(&["1 transcripts: all well"]);
    let running: serde_json::Value =
        serde_json::from_str(&home.occtl(&["--json", "store", "stats"]).await.exited(0).stdout).unwrap();
    daemon.stop().await.exited(0);
    let stopped: serde_json::Value =
        serde_json::from_str(&home.occtl(&["--json", "store", "stats"]).await.exited(0).stdout).unwrap();
    assert_eq!(stopped["kinds"]["run"]["records"], running["kinds"]["run"]["records"]);
    assert_eq!(stopped["epoch"], running["epoch"].as_u64().unwrap() + 1);
    home.occtl(&["store", "check"]).await.exited(0).printed(&["all well"]);
}

#[tokio::test]
async fn an_export_is_written_once_and_by_administrators() {
    let home = Home::new();
    let file = home.path("all.export").display().to_string();
    home.occtl(&["store", "export", &file]).await.exited(1).complained(&["there is no store"]);
    let daemon = home.start(&[]).await;
    home.occtl(&["store", "export", &file]).await.exited(0).printed(&["all.export: ", " records"]);
    assert_eq!(home.mode("all.export"), 0o600);
    home.occtl(&["store", "export", &file]).await.exited(1).complained(&["can't write", "exists"]);
    let relative = r#"{"path":"here"}"#;
    let run = home.occtl(&["gateway", "call", "store.export", "--params", relative]).await;
    run.exited(1).complained(&["at /path: must be a whole path"]);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_backup_of_a_running_gateway_is_put_back_once_it_is_stopped() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "first words"]).await.exited(0);
    let kept = tempfile::tempdir().unwrap();
    let folder = kept.path().join("backup").display().to_string();
    home.occtl(&["store", "backup", &folder]).await.exited(0).printed(&["records", "files"]);
    home.occtl(&["store", "backup", &folder]).await.exited(1).complained(&["new or empty folder"]);
    home.occtl(&["agent", "--message", "second words"]).await.exited(0);
    let run = home.occtl(&["store", "restore", &folder]).await;
    run.exited(1).complained(&["another gateway runs on this state directory"]);
    daemon.stop().await.exited(0);

    let run = home.occtl(&["store", "restore", &folder]).await;
    run.exited(0).printed(&["put back", "what was there is in", "before-restore"]);
    let daemon = home.start(&[]).await;
    let shown = home.occtl(&["sessions", "show", "main"]).await;
    assert!(!shown.exited(0).printed(&["first words"]).stdout.contains("second words"), "{shown:?}");
    home.occtl(&["agent", "--message", "third words"]).await.exited(0);
    home.occtl(&["store", "check"]).await.exited(0).printed(&["all well"]);
    daemon.stop().await.exited(0);
    assert_eq!((said(&home, "first words") > 0, said(&home, "second words")), (true, 0));
}

#[tokio::test]
async fn what_is_wrong_is_named_and_fails_the_check() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "kept"]).await.exited(0);
    daemon.stop().await.exited(0);
    let sessions = home.path("agents/main/sessions");
    let stray = sessions.join("00000000-0000-4000-8000-000000000000.jsonl");
    std::fs::write(&stray, "{\"type\":\"session\",\"id\":\"s\"}\n{\"type\":\"mess").unwrap();
    home.occtl(&["store", "check"]).await.exited(1).printed(&["line 2 is cut off", "not well"]);
    std::fs::remove_file(&stray).unwrap();
    home.occtl(&["store", "check"]).await.exited(0);
}

#[tokio::test]
async fn a_state_of_a_newer_version_is_refused_untouched() {
    let home = Home::new();
    home.start(&[]).await.stop().await.exited(0);
    std::fs::write(home.path("openclawd/store/made"), "99 1\n").unwrap();
    let before = std::fs::read(home.path("openclawd/store/db")).unwrap();
    let run = home.refused(&[]).await;
    run.exited(78)
        .complained(&["written by a newer version (format 99, known up to 2)", "start the version that wrote it"]);
    home.occtl(&["store", "stats"]).await.exited(78).complained(&["newer version"]);
    assert_eq!(std::fs::read(home.path("openclawd/store/db")).unwrap(), before);
    assert_eq!(home.read("openclawd/store/made"), "99 1\n");
}

#[tokio::test]
async fn a_second_gateway_is_noticed_also_when_the_lock_file_was_removed() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "mine"]).await.exited(0);
    std::fs::remove_file(home.path("openclawd/gateway.lock")).unwrap();
    home.refused(&[]).await.exited(1).complained(&["can't open the store", "lock"]);
    assert_eq!(daemon.get("/readyz").await.0, 200);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_database_that_was_cut_is_refused_and_left_alone() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    for n in 0..5 {
        home.occtl(&["agent", "--message", &format!("message {n}")]).await.exited(0);
    }
    daemon.stop().await.exited(0);
    let db = home.path("openclawd/store/db");
    let length = std::fs::metadata(&db).unwrap().len();
    for part in [3, 2] {
        let cut = length * (part - 1) / part;
        std::fs::File::options().write(true).open(&db).unwrap().set_len(cut).unwrap();
        home.refused(&[]).await.exited(1).complained(&["the store at", "is damaged"]);
    }
}

#[tokio::test]
async fn a_transcript_that_was_cut_in_a_line_goes_on_behind_it() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "first words"]).await.exited(0);
    daemon.stop().await.exited(0);
    let sessions = std::fs::read_dir(home.path("agents/main/sessions")).unwrap();
    let transcript = sessions.map(|entry| entry.unwrap().path()).find(|path| path.extension().unwrap() == "jsonl");
    let transcript = transcript.unwrap();
    let length = std::fs::metadata(&transcript).unwrap().len();
    std::fs::File::options().write(true).open(&transcript).unwrap().set_len(length - 20).unwrap();
    let daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "second words"]).await.exited(0);
    daemon.stop().await.exited(0);
    home.occtl(&["store", "check"]).await.exited(0).printed(&["all well"]);
    assert!(said(&home, "first words") > 0 && said(&home, "second words") > 0);
}
