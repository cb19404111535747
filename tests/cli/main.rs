//! `occtl` as a user runs it: the real binary, its output and its exit codes, with no gateway or a scripted one.

#[cfg(test)]
mod fake;
#[cfg(test)]
mod install;
#[cfg(test)]
mod online;
#[cfg(test)]
mod program;
#[cfg(test)]
mod snapshot;

use program::{Home, Run};
use snapshot::assert_snapshot;

#[test]
fn help_lists_the_commands_and_the_exit_codes() {
    let run = Home::new().occtl(&["--help"]);
    run.succeeded();
    assert_snapshot("help", &run.stdout);
}

#[test]
fn bad_arguments_exit_with_2_and_say_what_is_wrong() {
    let home = Home::new();
    for args in [
        &["nonsense"][..],
        &["tree", "act", "root"],
        &["tree", "act", "root", "explode"],
        &["logs", "-n", "0"],
        &["gateway", "call", "health", "--params", "{"],
        &["agent", "--message", "  "],
        &["agent"],
        &["health", "--url", "http://127.0.0.1:1"],
        &["health", "--url", "ws://192.0.2.1:1"],
        &["models", "add", "--provider", "p", "--base-url", "ftp://x", "--api", "a", "--model", "m"],
        &[
            "models",
            "add",
            "--provider",
            "p",
            "--base-url",
            "http://x",
            "--api",
            "a",
            "--model",
            "m",
            "--key-env",
            "low",
        ],
        &["models", "add", "--provider", "p", "--base-url", "http://x", "--api", "a", "--model", "m", "--key-stdin"],
    ] {
        let run = home.occtl(args);
        assert_eq!(run.code, 2, "{args:?}: {run:?}");
        assert!(run.stdout.is_empty() && !run.stderr.is_empty(), "{args:?}: {run:?}");
    }
}

#[test]
fn a_typo_gets_a_suggestion() {
    let run = Home::new().occtl(&["statsu"]);
    assert!(run.stderr.contains("'status'"), "{run:?}");
}

#[test]
fn without_a_gateway_every_command_that_needs_one_exits_with_69() {
    let home = Home::new();
    home.config(&format!("{{ gateway: {{ port: {} }} }}", home.dead_port()));
    for args in [
        &["health"][..],
        &["status"],
        &["tree"],
        &["tree", "--watch"],
        &["tree", "act", "root/core", "restart"],
        &["chat"],
        &["agent", "--message", "hi"],
        &["sessions", "list"],
        &["sessions", "reset", "main"],
        &["logs"],
        &["models", "list"],
        &["gateway", "call", "health"],
    ] {
        let run = home.occtl(args);
        assert_eq!(run.code, 69, "{args:?}: {run:?}");
        assert!(run.stdout.is_empty(), "{args:?}: {run:?}");
        assert!(run.stderr.contains("no gateway answers at ws://127.0.0.1:"), "{args:?}: {run:?}");
        assert!(run.stderr.contains("is it running?"), "{args:?}: {run:?}");
    }
}

#[test]
fn with_json_a_failure_is_one_json_object_on_stderr() {
    let home = Home::new();
    home.config(&format!("{{ gateway: {{ port: {} }} }}", home.dead_port()));
    let run = home.occtl(&["health", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!((run.code, &told["ok"], &told["error"]["kind"]), (69, &false.into(), &"unreachable".into()));
    assert_eq!(told["error"]["exit"], 69);
}

#[test]
fn a_configuration_that_cannot_be_read_exits_with_78() {
    let home = Home::new();
    home.config("{ gateway: ");
    let run = home.occtl(&["health"]);
    assert_eq!(run.code, 78, "{run:?}");
    assert!(run.stderr.contains("openclaw.json"), "{run:?}");
    home.config("{}");
    let run = home.with("OPENCLAW_GATEWAY_PORT", "many").occtl(&["health"]);
    assert_eq!(run.code, 78, "{run:?}");
}

#[test]
fn a_token_never_shows_in_the_output() {
    let home = Home::new();
    home.config(&format!("{{ gateway: {{ port: {}, auth: {{ token: 'hunter2' }} }} }}", home.dead_port()));
    for args in [&["health"][..], &["health", "--json"], &["--help"]] {
        let run = home.with("OPENCLAW_GATEWAY_PASSWORD", "hunter2").occtl(args);
        assert!(!format!("{run:?}").contains("hunter2"), "{args:?}");
    }
}

#[test]
fn completions_know_the_commands() {
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef occtl"),
        ("fish", "complete -c occtl"),
        ("powershell", "Register-"),
        ("elvish", "edit:"),
    ] {
        let run = Home::new().occtl(&["completions", shell]);
        run.succeeded();
        assert!(run.stdout.contains(mark) && run.stdout.contains("sessions"), "{shell}");
    }
}

#[test]
fn output_that_nobody_reads_is_no_failure() {
    let run = Home::new().occtl_into_closed_pipe(&["completions", "bash"]);
    assert_eq!(run, 0);
}

#[test]
fn a_model_is_written_without_a_gateway_when_no_check_is_wanted() {
    let home = Home::new();
    home.config("{\n  // kept\n  gateway: { port: 1 },\n}\n");
    let args =
        ["models", "add", "--provider", "local", "--base-url", "http://127.0.0.1:9/v1", "--api", "openai-completions"];
    let rest = ["--model", "tiny", "--key-stdin", "--no-check"];
    let run: Run = home.occtl_with_input(&[&args[..], &rest[..]].concat(), "sk-secret\n");
    run.succeeded();
    assert!(!run.stdout.contains("sk-secret"), "{run:?}");
    assert_snapshot("config-with-a-model", &home.read(".openclaw/openclaw.json"));
    assert_eq!(home.mode(".openclaw/openclaw.json"), 0o600);
}
