//! A disk that is full.

use std::io::Write as _;

use crate::program::{Home, small_disk};

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
