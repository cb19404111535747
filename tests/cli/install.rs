//! `occtl gateway install`, up to the point where systemd would be asked.

use crate::program::Home;
use crate::snapshot::assert_snapshot;

const UNIT: &str = ".config/systemd/user/openclawd.service";
const BINARY: &[&str] = &["gateway", "install", "--binary", "/opt/openclawd/openclawd"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [BINARY, more].concat()
}

#[test]
fn the_unit_is_printed_and_nothing_is_written() {
    let home = Home::new();
    let run = home.occtl(&with(&["--print"]));
    run.succeeded();
    assert_snapshot("unit", &run.stdout.replace(&home.path("").display().to_string(), "/home/me/"));
    assert!(!home.path(".config").exists());
}

#[test]
fn the_daemon_beside_the_client_is_the_default() {
    let run = Home::new().occtl(&["gateway", "install", "--print"]);
    run.succeeded();
    let beside = env!("CARGO_BIN_EXE_occtl").replace("occtl", "openclawd");
    assert!(run.stdout.contains(&format!("ExecStart={beside}\n")), "{run:?}");
}

#[test]
fn the_unit_is_written_and_a_changed_one_is_not_replaced_by_itself() {
    let home = Home::new();
    home.occtl(&with(&["--no-start"])).succeeded();
    assert!(home.read(UNIT).contains("ExecStart=/opt/openclawd/openclawd\n"));
    home.occtl(&with(&["--no-start"])).succeeded();
    std::fs::write(home.path(UNIT), "mine").unwrap();
    let run = home.occtl(&with(&["--no-start"]));
    assert_eq!((run.code, home.read(UNIT).as_str()), (1, "mine"), "{run:?}");
    home.occtl(&with(&["--no-start", "--force"])).succeeded();
    assert!(home.read(UNIT).starts_with("[Unit]"));
}

#[test]
fn another_state_folder_is_spelled_out() {
    let run = Home::new().with("OPENCLAW_STATE_DIR", "/srv/claw").occtl(&with(&["--print", "--json"]));
    run.succeeded();
    let told: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let text = told["text"].as_str().unwrap();
    assert!(text.contains("Environment=OPENCLAW_STATE_DIR=/srv/claw\n"), "{text}");
    assert!(text.contains("EnvironmentFile=-/srv/claw/openclawd/gateway.env\n"), "{text}");
}
