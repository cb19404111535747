//! Faults on purpose, with the real binaries: only in a daemon that was started for them, on this machine alone.

use serde_json::Value;

use crate::program::Home;

#[tokio::test]
async fn a_daemon_that_was_not_started_for_it_knows_no_faults() {
    let home = Home::new();
    home.config("{}");
    let daemon = home.start(&[]).await;
    for method in ["chaos.inject", "chaos.list", "chaos.clear"] {
        let run = home.occtl(&["gateway", "call", method]).await;
        run.exited(1).complained(&[&format!("unknown method: {method}")]);
    }
    // Word for word what any method is told that does not exist.
    let known = home.occtl(&["--json", "gateway", "call", "chaos.list"]).await.stderr;
    let other = home.occtl(&["--json", "gateway", "call", "no.such"]).await.stderr;
    assert_eq!(known.replace("chaos.list", "no.such"), other);
    let run = home.occtl(&["chaos", "inject", "root/lifecycle", "kill"]).await;
    run.exited(1).complained(&["takes no faults on purpose", "openclawd --chaos"]);
    let health: Value = serde_json::from_str(&home.occtl(&["--json", "health"]).await.stdout).unwrap();
    assert_eq!(health.get("chaos"), None);
    home.occtl(&["tree", "get", "root/lifecycle"]).await.exited(0).printed(&["\"incarnation\": 1"]);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_daemon_that_other_machines_can_reach_takes_no_faults() {
    let home = Home::new();
    home.config("{ gateway: { bind: 'lan' } }");
    let run = home.refused(&["--chaos"]).await;
    run.exited(78).complained(&["--chaos is refused", "gateway.bind"]);
}

#[tokio::test]
async fn a_part_is_struck_and_its_return_is_told() {
    let home = Home::new();
    home.config("{}");
    let daemon = home.start(&["--chaos"]).await;
    home.occtl(&["status"]).await.exited(0).printed(&["started with --chaos"]);
    for (fault, told) in [("panic", "injected panic"), ("hang", "worked on for more than")] {
        let run = home.occtl(&["chaos", "inject", "root/core/control/broadcast", fault, "--wait"]).await;
        run.exited(0).printed(&["back as incarnation", " ms (", told]);
    }
    // What takes the control plane with it is waited for over a new connection.
    let run = home.occtl(&["--json", "chaos", "inject", "root/core/store", "kill", "--wait"]).await;
    run.exited(0);
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((told["back"].as_bool(), told["node"]["incarnation"].as_u64()), (Some(true), Some(2)), "{told}");

    let lifecycle = "root/lifecycle";
    home.occtl(&["chaos", "inject", lifecycle, "block", "--ms", "5", "--at-message"]).await.exited(0);
    home.occtl(&["chaos", "list"]).await.exited(0).printed(&[lifecycle, "block", "5 ms"]);
    home.occtl(&["chaos", "clear"]).await.exited(0).printed(&["1 forgotten"]);
    home.occtl(&["chaos", "list"]).await.exited(0).printed(&["none waits"]);
    home.occtl(&["chaos", "inject", lifecycle, "block"]).await.exited(2);
    home.occtl(&["chaos", "inject", "root/nobody", "kill"]).await.exited(1).complained(&["no actor at root/nobody"]);
    home.occtl(&["chaos", "inject", "root/core", "hang"]).await.exited(1).complained(&["is a supervisor"]);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_storm_leaves_the_tree_whole() {
    let home = Home::new();
    home.config("{}");
    let daemon = home.start(&["--chaos"]).await;
    home.occtl(&["agent", "--message", "hi"]).await.exited(0);
    let run = home.occtl(&["--json", "chaos", "storm", "--rate", "20", "--for", "2s"]).await;
    run.exited(0);
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(told["converged"], true, "{told}");
    assert!(told["struck"].as_u64().unwrap() > 0, "{told}");
    home.occtl(&["agent", "--message", "again"]).await.exited(0);
    home.occtl(&["chaos", "storm", "--for", "1x"]).await.exited(2);
    daemon.stop().await.exited(0);
}

#[tokio::test]
async fn a_part_at_the_top_that_keeps_failing_ends_the_daemon_with_70() {
    let home = Home::new();
    home.config("{}");
    let daemon = home.start(&["--chaos"]).await;
    // The root gives its children three restarts a minute.
    for _ in 0..3 {
        home.occtl(&["chaos", "inject", "root/lifecycle", "kill", "--wait"]).await.exited(0);
    }
    // The end of the daemon may cut the answer off.
    home.occtl(&["chaos", "inject", "root/lifecycle", "kill"]).await;
    daemon.ended().await.exited(70);
}
