//! A disk that is full.

use std::io::Write as _;

use std::os::unix::fs::PermissionsExt as _;

use crate::program::{Daemon, Home, small_disk};

/// Fills a file until nothing fits any more.
fn fill(home: &Home, path: &std::path::Path) {
    let mut file = std::fs::File::create(path).unwrap_or_else(|error| panic!("{}: {error}", home.path("").display()));
    let chunk = vec![0_u8; 64 * 1024];
    while file.write_all(&chunk).is_ok() {}
    while file.write_all(&chunk[..512]).is_ok() {}
}

#[tokio::test]
async fn a_full_disk_refuses_new_work_and_nothing_else() {
    let (mut daemon, home) = small_disk(24).await;
    home.occtl(&["agent", "--message", "before"]).await.exited(0);
    let ballast = home.seen("ballast");
    fill(&home, &ballast);
    let run = home.occtl(&["--json", "agent", "--message", "refused"]).await;
    let told: serde_json::Value = serde_json::from_str(&run.exited(1).stderr).unwrap();
    assert_eq!(told["error"]["gateway"]["code"], "UNAVAILABLE");
    run.complained(&["nearly full", "free some space"]);
    daemon.logged("new work is refused").await;
    // Reads go on, and everybody who asks is told.
    home.occtl(&["sessions", "show", "main"]).await.exited(0).printed(&["before"]);
    home.occtl(&["health"]).await.exited(1).printed(&["not well", "store: the disk of"]);
    home.occtl(&["tree", "--path", "root/core/store"]).await.exited(0).printed(&["disk="]);
    let (status, body) = daemon.get("/readyz").await;
    assert!(status == 503 && body.contains(r#""failing":["store"]"#), "{status} {body}");
    assert_eq!(daemon.get("/healthz").await.0, 200);
    std::fs::remove_file(&ballast).unwrap();
    home.occtl(&["agent", "--message", "after"]).await.exited(0).printed(&["after"]);
    home.occtl(&["health"]).await.exited(0);
    let run = home.occtl(&["sessions", "show", "main"]).await;
    assert!(!run.exited(0).stdout.contains("refused"), "{run:?}");
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_disk_smaller_than_what_is_kept_free_takes_no_work() {
    let (daemon, home) = small_disk(8).await;
    for _ in 0..2 {
        let run = home.occtl(&["--json", "agent", "--message", "refused"]).await;
        let told: serde_json::Value = serde_json::from_str(&run.exited(1).stderr).unwrap();
        assert_eq!(told["error"]["gateway"]["code"], "UNAVAILABLE");
    }
    home.occtl(&["health"]).await.exited(1).printed(&["nearly full"]);
    fill(&home, &home.seen("ballast"));
    home.occtl(&["health"]).await.exited(1).printed(&["nearly full (0 MiB left)"]);
    assert_eq!(daemon.get("/healthz").await.0, 200);
    std::fs::remove_file(home.seen("ballast")).unwrap();
    daemon.stop().await.exited(0);
}

/// Refused as long as `trouble` lasts, with `why`; reads and the control plane stay; once `heal` has made it good
/// everything that was answered before is there, and work is taken again.
async fn refuses_until_healed(mut daemon: Daemon, home: &Home, why: &str, heal: impl FnOnce()) {
    let run = home.occtl(&["--json", "agent", "--message", "refused"]).await;
    let told: serde_json::Value = serde_json::from_str(&run.exited(1).stderr).unwrap();
    assert_eq!(told["error"]["gateway"]["code"], "UNAVAILABLE", "{run:?}");
    daemon.logged("nothing can be stored").await;
    home.occtl(&["health"]).await.exited(1).printed(&["not well", why]);
    home.occtl(&["tree", "--path", "root/core/store"]).await.exited(0).printed(&["disk="]);
    home.occtl(&["sessions", "list"]).await.exited(0).printed(&["agent:main:main"]);
    let (status, body) = daemon.get("/readyz").await;
    assert!(status == 503 && body.contains(r#""failing":["store"]"#), "{status} {body}");
    heal();
    daemon.logged("what is stored is read back").await;
    home.occtl(&["agent", "--message", "after"]).await.exited(0).printed(&["after"]);
    let shown = home.occtl(&["sessions", "show", "main"]).await;
    assert!(!shown.exited(0).printed(&["before", "after"]).stdout.contains("refused"), "{shown:?}");
    daemon.stop().await.exited(0);
    home.occtl(&["store", "check"]).await.exited(0).printed(&["all well"]);
}

#[tokio::test]
async fn a_folder_that_is_taken_away_is_missed_and_welcome_back() {
    let home = Home::new();
    let daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "before"]).await.exited(0);
    let (store, away) = (home.path("openclawd/store"), home.path("openclawd/away"));
    std::fs::rename(&store, &away).unwrap();
    refuses_until_healed(daemon, &home, "was removed or replaced", || std::fs::rename(&away, &store).unwrap()).await;
}

#[tokio::test]
async fn a_state_directory_that_is_deleted_is_not_begun_anew() {
    let home = Home::new();
    let mut daemon = home.start(&[]).await;
    home.occtl(&["agent", "--message", "before"]).await.exited(0);
    let url = format!("ws://127.0.0.1:{}", daemon.port);
    let token = home.read("openclawd/token");
    std::fs::remove_dir_all(home.path("openclawd")).unwrap();
    std::fs::remove_dir_all(home.path("agents")).unwrap();
    let asked = ["--url", &url, "--token", token.trim(), "--json", "agent", "--message", "refused"];
    home.occtl(&asked).await.exited(1).complained(&["UNAVAILABLE"]);
    daemon.logged("nothing can be stored").await;
    assert!(!home.path("openclawd/store/db").exists(), "no empty store took its place");
    assert_eq!(daemon.get("/healthz").await.0, 200);
    assert_eq!(daemon.get("/readyz").await.0, 503);
    daemon.stop().await;
}

/// The daemon as a user for whom permissions count, also when the test runs as root.
async fn without_privileges(home: &Home) -> Daemon {
    let daemon = env!("CARGO_BIN_EXE_openclawd");
    let uid = std::process::Command::new("id").arg("-u").output().unwrap().stdout;
    if uid != b"0\n" {
        return home.start(&[]).await;
    }
    const DROPPED: &str = "-dac_override,-dac_read_search";
    let drop = [format!("--bounding-set={DROPPED}"), format!("--inh-caps={DROPPED}")];
    Daemon::from(home, "setpriv", &[&drop[0], &drop[1], "--", daemon]).await
}

#[tokio::test]
async fn permissions_that_are_removed_are_named_until_they_are_back() {
    let home = Home::new();
    let daemon = without_privileges(&home).await;
    home.occtl(&["agent", "--message", "before"]).await.exited(0);
    let folder = home.path("openclawd/store");
    let allow = |mode| std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
    allow(0o000);
    refuses_until_healed(daemon, &home, "ermission denied", || allow(0o700)).await;
}
