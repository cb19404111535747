//! Starts that are refused: what is said, with which exit code, and that nothing is left half done.

use std::net::TcpListener;
use std::os::unix::fs::symlink;

use crate::program::Home;

#[tokio::test]
async fn a_syntax_error_is_refused_with_its_place() {
    let home = Home::new();
    home.config("{\n  gateway: { port: 1,\n  logging }\n}\n");
    let run = home.refused(&[]).await;
    run.exited(78).complained(&["refused to start", "openclaw.json:3:", "syntax error", "correct the file"]);
    assert!(run.stdout.is_empty(), "{run:?}");
    assert_eq!(home.names(), ["openclaw.json"], "nothing was made");
}

#[tokio::test]
async fn all_wrong_keys_and_types_are_named_at_once() {
    let home = Home::new();
    home.config("{ gateway: { prot: 1, port: 'x' },\n  models: { providers: { x: { baseUrl: 5 } } } }");
    home.refused(&[]).await.exited(78).complained(&[
        "3 issues",
        "openclaw.json:1:14: gateway.prot: unknown key",
        "did you mean `gateway.port`?",
        "gateway.port: a string, expected an integer",
        "openclaw.json:2:40: models.providers.x.baseUrl: a number, expected a string",
    ]);
    assert_eq!(home.names(), ["openclaw.json"]);
}

#[tokio::test]
async fn a_configuration_that_is_no_readable_file_is_refused() {
    let home = Home::new();
    std::fs::create_dir(home.path("openclaw.json")).unwrap();
    home.refused(&[]).await.exited(78).complained(&["openclaw.json is a directory, expected a regular file"]);
    std::fs::remove_dir(home.path("openclaw.json")).unwrap();
    // A file that even root can't read.
    symlink("/proc/self/clear_refs", home.path("openclaw.json")).unwrap();
    home.refused(&[]).await.exited(78).complained(&["openclaw.json cannot be read"]);
    assert_eq!(home.names(), ["openclaw.json"]);
}

#[tokio::test]
async fn an_open_door_is_refused() {
    let home = Home::new();
    home.config("{ gateway: { bind: 'lan', auth: { mode: 'none' } } }");
    home.refused(&[]).await.exited(78).complained(&["gateway.auth.mode", "while other machines can connect"]);
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_one_is_named() {
    let home = Home::new();
    std::fs::write(home.path("file"), "").unwrap();
    let below = home.path("file").join("state").display().to_string();
    let run = home.refused(&["--state-dir", &below]).await;
    run.exited(1).complained(&["the state directory can't be", "file is a file", "--state-dir"]);
    // Nobody can make folders here, whoever runs this test.
    let run = home.refused(&["--state-dir", "/proc/openclawd"]).await;
    run.exited(1).complained(&[
        "can't use the state directory",
        "can't create /proc/openclawd",
        "must be able to write",
    ]);
    assert_eq!(run.stderr.matches("can't create").count(), 1, "{run:?}");
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_way_out() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = home.refused(&["--port", &port]).await;
    run.exited(1).complained(&[&format!("can't serve 127.0.0.1:{port}: Address already in use"), "--port"]);
    assert_eq!(run.stderr.matches("already in use").count(), 1, "{run:?}");
    assert!(!home.path("openclawd/token").exists() && !home.path("openclawd/store").exists());
    drop(taken);
    home.start(&["--port", &port]).await.stop().await.exited(0);
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused() {
    let home = Home::new();
    home.config("{ gateway: { bind: 'custom', customBindHost: '192.0.2.7' } }");
    home.refused(&[]).await.exited(1).complained(&["can't serve 192.0.2.7", "gateway.customBindHost"]);
}

#[tokio::test]
async fn a_token_file_without_a_token_is_refused() {
    let home = Home::new();
    std::fs::create_dir(home.path("openclawd")).unwrap();
    std::fs::write(home.path("openclawd/token"), "short").unwrap();
    let run = home.refused(&[]).await;
    run.exited(1).complained(&["openclawd/token holds no token", "remove it and a new one is made"]);
    assert_eq!(home.read("openclawd/token"), "short");
}

#[tokio::test]
async fn a_second_gateway_is_told_who_has_the_state_directory() {
    let home = Home::new();
    let first = home.start(&[]).await;
    let run = home.refused(&[]).await;
    let (pid, port) = (format!("pid {}", first.pid()), format!("port {}", first.port));
    run.exited(1).complained(&["another gateway runs on this state directory", &pid, &port, "kill"]);
    home.occtl(&["health"]).await.exited(0);
    first.stop().await.exited(0);
}

#[tokio::test]
async fn bad_arguments_exit_with_2() {
    let run = Home::new().refused(&["--prot", "5"]).await;
    run.exited(2).complained(&["--prot", "--port"]);
}
